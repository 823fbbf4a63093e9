"""The one net in which all six methods have a place."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from reviewlib.data import Split
from reviewlib.papers.weightnet.nets import Conv, static
from reviewlib.trial.declare import models

Chain = Callable[..., nn.Module]  # makes a module of layers that follow each other
CHANNELS, UNITS = 8, 128


def net(
    images: Split, classes: int, conv: Conv = static, chain: Chain = nn.Sequential
) -> nn.Module:
    """Return a net of three 3 x 3 convolutions with BatchNorm, and a classifier of two layers.

    Args:
        images: a training split, which sets the shape of the inputs and the normalization.
        classes: number of logits.
        conv: makes the second and the third convolution.
        chain: makes the classifier of its layers; its one hidden layer has UNITS units.
    """
    depth, height, width = images.images.shape[1:]
    pixels = math.ceil(height / 4) * math.ceil(width / 4)  # two convolutions halve, rounding up
    first, others = CHANNELS, 2 * CHANNELS
    layers = [models.Normalize(images), static(depth, first, 3, 2, 1)]
    layers += [nn.BatchNorm2d(first), nn.ReLU(), conv(first, others, 3, 2, 1)]
    layers += [nn.BatchNorm2d(others), nn.ReLU(), conv(others, others, 3, 1, 1)]
    layers += [nn.BatchNorm2d(others), nn.ReLU(), nn.Flatten(-3)]
    hidden = nn.Linear(others * pixels, UNITS)
    return nn.Sequential(*layers, chain(hidden, nn.ReLU(), nn.Linear(UNITS, classes)))
