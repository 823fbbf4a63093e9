"""The losses of the study's arms, on random crops; each draws its views from torch's generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib.papers.augmix.method import OPERATIONS, AugMix, AugMixLoss, views
from reviewlib.trial.declare import Inputs, Training, cross_entropy, training

Loss = Callable[..., Tensor]
PADDING = 1  # pixels around an image of 28, before it is cropped


def trained(run: Inputs, *, loss: Loss) -> Iterator[Training]:
    """Train by SGD."""
    yield training(run, loss=loss)


def severe(run: Inputs, *, loss: Loss, **options: Any) -> Iterator[Training]:
    """Train by SGD with a loss that takes the run's severity."""
    yield training(run, loss=partial(loss, severity=run["severity"], **options))


def cropped(x: Tensor) -> Tensor:
    """Return each image of x (..., C, H, W) mirrored or not, and cropped after black padding."""
    images = x.flatten(0, -4)
    n, _, height, width = images.shape
    mirror, down, right = torch.rand(n, 3).to(x.device).T
    images = torch.where(mirror.view(-1, 1, 1, 1) < 0.5, images.flip(-1), images)
    row = ((2 * PADDING + 1) * down).long().view(-1, 1, 1) + _axis(height, x).unsqueeze(1)
    column = ((2 * PADDING + 1) * right).long().view(-1, 1, 1) + _axis(width, x)
    index = (row * (width + 2 * PADDING) + column).view(n, 1, -1)
    padded = F.pad(images, (PADDING,) * 4).flatten(2)
    return padded.gather(2, index.expand(-1, padded.shape[1], -1)).view_as(x)


def on_crops(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy on crops."""
    return cross_entropy(model, cropped(x), y)


def on_agreement(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    severity: float | Tensor,
    operations: tuple[str, ...] = OPERATIONS,
) -> Tensor:
    """Return AugMix's loss on crops."""
    return AugMixLoss(AugMix(severity, operations=operations))(model, cropped(x), y)


def on_mixed(model: nn.Module, x: Tensor, y: Tensor, *, severity: float | Tensor) -> Tensor:
    """Return the cross-entropy on one augmented view of each crop."""
    return cross_entropy(model, AugMix(severity)(cropped(x)), y)


def on_one_operation(model: nn.Module, x: Tensor, y: Tensor, *, severity: float | Tensor) -> Tensor:
    """Return the cross-entropy on each crop after one random operation, not mixed with the crop."""
    one = AugMix(severity, width=1, depth=1, m=1.0)
    return cross_entropy(model, one(cropped(x)), y)


def on_three_views(model: nn.Module, x: Tensor, y: Tensor, *, severity: float | Tensor) -> Tensor:
    """Return the mean cross-entropy of a crop and of two augmented views of it."""
    clean, *augmented = views(model, cropped(x), AugMix(severity))
    return sum(_nll(logits, y) for logits in (clean, *augmented)) / 3


def on_three_crops(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return AugMix's loss with two further crops of an image in place of the augmented views."""
    return AugMixLoss(lambda _: cropped(torch.cat([x, x], -4)))(model, cropped(x), y)


def _nll(logits: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(lambda _: logits, y, y)


def _axis(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device)
