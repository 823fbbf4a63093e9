import copy
import math
import pickle

import pytest
import pytorch_optimizer
import torch
from torch import nn
from torch.nn import functional as F

from reviewlib.papers.sam import SAM, MSharpSAM
from reviewlib.papers.sam.method import restored
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.train import cross_entropy

SGD = torch.optim.SGD
OPTIONS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}


def toy(norm: type[nn.Module] | None = nn.BatchNorm1d, dtype=torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    middle = [] if norm is None else [norm(8)]
    return nn.Sequential(nn.Linear(5, 8), *middle, nn.ReLU(), nn.Linear(8, 3)).to(dtype)


def data(step: int, dtype=torch.float32, n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(step)
    return torch.randn(n, 5, generator=g, dtype=dtype), torch.randint(3, (n,), generator=g)


def closure_for(model, x, y, seen=None):
    """The i-th of k parts of the batch; `seen` collects the parameters of each call."""

    def closure(i=0, k=1):
        model.zero_grad()
        loss = F.cross_entropy(model(x.chunk(k)[i]), y.chunk(k)[i])
        loss.backward()
        if seen is not None:
            seen.append(weights(model))
        return loss

    return closure


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def train(model, optimizer, steps=range(5), dtype=torch.float32):
    return [optimizer.step(closure_for(model, *data(s, dtype))).item() for s in steps]


def assert_same_bits(a: nn.Module, b: nn.Module):
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


def length(tensors) -> float:
    return math.sqrt(sum(t.double().square().sum().item() for t in tensors))


def differences(a, b):
    return [x - y for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("method", [SAM, RandomDirection])
def test_sam_at_zero_is_the_baseline(method, momentum):
    baseline, model = toy(), toy()
    baseline[1].momentum = model[1].momentum = momentum
    expected = train(baseline, SGD(baseline.parameters(), **OPTIONS))
    got = train(model, method(model.parameters(), SGD, rho=0.0, model=model, **OPTIONS))
    assert got == expected
    assert_same_bits(model, baseline)


def test_sam_matches_the_paper_on_two_weights():
    w = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    optimizer = SAM([w], SGD, rho=0.5, lr=0.1, weight_decay=0.01)

    def closure():
        optimizer.zero_grad()
        loss = (1.5 * w[0] ** 2 + 2 * w[1] ** 2).sum()
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    # g = (3, 4), ||g|| = 5, e = 0.5 g / 5 = (0.3, 0.4), gradient there = (3 * 1.3, 4 * 1.4)
    # w - 0.1 (gradient + 0.01 w) = 1 - 0.1 (3.91, 5.61): the decay acts at w, not at w + e
    torch.testing.assert_close(w.detach(), torch.tensor([0.609, 0.439], dtype=torch.float64))
    assert loss.item() == 3.5


def test_asam_matches_the_paper_on_two_weights():
    w = nn.Parameter(torch.tensor([-1.0, 2.0], dtype=torch.float64))
    seen = []
    optimizer = SAM([w], SGD, rho=0.5, adaptive=True, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = w @ torch.tensor([3.0, 2.0], dtype=torch.float64)
        loss.backward()
        seen.append(w.detach().clone())
        return loss

    optimizer.step(closure)
    # |w| g = (3, 4), w^2 g = (3, 8), e = 0.5 (3, 8) / 5
    torch.testing.assert_close(seen[1], torch.tensor([-0.7, 2.8], dtype=torch.float64))


@pytest.mark.parametrize("method", [SAM, RandomDirection])
def test_sam_perturbs_by_rho_and_restores_bitwise(method):
    model, seen = toy(), []
    optimizer = method(model.parameters(), SGD, rho=0.3, model=model, lr=0.0)
    before = weights(model)
    optimizer.step(closure_for(model, *data(0), seen))
    assert len(seen) == (2 if method is SAM else 1)
    assert length(differences(seen[-1], before)) == pytest.approx(0.3, rel=1e-5)
    if method is SAM:
        assert all(map(torch.equal, seen[0], before))
    assert all(map(torch.equal, weights(model), before))


@pytest.mark.parametrize("method", [SAM, RandomDirection])
def test_sam_restores_everything_after_an_exception(method):
    model = toy()
    model.append(nn.Dropout(0.0))
    optimizer = method(model.parameters(), SGD, rho=0.3, model=model, **OPTIONS)
    state = copy.deepcopy(model.state_dict())
    calls = []

    def closure():
        calls.append(weights(model))
        if len(calls) == (2 if method is SAM else 1):
            raise ZeroDivisionError
        return closure_for(model, *data(0))()

    with pytest.raises(ZeroDivisionError):
        optimizer.step(closure)
    assert not torch.equal(calls[-1][0], state["0.weight"])
    assert all(torch.equal(p, state[name]) for name, p in model.named_parameters())
    assert model[1].track_running_stats
    assert isinstance(model[1].running_mean, torch.Tensor)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_agrees_with_pytorch_optimizer(adaptive):
    ours, theirs = toy(None, torch.float64), toy(None, torch.float64)
    options = {"rho": 0.1, "adaptive": adaptive, **OPTIONS}
    train(ours, SAM(ours.parameters(), SGD, **options), range(50), torch.float64)
    peer = pytorch_optimizer.SAM(theirs.parameters(), SGD, **options)
    for step in range(50):
        closure = closure_for(theirs, *data(step, torch.float64))
        closure()  # its step starts from the gradients at w
        peer.step(closure)
    # it takes the norm in float32, also of float64 gradients, hence no tighter than this
    for a, b in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-8)


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_matches_algorithm_1_over_many_steps(adaptive):
    model, reference = toy(None, torch.float64), toy(None, torch.float64)
    optimizer = SAM(model.parameters(), SGD, rho=0.1, adaptive=adaptive, **OPTIONS)
    train(model, optimizer, range(50), torch.float64)
    base = SGD(reference.parameters(), **OPTIONS)
    for step in range(50):
        closure = closure_for(reference, *data(step, torch.float64))
        closure()
        w = weights(reference)
        t = [p.abs() if adaptive else torch.ones_like(p) for p in w]
        norm = length([a * p.grad for a, p in zip(t, reference.parameters(), strict=True)])
        for p, a in zip(reference.parameters(), t, strict=True):
            p.data = p.data + 0.1 * a**2 * p.grad / norm
        closure()
        for p, old in zip(reference.parameters(), w, strict=True):
            p.data = old
        base.step()
    for a, b in zip(weights(model), weights(reference), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert length(differences(weights(model), weights(toy(None, torch.float64)))) > 1


def test_asam_does_not_see_a_rescaling_of_adjacent_layers():
    x, y = data(0, torch.float64)
    losses, scaled_norms = {}, {}
    for adaptive in (True, False):
        for c in (1.0, 7.0):
            torch.manual_seed(1)
            layers = nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)
            net = nn.Sequential(*layers).double()
            with torch.no_grad():
                net[0].weight.mul_(c)
                net[2].weight.div_(c)
            optimizer = SAM(net.parameters(), SGD, rho=0.5, adaptive=adaptive, lr=0.0)
            closure = closure_for(net, x, y)
            closure()
            w, e = optimizer.ascent()
            with torch.no_grad(), restored(w):
                torch._foreach_add_(w, e)
                losses[adaptive, c] = F.cross_entropy(net(x), y).item()
                perturbed = weights(net)
            e = differences(perturbed, weights(net))
            scaled_norms[adaptive, c] = length(
                [d / p for d, p in zip(e, net.parameters(), strict=True)]
            )
    assert losses[True, 1.0] == pytest.approx(losses[True, 7.0], rel=1e-12)
    assert abs(losses[False, 1.0] - losses[False, 7.0]) > 0.01
    # ||e / |w|||_2 = rho: the length in units of each weight
    assert scaled_norms[True, 1.0] == pytest.approx(0.5, rel=1e-9)
    assert scaled_norms[True, 7.0] == pytest.approx(0.5, rel=1e-9)


def test_each_replica_has_its_own_norm_and_rho():
    # g = (3, 4) and (6, 8), split over two parameters; e = rho g / ||g||; the third has g = 0
    slopes = torch.tensor([[3.0], [6.0], [0.0]]), torch.tensor([[[4.0]], [[8.0]], [[0.0]]])
    w = [nn.Parameter(torch.zeros_like(slope)) for slope in slopes]
    frozen = nn.Parameter(torch.ones(3, 2), requires_grad=False)
    groups = [{"params": [frozen]}, {"params": w}]
    rho, seen = torch.tensor([0.5, 5.0, 1.0]), []
    optimizer = SAM(groups, SGD, rho=rho, norm_axis=1, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = sum((a * b).flatten(1).sum(1) for a, b in zip(w, slopes, strict=True))
        loss.sum().backward()
        seen.append([p.detach().clone().flatten() for p in w])
        return loss

    assert optimizer.step(closure).shape == (3,)
    torch.testing.assert_close(seen[1][0], torch.tensor([0.3, 3.0, 0.0]))
    torch.testing.assert_close(seen[1][1], torch.tensor([0.4, 4.0, 0.0]))
    assert torch.equal(frozen, torch.ones(3, 2))


def test_sam_chunks_average_over_parts_that_leave_a_parameter_out():
    w = [nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))]
    optimizer = MSharpSAM(w, SGD, chunks=2, lr=1.0)

    def closure(i, k):
        optimizer.zero_grad()
        loss = (4 * w[i]).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert [p.item() for p in w] == [-1.0, -1.0]  # 1 - 4 / 2: no gradient counts as 0


def test_sam_chunks_average_the_gradients_of_the_parts():
    k, rho, (x, y) = 3, 0.2, data(0)
    model, reference, seen = toy(None), toy(None), []
    start, mean, losses = weights(model), [0.0] * 4, []
    for i in range(k):
        part = closure_for(reference, x.chunk(k)[i], y.chunk(k)[i])
        losses.append(part().item())
        g = [p.grad for p in reference.parameters()]
        scale = rho / length(g)
        for p, w, d in zip(reference.parameters(), start, g, strict=True):
            p.data = w + scale * d
        part()
        for j, (p, w) in enumerate(zip(reference.parameters(), start, strict=True)):
            mean[j] = mean[j] + p.grad / k
            p.data = w
    optimizer = MSharpSAM(model.parameters(), SGD, rho=rho, chunks=k, lr=0.1)
    loss = optimizer.step(closure_for(model, x, y, seen))
    for p, w, g in zip(weights(model), start, mean, strict=True):
        torch.testing.assert_close(p, w - 0.1 * g, rtol=0, atol=1e-6)
    assert loss.item() == pytest.approx(sum(losses) / k)
    assert len(seen) == 2 * k
    assert all(torch.equal(a, b) for clean in seen[::2] for a, b in zip(clean, start, strict=True))
    # every part has an e(w) of its own, and so the mean differs from the whole batch's gradient
    whole = toy(None)
    SAM(whole.parameters(), SGD, rho=rho, lr=0.1).step(closure_for(whole, x, y))
    assert length(differences(weights(whole), weights(model))) > 1e-4


def test_sam_chunks_work_when_gradients_are_zeroed_in_place():
    models = toy(None), toy(None)
    for model, set_to_none in zip(models, (True, False), strict=True):
        x, y = data(0)

        def closure(i, k, model=model, set_to_none=set_to_none, x=x, y=y):
            model.zero_grad(set_to_none=set_to_none)
            loss = F.cross_entropy(model(x.chunk(k)[i]), y.chunk(k)[i])
            loss.backward()
            return loss

        optimizer = MSharpSAM(model.parameters(), SGD, chunks=3, **OPTIONS)
        for _ in range(3):
            optimizer.step(closure)
    assert_same_bits(*models)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_sam_records_norm_statistics_of_the_clean_pass_only(norm):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(1, 4, 2)
            self.norm = norm(4, affine=True, track_running_stats=True)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.norm(self.conv(x[:, None])).relu().mean(2))

    model, once = Net(), Net()
    x, y = data(0)
    once(x)
    optimizer = SAM(model.parameters(), SGD, rho=0.5, model=model, lr=0.1)
    optimizer.step(closure_for(model, x, y))
    for (name, a), b in zip(model.named_buffers(), once.buffers(), strict=True):
        assert torch.equal(a, b), name
    assert [name for name, _ in model.named_buffers()] == [
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    assert model.norm.track_running_stats


def test_sam_normalizes_both_passes_by_the_batch():
    model, outputs = toy(), []
    model[1].register_forward_hook(lambda *args: outputs.append(args[2].detach()))
    optimizer = SAM(model.parameters(), SGD, rho=0.0, model=model, lr=0.0)
    optimizer.step(closure_for(model, *data(0)))
    assert torch.equal(*outputs)


def test_sam_leaves_layers_in_evaluation_mode_alone():
    model, losses = toy(), []
    train(model, SGD(model.parameters(), lr=0.1))
    model.eval()
    buffers = copy.deepcopy(dict(model.named_buffers()))

    def closure():
        losses.append(closure_for(model, *data(0))())
        return losses[-1]

    SAM(model.parameters(), SGD, rho=0.0, model=model, lr=0.1).step(closure)
    assert losses[0] == losses[1]
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())


def test_sam_groups_share_the_norm_and_keep_their_own_rho():
    model, seen = toy(None), []
    groups = [
        {"params": model[0].parameters(), "rho": 0.4},
        {"params": model[2].parameters()},
    ]
    optimizer = SAM(groups, SGD, rho=0.1, lr=0.0)
    closure = closure_for(model, *data(0), seen)
    closure()
    g = [p.grad.clone() for p in model.parameters()]
    optimizer.step(closure)
    moved = differences(seen[-1], seen[0])
    for e, d, rho in zip(moved, g, (0.4, 0.4, 0.1, 0.1), strict=True):
        torch.testing.assert_close(e, rho * d / length(g), rtol=1e-3, atol=1e-6)


def test_sam_mixes_adaptive_and_plain_groups():
    model, seen = toy(None, torch.float64), []
    groups = [
        {"params": model[0].parameters(), "adaptive": True},
        {"params": model[2].parameters()},
    ]
    optimizer = SAM(groups, SGD, rho=0.1, lr=0.0)
    closure = closure_for(model, *data(0, torch.float64), seen)
    closure()
    t = [p.abs() for p in seen[0][:2]] + [torch.ones_like(p) for p in seen[0][2:]]
    g = [p.grad.clone() for p in model.parameters()]
    optimizer.step(closure)
    norm = length([a * b for a, b in zip(t, g, strict=True)])
    for e, a, b in zip(differences(seen[-1], seen[0]), t, g, strict=True):
        torch.testing.assert_close(e, 0.1 * a**2 * b / norm, rtol=1e-9, atol=1e-12)


def test_sam_skips_frozen_and_unused_parameters():
    model, seen = toy(None), []
    model[0].requires_grad_(False)
    unused = nn.Parameter(torch.ones(2))
    groups = [{"params": model[0].parameters()}, {"params": [*model[2].parameters(), unused]}]
    optimizer = SAM(groups, SGD, rho=0.3, **OPTIONS)
    before = weights(model)
    optimizer.step(closure_for(model, *data(0), seen))
    assert all(map(torch.equal, weights(model)[:2], before[:2]))
    assert all(map(torch.equal, seen[-1][:2], before[:2]))
    assert length(differences(seen[-1], before)) == pytest.approx(0.3, rel=1e-4)
    assert torch.equal(unused.detach(), torch.ones(2))


def test_sam_at_a_zero_gradient_stays():
    w = nn.Parameter(torch.zeros(3))
    optimizer = SAM([w], SGD, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert torch.equal(w.detach(), torch.zeros(3))


def test_sam_scheduler_acts_on_the_base():
    model = toy()
    optimizer = SAM(model.parameters(), SGD, model=model, **OPTIONS)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    train(model, optimizer, range(1))
    scheduler.step()
    assert [group["lr"] for group in optimizer.base_optimizer.param_groups] == [0.0]
    before = weights(model)
    train(model, optimizer, range(1, 3))
    assert all(map(torch.equal, weights(model), before))


@pytest.mark.parametrize("base", [SGD, torch.optim.AdamW])
def test_sam_resumes_bitwise_from_its_state(base, tmp_path):
    options = OPTIONS if base is SGD else {"lr": 0.01}
    model = toy()
    optimizer = SAM(model.parameters(), base, rho=0.2, model=model, **options)
    train(model, optimizer, range(4))
    torch.save((model.state_dict(), optimizer.state_dict()), tmp_path / "state")
    expected = train(model, optimizer, range(4, 8))

    resumed = toy()
    fresh = SAM(resumed.parameters(), base, rho=0.9, model=resumed, lr=7.0)
    model_state, optimizer_state = torch.load(tmp_path / "state")
    resumed.load_state_dict(model_state)
    fresh.load_state_dict(optimizer_state)
    assert train(resumed, fresh, range(4, 8)) == expected
    assert_same_bits(resumed, model)
    keys = {key for state in optimizer_state["state"].values() for key in state}
    assert keys == ({"momentum_buffer"} if base is SGD else {"step", "exp_avg", "exp_avg_sq"})
    scheduler = torch.optim.lr_scheduler.StepLR(fresh, 1, gamma=0.5)
    fresh.step(closure_for(resumed, *data(9)))
    scheduler.step()
    assert fresh.base_optimizer.param_groups[0]["lr"] == options["lr"] / 2


def test_sam_calls_the_closure_with_gradients_on_and_leaves_no_graph_on_the_weights():
    model, modes = toy(), []
    optimizer = SAM(model.parameters(), SGD, model=model, **OPTIONS)

    def closure():
        modes.append(torch.is_grad_enabled())
        return closure_for(model, *data(0))()

    with torch.no_grad():
        optimizer.step(closure)
    assert modes == [True, True]
    assert all(p.is_leaf and p.grad.grad_fn is None for p in model.parameters())


def test_placebo_draws_from_the_default_generator_and_takes_one_pass():
    model = toy()
    optimizer = RandomDirection(model.parameters(), SGD, rho=0.3, model=model, lr=0.0)
    directions = []
    for seed in (1, 1, 2):
        seen = []
        torch.manual_seed(seed)
        optimizer.step(closure_for(model, *data(0), seen))
        assert len(seen) == 1
        directions.append(torch.cat([d.flatten() for d in differences(seen[0], weights(model))]))
    assert torch.equal(directions[0], directions[1])
    assert not torch.allclose(directions[0], directions[2])
    assert F.cosine_similarity(directions[0], directions[2], dim=0).abs() < 0.3
    assert model[1].num_batches_tracked == 3


def test_placebo_steps_along_the_gradient_at_the_random_point():
    model, reference = toy(None), toy(None)
    torch.manual_seed(5)
    optimizer = RandomDirection(model.parameters(), SGD, rho=0.5, **OPTIONS)
    loss = optimizer.step(closure_for(model, *data(0)))
    torch.manual_seed(5)
    z = [torch.randn_like(p) for p in reference.parameters()]
    start, base = weights(reference), SGD(reference.parameters(), **OPTIONS)
    for p, w, d in zip(reference.parameters(), start, z, strict=True):
        p.data = w + 0.5 * d / length(z)
    expected = closure_for(reference, *data(0))()
    for p, w in zip(reference.parameters(), start, strict=True):
        p.data = w
    base.step()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for a, b in zip(weights(model), weights(reference), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", [MSharpSAM, RandomDirection])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"rho": -1.0}, ValueError, "rho must be non-negative and finite, got -1.0"),
        ({"rho": math.nan}, ValueError, "rho must be non-negative and finite, got nan"),
        ({"rho": math.inf}, ValueError, "rho must be non-negative and finite, got inf"),
        ({"chunks": 0}, ValueError, "chunks must be at least 1, got 0"),
        ({"model": "net"}, TypeError, "model must be an nn.Module or None, got str"),
        ({"nestrov": True}, TypeError, "unexpected keyword argument 'nestrov'"),
        ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ],
)
def test_sam_rejects(method, bad, error, message):
    with pytest.raises(error, match=message):
        method(toy().parameters(), SGD, **{"lr": 0.1, **bad})


def test_sam_rejects_a_bad_rho_of_a_group():
    groups = [{"params": toy().parameters(), "rho": -0.5}]
    with pytest.raises(ValueError, match="rho must be non-negative and finite, got -0.5"):
        SAM(groups, SGD, lr=0.1)


@pytest.mark.parametrize(
    ("shapes", "rho", "norm_axis", "message"),
    [
        ([(3, 2)], torch.tensor([0.1, -1.0, 0.1]), 1, "non-negative and finite, got .*-1.0"),
        ([(3, 2)], torch.tensor([0.1, math.nan, 0.1]), 1, "non-negative and finite, got .*nan"),
        ([(3, 2)], torch.ones(3), 0, r"share 0 first axes, got .*\[3\]"),
        ([(3, 2)], torch.ones(2), 1, r"share 1 first axes, got .*\[2\]"),
        ([(3, 2), (4, 2)], 0.1, 1, r"share 1 first axes, got .*\[4\]"),
        ([(3, 2), (3,)], 0.1, 1, r"share 1 first axes, got .*\[\]"),
        ([(3,)], 0.1, 1, r"share 1 first axes, got .*\[\]"),
        ([(3, 2)], 0.1, -1, r"share -1 first axes"),
    ],
)
def test_sam_rejects_a_stack_whose_shapes_or_rho_do_not_fit(shapes, rho, norm_axis, message):
    params = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        SAM(params, SGD, rho=rho, norm_axis=norm_axis, lr=0.1)


def test_sam_rejects_an_optimizer_instead_of_a_class():
    model = toy()
    with pytest.raises(TypeError, match="base_optimizer must be a class like SGD, got SGD"):
        SAM(model.parameters(), SGD(model.parameters(), lr=0.1))


def test_sam_rejects_a_base_with_a_rho_of_its_own():
    with pytest.raises(ValueError, match=r"must not share option names with SAM, got \['rho'\]"):
        SAM(toy().parameters(), torch.optim.Adadelta)


@pytest.mark.parametrize("method", [SAM, RandomDirection])
def test_sam_rejects_a_step_without_closure(method):
    with pytest.raises(ValueError, match="step must get a closure"):
        method(toy().parameters(), SGD, lr=0.1).step()


def test_sam_rejects_a_closure_without_backward():
    optimizer = SAM(toy().parameters(), SGD, lr=0.1)
    with pytest.raises(RuntimeError, match="the closure must leave gradients"):
        optimizer.step(lambda: torch.zeros(()))


def test_sam_survives_copying_and_pickling():
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = SAM([w], torch.optim.SGD, rho=0.1, lr=0.1, momentum=0.9)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        (v,) = twin.param_groups[0]["params"]

        def closure(v=v, twin=twin):
            twin.zero_grad()
            loss = (v**2).sum()
            loss.backward()
            return loss

        twin.step(closure)
        assert twin.base_optimizer.param_groups is twin.param_groups
        assert not torch.equal(v, w)


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_loss_may_be_scaled_if_the_closure_divides_its_gradients(adaptive):
    """Half the precision loses small gradients; with a scale they come back at their own size."""
    ends = []
    for scale in (1, 1024):
        model = toy()
        optimizer = SAM(model.parameters(), SGD, rho=0.1, adaptive=adaptive, model=model, **OPTIONS)
        for step in range(3):
            x, y = data(step)

            def closure(model=model, optimizer=optimizer, x=x, y=y, scale=scale):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                (scale * loss).backward()
                for w in model.parameters():
                    w.grad /= scale
                return loss

            optimizer.step(closure)
        ends.append(weights(model))
    for one, other in zip(*ends, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_closure_need_not_clear_the_gradients(chunks):
    ends = []
    for clears in (True, False):
        model = toy(norm=None)
        optimizer = MSharpSAM(model.parameters(), SGD, rho=0.1, chunks=chunks, **OPTIONS)
        for step in range(3):
            x, y = data(step)

            def closure(i=0, k=1, model=model, x=x, y=y, clears=clears):
                if clears:
                    model.zero_grad()
                loss = F.cross_entropy(model(x.chunk(k)[i]), y.chunk(k)[i])
                loss.backward()
                return loss

            optimizer.step(closure)
        ends.append(weights(model))
    assert all(map(torch.equal, *ends))


def test_a_base_that_needs_a_closure_of_its_own_is_refused():
    with pytest.raises(TypeError, match="must step without a closure, like SGD, got LBFGS"):
        SAM(toy().parameters(), torch.optim.LBFGS)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e4])
def test_e_is_as_long_as_rho_in_half_the_precision_whatever_the_gradient(size, dtype, adaptive):
    w = nn.Parameter(torch.ones(1200, dtype=dtype))
    optimizer = SAM([w], SGD, rho=0.5, adaptive=adaptive, lr=0.0)
    seen = []

    def closure():
        seen.append(w.detach().double())
        loss = (size * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert torch.equal(w, torch.ones_like(w))
    length = (seen[1] - seen[0]).norm().item()
    assert length == pytest.approx(0.5 if size else 0.0, rel=0.1)


def in_use(change):
    """SAM around SGD, with a net that has BatchNorm (see test_methods)."""
    hidden = [nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU()]
    model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, 10))
    change(model)
    optimizer = SAM(model.parameters(), SGD, rho=0.02, model=model, lr=0.1, momentum=0.9)
    return model, optimizer, cross_entropy
