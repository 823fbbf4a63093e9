"""Convolutional layers of replicas, each kind as one layer with the channels of all replicas.

Between layers, activations are (R, B, C, H, W), or (S, B, C, H, W) as long as replicas still share
their batches. Inside, they are (B, R * C, H, W): a view of the same memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
KINDS = (nn.Conv2d, nn.BatchNorm2d, *POOLS)


class Convolutions(nn.Module):
    """R convolutions side by side: (R, B, in, H, W) -> (R, B, out, H', W').

    From S < R batches (S, B, in, H, W), each serves R / S convolutions, which follow one another.
    """

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        """Stack the layers' weights, and their biases if they have any."""
        super().__init__()
        first = layers[0]
        self.options = {"stride": first.stride, "padding": first.padding}
        self.options["dilation"] = first.dilation
        self.weight, self.bias = _stacked(layers, "weight"), _stacked(layers, "bias")

    def forward(self, x: Tensor) -> Tensor:
        """Apply each replica's convolution to its batch."""
        weight = self.weight.flatten(0, 1)  # (R * out, in, k, k)
        bias = None if self.bias is None else self.bias.flatten()
        joined = _joined(x)
        if joined.device.type == "cpu":  # there, oneDNN is fastest with the channels innermost
            joined = joined.to(memory_format=torch.channels_last)
        units = F.conv2d(joined, weight, bias, groups=len(x), **self.options)
        return _split(units, len(self.weight))


class BatchNorms(nn.Module):
    """R BatchNorm layers side by side, each over its own channels: (R, B, C, H, W) -> the same."""

    def __init__(self, layers: Sequence[nn.BatchNorm2d]) -> None:
        """Stack the layers' parameters and running statistics."""
        super().__init__()
        first = layers[0]
        self.momentum, self.eps = first.momentum, first.eps
        self.track_running_stats = True  # by this, SAM knows that the layer records each pass
        self.weight, self.bias = _stacked(layers, "weight"), _stacked(layers, "bias")
        for name, _ in first.named_buffers():
            self.register_buffer(name, torch.stack([layer.get_buffer(name) for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each replica's channels, by its batch or in evaluation by its statistics."""
        if self.training:
            self.num_batches_tracked += 1
        units = F.batch_norm(
            _joined(x),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self.momentum,
            self.eps,
        )
        return _split(units, len(self.weight))


class Pools(nn.Module):
    """A pooling layer that takes one more leading axis."""

    def __init__(self, pool: nn.Module) -> None:
        """Keep the layer."""
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Pool each image."""
        return _split(self.pool(_joined(x)), len(x))


def side_by_side(layers: Sequence[nn.Module]) -> nn.Module:
    """Return one module that applies each of the layers, all of one of the KINDS, to its batch."""
    if isinstance(layers[0], nn.Conv2d):
        return Convolutions(layers)
    return BatchNorms(layers) if isinstance(layers[0], nn.BatchNorm2d) else Pools(layers[0])


def stackable(layer: nn.Module) -> bool:
    """Return whether layers like this one have a form side by side."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros"
    if type(layer) is nn.BatchNorm2d:
        return layer.affine and layer.track_running_stats and layer.momentum is not None
    return type(layer) in POOLS


def options(layer: nn.Module) -> str:
    """Return what layers side by side must have in common besides shapes: stride, momentum, ..."""
    return layer.extra_repr() if isinstance(layer, KINDS) else ""


def statistics(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and value (R, ...) of all running statistics of a net of replicas."""
    for name, module in net.named_modules():
        if isinstance(module, BatchNorms):
            yield from module.named_buffers(name)


def _stacked(layers: Sequence[nn.Module], name: str) -> nn.Parameter | None:
    values = [getattr(layer, name) for layer in layers]
    return None if values[0] is None else nn.Parameter(torch.stack([v.detach() for v in values]))


def _joined(x: Tensor) -> Tensor:
    """Return x (R, B, C, H, W) as (B, R * C, H, W)."""
    return x.transpose(0, 1).flatten(1, 2)


def _split(units: Tensor, replicas: int) -> Tensor:
    """Return units (B, R * C, H, W) as (R, B, C, H, W)."""
    return units.unflatten(1, (replicas, -1)).transpose(0, 1)
