"""Blurs, and the filters that other corruptions share."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def defocus_blur(x: Tensor, level: tuple[float, float], g: torch.Generator) -> Tensor:
    """Blur by a disk: its radius, and the softness of its edge."""
    radius, softness = level
    axis = torch.arange(-3.0, 4)
    disk = (axis[:, None] ** 2 + axis**2 <= radius**2).float()
    soft = torch.exp(-(torch.arange(-1.0, 2) ** 2) / (2 * softness**2))
    soft = torch.outer(soft, soft)
    kernel = F.conv2d(disk[None, None] / disk.sum(), soft[None, None] / soft.sum(), padding=1)
    flat = F.pad(x, (3, 3, 3, 3), mode="reflect").flatten(0, 1).unsqueeze(1)
    return F.conv2d(flat, kernel).view_as(x)


def glass_blur(x: Tensor, level: tuple[float, int, float], g: torch.Generator) -> Tensor:
    """Let neighbors trade places: sigma of the blur, rounds, share of the pixels that move."""
    sigma, rounds, share = level
    x = smoothed(x, sigma)
    shape = (len(x), *x.shape[-2:])
    for _ in range(rounds):
        rows, columns = torch.randint(-1, 2, (2, *shape), generator=g)
        moves = torch.rand(shape, generator=g) < share
        x = taken(x, rows * moves, columns * moves)
    return smoothed(x, sigma)


def motion_blur(x: Tensor, level: tuple[int, float], g: torch.Generator) -> Tensor:
    """Blur along a random direction: radius and sigma."""
    return moved(x, *level, torch.empty(len(x)).uniform_(-45, 45, generator=g))


def zoom_blur(x: Tensor, most: float, g: torch.Generator) -> Tensor:
    """Average over zooms up to this one."""
    factors = [1 + 0.01 * step for step in range(round(100 * most) + 1)]
    return (x + sum(zoomed(x, factor) for factor in factors)) / (len(factors) + 1)


def smoothed(x: Tensor, sigma: float) -> Tensor:
    """Return x (N, C, H, W) under a Gaussian filter that ends at three sigma."""
    radius = min(int(3 * sigma + 0.5), min(x.shape[-2:]) - 1)
    if radius == 0:
        return x
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    flat = F.pad(x, (radius,) * 4, mode="reflect").flatten(0, 1).unsqueeze(1)
    return F.conv2d(F.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1)).view_as(x)


def taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return each pixel's value from so many rows and columns away, at most from the border.

    The offsets are (N, H, W), or (N, 1, 1) if all pixels of an image have one.
    """
    n, channels, height, width = x.shape
    row = (torch.arange(height)[:, None] + rows).clamp_(0, height - 1)
    column = (torch.arange(width) + columns).clamp_(0, width - 1)
    index = (row * width + column).view(n, 1, -1).expand(-1, channels, -1)
    return x.flatten(2).gather(2, index).view_as(x)


def moved(x: Tensor, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    """Return images blurred to one side along their angles (N,), by half a Gaussian."""
    radians = degrees.view(-1, 1, 1) * (math.pi / 180)
    steps = range(min(2 * radius + 1, int(3 * sigma) + 1))
    weights = [math.exp(-(step**2) / (2 * sigma**2)) for step in steps]
    moved = [
        taken(x, (step * radians.sin()).round().long(), (step * radians.cos()).round().long())
        for step in steps
    ]
    return sum(w * each for w, each in zip(weights, moved, strict=True)) / sum(weights)


def zoomed(x: Tensor, factor: float) -> Tensor:
    """Return the middle of each image, enlarged by a factor."""
    theta = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]])
    grid = F.affine_grid(theta[None], [1, 1, *x.shape[-2:]], align_corners=False)
    grid = grid.expand(len(x), -1, -1, -1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
