"""The small networks of the book; each takes images in [0, 1] and normalizes them first."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from reviewlib.data import Split

EPSILON = 1e-3  # of the range of pixels: an almost uniform image must not become noise


class Normalize(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training pixels."""

    def __init__(self, images: Split) -> None:
        """Compute both from a training split, each as one number over all of its pixels."""
        super().__init__()
        pixels = images.pixels()
        self.register_buffer("mean", pixels.mean().view(1, 1, 1, 1))
        self.register_buffer("scale", 1 / pixels.std().view(1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, H, W) normalized."""
        return x.sub(self.mean).mul_(self.scale)


class Standardize(nn.Module):
    """Subtract each image's own mean and divide by its own standard deviation, over all pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., C, H, W) standardized; an image of one color becomes 0."""
        sd, mean = torch.std_mean(x, (-3, -2, -1), correction=0, keepdim=True)
        return (x - mean) / (sd + EPSILON)


def mlp(images: Split, classes: int, *widths: int) -> nn.Sequential:
    """Return a net of hidden ReLU layers for images like those of a training split.

    Args:
        images: a training split, which sets the shape of the inputs and the normalization.
        classes: number of logits.
        widths: units of each hidden layer; one layer of 128 if none is given.
    """
    layers: list[nn.Module] = [Normalize(images), nn.Flatten(-3)]
    inputs = images.images[0].numel()
    for width in widths or (128,):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def cnn(images: Split, classes: int, channels: int = 8) -> nn.Sequential:
    """Return a net of two 3 x 3 convolutions of stride 2 and a hidden ReLU layer of 32 units.

    Args:
        images: a training split, which sets the shape of the inputs and the normalization.
        classes: number of logits.
        channels: channels of the first convolution; the second has twice as many.
    """
    depth, height, width = images.images.shape[1:]
    pixels = math.ceil(height / 4) * math.ceil(width / 4)  # each convolution halves, rounding up
    return nn.Sequential(
        Normalize(images),
        nn.Conv2d(depth, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(-3),
        nn.Linear(2 * channels * pixels, 32),
        nn.ReLU(),
        nn.Linear(32, classes),
    )


def batchnorm_cnn(
    images: Split, classes: int, channels: int = 8, *, standardize: bool = False
) -> nn.Sequential:
    """Return a net of three 3 x 3 convolutions with BatchNorm and ReLU, the first two of stride 2.

    Args:
        images: a training split, which sets the shape of the inputs and the normalization.
        classes: number of logits, each a linear function of all pixels of the last channels.
        channels: channels of the first convolution; the others have twice as many.
        standardize: whether each image is standardized by itself, not by the training images.
    """
    depth, height, width = images.images.shape[1:]
    pixels = math.ceil(height / 4) * math.ceil(width / 4)  # two convolutions halve, rounding up
    layers: list[nn.Module] = [Standardize() if standardize else Normalize(images)]
    for outputs, stride in ((channels, 2), (2 * channels, 2), (2 * channels, 1)):
        layers += [
            nn.Conv2d(depth, outputs, 3, stride, padding=1, bias=False),  # BatchNorm has a bias
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
        depth = outputs
    return nn.Sequential(*layers, nn.Flatten(-3), nn.Linear(2 * channels * pixels, classes))
