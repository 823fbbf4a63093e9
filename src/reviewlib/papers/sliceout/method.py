"""SliceOut: train a contiguous slice of each hidden layer's units, and test with all of them.

Paper: Notin, Gomez, Yoo, Gal, Improving compute efficacy frontiers with SliceOut, arXiv 2007.10909.
Reference code: none was published. The paper's full text was not at hand: beyond its abstracts and
a paragraph on its Algorithm 1, everything here is our reading of the method.

Our reading:

1. A hidden layer of n units keeps w = keep * n of them, rounded to a multiple of `align`. The first
   one is drawn for every pass, uniformly from {0, align, ..., n - w}, for the whole batch.
2. The slice cuts the rows of a layer's weight, its bias, the parameters and running statistics of a
   BatchNorm that follows, and the columns of the next layer's weight.
3. The paper names two normalizations, "flow" and "probabilistic"; the formulas are ours. So is
   "partition", under which the two are one.
4. In a net with residual connections, only the units inside a block are cut.
5. A step leaves units outside the slice alone: no momentum, no weight decay (see sliced.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Units = slice | Tensor  # units of a layer: a range, or their numbers (w,)
ALL = slice(None)
NORMALIZATIONS = ("flow", "probabilistic", "partition", "none")
WEIGHTED, NORMS = (nn.Linear, nn.Conv2d), (nn.BatchNorm1d, nn.BatchNorm2d)


class SliceOut(nn.Sequential):
    """A chain of layers that trains on a slice of the units of each hidden layer.

    Hidden are all linear and convolutional layers but the last: those of a perceptron, the inner
    channels of a convolutional block, the units of a transformer's feed-forward block. In
    evaluation mode, the chain is an `nn.Sequential`.

    Slices are drawn from torch's default CPU generator. A method that takes two passes over one
    slice, as SAM does, must restart it in between.

    Attributes:
        parts: with `leaves`, of the passes since the last step: a parameter, the place of its
            slice, and the slice.
    """

    def __init__(
        self,
        *layers: nn.Module,
        keep: float,
        align: int = 1,
        normalization: str = "flow",
        leaves: bool = False,
    ) -> None:
        """Take the layers, without a copy.

        Args:
            layers: linear and convolutional layers, BatchNorm, and modules without parameters; an
                activation must follow each hidden layer.
            keep: fraction of the units that a pass keeps, in (0, 1].
            align: widths and starts of slices are multiples of it.
            normalization: the gain c on the kept units, one of NORMALIZATIONS. "flow": n / w.
                "probabilistic": one over the probability that the unit is kept. "partition": n / w,
                and slices start at multiples of w. "none": 1.
            leaves: whether a slice is a leaf of the graph, with a gradient of its own size, which
                only a `Sliced` optimizer trains. Otherwise gradients are as large as parameters.

        Raises:
            ValueError: a layer, a width or a fraction that cannot be sliced.
        """
        super().__init__(*layers)
        self.keep, self.align, self.normalization = keep, align, normalization
        self.leaves, self.parts = leaves, []
        _require_chain(layers)
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"normalization must be one of {NORMALIZATIONS}, got {normalization!r}"
            )
        if not self.hidden or not 0 < keep <= 1 or align < 1:
            raise ValueError(
                f"needs hidden layers, keep in (0, 1] and align of at least 1, got "
                f"{len(self.hidden)}, {keep} and {align}"
            )
        for layer in self.hidden:
            units, _, stride = self.grid(layer)
            if units % align or units % stride:
                raise ValueError(f"{units} units must be a multiple of {align} and of {stride}")

    @property
    def hidden(self) -> list[nn.Module]:
        """The layers whose units are sliced."""
        return [layer for layer in self if isinstance(layer, WEIGHTED)][:-1]

    def grid(self, layer: nn.Module) -> tuple[int, int, int]:
        """Return a layer's units n, the units w that a pass keeps, and the stride of starts."""
        units = len(layer.weight)
        width = max(1, round(self.keep * units / self.align)) * self.align
        return units, width, width if self.normalization == "partition" else self.align

    def draw(self, layer: nn.Module) -> Units:
        """Return the units S of a layer that a pass keeps."""
        units, width, stride = self.grid(layer)
        start = stride * int(torch.randint((units - width) // stride + 1, ()))  # o ~ Uniform(O)
        return slice(start, start + width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the chain's outputs for x (B, ...); in training, those of a slice of it.

        Raises:
            RuntimeError: the slices of the last pass still wait for a step of `Sliced`.
        """
        if not self.training:
            return super().forward(x)
        if self.parts and torch.is_grad_enabled():
            raise RuntimeError(
                "leaves take one pass a step of a Sliced optimizer; zero_grad forgets a pass, and "
                "leaves=False takes any optimizer and several passes"
            )
        hidden, units, gain = self.hidden, ALL, None  # units and gain are those of x
        for layer in self:
            if isinstance(layer, WEIGHTED):
                columns, units = units, self.draw(layer) if layer in hidden else ALL
                x = self.weighted(layer, x, units, columns)
                gain = self.gain(layer, units, x) if layer in hidden else None
            elif isinstance(layer, NORMS):
                x = self.normalized(layer, x, units)
            elif gain is None:
                x = layer(x)
            elif isinstance(layer, nn.ReLU):
                # relu(c z) = c relu(z), and the backward pass then needs one tensor, not two
                x, gain = layer(x.mul_(gain)), None
            else:
                x, gain = layer(x) * gain, None
        return x

    def weighted(self, layer: nn.Module, x: Tensor, units: Units, columns: Units) -> Tensor:
        """Return the units of a linear or convolutional layer, from the columns that x has."""
        weight, bias = self.part(layer.weight, units, columns), self.part(layer.bias, units)
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, bias)
        return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation)

    def normalized(self, layer: nn.Module, x: Tensor, units: Units) -> Tensor:
        """Return x under BatchNorm, and update the running statistics of its units."""
        layer.num_batches_tracked += 1
        statistics = layer.running_mean[units], layer.running_var[units]
        affine = self.part(layer.weight, units), self.part(layer.bias, units)
        x = F.batch_norm(x, *statistics, *affine, True, layer.momentum, layer.eps)
        if isinstance(units, Tensor):  # then they were copies
            layer.running_mean[units], layer.running_var[units] = statistics
        return x

    def part(self, parameter: nn.Parameter | None, *place: Units) -> Tensor | None:
        """Return the slice of a parameter at a place, (units,) or (units, columns)."""
        if parameter is None or all(units is ALL for units in place):
            return parameter
        place = outer(*place)
        if not (self.leaves and torch.is_grad_enabled() and parameter.requires_grad):
            return parameter[place]
        leaf = parameter.detach()[place].requires_grad_()  # of a range, a view of the parameter
        self.parts.append((parameter, place, leaf))
        return leaf

    def gain(self, layer: nn.Module, units: Units, x: Tensor) -> float | Tensor | None:
        """Return the gain c on the units of a layer with outputs x."""
        n, width, _ = self.grid(layer)
        if self.normalization == "none" or width == n:
            return None
        if self.normalization != "probabilistic":
            return n / width
        p = self.chances(layer)[units].to(x)
        return 1 / (p if isinstance(layer, nn.Linear) else p.view(-1, 1, 1))

    def chances(self, layer: nn.Module) -> Tensor:
        """Return the probability that a pass keeps each unit of a layer, (n,)."""
        return keep_probabilities(*self.grid(layer))


@lru_cache
def keep_probabilities(n: int, width: int, stride: int) -> Tensor:
    """Return the probability p_i that unit i is kept, (n,)."""
    starts = torch.arange(0, n - width + 1, stride)
    edges = torch.zeros(n + 1, dtype=torch.double)
    edges[starts] += 1
    edges[starts + width] -= 1
    return edges.cumsum(0)[:n] / len(starts)


def outer(units: Units, columns: Units | None = None) -> tuple[Units, ...]:
    """Return an index of rows, or of rows and columns, whose parts may be numbers of units."""
    if columns is None:
        return (units,)
    both = isinstance(units, Tensor) and isinstance(columns, Tensor)
    return (units[:, None] if both else units), columns


def _require_chain(layers: Sequence[nn.Module]) -> None:
    """Raise ValueError for a layer that cannot be sliced where it stands."""
    units = waiting = None  # of the last weighted layer, and whether its activation is to come
    for layer in layers:
        where = f"in a SliceOut chain, {layer} "
        if isinstance(layer, WEIGHTED):
            if units not in (None, layer.weight.shape[1]) or waiting:
                raise ValueError(f"{where}must follow the activation of its inputs, got {units}")
            units, waiting = len(layer.weight), True
            if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros"):
                raise ValueError(f"{where}must have one group and zeros as padding")
        elif isinstance(layer, NORMS):
            if waiting is False:
                raise ValueError(f"{where}must stand before the activation, where no gain is yet")
            if not (layer.affine and layer.track_running_stats and layer.momentum):
                raise ValueError(f"{where}must have parameters, running statistics and a momentum")
        elif any(True for _ in layer.parameters()):
            raise ValueError(f"{where}cannot be sliced: put it outside")
        elif waiting:
            waiting = False
