"""What WeightNet's study declares: nets of equal cost, gates of other images, and two images."""

import math
from dataclasses import replace

import pytest
import torch
import vision
from torch import nn

from reviewlib import data, papers
from reviewlib.data import Split
from reviewlib.papers.weightnet import WeightNetConv2d, nets
from reviewlib.papers.weightnet.arms import LARGE, MAIN, PAIR, STEP, WIDTHS
from reviewlib.papers.weightnet.nets import MARK, SIDE, OneOfTwo, SqueezeExcite
from reviewlib.papers.weightnet.scores import scores
from reviewlib.papers.weightnet.variants import Constant, Shuffled
from reviewlib.trial.declare import evaluate
from reviewlib.trial.fingerprints import TINY
from reviewlib.trial.runs import Run, draw
from reviewlib.trial.timings import training_of

STUDY = papers.find("weightnet")
SEED = STUDY.seeds(TINY)[0]
SIZES = replace(TINY, train=300, validation=60, steps=100)
timm = vision.module("timm.layers")


def sample_in(where):
    return draw(data.load(SIZES.data).development, SIZES, where, SEED)


def first_of(name, where=MAIN):
    """The training of an arm."""
    arm = STUDY.arm(name)
    trial = {"lr": 0.1, "weight_decay": 0.001}
    wanted = {key: value for key, value in trial.items() if key not in arm.fixed}
    return next(Run(arm, where, SEED, SIZES, (wanted,)).procedure(STUDY, sample_in(where), 0))


def kinds(model):
    return [type(m) for m in model.modules() if isinstance(m, nn.Conv2d | WeightNetConv2d)]


def sizes(model):
    return [(m.bank.shape[1], len(m.bank)) for m in model.modules() if type(m) is WeightNetConv2d]


def count(name):
    return sum(p.numel() for p in first_of(name).model.parameters())


def trained(name, where=MAIN, steps=30):
    """A model after a few steps."""
    training = first_of(name, where)
    x, y = training.train.pixels(), training.train.labels
    optimizer = torch.optim.SGD(training.model.parameters(), lr=0.3, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(training.model(x), y).backward()
        optimizer.step()
    return training.model.eval()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("weightnet", WeightNetConv2d),
        ("weightnet_4x", WeightNetConv2d),
        ("condconv", WeightNetConv2d),
        ("shuffled", Shuffled),
        ("constant", Constant),
        ("static", nn.Conv2d),
        ("se", nn.Conv2d),
    ],
)
def test_the_first_convolution_is_static_and_the_others_are_the_arms(name, kind):
    model = first_of(name).model
    assert kinds(model) == [nn.Conv2d, kind, kind]
    strides = [m.stride for m in model.modules() if isinstance(m, nn.Conv2d | WeightNetConv2d)]
    assert strides in ([(2, 2), 1, 2], [(2, 2), (1, 1), (2, 2)])


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("weightnet", [(1, 32), (1, 64)]),
        ("weightnet_2x", [(2, 32), (2, 64)]),
        ("weightnet_4x", [(4, 32), (4, 64)]),
        ("one_gate", [(1, 16), (1, 32)]),
        ("condconv", [(4, 1), (4, 1)]),
    ],
)
def test_each_arm_has_its_inputs_of_a_group_and_its_groups(name, of):
    assert sizes(first_of(name).model) == of


def test_static_nets_are_wider_by_weightnets_parameters():
    assert count("static_parameters") == pytest.approx(count("weightnet"), rel=0.015)
    assert count("static") < 0.8 * count("weightnet")
    assert count("shuffled") == count("constant") == count("weightnet")


def test_all_arms_of_a_seed_start_with_the_same_first_convolution():
    first = first_of("static").model[1].weight
    for name in ("weightnet", "se", "shuffled", "condconv"):
        assert torch.equal(first_of(name).model[1].weight, first)


def test_gates_of_another_image_are_those_of_the_next_one():
    torch.manual_seed(0)
    own, other = WeightNetConv2d(4, 6, 3), Shuffled(4, 6, 3)
    other.load_state_dict(own.state_dict())
    x = torch.randn(3, 4, 7, 7)
    assert torch.equal(other.alpha(x), own.alpha(x)[[1, 2, 0]])
    assert not torch.allclose(other(x), own(x))


def test_constant_gates_are_learned_and_see_no_image():
    torch.manual_seed(0)
    layer = Constant(4, 6, 3)
    x = torch.randn(3, 4, 7, 7)
    assert torch.allclose(layer.alpha(x), layer.alpha(x[:1] + 1), atol=1e-6)
    layer(x).sum().backward()
    assert layer.fc1.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("channels", [16, 32, 512])
def test_squeeze_and_excite_agrees_with_timms(channels):
    torch.manual_seed(0)
    mine, peer = (
        SqueezeExcite(channels),
        timm.SEModule(channels, rd_channels=max(16, channels // 16)),
    )
    for one, other in ((0, peer.fc1), (2, peer.fc2)):
        other.weight.data = mine.gate[one].weight.data[..., None, None]
        other.bias.data = mine.gate[one].bias.data
    x = torch.randn(5, channels, 7, 7)
    assert torch.allclose(mine(x), peer(x), atol=1e-6)


def test_squeeze_and_excite_without_a_relu_is_linear_before_its_sigmoid():
    torch.manual_seed(0)
    linear = SqueezeExcite(16, active=False).gate[:3]
    a, b = torch.randn(2, 5, 16)
    both = linear(a) + linear(b) - linear(torch.zeros(5, 16))
    assert torch.allclose(linear(a + b), both, atol=1e-5)
    assert not torch.allclose(SqueezeExcite(16).gate[:3](a + b), both, atol=1e-2)


def test_condconv_agrees_with_timms():
    torch.manual_seed(0)
    mine = nets.condconv(8, 12, 3, 2, 1, experts=4)
    peer = timm.CondConv2d(8, 12, 3, stride=2, padding=1, num_experts=4)
    peer.weight.data = mine.bank.data[0]
    x = torch.randn(5, 8, 7, 7)
    assert torch.allclose(mine(x), peer(x, mine.alpha(x)[:, 0]), atol=1e-5)


@pytest.fixture
def two():
    """A wrapper that shows what its net gets."""
    images = Split(torch.randint(256, (300, 1, 14, 14), dtype=torch.uint8), torch.zeros(300).long())
    return OneOfTwo(images, lambda depth: [nn.Identity()]), images.pixels()


def test_a_net_sees_the_image_beside_another_and_a_mark_that_says_which_is_which(two):
    wrapper, x = two
    seen = wrapper(x)
    mine = wrapper.normalize(x)
    second = seen[:, 2, 0, 0] < 0
    assert seen.shape == (300, 3, 14, 14) and 0.3 < second.double().mean() < 0.7
    for place, chosen in ((0, ~second), (1, second)):
        assert torch.equal(seen[chosen, place], mine[chosen, 0])
    distractors = wrapper.normalize(wrapper.distractors)[:, 0]
    other = torch.where(second[:, None, None], seen[:, 0], seen[:, 1])
    assert all((distractors == image).all((1, 2)).any() for image in other)
    assert len(torch.unique(other, dim=0)) > 100  # of 256
    corner = seen[:, 2, :SIDE, :SIDE]
    assert (corner.abs() == MARK).all() and (seen[:, 2] != 0).sum() == corner.numel()


def test_an_image_has_the_same_pair_in_every_batch(two):
    wrapper, x = two
    order = torch.randperm(len(x))
    assert torch.equal(wrapper(x[order]), wrapper(x)[order])
    assert torch.equal(wrapper(x[3:4]), wrapper(x)[3:4])


def test_the_pair_has_nothing_to_do_with_the_class():
    sample = sample_in(PAIR)
    x, labels = sample.train.pixels(), sample.train.labels
    wrapper = OneOfTwo(sample.train, lambda depth: [nn.Identity()])
    second = (wrapper(x)[:, 2, 0, 0] < 0).double()
    shares = torch.stack([second[labels == label].mean() for label in range(10)])
    assert (shares - 0.5).abs().max() < 4 * math.sqrt(0.25 / 30)


def test_the_net_of_two_images_takes_the_arms_layers():
    model = first_of("weightnet", PAIR).model
    assert isinstance(model, OneOfTwo) and kinds(model) == [nn.Conv2d, *[WeightNetConv2d] * 2]
    assert model.net[0].in_channels == 3
    assert first_of("weightnet", PAIR).config.steps == 3 * SIZES.steps


def test_a_model_without_generated_kernels_has_no_gates():
    fold = sample_in(MAIN).validation
    model = trained("static")
    assert scores(model, fold, sample_in(MAIN)) == {
        "gate_sd": 0.0,
        "mean_gates_accuracy": evaluate(model, fold)["accuracy"],
    }


def test_gates_are_held_at_their_means_over_validation_images_and_let_go_again():
    sample, model = sample_in(MAIN), trained("weightnet")
    fold = Split(sample.train.images[:50], sample.train.labels[:50])
    before = model(fold.pixels())
    found = scores(model, fold, sample)
    assert torch.equal(model(fold.pixels()), before)
    one, two = (m for m in model.modules() if isinstance(m, WeightNetConv2d))
    seen = {}
    hooks = [
        layer.register_forward_pre_hook(lambda m, x: seen.update({m: m.alpha(*x)}))
        for layer in (one, two)
    ]
    model(sample.validation.pixels())
    means = {layer: alpha.mean(0) for layer, alpha in seen.items()}
    model(fold.pixels())
    spread = torch.cat([seen[layer].std(0).flatten() for layer in (one, two)])
    for hook in hooks:
        hook.remove()
    assert found["gate_sd"] == pytest.approx(spread.mean().item(), rel=1e-4) and spread.min() > 0
    for layer in (one, two):  # as a static kernel
        layer.alpha = lambda x, mean=means[layer]: mean.expand(len(x), *mean.shape)
    assert found["mean_gates_accuracy"] == evaluate(model, fold)["accuracy"]


def test_constant_gates_lose_nothing_when_they_are_held():
    sample, model = sample_in(MAIN), trained("constant")
    found = scores(model, sample.validation, sample)
    assert found["gate_sd"] < 1e-6
    assert found["mean_gates_accuracy"] == evaluate(model, sample.validation)["accuracy"]


def test_the_larger_net_that_is_timed_is_four_times_as_wide():
    model = training_of(STUDY, STUDY.arm("static"), LARGE, "cpu").model
    assert [m.out_channels for m in model if isinstance(m, nn.Conv2d)] == [4 * w for w in WIDTHS]
    small = training_of(STUDY, STUDY.arm("static"), STEP, "cpu")
    assert [m.out_channels for m in small.model if isinstance(m, nn.Conv2d)] == [*WIDTHS]
