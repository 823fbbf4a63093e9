"""SliceOut's arithmetic: slices, gains and probabilities, in three kinds of chains."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reviewlib.data import Split
from reviewlib.papers.sam import SAM
from reviewlib.papers.sliceout import Sliced, SliceOut
from reviewlib.papers.sliceout.arms import sliced_sgd
from reviewlib.papers.sliceout.method import keep_probabilities
from reviewlib.papers.sliceout.variants import RandomUnits
from reviewlib.train import Config, Training, cross_entropy, fit_all, sgd
from reviewlib.train.timing import saved_bytes
from tests.slices import N, W, at, block, feed_forward, perceptron, same

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(2))
GRIDS = [(16, 8, 1), (16, 8, 4), (16, 12, 2), (16, 16, 1), (12, 3, 3)]


@pytest.mark.parametrize(("n", "w", "stride"), GRIDS)
def test_keep_probabilities_count_the_slices_that_hold_a_unit(n, w, stride):
    starts = range(0, n - w + 1, stride)
    counted = [sum(o <= i < o + w for o in starts) / len(starts) for i in range(n)]
    assert keep_probabilities(n, w, stride).tolist() == pytest.approx(counted, abs=1e-12)
    assert sum(counted) == pytest.approx(w)  # a slice has w units, wherever it starts


def test_with_starts_anywhere_the_probability_has_a_closed_form():
    n, w = 16, 6
    formula = [min(i + 1, w, n - w + 1, n - i) / (n - w + 1) for i in range(n)]
    assert keep_probabilities(n, w, 1).tolist() == pytest.approx(formula)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_the_probabilistic_gain_is_unbiased_over_all_slices(stride):
    """Linear in the kept units, so the mean over starts must be the whole chain's output."""
    layers = nn.Linear(6, N), nn.Identity(), nn.Linear(N, 3)
    means = {}
    for normalization in ("probabilistic", "flow"):
        chain = at(
            *range(0, N - W + 1, stride), layers=layers, align=stride, normalization=normalization
        )
        passes = [chain(X) for _ in range(0, N - W + 1, stride)]
        means[normalization] = torch.stack(passes).mean(0)
    whole = nn.Sequential(*layers)(X)
    assert torch.allclose(means["probabilistic"], whole, atol=1e-5)
    biased = not torch.allclose(means["flow"], whole, atol=1e-2)
    assert biased == (stride != W)  # slices that do not overlap keep all units equally often


def test_a_pass_is_that_of_the_net_of_the_kept_units():
    chain = at(3, 5)
    first, second = slice(3, 3 + W), slice(5, 5 + W)
    one, _, two, _, three = chain
    h = 2 * F.relu(F.linear(X, one.weight[first], one.bias[first]))  # c = n / w = 2
    h = 2 * F.relu(F.linear(h, two.weight[second, first], two.bias[second]))
    assert torch.allclose(chain(X), F.linear(h, three.weight[:, second], three.bias), atol=1e-6)


@pytest.mark.parametrize("leaves", [False, True])
def test_gradients_are_those_of_the_kept_units_alone(leaves):
    chain = at(3, 5, leaves=leaves)
    chain(X).square().sum().backward()
    one, _, two, _, three = chain
    if leaves:
        placed = {id(p): (place, leaf) for p, place, leaf in chain.parts}
        for parameter in (one.weight, two.weight, three.weight, one.bias, two.bias):
            place, leaf = placed[id(parameter)]
            parameter.grad = torch.zeros_like(parameter)
            parameter.grad[place] = leaf.grad
    rows, columns = two.weight.grad.abs().sum(1) > 0, two.weight.grad.abs().sum(0) > 0
    assert not rows[:5].any() and not rows[5 + W :].any()
    assert not columns[:3].any() and not columns[3 + W :].any()
    assert rows.any() and columns.any()
    assert not one.weight.grad[:3].any() and not one.weight.grad[3 + W :].any()
    assert one.weight.grad[3 : 3 + W].any()
    assert not three.weight.grad[:, :5].any() and three.weight.grad[:, 5 : 5 + W].any()


def test_leaves_and_views_have_the_same_gradients():
    views, leaves = at(3, 5), at(3, 5, leaves=True)
    leaves.load_state_dict(views.state_dict())
    for chain in (views, leaves):
        chain(X).square().sum().backward()
    names = {id(parameter): name for name, parameter in leaves.named_parameters()}
    whole = dict(views.named_parameters())
    assert len(leaves.parts) == 5  # the bias of the last layer is not sliced
    for parameter, place, leaf in leaves.parts:
        assert torch.allclose(leaf.grad, whole[names[id(parameter)]].grad[place], atol=1e-5)


@pytest.mark.parametrize("normalization", ["flow", "probabilistic", "partition", "none"])
@pytest.mark.parametrize("leaves", [False, True])
def test_with_all_units_kept_it_is_the_chain_bitwise(normalization, leaves):
    for chain, x in (
        (perceptron(keep=1.0, normalization=normalization, leaves=leaves), X),
        (block(keep=1.0, normalization=normalization, leaves=leaves), IMAGES),
        (feed_forward(keep=1.0, normalization=normalization, leaves=leaves), X),
    ):
        dense = nn.Sequential(*chain)
        assert torch.equal(chain(x), dense(x))


@pytest.mark.parametrize(
    ("make", "x"),
    [(perceptron, X), (block, IMAGES), (feed_forward, X)],
    ids=["perceptron", "block", "feed_forward"],
)
def test_the_whole_chain_is_used_in_evaluation(make, x):
    chain = make(keep=0.5).eval()
    assert torch.equal(chain(x), nn.Sequential(*chain)(x))
    chain.train()
    assert not torch.allclose(chain(x), nn.Sequential(*chain)(x), atol=1e-3)


def test_a_block_slices_its_norm_and_updates_the_running_statistics_of_the_slice_alone():
    chain = block(keep=W / N, align=W)
    convolution, norm, _, last = chain
    nn.init.normal_(norm.weight)
    torch.manual_seed(3)
    start = W * int(torch.randint(2, ()))
    units = slice(start, start + W)
    torch.manual_seed(3)
    out = chain(IMAGES)
    z = F.conv2d(IMAGES, convolution.weight[units], convolution.bias[units], 2, 1)
    h = 2 * F.relu(F.batch_norm(z, None, None, norm.weight[units], norm.bias[units], True))
    assert torch.allclose(out, F.conv2d(h, last.weight[:, units]), atol=1e-5)
    kept = torch.zeros(N, dtype=torch.bool)
    kept[units] = True
    assert torch.allclose(norm.running_mean[kept], 0.1 * z.mean((0, 2, 3)), atol=1e-6)
    assert (norm.running_mean[~kept] == 0).all() and (norm.running_var[~kept] == 1).all()
    assert norm.num_batches_tracked == 1


def test_random_units_of_a_block_update_their_own_running_statistics():
    chain = block(form=RandomUnits, keep=W / N)
    units = torch.tensor([0, 2, 3, 7, 8, 11, 12, 15])
    chain.draw = lambda layer: units
    chain(IMAGES).sum().backward()
    assert (chain[1].running_mean != 0).nonzero().flatten().tolist() == units.tolist()
    assert (chain[1].running_var != 1).nonzero().flatten().tolist() == units.tolist()


def test_the_gain_of_an_activation_that_is_not_homogeneous_comes_after_it():
    chain = feed_forward(keep=0.5, align=W)
    torch.manual_seed(4)
    start = W * int(torch.randint(2, ()))
    torch.manual_seed(4)
    out = chain(X)
    units, (one, _, two) = slice(start, start + W), chain
    h = 2 * F.gelu(F.linear(X, one.weight[units], one.bias[units]))
    assert torch.allclose(out, F.linear(h, two.weight[:, units], two.bias), atol=1e-6)


@pytest.mark.parametrize("align", [1, 4])
def test_starts_are_uniform_over_multiples_of_the_alignment(align):
    chain = perceptron(keep=0.5, align=align)
    torch.manual_seed(0)
    starts = [chain.draw(chain[0]).start for _ in range(2000)]
    eligible = list(range(0, N - W + 1, align))
    counts = [starts.count(start) for start in eligible]
    assert sum(counts) == len(starts)
    expected = len(starts) / len(eligible)
    spread = math.sqrt(expected)
    assert all(abs(count - expected) < 5 * spread for count in counts)


def test_a_partition_starts_at_multiples_of_the_width():
    chain = perceptron(keep=0.25, normalization="partition")
    assert {chain.draw(chain[0]).start for _ in range(200)} == {0, 4, 8, 12}


@pytest.mark.parametrize("method", [SliceOut, RandomUnits])
def test_layers_draw_by_themselves(method):
    chain = perceptron(form=method, keep=0.5)
    torch.manual_seed(0)
    pairs = [(chain.draw(chain[0]), chain.draw(chain[2])) for _ in range(20)]
    assert any(not same(one, two) for one, two in pairs)


def test_random_units_are_all_different_and_as_many_as_a_slice():
    chain = perceptron(form=RandomUnits, keep=0.5)
    torch.manual_seed(0)
    drawn = [chain.draw(chain[0]) for _ in range(50)]
    assert all(len(units.unique()) == W for units in drawn)
    assert torch.cat(drawn).unique().tolist() == list(range(N))
    gathered = torch.randn(5, 3)
    assert chain(X).shape == gathered.shape


def test_a_slice_saves_as_much_memory_as_it_cuts_units():
    """A perceptron saves the activations of its two hidden layers, and of its parameters none."""
    chains = nn.Sequential(*perceptron(keep=1.0)), perceptron(keep=0.5)
    saved = [
        saved_bytes(lambda chain=chain: chain(X), [X, *chain.parameters()])
        for chain in (*chains, perceptron(keep=0.5, leaves=True))
    ]
    floats = 4
    assert saved == [2 * len(X) * N * floats, *[2 * len(X) * W * floats] * 2]


def test_both_passes_of_sam_go_through_one_slice():
    """Where the generator is restarted before each pass, as the training loop does."""
    chain, seen = perceptron(keep=0.5), []
    draw = chain.draw
    chain.draw = lambda layer: seen.append(draw(layer)) or seen[-1]
    optimizer = SAM(chain.parameters(), torch.optim.SGD, rho=0.1, lr=0.1)

    def closure():
        torch.manual_seed(7)
        optimizer.zero_grad()
        loss = chain(X).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert len(seen) == 4 and seen[:2] == seen[2:]


def chain(*middle, last=None):
    return [nn.Linear(6, N), *middle, last or nn.Linear(N, 3)]


RELU, NORM = nn.ReLU(), nn.BatchNorm1d(N)


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ([nn.Linear(6, N), RELU], {}, "needs hidden layers"),
        (chain(RELU), {"keep": 0}, "keep in"),
        (chain(RELU), {"keep": 1.5}, "keep in"),
        (chain(RELU), {"align": 0}, "align of at least 1"),
        (chain(RELU), {"align": 5}, "multiple of 5"),
        (chain(RELU), {"keep": 0.75, "normalization": "partition"}, "multiple of"),
        (chain(RELU), {"normalization": "flows"}, "normalization must be"),
        (chain(nn.PReLU()), {}, "PReLU.* cannot be sliced"),
        (chain(), {}, "must follow the activation"),
        (chain(NORM), {}, "must follow the activation"),
        (
            chain(RELU, last=nn.Linear(2 * N, 3)),
            {},
            "of its inputs, got 16",
        ),
        (chain(RELU, NORM), {}, "must stand before the activation"),
        (chain(nn.BatchNorm1d(N, affine=False), RELU), {}, "must have parameters"),
        (chain(nn.BatchNorm1d(N, track_running_stats=False), RELU), {}, "running statistics"),
        (chain(nn.BatchNorm1d(N, momentum=None), RELU), {}, "a momentum"),
        ([nn.Conv2d(4, N, 3, groups=2), RELU, nn.Conv2d(N, 3, 3)], {}, "one group"),
        (
            [nn.Conv2d(4, N, 3), RELU, nn.Conv2d(N, 4, 3, groups=2)],
            {},
            "of its inputs, got 16",
        ),
        (
            [nn.Conv2d(4, N, 3, padding=1, padding_mode="reflect"), RELU, nn.Conv2d(N, 3, 3)],
            {},
            "zeros as padding",
        ),
    ],
)
def test_a_chain_that_cannot_be_sliced_is_refused(layers, options, message):
    with pytest.raises(ValueError, match=message):
        SliceOut(*layers, **{"keep": 0.5} | options)


def test_a_block_may_begin_with_its_norm():
    """As the blocks of a Wide ResNet do; what comes before the first weights is not sliced."""
    of = SliceOut(
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Conv2d(2, N, 3),
        nn.BatchNorm2d(N),
        nn.ReLU(),
        nn.Conv2d(N, 2, 3),
        keep=0.5,
    )
    of(IMAGES).sum().backward()
    assert (of[0].running_mean != 0).all() and (of[3].running_mean != 0).sum() == W


def test_a_layer_that_is_replaced_is_sliced_too():
    of = perceptron(keep=0.5)
    of[0] = nn.Linear(6, N)
    of(X).sum().backward()
    assert (of[0].weight.grad.abs().sum(1) > 0).sum() <= W


def test_random_units_have_one_gain_under_both_normalizations():
    passes = []
    for normalization in ("flow", "probabilistic"):
        torch.manual_seed(3)
        of = perceptron(form=RandomUnits, keep=0.5, normalization=normalization)
        torch.manual_seed(4)
        passes.append(of(X))
    assert torch.allclose(*passes, atol=1e-5)


@pytest.mark.parametrize("leaves", [False, True])
def test_several_trainings_are_those_of_each_alone(leaves):
    """A stack must not take a SliceOut for the plain chain of its layers."""

    def trainings():
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (40, 1, 2, 3), dtype=torch.uint8, generator=generator)
        labels = torch.randint(3, (40,), generator=generator)
        for lr in (0.1, 0.2):
            torch.manual_seed(1)
            model = nn.Sequential(nn.Flatten(-3), perceptron(keep=0.5, leaves=leaves))
            config = Config(steps=5, batch_size=10, lr=lr)
            optimizer = sliced_sgd if leaves else sgd
            yield Training(model, Split(images, labels), config, 0, cross_entropy, optimizer)

    together = fit_all(list(trainings()))
    alone = [fit_all([each])[0] for each in trainings()]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.losses, other.losses)


def in_use(change):
    """SliceOut with leaves, and their optimizer (see test_methods)."""
    layers = nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    model = nn.Sequential(nn.Flatten(), SliceOut(*layers, keep=0.75, align=8, leaves=True))
    change(model)
    optimizer = Sliced(model, torch.optim.SGD, lr=0.1, momentum=0.9)
    return model, optimizer, cross_entropy
