"""The chapter's net, the layers that its convolutions can be, and the task of two images."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.papers.weightnet.method import WeightNetConv2d, means
from reviewlib.trial.declare import models

Conv = Callable[..., nn.Module]  # (inputs, outputs, kernel size, stride, padding) -> a layer
DISTRACTORS = 256
MARK, SIDE = 3.0, 2  # of the mark: its value, in sd of the pixels, and its side (pixels)

static = partial(nn.Conv2d, bias=False)


def condconv(inputs: int, outputs: int, *where: int, experts: int) -> WeightNetConv2d:
    """Return CondConv's layer: a mixture of whole kernels, the same for all outputs."""
    return WeightNetConv2d(
        inputs, outputs, *where, M=Fraction(experts, outputs), G=Fraction(1, outputs)
    )


class SqueezeExcite(nn.Module):
    """Multiply each channel by a gate that depends on the means of all channels.

    Args:
        channels: of the input and the output.
        active: whether a ReLU stands between the two linear maps.
    """

    def __init__(self, channels: int, active: bool = True) -> None:
        """Make the two maps, as wide inside as WeightNet's."""
        super().__init__()
        width = max(16, channels // 16)
        self.gate = nn.Sequential(
            nn.Linear(channels, width),
            nn.ReLU() if active else nn.Identity(),
            nn.Linear(width, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, H, W) with each channel scaled."""
        return x * self.gate(means(x))[..., None, None]


def chain(
    depth: int,
    classes: int,
    widths: tuple[int, ...],
    conv: Conv = static,
    gate: Callable[[int], nn.Module] = nn.Identity,
) -> list[nn.Module]:
    """Return the layers of a net of three convolutions for images of `depth` channels.

    As in the paper's nets, the first convolution and the classifier are plain; `conv` makes the
    others, and `gate` what follows their BatchNorm.
    """
    first, *_ = widths
    layers = [static(depth, first, 3, 2, 1), nn.BatchNorm2d(first), nn.ReLU()]
    for inputs, outputs, stride in zip(widths, widths[1:], (1, 2), strict=False):
        layers += [conv(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)]
        layers += [] if gate is nn.Identity else [gate(outputs)]
        layers += [nn.ReLU()]
    return [*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(-3), nn.Linear(4 * widths[-1], classes)]


class OneOfTwo(nn.Module):
    """Show a net two images and a mark that says which of them it must name.

    The image to name comes first or second, and one of 256 training images takes the other place:
    both as the pixels' sum has it, so an image always gets the same pair. The mark is positive or
    negative, and lies in a corner of a channel of its own. Few pixels of a feature map can see it;
    the mean of the map, from which gates are made, shows it everywhere.

    Args:
        images: the training images.
        make: makes the net for images of a number of channels.
    """

    def __init__(self, images: Split, make: Callable[[int], list[nn.Module]]) -> None:
        """Keep the first training images as distractors."""
        super().__init__()
        self.normalize = models.Normalize(images)
        self.register_buffer("distractors", images.pixels()[:DISTRACTORS].clone())
        self.net = nn.Sequential(*make(2 * images.images.shape[1] + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of x (B, C, H, W)."""
        total = (255 * x).sum((1, 2, 3)).round().long()
        other = self.distractors[total // 2 % len(self.distractors)]
        second = (total % 2).bool().view(-1, 1, 1, 1)
        x, other = self.normalize(x), self.normalize(other)
        pair = torch.where(second, other, x), torch.where(second, x, other)
        mark = torch.zeros_like(x[:, :1])
        mark[..., :SIDE, :SIDE] = MARK - 2 * MARK * second
        return self.net(torch.cat([*pair, mark], 1))
