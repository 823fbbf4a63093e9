"""The layers of R replicas side by side, as one batched layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from reviewlib.train.draws import generator_of


class Dense(nn.Module):
    """R linear layers side by side: (R, B, in) -> (R, B, out).

    From S < R batches (S, B, in), each serves R / S layers, which follow one another, as one
    product.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        """Stack the layers' weights, and their biases if they have any."""
        super().__init__()
        weights = [original(layer, "weight").detach() for layer in layers]
        self.weight = nn.Parameter(torch.stack(weights))
        self.bias = None
        if layers[0].bias is not None:
            biases = [original(layer, "bias").detach().unsqueeze(-1) for layer in layers]
            self.bias = nn.Parameter(torch.stack(biases))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each replica's layer to its batch."""
        weight, bias = self.weight, self.bias
        layers, out, inputs = weight.shape
        if len(x) < layers:  # join the layers of a batch: (S, R / S * out, in)
            weight = weight.reshape(len(x), -1, inputs)
            bias = None if bias is None else bias.reshape(len(x), -1, 1)
        # the units before the batch in memory: every gradient then comes in the order of its
        # tensor, without a copy, and the few classes are not the innermost loop
        units = torch.bmm(weight, x.mT) if bias is None else torch.baddbmm(bias, weight, x.mT)
        return (units.view(layers, out, -1) if len(x) < layers else units).mT


class Dropout(nn.Module):
    """R dropouts side by side: (R, B, ...) or a shared batch (1, B, ...) -> (R, B, ...).

    Each replica gets the mask that its layer would draw alone for a batch of the same numbers:
    layers with one rate share a mask, and the masks of other rates start from the same state of
    torch's default generator. The rates are all equal, or all between 0 and 1.
    """

    def __init__(self, layers: Sequence[nn.Dropout]) -> None:
        """Keep the layers' rates."""
        super().__init__()
        self.rates = [layer.p for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        """Drop entries of x and scale up the others; in evaluation mode, return x."""
        if not self.training:
            return x
        kept = torch.ones_like(x[0], memory_format=torch.contiguous_format)
        generator = generator_of(x.device)
        state, masks = generator.get_state(), {}
        for rate in dict.fromkeys(self.rates):
            generator.set_state(state)
            masks[rate] = F.dropout(kept, rate)
        if len(masks) == 1:
            return x * masks[rate]
        x = x.repeat_interleave(len(self.rates) // len(x), 0)
        return x * torch.stack([masks[rate] for rate in self.rates])


def original(layer: nn.Linear, name: str) -> Tensor:
    """Return a layer's parameter, before parametrizations if it has any."""
    if parametrize.is_parametrized(layer, name):
        return layer.parametrizations[name].original
    return getattr(layer, name)
