"""What a step costs: the clock, the turns, and the bytes that a pass saves."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from reviewlib.data import Split
from reviewlib.papers.sam import SAM
from reviewlib.train import Config, Training, cross_entropy, sgd
from reviewlib.train.timing import activation_bytes, peak_bytes, saved_bytes, seconds, step_of

CPU = torch.device("cpu")
BATCH, INPUTS, UNITS, CLASSES, FLOAT = 8, 12, 5, 3, 4


def training(**changes):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, 3, 2, 2), dtype=torch.uint8, generator=generator)
    labels = torch.randint(CLASSES, (20,), generator=generator)
    torch.manual_seed(0)
    layers = nn.Flatten(), nn.Linear(INPUTS, UNITS), nn.ReLU(), nn.Linear(UNITS, CLASSES)
    config = Config(steps=1, batch_size=BATCH, lr=0.1)
    usual = Training(
        nn.Sequential(*layers), Split(images, labels), config, 0, cross_entropy, sgd, None
    )
    return replace(usual, **changes)


def test_a_step_is_the_optimizers_on_the_first_batch():
    timed, by_hand = training(), training()
    step_of(timed)()
    model, optimizer = by_hand.model, torch.optim.SGD(by_hand.model.parameters(), 0.1, 0.9)
    part = by_hand.train.take(range(BATCH))
    cross_entropy(model, part.pixels(), part.labels).backward()
    optimizer.step()
    for one, other in zip(timed.model.parameters(), model.parameters(), strict=True):
        assert torch.allclose(one, other)


def test_a_step_of_an_optimizer_that_takes_two_gradients_takes_two():
    passes = []
    timed = training(
        optimizer=lambda model, config: SAM(model.parameters(), torch.optim.SGD, rho=0.1, lr=0.1)
    )
    timed.model.register_forward_hook(lambda *_: passes.append(1))
    step_of(timed)()
    assert len(passes) == 2


def test_steps_take_turns_and_the_shortest_round_counts():
    calls, slow = [], iter([0.001, 0.02] + [0.02] * 3 + [0.011] * 3 + [0.03] * 3)

    def busy(name, duration):
        def step():
            calls.append(name)
            until = time.process_time() + (duration or next(slow))
            while time.process_time() < until:
                pass

        return step

    found = seconds({"short": busy("short", 0.012), "varying": busy("varying", 0)}, 3, CPU)
    # a warm-up, one step that tells how many a measurement takes, and three rounds of three each
    assert calls == ["short", "varying"] * 2 + (["short"] * 3 + ["varying"] * 3) * 3
    assert found["short"] == pytest.approx(0.012, rel=0.2)
    assert 0.010 < found["varying"] < 0.015  # the second of three rounds


def test_the_first_step_does_not_count():
    took = iter([0.05] + [0.002] * 100)

    def step():
        until = time.process_time() + next(took)
        while time.process_time() < until:
            pass

    assert seconds({"warming up": step}, 2, CPU)["warming up"] == pytest.approx(0.002, rel=0.3)


def test_short_steps_are_measured_several_at_a_time():
    calls = []
    seconds({"short": lambda: calls.append(time.sleep(0))}, 1, CPU)
    assert len(calls) > 100


def test_the_saved_bytes_of_a_net_are_those_of_its_formula():
    """The first layer saves its images, which are not counted; ReLU and the second layer share."""
    of = training(loss=lambda model, x, y: model(x).sum())
    assert activation_bytes(of) == BATCH * UNITS * FLOAT


def test_dropout_saves_its_mask_and_what_it_passes_on():
    plain = training(loss=lambda model, x, y: model(x).sum())
    layers = list(plain.model)
    dropping = replace(plain, model=nn.Sequential(*layers[:3], nn.Dropout(0.5), layers[3]))
    more = activation_bytes(dropping) - activation_bytes(plain)
    assert more >= BATCH * UNITS * (1 + FLOAT)  # a mask of bools or floats, and the product


def test_each_storage_counts_once_and_those_that_are_known_do_not():
    x = torch.ones(10, requires_grad=True)
    y = torch.ones(10, requires_grad=True)
    assert saved_bytes(lambda: (x * y).sum()) == 2 * 10 * FLOAT
    assert saved_bytes(lambda: (x * y).sum() + (x * y).sum()) == 2 * 10 * FLOAT
    assert saved_bytes(lambda: (x[:5] * x[5:]).sum()) == 10 * FLOAT  # two views of one storage
    assert saved_bytes(lambda: (x[:5] * y[:5]).sum(), own=[x]) == 10 * FLOAT


def test_a_cpu_has_no_peak():
    step_calls = []
    assert peak_bytes(lambda: step_calls.append(1), CPU) is None
    assert not step_calls
