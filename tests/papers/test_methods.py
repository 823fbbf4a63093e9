"""Every method in somebody else's training: copies, checkpoints, precisions, frozen weights.

A paper's test file says how its method is used: `in_use(change)` makes a net for images of 8 x 8
pixels and ten classes, calls `change(net)`, and returns the net, an optimizer (None for a method
that takes no steps), and the loss as a function of net, images and labels.
"""

import copy
import io
import pickle
from contextlib import nullcontext
from functools import cache
from importlib import util
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from reviewlib import papers

DRAW = torch.Generator().manual_seed(1)
Y = torch.arange(32) % 10
X = (torch.rand(10, 1, 8, 8, generator=DRAW)[Y] + torch.rand(32, 1, 8, 8, generator=DRAW)) / 2
STEPS = 40


@cache
def file_of(name):
    """A paper's test file, as a module."""
    spec = util.spec_from_file_location(name, Path(__file__).with_name(f"test_{name}.py"))
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=papers.found())
def in_use(request):
    """How a paper's method is used, from the same initial weights at every call of a seed."""

    def make(change=lambda model: None, seed=0):
        torch.manual_seed(seed)
        return file_of(request.param).in_use(change)

    return make


@pytest.fixture
def steps(in_use):
    """The same, of a method that takes steps."""
    if in_use()[1] is None:
        pytest.skip("the method takes no steps")
    return in_use


def step(model, optimizer, loss, context=nullcontext, parts=1, factor=1.0):
    """Take a step on the batch, or on as many parts of it, and return the loss."""

    def closure(*given):
        assert not given
        optimizer.zero_grad()
        total = 0.0
        for x, y in zip(X.chunk(parts), Y.chunk(parts), strict=True):
            with context():
                value = factor * loss(model, x.to(next(model.parameters()).dtype), y) / parts
            value.backward()
            total += value.detach()
        return total

    return float(optimizer.step(closure))


def falls(made, **how):
    torch.manual_seed(1)
    losses = [step(*made, **how) for _ in range(STEPS)]
    assert all(torch.isfinite(p).all() for p in made[0].parameters())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5]), losses
    return losses


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def goes_on_alike(*made):
    """Whether nets, each with its optimizer and loss, take the same next steps."""
    ends = []
    for each in made:
        torch.manual_seed(2)
        for _ in range(3):
            step(*each)
        ends.append(state(each[0]))
    return same(*ends)


def test_it_learns_in_a_loop_of_ones_own(steps):
    falls(steps())


def test_parts_of_a_batch_may_be_accumulated_or_are_refused(steps):
    try:
        falls(steps(), parts=2)
    except RuntimeError as error:
        assert "one pass a step" in str(error)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_goes_on_as_the_original(how, steps):
    made = steps()
    if how == "pickle" and any(map(parametrize.is_parametrized, made[0].modules())):
        pytest.skip("torch pickles no parametrized modules")
    step(*made)
    twin = copy.deepcopy(made) if how == "deepcopy" else pickle.loads(pickle.dumps(made))
    assert goes_on_alike(made, twin)


def test_a_checkpoint_goes_on_as_the_original(steps):
    model, optimizer, loss = steps()
    step(model, optimizer, loss)
    file = io.BytesIO()
    torch.save((model.state_dict(), optimizer.state_dict()), file)
    fresh, again, _ = steps(seed=1)
    assert not same(state(fresh), state(model))
    file.seek(0)
    for one, saved in zip((fresh, again), torch.load(file, weights_only=True), strict=True):
        one.load_state_dict(saved)
    assert goes_on_alike((model, optimizer, loss), (fresh, again, loss))


def test_it_learns_under_bfloat16(steps):
    made = steps()
    falls(made, context=lambda: torch.autocast("cpu", torch.bfloat16))
    assert {p.dtype for p in made[0].parameters()} == {torch.float32}


def test_a_net_of_half_the_precision_learns(steps):
    made = steps(lambda model: model.bfloat16())
    falls(made)
    assert {p.dtype for p in made[0].parameters()} == {torch.bfloat16}


def test_a_gradient_of_zero_moves_nothing(steps):
    made = steps()
    before = [p.clone() for p in made[0].parameters()]
    step(*made, factor=0.0)
    assert all(map(torch.equal, before, made[0].parameters()))


def test_frozen_parameters_stay_as_they_are(steps):
    def freeze(model):
        next(model.parameters()).requires_grad_(False)

    made = steps(freeze)
    first, *others = [p.clone() for p in made[0].parameters()]
    for _ in range(3):
        step(*made)
    now, *then = made[0].parameters()
    assert torch.equal(now, first) and not all(map(torch.equal, others, then))


def test_a_parameter_that_no_output_needs_does_no_harm(steps):
    made = steps(lambda model: model.register_parameter("spare", nn.Parameter(torch.ones(3))))
    falls(made)
    assert torch.equal(made[0].spare, torch.ones(3))


def test_a_scheduler_sets_the_learning_rate(steps):
    made = steps()
    scheduler = torch.optim.lr_scheduler.StepLR(made[1], 1, gamma=0.0)
    step(*made)
    scheduler.step()
    before = [p.clone() for p in made[0].parameters()]
    step(*made)
    assert all(map(torch.equal, before, made[0].parameters()))


def test_a_test_changes_no_weight_and_needs_no_gradient(in_use):
    model, *_ = in_use()
    model.eval()
    before = state(model)
    with torch.no_grad():
        one, other = model(X), model(X)
    assert torch.equal(one, other) and one.shape == (len(X), 10)
    assert same(state(model), before)


@pytest.mark.slow  # it compiles
def test_a_compiled_net_gives_the_same(in_use):
    model, *_ = in_use()
    model.eval()
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        assert torch.allclose(compiled(X), model(X), atol=1e-5)
