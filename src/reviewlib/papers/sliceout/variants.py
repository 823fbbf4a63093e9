"""Random units in place of a slice: what the contiguity of SliceOut's units is worth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reviewlib.papers.sliceout.method import SliceOut, Units


class RandomUnits(SliceOut):
    """SliceOut with w random units of each hidden layer: the same widths, but copied weights.

    Every unit is kept with probability w / n, so "flow" and "probabilistic" agree.
    """

    def draw(self, layer: nn.Module) -> Units:
        """Return the numbers of the kept units, ascending."""
        units, width, _ = self.grid(layer)
        return torch.randperm(units)[:width].sort().values.to(layer.weight.device)

    def chances(self, layer: nn.Module) -> Tensor:
        """Return the same probability for every unit."""
        units, width, _ = self.grid(layer)
        return torch.full((units,), width / units, dtype=torch.double, device=layer.weight.device)
