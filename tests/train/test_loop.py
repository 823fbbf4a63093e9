"""The training loop: its random streams, the closure it hands to optimizers, what it returns."""

from functools import partial

import pytest
import torch
from smallnets import Recorded, Twice, by, config, linear, numbers, split
from torch import nn

from reviewlib import train
from reviewlib.data import stream_seed
from reviewlib.train.batches import batch_order


class DrawsFirst(torch.optim.SGD):
    """Moves the weights at random before it calls the closure."""

    def step(self, closure):
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter.add_(torch.randn_like(parameter))
        return super().step(closure)


class InParts(torch.optim.SGD):
    """Takes the batch in four parts."""

    def step(self, closure):
        value = torch.stack([closure(part, 4) for part in range(4)]).mean()
        super().step()
        return value


class Jittered(Recorded):
    """Adds noise to the images before it records them."""

    def __call__(self, model, x, y):
        return super().__call__(model, x + torch.rand(x.shape), y)


def masks_of(optimizer, batch_size=10):
    """The masks that a dropout layer drew in four steps on white images."""
    masks, dropout, data = [], nn.Dropout(0.5), split()
    dropout.register_forward_hook(lambda module, x, y: masks.append(y != 0))
    data.images.fill_(255)
    c = config(4, batch_size=batch_size)
    train.fit(linear(dropout), data, c, seed=0, optimizer=partial(by, optimizer))
    return masks


def test_the_same_training_twice_is_bitwise_equal():
    first, second, other = (
        train.fit(linear(nn.Dropout(0.3)), split(), config(12), seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first.losses, second.losses)
    assert torch.equal(numbers(first.model), numbers(second.model))
    assert not torch.equal(first.losses, other.losses)


def test_every_parameter_group_keeps_its_own_peak_rate():
    seen = []

    class Watched(torch.optim.SGD):
        def step(self, closure):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    def groups(model, config):
        weight, bias = model.parameters()
        return Watched([{"params": weight}, {"params": bias, "lr": 0.02}], lr=config.lr)

    train.fit(linear(), split(), config(4, lr=0.2), seed=0, optimizer=groups)
    factors = [1, 0.8535534, 0.5, 0.1464466]
    assert [row[0] for row in seen] == pytest.approx([0.2 * factor for factor in factors])
    assert [row[1] for row in seen] == pytest.approx([0.02 * factor for factor in factors])


# The method stream


def test_two_calls_on_one_batch_get_the_same_mask_and_the_next_step_another():
    masks = masks_of(Twice)
    firsts, seconds = masks[::2], masks[1::2]
    assert len(firsts) == 4
    assert all(torch.equal(a, b) for a, b in zip(firsts, seconds, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(firsts, firsts[1:], strict=False))


def test_every_part_of_a_batch_gets_its_own_noise():
    masks = masks_of(InParts, batch_size=40)
    assert len(masks) == 16 == len({tuple(mask.flatten().tolist()) for mask in masks})


def test_draws_before_the_closure_depend_on_the_seed_alone():
    def losses(state, seed=0):
        torch.manual_seed(state)
        optimizer = partial(by, DrawsFirst)
        return train.fit(linear(), split(), config(3), seed=seed, optimizer=optimizer).losses

    assert torch.equal(losses(1), losses(2))
    assert not torch.equal(losses(1), losses(1, seed=4))


def test_a_loss_draws_from_the_method_stream_of_every_step():
    data, loss, c = split(), Jittered(), config(5)
    train.fit(linear(), data, c, seed=7, loss=loss)
    assert len(loss.batches) == 5
    for step, index in enumerate(batch_order(len(data), c, 7)):
        draw = torch.Generator().manual_seed(stream_seed(7, "method") + step)
        x = data.pixels()[index]
        assert torch.equal(loss.batches[step][0], x + torch.rand(x.shape, generator=draw))


def test_draws_of_a_method_do_not_change_the_batch_order():
    plain, loud = Recorded(), Jittered()
    train.fit(linear(), split(), config(8), seed=2, loss=plain)
    train.fit(linear(nn.Dropout(0.5)), split(), config(8), seed=2, loss=loud)
    assert all(
        torch.equal(a, b) for (_, a), (_, b) in zip(plain.batches, loud.batches, strict=True)
    )


@pytest.mark.parametrize(
    "act",
    [
        lambda model: train.fit(
            model, split(), config(6, eval_steps=(2,)), seed=0, validation=split(seed=1)
        ),
        lambda model: train.initialized(lambda: nn.Linear(3, 3), 0),
        lambda model: train.evaluate(model, split()),
        lambda model: batch_order(40, config(6), 0),
    ],
    ids=["fit", "initialized", "evaluate", "batch_order"],
)
def test_the_global_random_state_is_untouched(act):
    model = linear(nn.Dropout(0.5))
    torch.manual_seed(11)
    before = torch.get_rng_state()
    act(model)
    assert torch.equal(torch.get_rng_state(), before)


# The closure


def test_parts_cover_the_batch_exactly():
    data, loss, c = split(), Recorded(), config(3, batch_size=20)
    result = train.fit(linear(), data, c, seed=0, loss=loss, optimizer=partial(by, InParts))
    for step, index in enumerate(batch_order(len(data), c, 0)):
        parts = loss.batches[4 * step : 4 * step + 4]
        assert [len(y) for _, y in parts] == [5, 5, 5, 5]
        assert torch.equal(torch.cat([x for x, _ in parts]), data.pixels()[index])
        assert torch.equal(torch.cat([y for _, y in parts]), data.labels[index])
    assert result.passes == 3 * 20


def test_a_batch_is_not_cut_into_unequal_parts():
    with pytest.raises(ValueError, match="a batch of 10 cannot be cut into 4 equal parts"):
        train.fit(linear(), split(), config(), seed=0, optimizer=partial(by, InParts))


@pytest.mark.parametrize(("kind", "calls"), [(torch.optim.SGD, 1), (Twice, 2)])
def test_passes_count_examples_times_calls(kind, calls):
    result = train.fit(linear(), split(), config(6), seed=0, optimizer=partial(by, kind))
    assert result.passes == 6 * 10 * calls


def test_the_fields_of_a_fit():
    c, model = config(3), linear()
    result = train.fit(model, split(), c, seed=8)
    assert result.model is model and result.config is c
    assert result.losses.shape == (3,) and result.losses.isfinite().all()
    assert result.diverged_at is None and result.seconds >= 0
    assert result.peak_bytes is None


# On a GPU

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_gpu():
    data = split().to("cuda")
    c = config(12, eval_steps=(6,))
    return train.fit(linear(nn.Dropout(0.3)).cuda(), data, c, seed=0, validation=data)


@needs_gpu
def test_the_same_training_twice_is_bitwise_equal_on_a_gpu():
    first, second = on_gpu(), on_gpu()
    assert torch.equal(first.losses, second.losses) and first.losses.device.type == "cpu"
    assert first.peak_bytes > 0 and first.losses.isfinite().all()


@needs_gpu
def test_a_gpu_agrees_with_the_cpu():
    runs = [
        train.fit(linear().to(device), split().to(device), config(12), seed=0)
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(runs[0].losses, runs[1].losses, rtol=1e-4, atol=1e-5)


@needs_gpu
def test_the_random_state_of_the_gpu_is_untouched():
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    on_gpu()
    train.initialized(lambda: nn.Linear(3, 3), 0)
    assert torch.equal(torch.cuda.get_rng_state(), before)
