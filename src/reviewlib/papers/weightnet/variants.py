"""WeightNets whose gates do not depend on their input, or depend on another one."""

from __future__ import annotations

from torch import Tensor

from reviewlib.papers.weightnet.method import WeightNetConv2d


class Shuffled(WeightNetConv2d):
    """WeightNet with the activations of the next sample of the batch, in training and in tests."""

    def alpha(self, x: Tensor) -> Tensor:
        """Return the activations of x (B, C, H, W), one sample further."""
        return super().alpha(x).roll(-1, 0)


class Constant(WeightNetConv2d):
    """WeightNet with activations that are learned and the same for every input."""

    def alpha(self, x: Tensor) -> Tensor:
        """Return the activations of an input of zeros for each of x (B, C, H, W)."""
        return super().alpha(x.new_zeros(len(x), x.shape[1], 1, 1))
