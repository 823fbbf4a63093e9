"""What is recorded of a training: its curve, best model, divergence and scores."""

import math

import pytest
import torch
from smallnets import CLASSES, PIXELS, by, config, linear, numbers, split
from torch import nn

from reviewlib import train
from reviewlib.data import Split
from reviewlib.train.loop import CHECK_EVERY
from reviewlib.train.watch import Watch


class Scripted(torch.optim.SGD):
    """Sets the bias to the next row of a script, whatever the gradient."""

    def step(self, closure):
        value = closure()
        self.param_groups[0]["params"][-1].data.copy_(next(self.script))
        return value


def failing(at, value=math.nan):
    """A loss that is multiplied by a value in one step; it counts its calls."""

    def loss(model, x, y):
        loss.calls += 1
        return train.cross_entropy(model, x, y) * (value if loss.calls == at + 1 else 1)

    loss.calls = 0
    return loss


def test_the_curve_and_the_best_model_of_its_steps():
    data = Split(torch.zeros(4, 1, PIXELS, PIXELS, dtype=torch.uint8), torch.tensor([0, 0, 1, 2]))
    # On black images only the bias matters. Step 1 is the best one, but is not evaluated.
    script = [[9.0, 0, 0], [0, 9.0, 0], [8.0, 0, 0], [7.0, 0, 0], [0, 0, 9.0]]
    result = train.fit(
        linear(),
        data,
        config(5, batch_size=4, eval_steps=(2, 3, 4, 5)),
        seed=0,
        optimizer=lambda model, c: by(Scripted, model, c, script=map(torch.tensor, script)),
        validation=data,
    )
    assert result.curve == ((2, 0.25), (3, 0.5), (4, 0.5), (5, 0.25))
    assert result.best[-1].bias.tolist() == [8, 0, 0]  # the first of equals
    assert result.model[-1].bias.tolist() == [0, 0, 9]
    assert result.best.training and result.model.training


def test_evaluation_does_not_change_the_training():
    blind, seen = (
        train.fit(
            linear(nn.Dropout(0.5)),
            split(),
            config(6, eval_steps=steps),
            seed=0,
            validation=split(seed=1),
        )
        for steps in ((), (1, 4, 6))
    )
    assert torch.equal(blind.losses, seen.losses)
    assert torch.equal(numbers(blind.model), numbers(seen.model))
    assert blind.curve == () and blind.best is None
    assert [step for step, _ in seen.curve] == [1, 4, 6]
    # The best of these models is not the last one, and shares no tensor with it.
    assert seen.best is not seen.model
    assert numbers(seen.best).data_ptr() != numbers(seen.model).data_ptr()


def test_eval_steps_need_a_validation_split():
    with pytest.raises(ValueError, match="eval_steps is given, so fit needs a validation split"):
        train.fit(linear(), split(), config(eval_steps=(1,)), seed=0)


@pytest.mark.parametrize("at", [0, 3, 49, 50, 61, 119])
def test_a_loss_that_turns_nan_is_found_at_its_step(at):
    loss = failing(at)
    result = train.fit(linear(), split(), config(120), seed=0, loss=loss)
    assert result.diverged_at == at
    assert result.losses[:at].isfinite().all() and result.losses[at:].isnan().all()
    # It stops at the next check.
    assert loss.calls == min(120, CHECK_EVERY * (at // CHECK_EVERY + 1))
    assert result.passes == 10 * loss.calls


def test_a_single_bad_step_is_found_even_if_the_run_recovers():
    def loss(model, x, y):
        value = train.cross_entropy(model, x, y)
        loss.calls += 1
        return value + (
            math.inf if loss.calls == 4 else 0
        )  # the added inf does not change the gradient

    loss.calls = 0
    result = train.fit(linear(), split(), config(10), seed=0, loss=loss)
    assert result.diverged_at == 3 and result.losses[4:].isfinite().all()


def test_a_huge_learning_rate_diverges_at_the_first_non_finite_loss():
    result = train.fit(linear(), split(), config(200, lr=1e38), seed=0)
    at = result.diverged_at
    assert 0 < at < 50 and result.losses[:at].isfinite().all() and not result.losses[at].isfinite()
    assert result.passes == 50 * 10


def test_a_last_update_that_is_not_finite_is_a_divergence():
    script = [[0.0, 0, 0], [math.nan, 0, 0]]
    result = train.fit(
        linear(),
        split(),
        config(2),
        seed=0,
        optimizer=lambda model, c: by(Scripted, model, c, script=map(torch.tensor, script)),
    )
    assert result.losses.isfinite().all() and result.diverged_at == 1


def test_a_diverged_model_is_neither_on_the_curve_nor_the_best():
    c = config(10, eval_steps=(2, 5))
    result = train.fit(linear(), split(), c, seed=0, loss=failing(2), validation=split(seed=1))
    assert result.diverged_at == 2
    assert [step for step, _ in result.curve] == [2]
    assert numbers(result.best).isfinite().all()


@pytest.mark.parametrize("batch_size", [1, 7, 40, 2000])
def test_accuracy_and_nll_match_three_lines_by_hand(batch_size):
    data, model = split(), linear()
    logp = model(data.pixels()).log_softmax(1)
    nll = -sum(logp[i, y].item() for i, y in enumerate(data.labels)) / 40
    accuracy = sum(logp[i].argmax().item() == y for i, y in enumerate(data.labels.tolist())) / 40
    scores = train.evaluate(model, data, batch_size)
    assert scores == {"accuracy": accuracy, "nll": pytest.approx(nll, rel=1e-6)}


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_without_dropout_and_restores_the_mode(training):
    model, plain = linear(nn.Dropout(0.9)).train(training), linear()
    assert train.evaluate(model, split()) == train.evaluate(plain, split())
    assert model.training is training and model[1].training is training


def test_the_easiest_problem_is_learned():
    labels = torch.arange(60) % CLASSES
    images = torch.zeros(60, 1, PIXELS, PIXELS, dtype=torch.uint8)
    images.view(60, -1)[torch.arange(60), labels] = 255
    easy = Split(images, labels)
    result = train.fit(linear(), easy, config(60, lr=0.5), seed=0)
    assert result.losses[0] > 0.9 and result.losses[-1] < 0.1
    assert train.evaluate(result.model, easy)["accuracy"] == 1.0


def test_every_view_that_a_model_gets_counts_and_without_any_the_batch():
    watch, model = Watch(1, torch.device("cpu")), nn.Flatten()
    with watch.counting(model, 5):
        model(torch.zeros(5, 1, 2, 2))
    assert watch.passes == 5
    with watch.counting(model, 5):
        model(torch.zeros(2, 15, 1, 2, 2))  # two nets side by side, three views of each example
    assert watch.passes == 20
    with watch.counting(model, 5):
        pass
    assert watch.passes == 25
    with watch.counting(model, 5):
        model(torch.zeros(5, 4))  # a loss that flattens the images itself
    assert watch.passes == 30
    model(torch.zeros(5, 1, 2, 2))
    assert watch.passes == 30 and not model._forward_pre_hooks
