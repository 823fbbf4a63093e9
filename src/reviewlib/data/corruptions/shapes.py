"""What no camera does: the four of MNIST-C."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def stripe(x: Tensor, share: float, g: torch.Generator) -> Tensor:
    """Invert a stripe at each side, of this share of the width."""
    width = round(share * x.shape[-1])
    column = torch.arange(x.shape[-1])
    return torch.where((column < width) | (column >= x.shape[-1] - width), 1 - x, x)


def dotted_line(x: Tensor, lines: int, g: torch.Generator) -> Tensor:
    """Draw so many dotted lines."""
    dots = torch.arange(x.shape[-1]) // 2 % 2 == 0
    return _lines(x, lines, g, shown=dots)


def zigzag(x: Tensor, lines: int, g: torch.Generator) -> Tensor:
    """Draw so many zigzag lines."""
    wave = 4 * ((torch.arange(x.shape[-1]) / 8) % 1 - 0.5).abs() - 1  # in [-1, 1], 8 pixels long
    return _lines(x, lines, g, offset=2 * wave)


def inverse(x: Tensor, share: float, g: torch.Generator) -> Tensor:
    """Invert a random band of this share of the rows."""
    height = x.shape[-2]
    rows = round(share * height)
    first = torch.randint(0, height - rows + 1, (len(x), 1, 1, 1), generator=g)
    row = torch.arange(height).view(-1, 1)
    return torch.where((row >= first) & (row < first + rows), 1 - x, x)


def _lines(
    x: Tensor, lines: int, g: torch.Generator, shown: Tensor | bool = True, offset: Any = 0.0
) -> Tensor:
    """Return images with white lines from the left to the right between random rows.

    Args:
        x: images.
        lines: number of lines.
        g: draws the rows.
        shown: whether a line is drawn in each column, (W,).
        offset: rows that it lies lower in each column, (W,).
    """
    height, width = x.shape[-2:]
    for _ in range(lines):
        left, right = torch.rand(2, len(x), 1, generator=g) * (height - 1)
        at = left + (right - left) * torch.linspace(0, 1, width) + offset  # (N, W)
        away = (torch.arange(height)[:, None] - at[:, None]).abs()
        x = torch.maximum(x, ((1.5 - away).clamp_(0, 1) * shown).unsqueeze(1))
    return x
