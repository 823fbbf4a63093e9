"""Weather."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reviewlib.data.corruptions.blur import moved, zoomed
from reviewlib.data.corruptions.digital import luma


def snow(x: Tensor, level: tuple[float, ...], g: torch.Generator) -> Tensor:
    """Add flakes: mean, sd, zoom and threshold, radius and sigma of their motion, light."""
    mean, sd, zoom, threshold, radius, sigma, light = level
    n, _, height, width = x.shape
    flakes = mean + sd * torch.randn(n, 1, height, width, generator=g)
    flakes = zoomed(flakes, zoom)
    flakes = (flakes * (flakes >= threshold)).clamp_(0, 1)
    angle = torch.empty(n).uniform_(-135, -45, generator=g)
    flakes = moved(flakes, radius, sigma, angle)
    gray = x if x.shape[1] == 1 else luma(x)
    x = light * x + (1 - light) * torch.maximum(x, gray * 1.5 + 0.5)
    return x + flakes + flakes.flip((-2, -1))


def frost(x: Tensor, level: tuple[float, float], g: torch.Generator) -> Tensor:
    """Mix with ice: weights of the image and of the ice."""
    image, ice = level
    return image * x + ice * _plasma(x, 2.0, g)


def fog(x: Tensor, level: tuple[float, float], g: torch.Generator) -> Tensor:
    """Add fog: its density, and how fast its map gets smooth."""
    density, decay = level
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + density * _plasma(x, decay, g)) * brightest / (brightest + density)


def brightness(x: Tensor, more: float, g: torch.Generator) -> Tensor:
    """Add to the value of HSV."""
    value = x.amax(1, keepdim=True)  # V of HSV; hue and saturation stay
    lighter = (value + more).clamp_(max=1)
    return torch.where(value > 0, x * lighter / value.clamp(min=1e-6), lighter)


def _plasma(x: Tensor, decay: float, g: torch.Generator) -> Tensor:
    """Return random height maps in [0, 1], (N, 1, H, W), by the diamond-square algorithm."""
    size = 2 ** math.ceil(math.log2(max(x.shape[-2:])))
    heights = torch.zeros(len(x), size, size)
    step, wibble = size, 100.0
    while step >= 2:
        half = step // 2

        def rough(total: Tensor, wibble: float = wibble) -> Tensor:
            noise = torch.empty_like(total).uniform_(-wibble, wibble, generator=g)
            return total / 4 + wibble * noise

        corners = heights[:, ::step, ::step]
        square = corners + corners.roll(-1, 1)
        heights[:, half::step, half::step] = rough(square + square.roll(-1, 2))
        centers = heights[:, half::step, half::step]
        across = corners + corners.roll(-1, 2)
        heights[:, ::step, half::step] = rough(centers + centers.roll(1, 1) + across)
        along = corners + corners.roll(-1, 1)
        heights[:, half::step, ::step] = rough(centers + centers.roll(1, 2) + along)
        step, wibble = half, wibble / decay
    heights -= heights.amin((1, 2), keepdim=True)
    heights /= heights.amax((1, 2), keepdim=True)
    return heights[:, None, : x.shape[-2], : x.shape[-1]]
