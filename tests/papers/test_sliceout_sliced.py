"""The optimizer of leaves: it trains a slice as torch would, and touches nothing else."""

import copy
import pickle

import pytest
import torch
from torch import nn

from reviewlib.papers.sliceout import Sliced, SliceOut
from reviewlib.papers.sliceout.variants import RandomUnits
from tests.slices import N, W, at, block, perceptron

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(2))
OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "foreach": True}),
    (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.01}),
    (torch.optim.Adam, {"lr": 0.01, "amsgrad": True, "foreach": True}),
    (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.9}),
]


def take(chain, optimizer, x=X, steps=1):
    """Take steps on the mean square of the outputs."""
    for _ in range(steps):
        optimizer.zero_grad()
        chain(x).square().mean().backward()
        optimizer.step()


def states(optimizer):
    """Every tensor of the optimizer's state, by parameter and name."""
    return {
        (number, name): value.clone()
        for number, p in enumerate(optimizer.param_groups[0]["params"])
        for name, value in optimizer.state[p].items()
    }


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_with_all_units_kept_it_is_torchs_optimizer_bitwise(optimizer, options):
    chain = perceptron(keep=1.0, leaves=True)
    dense = copy.deepcopy(nn.Sequential(*chain))
    take(chain, Sliced(chain, optimizer, **options), steps=4)
    take(dense, optimizer(dense.parameters(), **options), steps=4)
    for one, other in zip(chain.parameters(), dense.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_units_outside_the_slice_stay_as_they_are_bitwise(optimizer, options):
    chain = at(0, 0, 8, 8, leaves=True)  # one step in the first half, the next in the second
    of = Sliced(chain, optimizer, **options)
    take(chain, of)
    before, kept = [p.detach().clone() for p in chain.parameters()], states(of)
    take(chain, of)
    one, _, two, _, three = chain
    after, state = [p.detach() for p in chain.parameters()], states(of)
    for now, then in [
        *zip(after, before, strict=True),
        *((state[key], kept[key]) for key in kept if state[key].ndim),
    ]:
        # the first axis of weights and biases, the second of the last weight
        first = now[:, :W] if now.shape == three.weight.shape else now[:W]
        old = then[:, :W] if now.shape == three.weight.shape else then[:W]
        if now.shape[0] == N or now.shape == three.weight.shape:
            assert torch.equal(first, old)
    assert not torch.equal(one.weight[W:], before[0][W:])
    assert torch.equal(two.weight[W:, :W], before[2][W:, :W])  # rows kept, columns not
    assert not torch.equal(two.weight[W:, W:], before[2][W:, W:])


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
@pytest.mark.parametrize("form", [SliceOut, RandomUnits])
def test_a_slice_that_never_changes_is_a_smaller_net(form, optimizer, options):
    """What is trained is then exactly the net of the kept units, momentum and all."""
    chain = perceptron(form=form, keep=W / N, align=1, normalization="none", leaves=True)
    units = torch.arange(4, 4 + W) if form is RandomUnits else slice(4, 4 + W)
    chain.draw = lambda layer: units
    one, _, two, _, three = copy.deepcopy(nn.Sequential(*chain))
    small = perceptron(units=W, form=nn.Sequential)
    rows = slice(4, 4 + W)
    values = (one.weight[rows], one.bias[rows], two.weight[rows, rows], two.bias[rows])
    with torch.no_grad():
        for p, value in zip(
            small.parameters(), (*values, three.weight[:, rows], three.bias), strict=True
        ):
            p.copy_(value)
    take(chain, Sliced(chain, optimizer, **options), steps=3)
    take(small, optimizer(small.parameters(), **options), steps=3)
    one, _, two, _, three = chain
    trained = one.weight[rows], one.bias[rows], two.weight[rows, rows], two.bias[rows]
    for p, value in zip(
        small.parameters(), (*trained, three.weight[:, rows], three.bias), strict=True
    ):
        assert torch.allclose(p, value, atol=1e-6)


def test_momentum_continues_where_a_unit_was_last_in_a_slice():
    chain = at(0, 0, 8, 8, 0, 0, leaves=True)
    of = Sliced(chain, torch.optim.SGD, lr=0.1, momentum=0.9)
    take(chain, of)
    first = of.state[chain[0].weight]["momentum_buffer"][:W].clone()
    take(chain, of)  # elsewhere
    assert torch.equal(of.state[chain[0].weight]["momentum_buffer"][:W], first)
    of.zero_grad()
    chain(X).square().mean().backward()
    gradient = next(leaf.grad for p, _, leaf in chain.parts if p is chain[0].weight).clone()
    of.step()
    now = of.state[chain[0].weight]["momentum_buffer"][:W]
    assert torch.allclose(now, 0.9 * first + gradient)


def test_parameters_without_a_slice_train_as_usual():
    chain = at(0, 0, leaves=True)
    model = nn.Sequential(nn.Linear(6, 6), chain)
    before = model[0].weight.detach().clone()
    take(model, Sliced(model, torch.optim.SGD, lr=0.1))
    assert not torch.equal(model[0].weight, before)


def test_a_block_with_norm_trains_under_it():
    chain = block(keep=0.5, align=W, leaves=True)
    before = [p.detach().clone() for p in chain.parameters()]
    take(chain, Sliced(chain, torch.optim.Adam, lr=0.01), IMAGES, steps=4)
    assert all(not torch.equal(p, old) for p, old in zip(chain.parameters(), before, strict=True))


def test_nothing_of_the_size_of_the_net_is_made_in_a_step():
    """No gradient of a sliced parameter, and no copy of its slice."""
    chain = perceptron(keep=0.5, leaves=True)
    of = Sliced(chain, torch.optim.SGD, lr=0.1, momentum=0.9)
    of.zero_grad()
    chain(X).square().mean().backward()
    for parameter, _, leaf in chain.parts:
        assert parameter.grad is None
        assert leaf.grad.numel() == leaf.numel() < parameter.numel()
        assert leaf.untyped_storage().data_ptr() == parameter.untyped_storage().data_ptr()


def test_a_second_pass_before_the_step_is_refused():
    """As with another optimizer, which would train nothing and not say so."""
    chain = perceptron(keep=0.5, leaves=True)
    of = Sliced(chain, torch.optim.SGD, lr=0.1)
    loss = chain(X).square().mean()
    with pytest.raises(RuntimeError, match="one pass a step"):
        chain(X)
    with torch.no_grad():
        chain(X)  # nothing is to be trained
    loss.backward()
    of.step()
    chain(X)
    of.zero_grad()  # forgets that pass
    chain(X)


def test_a_frozen_parameter_stays_as_it_is():
    chain = perceptron(keep=0.5, leaves=True)
    chain[0].weight.requires_grad_(False)
    before = chain[0].weight.clone()
    take(chain, Sliced(chain, torch.optim.SGD, lr=0.1, weight_decay=0.1), steps=3)
    assert torch.equal(chain[0].weight, before)


def test_weights_go_into_the_plain_chain_and_back():
    chain = perceptron(keep=0.5, leaves=True)
    plain = nn.Sequential(*copy.deepcopy(chain))
    take(chain, Sliced(chain, torch.optim.SGD, lr=0.1))
    plain.load_state_dict(chain.state_dict())
    assert torch.equal(plain(X), chain.eval()(X))
    chain.load_state_dict(plain.state_dict())
    assert torch.equal(plain(X), copy.deepcopy(chain)(X))


@pytest.mark.parametrize("leaves", [False, True])
def test_it_trains_under_bfloat16(leaves):
    chain = perceptron(keep=0.5, leaves=leaves)
    base = torch.optim.SGD
    of = Sliced(chain, base, lr=0.1) if leaves else base(chain.parameters(), lr=0.1)
    before = [p.detach().clone() for p in chain.parameters()]
    for _ in range(4):
        of.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = chain(X).square().mean()
        loss.backward()
        of.step()
    assert all(p.dtype == torch.float32 for p in chain.parameters())
    assert all(not torch.equal(p, old) for p, old in zip(chain.parameters(), before, strict=True))


def test_a_pass_without_gradients_leaves_no_slices():
    chain = perceptron(keep=0.5, leaves=True)
    with torch.no_grad():
        chain(X)
    assert not chain.parts


def test_fused_kernels_are_refused():
    """Torch's fused kernel ignores the strides of a view, and would update other units."""
    chain = perceptron(keep=0.5, leaves=True)
    with pytest.raises(ValueError, match="without fused=True"):
        Sliced(chain, torch.optim.SGD, lr=0.1, fused=True)
    of, fused = Sliced(chain, torch.optim.SGD, lr=0.1), {"lr": 0.1, "fused": True}
    saved = torch.optim.SGD(chain.parameters(), **fused).state_dict()
    with pytest.raises(ValueError, match="without fused=True"):
        of.load_state_dict(saved)


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.Rprop, torch.optim.Adagrad])
def test_an_optimizer_that_is_not_elementwise_from_zeros_is_refused(optimizer):
    with pytest.raises(ValueError, match="slices need one of .*SGD.*AdamW"):
        Sliced(perceptron(keep=0.5, leaves=True), optimizer, lr=0.1)


def test_a_second_group_of_parameters_is_refused():
    of = Sliced(perceptron(keep=0.5, leaves=True), torch.optim.SGD, lr=0.1)
    with pytest.raises(ValueError, match="one group"):
        of.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})


def test_layers_that_share_a_weight_are_refused():
    chain = SliceOut(
        *(nn.Linear(N, N), nn.ReLU(), nn.Linear(N, N), nn.ReLU(), nn.Linear(N, 3)),
        keep=0.5,
        leaves=True,
    )
    chain[2].weight = chain[0].weight
    of = Sliced(chain, torch.optim.SGD, lr=0.1)
    chain(torch.randn(5, N)).sum().backward()
    with pytest.raises(ValueError, match="two layers share a parameter"):
        of.step()


@pytest.mark.parametrize("copied", ["state_dict", "pickle"])
def test_training_goes_on_from_a_copy(copied):
    options = {"lr": 0.1, "momentum": 0.9}
    chain = perceptron(keep=0.5, leaves=True)
    of = Sliced(chain, torch.optim.SGD, **options)
    take(chain, of, steps=3)
    if copied == "pickle":
        other, again = pickle.loads(pickle.dumps((chain, of)))
    else:
        other = copy.deepcopy(chain)
        again = Sliced(other, torch.optim.SGD, **options)
        again.load_state_dict(copy.deepcopy(of.state_dict()))
    for model, optimizer in ((chain, of), (other, again)):
        torch.manual_seed(5)
        take(model, optimizer, steps=3)
    for one, two in zip(chain.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_learning_rate_that_changes_reaches_the_slices():
    chain = at(0, 0, leaves=True)
    of = Sliced(chain, torch.optim.SGD, lr=0.1)
    of.param_groups[0]["lr"] = 0.0
    before = chain[0].weight.detach().clone()
    take(chain, of)
    assert torch.equal(chain[0].weight, before)
