"""WeightNet: generate a convolution's kernel from its input, by a grouped fully connected layer.

Paper: Ma, Zhang, Huang, Sun, WeightNet: Revisiting the Design Space of Weight Networks, ECCV 2020,
arXiv 2007.11823. Reference code: megvii-model/WeightNet, weightnet.py and shufflenet_v2.py
(MegEngine). The paper's text was not at hand.

Differences from the reference code:

1. Initialization: the generated kernel starts with the variance of a static kernel of PyTorch. The
   reference's rule needs MegEngine's weights of five axes; its ports to PyTorch give a standard
   deviation of 1.
2. Where each generated weight has one input (M = G, as in the released "1x") and G divides C, the
   kernel is a static one with G gates per output filter. Then the convolution is G static ones on
   parts of the input and a gated sum, without a kernel for every sample. Both forms have the same
   parameters.
3. Each layer reduces its input by itself, unless it is given a `reduce` that layers share.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WeightNetConv2d(nn.Module):
    """A convolution whose kernel depends on the means of its input's channels.

    With C inputs, O outputs and kernels of k x k:

        alpha(x) = sigmoid(F1(F0(mean of x over H, W)))     M * O numbers
        vec(W'(x)) = GroupedFC(alpha), in G * O groups      O * C * k * k numbers
        y = W'(x) * x                                       no bias

    The kernel's vector lies output filter first, then channel, row and column; so each group makes
    one G-th of an output filter. M = G = 1 is SE's gate on the outputs of a static convolution, and
    M = m / O, G = 1 / O is CondConv with m experts.

    Attributes:
        bank: weights of the grouped layer, (groups, inputs of a group, outputs of a group).
        exact: whether the kernel is a static one with gates, so that a gated sum of static
            convolutions is exact.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        M: int | Fraction = 2,
        G: int | Fraction = 2,
        depthwise: bool = False,
        reduce: nn.Linear | None = None,
        reduction: int = 16,
        least: int = 16,
        cheap: bool | None = None,
    ) -> None:
        """Make the layer, with initial weights from torch's default generator.

        Args:
            inputs: channels C.
            outputs: channels O.
            kernel_size: k.
            stride: of the convolution.
            padding: zeros on each side (pixels).
            M: alpha has M * O numbers.
            G: the grouped layer has G * O groups; M / G times the parameters of a static kernel.
            depthwise: whether each output sees its own input alone; alpha then has M / G numbers
                for each channel.
            reduce: F0, a linear layer from C numbers to R, which layers of a block share; by
                default this layer's own, with R = max(least, C // reduction).
            reduction: see `reduce`.
            least: see `reduce`.
            cheap: whether to use the gated sum of static convolutions; by default where it is
                exact and the maps are not too large (see `is_gated`).

        Raises:
            ValueError: numbers that are not positive, or do not divide each other.
        """
        super().__init__()
        if depthwise and inputs != outputs:
            raise ValueError(f"depthwise needs as many outputs as inputs, got {inputs}, {outputs}")
        if not (M > 0 and G > 0):
            raise ValueError(f"M and G must be positive, got M = {M}, G = {G}")
        if reduce is not None and reduce.in_features != inputs:
            raise ValueError(f"reduce must take C = {inputs} numbers, got {reduce.in_features}")
        seen = 1 if depthwise else inputs  # channels that an output sees
        units, groups = (
            (M / Fraction(G) * outputs, outputs) if depthwise else (M * outputs, G * outputs)
        )
        weights = outputs * seen * kernel_size**2
        if units != int(units) or groups != int(groups) or units % groups or weights % groups:
            raise ValueError(
                f"alpha's {units} numbers and the kernel's {weights} weights must be multiples of "
                f"the {groups} groups; got C = {inputs}, O = {outputs}, k = {kernel_size}, "
                f"M = {M}, G = {G}"
            )
        units, groups = int(units), int(groups)
        self.shape = outputs, seen, kernel_size, kernel_size
        self.stride, self.padding, self.groups = stride, padding, inputs // seen
        exact = units == groups and groups % outputs == 0 and seen % (groups // outputs) == 0
        if cheap and not exact:
            raise ValueError(
                f"the cheap form needs one input for each of G = {G} parts of the {seen} channels "
                f"that an output sees, got M = {M}"
            )
        self.cheap, self.exact = cheap, exact
        self.reduce = reduce or nn.Linear(inputs, max(least, inputs // reduction))
        self.fc1 = nn.Linear(self.reduce.out_features, units)
        self.bank = nn.Parameter(torch.empty(groups, units // groups, weights // groups))
        # a static kernel has the bound 1 / sqrt(fan in); alpha starts near 1/2
        bound = 2 / math.sqrt(seen * kernel_size**2 * (units // groups))
        nn.init.uniform_(self.bank, -bound, bound)

    def alpha(self, x: Tensor) -> Tensor:
        """Return the activations of x (B, C, H, W), (B, groups, inputs of a group)."""
        return self.fc1(self.reduce(means(x))).sigmoid().unflatten(-1, self.bank.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Return y (B, O, H', W') for x (B, C, H, W)."""
        return (self.gated if self.is_gated(x) else self.folded)(x, self.alpha(x))

    def is_gated(self, x: Tensor) -> bool:
        """Return whether x is convolved by a gated sum, and not with a kernel for every sample.

        For each output, gates pass over G maps of H' x W' numbers, and generating a kernel over
        C * k * k. On a CPU, the first is faster where they are fewer.
        """
        if self.cheap is not None:
            return self.cheap
        outputs, seen, *size = self.shape
        maps = len(self.bank) // outputs * math.prod(x.shape[-2:]) / self.stride**2
        return self.exact and maps <= seen * math.prod(size)

    def kernels(self, alpha: Tensor) -> Tensor:
        """Return the kernel of each sample, (B, O, C, k, k), or (B, C, 1, k, k) if depthwise."""
        return torch.einsum("bgm,gmw->bgw", alpha, self.bank).reshape(len(alpha), *self.shape)

    def folded(self, x: Tensor, alpha: Tensor) -> Tensor:
        """Return y by one grouped convolution, in which each sample is a group (or C groups)."""
        samples, kernels = len(x), self.kernels(alpha)
        y = F.conv2d(
            x.flatten(0, 1)[None],
            kernels.flatten(0, 1),
            stride=self.stride,
            padding=self.padding,
            groups=samples * self.groups,
        )
        return y[0].unflatten(0, (samples, -1))

    def gated(self, x: Tensor, alpha: Tensor) -> Tensor:
        """Return y as a sum of G static convolutions, each of a part of the channels, gated."""
        outputs, seen, *size = self.shape
        parts = len(self.bank) // outputs  # G
        kernels = self.bank.view(outputs, parts, seen // parts, *size).unbind(1)
        gates = alpha.view(len(x), outputs, parts, 1, 1).unbind(2)
        y = None
        for part, kernel, gate in zip(x.chunk(parts, 1), kernels, gates, strict=True):
            of_part = F.conv2d(
                part, kernel, stride=self.stride, padding=self.padding, groups=self.groups
            )
            y = of_part * gate if y is None else torch.addcmul(y, of_part, gate)
        return y


def means(x: Tensor) -> Tensor:
    """Return the means of the channels of x (B, C, H, W), (B, C)."""
    # unlike that of a mean, the gradient of a sum needs no tensor of the size of x
    total = x.sum((-2, -1), dtype=torch.promote_types(x.dtype, torch.float32))
    return (total / math.prod(x.shape[-2:])).to(x.dtype)
