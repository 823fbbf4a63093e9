"""The small networks."""

import pytest
import torch

from reviewlib.data import Split
from reviewlib.train import models


def split(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(20, 200, shape, generator=draw, dtype=torch.uint8)
    return Split(images, torch.zeros(shape[0], dtype=torch.int64))


@pytest.mark.parametrize("shape", [(50, 1, 7, 7), (30, 3, 8, 5)])
def test_normalize_gives_its_own_split_mean_0_and_deviation_1(shape):
    data = split(*shape)
    x = models.Normalize(data)(data.pixels())
    assert x.shape == shape and x.dtype == torch.float32
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std().item() == pytest.approx(1, abs=1e-5)


def test_normalize_holds_the_numbers_of_its_training_split():
    layer = models.Normalize(split(50, 1, 7, 7))
    other = Split(torch.full((2, 1, 7, 7), 255, dtype=torch.uint8), torch.zeros(2).long())
    pixels = split(50, 1, 7, 7).images.double() / 255
    expected = (1 - pixels.mean().item()) / pixels.std().item()
    assert layer(other.pixels()).unique().tolist() == pytest.approx([expected], rel=1e-5)


def test_normalize_leaves_its_input_alone():
    data = split(5, 1, 7, 7)
    x = data.pixels()
    models.Normalize(data)(x)
    assert torch.equal(x, data.pixels())


@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (6, 3, 4, 9), (6, 2, 1, 1)])
@pytest.mark.parametrize(("classes", "width"), [(10, 128), (3, 5)])
def test_mlp_maps_images_of_any_shape_to_logits(shape, classes, width):
    data = split(*shape)
    net = models.mlp(data, classes, width)
    inputs = shape[1] * shape[2] * shape[3]
    assert net(data.pixels()).shape == (6, classes)
    assert [tuple(p.shape) for p in net.parameters()] == [
        (width, inputs),
        (width,),
        (classes, width),
        (classes,),
    ]


def test_mlp_is_one_hidden_relu_layer_on_normalized_pixels():
    data = split(6, 1, 4, 4)
    net = models.mlp(data, 3, 5)
    inner, inner_bias, outer, outer_bias = net.parameters()
    x = (data.pixels() - data.pixels().mean()) / data.pixels().std()
    hidden = (x.flatten(1) @ inner.T + inner_bias).clamp(min=0)
    torch.testing.assert_close(net(data.pixels()), hidden @ outer.T + outer_bias)


@pytest.mark.parametrize("shape", [(6, 1, 14, 14), (6, 3, 9, 4), (6, 2, 1, 1)])
@pytest.mark.parametrize(("classes", "channels"), [(10, 8), (3, 2)])
def test_cnn_maps_images_of_any_shape_to_logits(shape, classes, channels):
    data = split(*shape)
    net = models.cnn(data, classes, channels)
    pixels = -(-shape[2] // 4) * -(-shape[3] // 4)
    assert net(data.pixels()).shape == (6, classes)
    assert [tuple(p.shape) for p in net.parameters()] == [
        (channels, shape[1], 3, 3),
        (channels,),
        (2 * channels, channels, 3, 3),
        (2 * channels,),
        (32, 2 * channels * pixels),
        (32,),
        (classes, 32),
        (classes,),
    ]


def test_cnn_is_two_strided_convolutions_and_a_hidden_layer_on_normalized_pixels():
    data = split(6, 2, 9, 7)
    net = models.cnn(data, 3, 4)
    c1, b1, c2, b2, inner, b3, outer, b4 = net.parameters()
    x = (data.pixels() - data.pixels().mean()) / data.pixels().std()
    for weight, bias in ((c1, b1), (c2, b2)):
        full = torch.nn.functional.conv2d(x, weight, bias, padding=1)
        x = full[:, :, ::2, ::2].clamp(min=0)
    hidden = (x.flatten(1) @ inner.T + b3).clamp(min=0)
    torch.testing.assert_close(net(data.pixels()), hidden @ outer.T + b4)


@pytest.mark.parametrize("shape", [(6, 1, 14, 14), (6, 3, 9, 4), (6, 2, 1, 1)])
@pytest.mark.parametrize(("classes", "channels"), [(10, 8), (3, 2)])
def test_batchnorm_cnn_maps_images_of_any_shape_to_logits(shape, classes, channels):
    data = split(*shape)
    net = models.batchnorm_cnn(data, classes, channels)
    wide, pixels = 2 * channels, -(-shape[2] // 4) * -(-shape[3] // 4)
    assert net(data.pixels()).shape == (6, classes)
    assert [tuple(p.shape) for p in net.parameters()] == [
        *((channels, shape[1], 3, 3), (channels,), (channels,)),
        *((wide, channels, 3, 3), (wide,), (wide,)),
        *((wide, wide, 3, 3), (wide,), (wide,)),
        *((classes, wide * pixels), (classes,)),
    ]


def test_batchnorm_cnn_normalizes_between_each_convolution_and_its_relu():
    data = split(6, 2, 9, 7)
    net = models.batchnorm_cnn(data, 3, 4)
    weights = [p for p in net.parameters() if p.ndim == 4]
    *_, outer, bias = net.parameters()
    x = (data.pixels() - data.pixels().mean()) / data.pixels().std()
    for weight, stride in zip(weights, (2, 2, 1), strict=True):
        x = torch.nn.functional.conv2d(x, weight, padding=1)[:, :, ::stride, ::stride]
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        x = ((x - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(net(data.pixels()), x.flatten(1) @ outer.T + bias)


def test_standardized_images_have_mean_0_and_deviation_1_each_by_itself():
    x = torch.rand(4, 3, 8, 8) * torch.tensor([0.1, 0.5, 1.0, 0.0]).view(4, 1, 1, 1) + 0.2
    out = models.Standardize()(x)
    assert out.mean((1, 2, 3)).abs().max() < 1e-5
    deviations = out.std((1, 2, 3), correction=0)
    assert (deviations[:3] - 1).abs().max() < 0.05 and deviations[3] == 0
    assert torch.allclose(models.Standardize()(x[None])[0], out)
    darker = models.Standardize()(0.5 * x + 0.1)
    assert torch.allclose(darker[2], out[2], atol=0.01)


def test_a_net_that_standardizes_has_it_in_place_of_the_normalization():
    usual, own = (
        models.batchnorm_cnn(split(20, 1, 8, 8), 10, 2, standardize=s) for s in (False, True)
    )
    assert isinstance(usual[0], models.Normalize) and isinstance(own[0], models.Standardize)
    assert [type(a) for a in usual[1:]] == [type(a) for a in own[1:]]
