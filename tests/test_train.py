"""The training loop: its arithmetic, its random streams, what it records, what it rejects."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reviewlib import train
from reviewlib.data import Split, stream_seed
from reviewlib.train import Config

SIDE, CLASSES = 2, 3
NAN = float("nan")


def split(examples=40, seed=0, classes=CLASSES):
    """Random images with random labels."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (examples, 1, SIDE, SIDE), generator=draw, dtype=torch.uint8)
    return Split(images, torch.randint(0, classes, (examples,), generator=draw))


def linear(*between):
    """A linear net with fixed weights, with layers of no parameters before the last."""
    net = nn.Sequential(nn.Flatten(), *between, nn.Linear(SIDE * SIDE, CLASSES))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view_as(parameter) / 10)
    return net


def numbers(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def jitter(x):
    return x + torch.rand(x.shape)


def config(steps=4, **fields):
    return Config(**{"steps": steps, "batch_size": 10} | fields)


class Recorded:
    """A loss that keeps the batches it is given, as (x, y)."""

    def __init__(self):
        self.batches = []

    def __call__(self, model, x, y):
        self.batches.append((x.clone(), y.clone()))
        return train.cross_entropy(model, x, y)


class Twice(torch.optim.SGD):
    """Evaluates the batch twice before it steps, and draws a number of its own in between."""

    def step(self, closure):
        first = closure()
        torch.rand(3)
        closure()
        super().step()
        return first


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


class Scripted(torch.optim.SGD):
    """Sets the bias to the next row of a script, whatever the gradient."""

    def step(self, closure):
        value = closure()
        self.param_groups[0]["params"][-1].data.copy_(next(self.script))
        return value


def by(kind, model, config, **fields):
    """An optimizer of that class, as `fit` wants it."""
    made = kind(model.parameters(), lr=config.lr, momentum=config.momentum)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


# The arithmetic


def test_fit_twice_is_bitwise_equal():
    def once(seed):
        return train.fit(linear(nn.Dropout(0.3)), split(), config(12, augment=jitter), seed=seed)

    first, second, other = once(3), once(3), once(4)
    assert torch.equal(first.losses, second.losses)
    assert torch.equal(numbers(first.model), numbers(second.model))
    assert not torch.equal(first.losses, other.losses)


def test_the_loss_falls_on_an_easy_problem():
    labels = torch.arange(60) % CLASSES
    images = torch.zeros(60, 1, SIDE, SIDE, dtype=torch.uint8)
    images.view(60, -1)[torch.arange(60), labels] = 255
    easy = Split(images, labels)
    result = train.fit(linear(), easy, config(60, lr=0.5), seed=0)
    assert result.losses[0] > 0.9 and result.losses[-1] < 0.1
    assert train.evaluate(result.model, easy)["accuracy"] == 1.0


def test_sgd_with_momentum_matches_five_lines_by_hand():
    data, c, model = split(), config(7, lr=0.3, weight_decay=0.05), linear()
    x, w = (
        F.pad(data.pixels().flatten(1), (0, 1), value=1.0),
        torch.cat([model[-1].weight.detach(), model[-1].bias.detach()[:, None]], 1),
    )
    v, expected = torch.zeros_like(w), []
    for step, index in enumerate(train.batches(len(data), c, 5)):
        logits, y = x[index] @ w.T, data.labels[index]
        expected.append(-logits.log_softmax(1)[torch.arange(10), y].mean())
        slope = (logits.softmax(1) - F.one_hot(y, CLASSES)).T @ x[index] / 10
        v = 0.9 * v + slope + 0.05 * w
        w = w - 0.3 * (0.5 + 0.5 * math.cos(math.pi * step / 7)) * v
    result = train.fit(model, data, c, seed=5)
    torch.testing.assert_close(result.losses, torch.stack(expected))
    torch.testing.assert_close(model[-1].weight.detach(), w[:, :-1])
    torch.testing.assert_close(model[-1].bias.detach(), w[:, -1])


def test_adam_matches_adam_by_hand():
    data, c, model = split(), config(3, lr=0.01, weight_decay=0.1, schedule="constant"), linear()
    twin = linear()
    w, m, v = numbers(twin), 0.0, 0.0
    for step, index in enumerate(train.batches(len(data), c, 5), 1):
        nn.utils.vector_to_parameters(w, twin.parameters())
        loss = train.cross_entropy(twin, data.pixels()[index], data.labels[index])
        g = torch.cat([s.flatten() for s in torch.autograd.grad(loss, twin.parameters())]) + 0.1 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - 0.01 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    train.fit(model, data, c, seed=5, optimizer=train.adam)
    torch.testing.assert_close(numbers(model), w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({"steps": 4}, [1, 0.8535534, 0.5, 0.1464466]),
        ({"steps": 4, "schedule": "constant"}, [1, 1, 1, 1]),
        ({"steps": 6, "warmup": 2}, [1 / 3, 2 / 3, 1, 0.8535534, 0.5, 0.1464466]),
        ({"steps": 4, "warmup": 3, "schedule": "constant"}, [0.25, 0.5, 0.75, 1]),
    ],
)
def test_the_learning_rate_at_pinned_steps(fields, shares):
    c = Config(**fields)
    assert [c.lr_at(step) for step in range(c.steps)] == pytest.approx(shares)


def test_every_parameter_group_keeps_its_own_peak():
    seen = []

    class Watched(torch.optim.SGD):
        def step(self, closure):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    def groups(model, config):
        weight, bias = model.parameters()
        return Watched([{"params": weight}, {"params": bias, "lr": 0.02}], lr=config.lr)

    train.fit(linear(), split(), config(4, lr=0.2), seed=0, optimizer=groups)
    shares = [1, 0.8535534, 0.5, 0.1464466]
    assert [row[0] for row in seen] == pytest.approx([0.2 * share for share in shares])
    assert [row[1] for row in seen] == pytest.approx([0.02 * share for share in shares])


# The batch order


def test_every_epoch_is_a_permutation_without_repeats():
    order = train.batches(23, config(9, batch_size=5), seed=1)  # four batches an epoch
    assert order.shape == (9, 5) and 0 <= order.min() and order.max() < 23
    epochs = [order[:4].flatten(), order[4:8].flatten()]
    assert all(len(epoch.unique()) == 20 for epoch in epochs)
    assert not torch.equal(*epochs)
    # The examples that an epoch drops differ from one to the next.
    assert set(epochs[0].tolist()) != set(epochs[1].tolist())


def test_the_order_hangs_on_the_seed_alone():
    c = config(9)
    torch.manual_seed(0)
    first = train.batches(40, c, seed=1)
    torch.manual_seed(1)
    assert torch.equal(first, train.batches(40, c, seed=1))
    assert not torch.equal(first, train.batches(40, c, seed=2))


@pytest.mark.parametrize("steps", [3, 4, 7])
def test_a_run_twice_as_long_starts_with_the_same_batches(steps):
    short, long = (train.batches(40, config(t), seed=1) for t in (steps, 2 * steps))
    assert torch.equal(short, long[:steps])


def test_fit_trains_on_the_batches_in_their_order():
    data, loss, c = split(), Recorded(), config(6)
    train.fit(linear(), data, c, seed=2, loss=loss)
    for index, (x, y) in zip(train.batches(len(data), c, 2), loss.batches, strict=True):
        assert torch.equal(x, data.pixels()[index]) and torch.equal(y, data.labels[index])


# The method stream


def test_two_calls_on_one_batch_meet_the_same_mask_and_the_next_step_another():
    masks, dropout = [], nn.Dropout(0.5)
    dropout.register_forward_hook(lambda module, x, y: masks.append(y != 0))
    data = split()
    data.images.fill_(255)
    train.fit(linear(dropout), data, config(4), seed=0, optimizer=partial(by, Twice))
    firsts, seconds = masks[::2], masks[1::2]
    assert len(firsts) == 4
    assert all(torch.equal(a, b) for a, b in zip(firsts, seconds, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(firsts, firsts[1:], strict=False))


def test_what_an_optimizer_draws_before_the_closure_hangs_on_the_seed_alone():
    def losses(state, seed=0):
        torch.manual_seed(state)
        optimizer = partial(by, DrawsFirst)
        return train.fit(linear(), split(), config(3), seed=seed, optimizer=optimizer).losses

    assert torch.equal(losses(1), losses(2))
    first, other = losses(1), losses(1, seed=4)
    assert not torch.equal(first, other)


def test_augment_draws_from_the_method_stream_at_every_step():
    data, loss, c = split(), Recorded(), config(5, augment=jitter)
    train.fit(linear(), data, c, seed=7, loss=loss)
    assert len(loss.batches) == 5
    for step, index in enumerate(train.batches(len(data), c, 7)):
        draw = torch.Generator().manual_seed(stream_seed(7, "method") + step)
        x = data.pixels()[index]
        assert torch.equal(loss.batches[step][0], x + torch.rand(x.shape, generator=draw))


def test_the_method_stream_is_not_the_order_stream():
    data, plain, loud = split(), Recorded(), Recorded()
    train.fit(linear(), data, config(8), seed=2, loss=plain)
    train.fit(linear(nn.Dropout(0.5)), data, config(8, augment=jitter), seed=2, loss=loud)
    assert all(
        torch.equal(a, b) for (_, a), (_, b) in zip(plain.batches, loud.batches, strict=True)
    )


def test_parts_cover_the_batch_exactly():
    data, loss, c = split(), Recorded(), config(3, batch_size=20)
    result = train.fit(linear(), data, c, seed=0, loss=loss, optimizer=partial(by, InParts))
    for step, index in enumerate(train.batches(len(data), c, 0)):
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


@pytest.mark.parametrize("act", ["fit", "initialized", "evaluate", "batches"])
def test_the_global_random_state_is_untouched(act):
    model, c = linear(nn.Dropout(0.5)), config(6, augment=jitter, curve=(2,))
    torch.manual_seed(11)
    before = torch.get_rng_state()
    if act == "fit":
        train.fit(model, split(), c, seed=0, validate=split(seed=1))
    elif act == "initialized":
        train.initialized(lambda: nn.Linear(3, 3), 0)
    elif act == "evaluate":
        train.evaluate(model, split())
    else:
        train.batches(40, config(6), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_initialization_hangs_on_the_seed_alone():
    def drawn(seed):
        return numbers(train.initialized(lambda: nn.Linear(3, 3), seed))

    torch.manual_seed(0)
    first = drawn(1)
    torch.manual_seed(1)
    assert torch.equal(first, drawn(1)) and not torch.equal(first, drawn(2))


# What is recorded


def test_the_curve_and_the_best_model_of_its_steps():
    data = Split(torch.zeros(4, 1, SIDE, SIDE, dtype=torch.uint8), torch.tensor([0, 0, 1, 2]))
    # On black images the bias decides. Step 1 is as good as it gets, but was not declared.
    script = [torch.tensor(row) for row in ([9.0, 0, 0], [0, 9.0, 0], [8, 0, 0], [7, 0, 0.0])]
    script.append(torch.tensor([0, 0, 9.0]))
    result = train.fit(
        linear(),
        data,
        config(5, batch_size=4, curve=(2, 3, 4, 5)),
        seed=0,
        optimizer=lambda model, c: by(Scripted, model, c, script=iter(script)),
        validate=data,
    )
    assert result.curve == ((2, 0.25), (3, 0.5), (4, 0.5), (5, 0.25))
    assert result.best[-1].bias.tolist() == [8, 0, 0]  # the first of equals
    assert result.model[-1].bias.tolist() == [0, 0, 9]
    assert result.best.training and result.model.training


def test_looking_changes_nothing():
    looks = config(6, curve=(1, 4, 6))
    runs = [
        train.fit(linear(nn.Dropout(0.5)), split(), c, seed=0, validate=split(seed=1))
        for c in (config(6), looks)
    ]
    assert torch.equal(runs[0].losses, runs[1].losses)
    assert torch.equal(numbers(runs[0].model), numbers(runs[1].model))
    assert runs[0].curve == () and runs[0].best is None
    assert [step for step, _ in runs[1].curve] == [1, 4, 6]
    # The best of these models is not the last one, and shares no tensor with it.
    assert runs[1].best is not runs[1].model
    assert numbers(runs[1].best).data_ptr() != numbers(runs[1].model).data_ptr()


def test_what_a_run_carries():
    c, model = config(3), linear()
    result = train.fit(model, split(), c, seed=8)
    assert result.model is model and result.config is c and result.seed == 8
    assert result.losses.shape == (3,) and result.losses.isfinite().all()
    assert result.diverged_at is None and result.seconds >= 0
    if not torch.cuda.is_available():
        assert result.peak_bytes is None


@pytest.mark.parametrize("at", [0, 3, 49, 50, 61, 119])
def test_a_loss_that_turns_nan_is_found_at_its_step(at):
    calls = []

    def loss(model, x, y):
        calls.append(None)
        return train.cross_entropy(model, x, y) * (NAN if len(calls) == at + 1 else 1)

    result = train.fit(linear(), split(), config(120), seed=0, loss=loss)
    assert result.diverged_at == at
    assert result.losses[:at].isfinite().all() and result.losses[at:].isnan().all()
    # It stops at the next look.
    assert len(calls) == min(120, train.LOOK_EVERY * (at // train.LOOK_EVERY + 1))
    assert result.passes == 10 * len(calls)


def test_a_single_bad_step_is_found_even_if_the_run_recovers():
    def loss(model, x, y):
        value = train.cross_entropy(model, x, y)
        loss.calls += 1
        return value + (math.inf if loss.calls == 4 else 0)  # inf adds nothing to the slope

    loss.calls = 0
    result = train.fit(linear(), split(), config(10), seed=0, loss=loss)
    assert result.diverged_at == 3 and result.losses[4:].isfinite().all()


def test_a_huge_learning_rate_diverges_at_the_first_non_finite_loss():
    result = train.fit(linear(), split(), config(200, lr=1e38), seed=0)
    at = result.diverged_at
    assert 0 < at < 50 and result.losses[:at].isfinite().all() and not result.losses[at].isfinite()
    assert result.passes == 50 * 10


def test_a_diverged_model_is_neither_on_the_curve_nor_the_best():
    def loss(model, x, y):
        loss.calls += 1
        return train.cross_entropy(model, x, y) * (NAN if loss.calls == 3 else 1)

    loss.calls = 0
    c = config(10, curve=(2, 5))
    result = train.fit(linear(), split(), c, seed=0, loss=loss, validate=split(seed=1))
    assert result.diverged_at == 2
    assert [step for step, _ in result.curve] == [2]
    assert numbers(result.best).isfinite().all()


# Evaluation


@pytest.mark.parametrize("batch_size", [1, 7, 40, 2000])
def test_accuracy_and_nll_against_three_lines(batch_size):
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


# What is rejected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps and batch_size must be at least 1, got 0, 10"),
        ({"batch_size": 0}, "steps and batch_size must be at least 1, got 4, 0"),
        ({"lr": -0.1}, "lr must be a finite number >= 0, got -0.1"),
        ({"lr": NAN}, "lr must be a finite number >= 0, got nan"),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number >= 0, got inf"),
        ({"momentum": -1}, "momentum must be a finite number >= 0, got -1"),
        ({"schedule": "linear"}, "schedule must be 'cosine' or 'constant', got 'linear'"),
        ({"warmup": 4}, r"warmup must lie in \[0, steps\), got 4 of 4"),
        ({"warmup": -1}, r"warmup must lie in \[0, steps\), got -1 of 4"),
        ({"curve": (0,)}, r"curve steps must lie in 1..4, got \(0,\)"),
        ({"curve": (2, 5)}, r"curve steps must lie in 1..4, got \(2, 5\)"),
    ],
)
def test_config_rejects(fields, message):
    with pytest.raises(ValueError, match=message):
        config(**fields)


def test_fit_rejects_a_curve_without_a_split_to_look_at():
    with pytest.raises(ValueError, match="fit needs a split to validate on"):
        train.fit(linear(), split(), config(curve=(1,)), seed=0)


def test_fit_rejects_bfloat16_off_cuda():
    with pytest.raises(ValueError, match="bfloat16 needs a CUDA device, got cpu; use precision"):
        train.fit(linear(), split(), config(precision="bfloat16"), seed=0)


def test_fit_rejects_fewer_examples_than_a_batch():
    with pytest.raises(ValueError, match="a batch of 10 needs at least as many examples, got 9"):
        train.fit(linear(), split(9), config(), seed=0)


# On a GPU

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_gpu(precision="float32"):
    model = linear(nn.Dropout(0.3)).cuda()
    c = config(12, precision=precision, curve=(6,))
    data = split().to("cuda")
    return train.fit(model, data, c, seed=0, validate=data)


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fit_twice_is_bitwise_equal_on_a_gpu(precision):
    first, second = on_gpu(precision), on_gpu(precision)
    assert torch.equal(first.losses, second.losses) and first.losses.device.type == "cpu"
    assert first.peak_bytes > 0 and first.losses.isfinite().all()


@needs_gpu
def test_a_gpu_agrees_with_the_cpu():
    runs = [
        train.fit(linear().to(device), split().to(device), config(12), seed=0)
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(runs[0].losses, runs[1].losses, rtol=1e-4, atol=1e-5)
    assert runs[0].peak_bytes is None


@needs_gpu
def test_the_random_state_of_the_gpu_is_untouched():
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    on_gpu()
    train.initialized(lambda: nn.Linear(3, 3), 0)
    assert torch.equal(torch.cuda.get_rng_state(), before)
