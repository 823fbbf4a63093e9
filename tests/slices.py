"""Small chains of layers for the tests of SliceOut."""

import itertools

import torch
from torch import nn

from reviewlib.papers.sliceout import SliceOut

N, W = 16, 8  # units, and those that a slice keeps


def perceptron(units=N, form=SliceOut, **options):
    """A chain of two hidden layers."""
    layers = [nn.Linear(6, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()]
    return form(*layers, nn.Linear(units, 3), **options)


def block(form=SliceOut, **options):
    """A convolutional block with BatchNorm."""
    return form(
        nn.Conv2d(2, N, 3, padding=1, stride=2),
        nn.BatchNorm2d(N),
        nn.ReLU(),
        nn.Conv2d(N, 4, 3, bias=False),
        **options,
    )


def feed_forward(**options):
    """The feed-forward block of a transformer."""
    return SliceOut(nn.Linear(6, N), nn.GELU(), nn.Linear(N, 6), **options)


class At(SliceOut):
    """A SliceOut whose slices start where a test says."""

    def draw(self, layer):
        """Return the next slice."""
        start = next(self.starts)
        return slice(start, start + self.grid(layer)[1])


def at(*starts, layers=None, **options):
    """A chain whose passes go through slices at these starts, again and again."""
    chain = At(*(layers or perceptron(form=nn.Sequential)), keep=W / N, **options)
    chain.starts = itertools.cycle(starts)
    return chain


def same(one, two):
    """Whether two draws hold the same units."""
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two
