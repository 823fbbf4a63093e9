"""WeightNet's layer: its two forms, its special cases, and its kernel at the start."""

import copy
import math
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reviewlib.papers.weightnet import WeightNetConv2d
from reviewlib.papers.weightnet.method import means
from reviewlib.train import cross_entropy

C, OUT, K = 8, 6, 3
GENERAL = [(2, 2), (4, 2), (8, 2), (1, 1), (4, 1), (4, 4), (2, 1)]


def layer(M=2, G=2, **options):
    torch.manual_seed(0)
    return WeightNetConv2d(C, OUT, K, padding=1, M=M, G=G, **options)


def images(samples=5, channels=C, side=7, seed=1):
    return torch.randn(samples, channels, side, side, generator=torch.Generator().manual_seed(seed))


def one_by_one(of, x):
    """The convolution of each sample with a kernel that is put together number by number."""
    alpha, groups = of.alpha(x), len(of.bank)
    outputs, seen, *_ = of.shape
    rows = []
    for sample, gates in zip(x, alpha, strict=True):
        parts = [
            sum(a * b for a, b in zip(gates[group], of.bank[group], strict=True))
            for group in range(groups)
        ]
        kernel = torch.cat(parts).view(outputs, seen, K, K)
        rows.append(
            F.conv2d(sample[None], kernel, stride=of.stride, padding=of.padding, groups=of.groups)
        )
    return torch.cat(rows)


@pytest.mark.parametrize(("M", "G"), GENERAL)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("samples", [1, 5])
def test_a_batch_is_folded_into_groups_as_a_loop_over_its_samples(M, G, stride, samples):
    of, x = layer(M, G, stride=stride, cheap=False), images(samples)
    assert torch.allclose(of(x), one_by_one(of, x), atol=1e-5)


@pytest.mark.parametrize(("M", "G"), [(1, 1), (2, 2), (4, 4), (8, 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_where_each_weight_has_one_input_a_gated_sum_is_exact(M, G, stride):
    of, x = layer(M, G, stride=stride, cheap=True), images()
    assert of.exact
    general = layer(M, G, stride=stride, cheap=False)
    general.load_state_dict(of.state_dict())
    assert torch.allclose(of(x), general(x), atol=1e-5)
    for form in (of, general):
        form(x).square().sum().backward()
    for one, other in zip(of.parameters(), general.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("M", "cheap"), [(1, False), (1, True), (2, False), (4, False)])
def test_a_depthwise_layer_makes_one_kernel_a_channel(M, cheap):
    torch.manual_seed(0)
    of = WeightNetConv2d(C, C, K, padding=1, M=M, G=1, depthwise=True, cheap=cheap)
    x = images()
    assert of.exact == (M == 1)
    assert of.alpha(x).shape == (5, C, M) and of.kernels(of.alpha(x)).shape == (5, C, 1, K, K)
    assert torch.allclose(of(x), one_by_one(of, x), atol=1e-5)


@pytest.mark.parametrize("cheap", [False, True])
def test_with_one_group_a_filter_it_is_a_gate_on_the_outputs_of_a_static_convolution(cheap):
    of, x = layer(1, 1, cheap=cheap), images()
    static = of.bank.view(OUT, C, K, K)
    gate = (of.fc1(of.reduce(x.mean((2, 3))))).sigmoid()
    expected = gate[:, :, None, None] * F.conv2d(x, static, padding=1)
    assert torch.allclose(of(x), expected, atol=1e-5)


def test_with_one_group_in_all_it_mixes_experts_as_condconv_does():
    experts = 4
    of, x = layer(Fraction(experts, OUT), Fraction(1, OUT)), images()
    kernels = of.bank[0].view(experts, OUT, C, K, K)
    shares = of.fc1(of.reduce(x.mean((2, 3)))).sigmoid()
    each = torch.stack([F.conv2d(x, kernel, padding=1) for kernel in kernels], 1)
    expected = (shares[:, :, None, None, None] * each).sum(1)
    assert shares.shape == (5, experts) and not of.exact
    assert torch.allclose(of(x), expected, atol=1e-5)


@pytest.mark.parametrize(("M", "G"), GENERAL)
def test_it_has_m_over_g_times_the_weights_of_a_static_kernel(M, G):
    assert layer(M, G).bank.numel() == M / G * OUT * C * K * K
    assert layer(M, G).fc1.out_features == M * OUT


@pytest.mark.parametrize(("M", "G"), [(2, 2), (4, 2), (8, 1)])
@pytest.mark.parametrize("depthwise", [False, True])
def test_the_generated_kernel_starts_with_the_variance_of_a_static_one(M, G, depthwise):
    channels = 64
    torch.manual_seed(0)
    of = WeightNetConv2d(channels, channels, K, M=M, G=G, depthwise=depthwise)
    seen = 1 if depthwise else channels
    static = nn.Conv2d(channels, channels, K, groups=channels // seen).weight
    kernels = of.kernels(of.alpha(images(16, channels)))
    assert kernels.std().item() == pytest.approx(static.std().item(), rel=0.1)
    assert static.std().item() == pytest.approx(1 / math.sqrt(3 * seen * K * K), rel=0.1)


@pytest.mark.parametrize(("M", "G", "cheap"), [(2, 2, False), (2, 2, True), (4, 2, False)])
def test_the_gradients_are_right(M, G, cheap):
    torch.manual_seed(0)
    of = WeightNetConv2d(4, 2, 3, padding=1, M=M, G=G, least=3, cheap=cheap).double()
    x = images(2, 4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: of(x), (x, *of.parameters()), atol=1e-6)


def test_the_reduction_has_a_floor():
    assert layer().reduce.out_features == 16
    assert WeightNetConv2d(512, 8, 1, M=1, G=1).reduce.out_features == 32
    assert WeightNetConv2d(512, 8, 1, M=1, G=1, reduction=4, least=8).reduce.out_features == 128


def test_layers_of_a_block_may_share_their_reduction():
    first = layer()
    second = layer(reduce=first.reduce)
    assert second.reduce is first.reduce
    names = dict(nn.ModuleList([first, second]).named_parameters())
    assert sum(name.endswith("reduce.weight") for name in names) == 1


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"inputs": 1, "G": 2}, "54 weights must be multiples of the 12 groups; got C = 1, O = 6"),
        ({"M": 3, "G": 2}, "alpha's 18 numbers .* 12 groups"),
        ({"M": Fraction(1, 4), "G": 1}, "alpha's 3/2 numbers"),
        ({"M": 5, "G": 5}, "432 weights must be multiples of the 30 groups"),
        ({"depthwise": True}, "as many outputs as inputs, got 8, 6"),
        ({"M": 4, "G": 2, "cheap": True}, "G = 2 parts of the 8 channels .* got M = 4"),
    ],
)
def test_numbers_that_do_not_divide_are_named(options, numbers):
    usual = {"inputs": C, "outputs": OUT, "kernel_size": K}
    with pytest.raises(ValueError, match=numbers):
        WeightNetConv2d(**usual | options)


def test_parts_that_cut_a_channel_need_the_general_form():
    of = WeightNetConv2d(2, 4, 4, M=4, G=4)  # 32 weights a filter, in 4 parts of half a channel
    assert not of.exact
    x = images(3, 2)
    kernels = of.kernels(of.alpha(x))
    expected = torch.cat([F.conv2d(x[i : i + 1], kernels[i]) for i in range(3)])
    assert torch.allclose(of(x), expected, atol=1e-5)


@pytest.mark.parametrize("cheap", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_runs_in_half_precision(cheap, dtype):
    of, x = layer(cheap=cheap), images()
    with torch.autocast("cpu", dtype):
        half = of(x)
    half.sum().backward()
    assert half.dtype == dtype and of.bank.grad.dtype == torch.float32
    assert torch.allclose(half.float(), of(x), atol=0.05)


@pytest.mark.parametrize("cheap", [False, True])
def test_a_copy_is_the_same_layer(cheap):
    of, x = layer(cheap=cheap), images()
    assert torch.equal(copy.deepcopy(of)(x), of(x))


@pytest.mark.slow  # it compiles twice
@pytest.mark.parametrize("cheap", [False, True])
def test_it_compiles_whole(cheap):
    of, x = layer(cheap=cheap), images()
    compiled = torch.compile(of, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x), of(x), atol=1e-5)
    assert torch.allclose(compiled(x[:3]), of(x[:3]), atol=1e-5)  # a last, smaller batch


def test_the_memory_order_is_output_filter_first():
    """Each group makes the weights of one part of one output filter, in the order of a kernel."""
    of = layer(2, 2)
    alpha = torch.zeros(1, *of.bank.shape[:2])
    alpha[0, 3] = 1  # the second half of the second filter
    (kernel,) = of.kernels(alpha)
    outside = torch.ones_like(kernel, dtype=torch.bool)
    outside[1, C // 2 :] = False
    assert not kernel[outside].any() and kernel[1, C // 2 :].all()
    assert torch.equal(kernel[1, C // 2 :].flatten(), of.bank[3, 0])


@pytest.mark.parametrize(
    ("channels", "side", "stride", "gated"),
    [
        (64, 14, 1, True),
        (16, 7, 1, True),
        (8, 7, 1, False),
        (32, 14, 1, False),
        (16, 14, 2, True),
    ],
)
def test_large_maps_are_folded_and_small_ones_gated(channels, side, stride, gated):
    of = WeightNetConv2d(channels, channels, K, stride, padding=1)
    assert of.exact and of.is_gated(images(1, channels, side)) == gated
    for cheap in (False, True):
        told = WeightNetConv2d(channels, channels, K, stride, padding=1, cheap=cheap)
        assert told.is_gated(images(1, channels, side)) == cheap


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_means_of_large_maps_are_right_in_every_precision(dtype):
    x = (3 + torch.rand(2, 3, 300, 300)).to(dtype)  # the sum of a map is beyond float16
    of = means(x)
    assert of.dtype == dtype
    assert torch.allclose(of.double(), x.double().mean((-2, -1)), rtol=1e-2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"M": 0}, "M and G must be positive, got M = 0, G = 2"),
        ({"G": 0}, "M and G must be positive, got M = 2, G = 0"),
        ({"M": -2, "G": -2}, "M and G must be positive, got M = -2, G = -2"),
        ({"reduce": nn.Linear(4, 16)}, "reduce must take C = 8 numbers, got 4"),
    ],
)
def test_what_makes_no_layer_is_named(options, told):
    with pytest.raises(ValueError, match=told):
        layer(**options)


def in_use(change):
    """A net of two generated convolutions, one that mixes and one gated (see test_methods)."""
    mixed = WeightNetConv2d(1, 8, K, stride=2, padding=1, M=4, G=1)
    gated = WeightNetConv2d(8, 8, K, stride=2, padding=1)
    assert gated.is_gated(images(1, 8, 4)) and not mixed.exact
    model = nn.Sequential(mixed, nn.ReLU(), gated, nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))
    change(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, cross_entropy
