"""The description of a training: sizes, hyperparameters, loss and optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib.data import Split, stream_seed

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
MakeOptimizer = Callable[[nn.Module, "Config"], torch.optim.Optimizer]


@dataclass(frozen=True)
class Config:
    """The sizes and hyperparameters of one training.

    Attributes:
        steps: optimizer steps.
        batch_size: examples per step; the last, smaller batch of an epoch is dropped.
        lr: peak learning rate; one per replica, (R,), in a stack whose replicas differ.
        weight_decay: as the optimizer defines it (L2 for SGD and Adam); in a stack like `lr`.
        momentum: momentum of SGD.
        schedule: of the learning rate: half a cosine down to 0, or constant.
        eval_steps: steps after which the model is scored on the validation split.
    """

    steps: int
    batch_size: int = 100
    lr: float | Tensor = 0.1
    weight_decay: float | Tensor = 0.0
    momentum: float = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    eval_steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a field out of range."""
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(
                f"steps and batch_size must be at least 1, got {self.steps}, {self.batch_size}"
            )
        for name in ("lr", "weight_decay", "momentum"):
            value = torch.as_tensor(getattr(self, name))
            if not (value.isfinite() & (value >= 0)).all():
                raise ValueError(f"{name} must be a finite number >= 0, got {value.tolist()}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got {self.schedule!r}")
        if any(not 1 <= step <= self.steps for step in self.eval_steps):
            raise ValueError(f"eval_steps must lie in 1..{self.steps}, got {self.eval_steps}")

    def lr_factor(self, step: int) -> float:
        """Return the factor on the peak learning rate in `step` (0-based)."""
        if self.schedule == "constant":
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * step / self.steps)


@dataclass(frozen=True)
class Training:
    """A training that has not started: the arguments of `fit`."""

    model: nn.Module
    train: Split
    config: Config
    seed: int
    loss: Loss
    optimizer: MakeOptimizer
    validation: Split | None = None


@dataclass(frozen=True)
class Solution:
    """A model to be found without optimizer steps, for example in closed form.

    Attributes:
        solve: returns the model.
        passes: its cost, the number of forward-backward passes, each over one example.
    """

    solve: Callable[[], nn.Module]
    passes: int = 0


def cross_entropy(
    model: nn.Module, x: Tensor, y: Tensor, smoothing: float | Tensor = 0.0
) -> Tensor:
    """Return the mean cross-entropy in nats of `model` on x (B, C, H, W) with labels y (B,).

    For a stack, with x (S, B, C, H, W) of S shared batches and y (R, B), it is one value per
    replica, (R,).

    Args:
        model: one model or a stack.
        x: images.
        y: labels.
        smoothing: fraction of each label that is spread evenly over all classes, in [0, 1]; one
            number, or one per replica, (R,).
    """
    log_p = F.log_softmax(model(x).mT, -2)  # with few classes, the innermost loop is the batch
    nll = -log_p.gather(-2, y.unsqueeze(-2)).mean((-2, -1))
    if isinstance(smoothing, float) and smoothing == 0:
        return nll
    return (1 - smoothing) * nll - smoothing * log_p.mean((-2, -1))


def initialized(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return `make()` with its random initialization drawn from the seed's init stream."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, "init"))
        return make()
