"""Noise."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_noise(x: Tensor, sd: float, g: torch.Generator) -> Tensor:
    """Add noise of a standard deviation."""
    return x + sd * torch.randn(x.shape, generator=g)


def shot_noise(x: Tensor, photons: float, g: torch.Generator) -> Tensor:
    """Count photons, so many for a white pixel."""
    return torch.poisson(x * photons, generator=g) / photons


def impulse_noise(x: Tensor, amount: float, g: torch.Generator) -> Tensor:
    """Turn this share of the values black or white."""
    u = torch.rand(x.shape, generator=g)
    return x.masked_fill(u < amount / 2, 0).masked_fill_(u > 1 - amount / 2, 1)
