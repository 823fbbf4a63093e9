"""The measures of sharpness."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from reviewlib.papers.sam import SAM
from reviewlib.papers.sam.method import restored
from reviewlib.papers.sam.sharpness import top_eigenvalue, worst_in_ball


class Point(nn.Module):
    """A vector in two parameters, so that norms must span both."""

    def __init__(self, w: torch.Tensor):
        super().__init__()
        self.a, self.b = nn.Parameter(w[:2].clone()), nn.Parameter(w[2:].clone())
        self.unused = nn.Parameter(torch.ones(3, dtype=w.dtype))

    def forward(self) -> torch.Tensor:
        return torch.cat([self.a, self.b])


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symmetric(*eigenvalues: float) -> torch.Tensor:
    n = len(eigenvalues)
    basis = torch.linalg.qr(torch.randn(n, n, generator=draw(7), dtype=torch.float64)).Q
    return basis * torch.tensor(eigenvalues, dtype=torch.float64) @ basis.T


def quadratic(hessian, slope, center):
    """1/2 (w - center)' H (w - center) + slope' (w - center)."""

    def loss(point):
        e = point() - center
        return 0.5 * e @ hessian @ e + slope @ e

    return loss


def net(dtype=torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)
    ).to(dtype)


def loss_of(dtype=torch.float32, sign: float = 1.0):
    x = torch.randn(20, 4, generator=draw(1)).to(dtype)
    y = torch.randint(3, (20,), generator=draw(2))
    return lambda model: sign * F.cross_entropy(model(x), y)


MEASURES = {
    "eigenvalue": lambda model, loss: top_eigenvalue(model, loss, draw(), steps=3),
    "ball": lambda model, loss: worst_in_ball(model, loss, rho=0.1, steps=3),
}
each_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@pytest.mark.parametrize("spectrum", [(5, 3, 1, 0), (3, -4, 1, 0), (-2, -3, -7, -9)])
def test_the_top_eigenvalue_of_a_quadratic_is_that_of_its_hessian(spectrum):
    w = torch.randn(4, generator=draw(), dtype=torch.float64)
    point, loss = Point(w), quadratic(symmetric(*spectrum), w, w + 1)
    if min(spectrum) < 0 and max(spectrum) < 0:
        del point.unused  # its eigenvalues, 0, would be the largest
    found = top_eigenvalue(point, loss, draw(3), steps=100)
    assert found == pytest.approx(max(spectrum), abs=1e-9)


@pytest.mark.parametrize(
    ("sign", "steps"), [(1.0, 200), (-1.0, 300)], ids=["mostly convex", "mostly concave"]
)
def test_the_top_eigenvalue_of_a_net_is_that_of_its_full_hessian(sign, steps):
    model, loss = net(torch.float64), loss_of(torch.float64, sign)
    twin = copy.deepcopy(model).eval()
    shapes = [(name, p.shape) for name, p in twin.named_parameters()]

    def flat_loss(w):
        parts = w.split([shape.numel() for _, shape in shapes])
        given = {n: part.view(s) for part, (n, s) in zip(parts, shapes, strict=True)}
        return loss(lambda x: functional_call(twin, given, (x,)))

    w = nn.utils.parameters_to_vector(twin.parameters()).detach()
    spectrum = torch.linalg.eigvalsh(torch.autograd.functional.hessian(flat_loss, w))
    assert (spectrum[-1] > -spectrum[0]) == (sign > 0)
    found = top_eigenvalue(model, loss, draw(), steps=steps)
    assert found == pytest.approx(spectrum[-1].item(), rel=1e-6)
    assert top_eigenvalue(model, loss, draw(), steps=5) < found


def test_a_flat_loss_has_eigenvalue_0():
    w = torch.ones(4)
    loss = quadratic(torch.zeros(4, 4), w, w)
    assert top_eigenvalue(Point(w), loss, draw()) == 0


def test_frozen_parameters_are_left_out():
    w = torch.zeros(4, dtype=torch.float64)
    hessian = torch.diag(torch.tensor([9.0, 8.0, 2.0, 1.0], dtype=torch.float64))
    point, loss = Point(w), quadratic(hessian, w + 1, w)
    point.a.requires_grad_(False)
    assert top_eigenvalue(point, loss, draw(), steps=100) == pytest.approx(2)
    assert worst_in_ball(point, loss, rho=1.0) <= 1 + math.sqrt(2)
    assert torch.equal(point.a, w[:2])


@pytest.mark.parametrize("spectrum", [(5, 3, 1, 0.5), (4, 2, -1, -2)])
def test_the_worst_in_the_ball_of_a_quadratic_is_its_maximum_there(spectrum):
    # Where (mu - H) e = slope, mu > every eigenvalue, e maximizes the quadratic at its length.
    rho, hessian = 0.3, symmetric(*spectrum)
    w, e = torch.randn(2, 4, generator=draw(), dtype=torch.float64)
    e *= rho / e.norm()
    slope = 8 * e - hessian @ e
    found = worst_in_ball(Point(w), quadratic(hessian, slope, w), rho, steps=60)
    assert found == pytest.approx((0.5 * e @ hessian @ e + slope @ e).item(), rel=1e-9)


def test_a_rise_is_never_negative_and_never_above_the_maximum():
    # The maximum, 0.1 away, lies inside the ball; the steps jump over it.
    w = torch.tensor([0.1, 0, 0, 0], dtype=torch.float64)
    loss = quadratic(-torch.eye(4, dtype=torch.float64), 0 * w, 0 * w)
    assert 0 <= worst_in_ball(Point(w), loss, rho=0.5) <= 0.005


def test_one_step_gives_the_loss_that_sam_sees():
    model, loss = net().eval(), loss_of()
    optimizer = SAM(model.parameters(), torch.optim.SGD, rho=0.2, lr=0.1)
    before = loss(model)
    before.backward()
    w, e = optimizer.ascent()
    with torch.no_grad(), restored(w):
        torch._foreach_add_(w, e)
        rise = loss(model) - before
    assert worst_in_ball(model, loss, rho=0.2, steps=1) == pytest.approx(rise.item(), rel=1e-5)


def test_more_steps_find_no_smaller_rise_and_radius_0_gives_no_rise():
    model, loss = net(), loss_of()
    rises = [worst_in_ball(model, loss, rho=0.5, steps=steps) for steps in (1, 2, 5, 20)]
    assert rises == sorted(rises) and rises[0] < rises[-1]
    assert worst_in_ball(model, loss, rho=0.0) == 0


@each_measure
def test_a_measure_leaves_the_model_unchanged(measure):
    model, loss = net(), loss_of()
    model[0].eval()
    model[4].weight.grad = torch.ones_like(model[4].weight)
    state, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    measure(model, loss)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert [m.training for m in model.modules()] == modes
    assert model[4].weight.grad.eq(1).all() and model[0].weight.grad is None
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())


@each_measure
def test_a_loss_that_raises_leaves_the_model_unchanged(measure):
    model, loss, calls = net(), loss_of(), []

    def fails(model):
        calls.append(model)
        if len(calls) == (1 if measure is MEASURES["eigenvalue"] else 3):
            raise RuntimeError("no")
        return loss(model)

    state = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="no"):
        measure(model, fails)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training and model[1].training


@each_measure
def test_dropout_and_batchnorm_are_measured_in_evaluation_mode(measure):
    model, loss = net(), loss_of()
    assert measure(model.train(), loss) == measure(model.eval(), loss)


@each_measure
def test_a_measure_is_reproducible_and_works_with_gradients_off(measure):
    model, loss = net(), loss_of()
    first = measure(model, loss)
    torch.manual_seed(5)  # the default generator must not matter
    with torch.no_grad():
        assert measure(model, loss) == first


def test_the_start_comes_from_the_generator():
    model, loss, generator = net(), loss_of(), draw()
    first, second = (top_eigenvalue(model, loss, generator, steps=2) for _ in range(2))
    assert first == top_eigenvalue(model, loss, draw(), steps=2) != second


@each_measure
def test_a_diverged_model_measures_nan(measure):
    model = net()
    with torch.no_grad():
        model[0].weight.fill_(torch.nan)
    assert math.isnan(measure(model, loss_of()))


def test_arguments_out_of_range_are_rejected():
    model, loss = net(), loss_of()
    with pytest.raises(ValueError, match="rho must be non-negative and finite, got -1"):
        worst_in_ball(model, loss, rho=-1)
    with pytest.raises(ValueError, match="rho must be non-negative and finite, got inf"):
        worst_in_ball(model, loss, rho=math.inf)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        worst_in_ball(model, loss, rho=0.1, steps=0)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        top_eigenvalue(model, loss, draw(), steps=0)
