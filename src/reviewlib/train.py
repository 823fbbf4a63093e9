"""The one training loop: `fit` trains a model on a split and knows nothing of papers.

A method enters through PyTorch's own nouns: the model, the loss or the optimizer. The loop calls
`optimizer.step(closure)` and nothing else: a method that needs two gradients takes two.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib.data import Split, stream, stream_seed

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Augment = Callable[[Tensor], Tensor]

# Losses stay on the device; they are looked at this often, so a GPU is not made to wait each step.
LOOK_EVERY = 50
# Parts of one batch draw from streams this far apart.
MOST_STEPS = 2**32


@dataclass(frozen=True)
class Config:
    """What one training run is told to do.

    Attributes:
        steps: optimizer steps.
        batch_size: examples a step; the last, smaller batch of an epoch is dropped.
        lr: peak learning rate.
        weight_decay: the optimizer's own (L2 for SGD and Adam).
        momentum: SGD's.
        schedule: learning rate after the warm-up: half a cosine down to 0, or constant.
        warmup: steps over which the learning rate rises linearly from 0.
        augment: maps a batch (B, C, H, W) to one of the same shape, on the device, drawing from
            torch's default generator.
        precision: "bfloat16" runs the forward pass in autocast and needs CUDA.
        curve: steps after which the validation split is looked at.
    """

    steps: int
    batch_size: int = 100
    lr: float = 0.1
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: int = 0
    augment: Augment | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    curve: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a field out of range."""
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(
                f"steps and batch_size must be at least 1, got {self.steps}, {self.batch_size}"
            )
        for name in ("lr", "weight_decay", "momentum"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number >= 0, got {value}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision must be 'float32' or 'bfloat16', got {self.precision!r}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got {self.schedule!r}")
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup must lie in [0, steps), got {self.warmup} of {self.steps}")
        if any(not 1 <= step <= self.steps for step in self.curve):
            raise ValueError(f"curve steps must lie in 1..{self.steps}, got {self.curve}")

    def lr_at(self, step: int) -> float:
        """Return the learning rate's share of its peak in `step` (0-based)."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.schedule == "constant":
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * (step - self.warmup) / (self.steps - self.warmup))


@dataclass(frozen=True)
class Fit:
    """What came out of one training run.

    Attributes:
        model: the model after its last step.
        losses: the training loss of each step, (steps,), on the CPU; of the clean pass under SAM.
        curve: (step, validation accuracy) at the declared steps.
        best: a copy of the model at its best declared step, None without a curve.
        diverged_at: the first step with a non-finite loss, None for a run that finished.
        passes: forward-backward passes over one example.
        seconds: CPU seconds of this process on a CPU, wall seconds on a GPU.
        peak_bytes: peak memory allocated on the GPU, None on a CPU.
        config: what was asked for.
        seed: the run's seed.
    """

    model: nn.Module
    losses: Tensor
    curve: tuple[tuple[int, float], ...]
    best: nn.Module | None
    diverged_at: int | None
    passes: int
    seconds: float
    peak_bytes: int | None
    config: Config = field(repr=False)
    seed: int


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of `model` on x (B, C, H, W) with labels y (B,)."""
    return F.cross_entropy(model(x), y)


def sgd(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return SGD with momentum; weight decay acts on all parameters."""
    return torch.optim.SGD(
        model.parameters(),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )


def adam(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return Adam with PyTorch's betas; weight decay is L2, added to the gradient."""
    return torch.optim.Adam(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )


def initialized(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return `make()` with its random initialization drawn from the seed's init stream."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, "init"))
        return make()


def batches(examples: int, config: Config, seed: int) -> Tensor:
    """Return the indices of every batch, (steps, B): epoch after epoch, each newly shuffled.

    Raises:
        ValueError: fewer examples than one batch.
    """
    per_epoch = examples // config.batch_size
    if per_epoch == 0:
        raise ValueError(
            f"a batch of {config.batch_size} needs at least as many examples, got {examples}; "
            "lower batch_size"
        )
    order = stream(seed, "order")
    epochs = [
        torch.randperm(examples, generator=order)[: per_epoch * config.batch_size]
        for _ in range(math.ceil(config.steps / per_epoch))
    ]
    return torch.cat(epochs).view(-1, config.batch_size)[: config.steps]


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, batch_size: int = 2000) -> dict[str, float]:
    """Return accuracy (fraction) and nll (nats) of the model in evaluation mode on a split."""
    was_training = model.training
    model.eval()
    correct = torch.zeros((), device=split.labels.device)
    nll = torch.zeros((), device=split.labels.device, dtype=torch.float64)
    for x, y in zip(split.pixels().split(batch_size), split.labels.split(batch_size), strict=True):
        logits = model(x)
        correct += (logits.argmax(1) == y).sum()
        nll += F.cross_entropy(logits, y, reduction="sum")
    model.train(was_training)
    return {"accuracy": correct.item() / len(split), "nll": nll.item() / len(split)}


def fit(
    model: nn.Module,
    train: Split,
    config: Config,
    *,
    seed: int,
    loss: Loss = cross_entropy,
    optimizer: Callable[[nn.Module, Config], torch.optim.Optimizer] = sgd,
    validate: Split | None = None,
) -> Fit:
    """Train the model in place.

    The batch order comes from the seed's order stream. Everything that a model, a loss or an
    optimizer draws from torch's default generator (views, dropout) comes from the method stream,
    which restarts from (seed, step) whenever the closure is called, so that an optimizer which
    evaluates one batch twice meets the same noise twice. What an optimizer draws before it calls
    the closure continues the stream of the step before.

    Args:
        model: on the device of `train`; trained in place.
        train: the examples; all of them as one tensor.
        config: sizes and hyperparameters.
        seed: owner of all randomness of the run.
        loss: maps (model, x, y) to a scalar.
        optimizer: maps (model, config) to an optimizer. The closure it is given also answers
            closure(i, k): the loss of the i-th of k equal parts of the batch.
        validate: the split that `config.curve` looks at.

    Raises:
        ValueError: a curve without a split to validate on, bfloat16 off CUDA, or too few examples.
    """
    if config.curve and validate is None:
        raise ValueError("config.curve names steps, so fit needs a split to validate on")
    device = train.labels.device
    if config.precision == "bfloat16" and device.type != "cuda":
        raise ValueError(f"bfloat16 needs a CUDA device, got {device}; use precision='float32'")
    images, labels = train.pixels(), train.labels
    order = batches(len(train), config, seed).to(device)
    opt = optimizer(model, config)
    peaks = [group["lr"] for group in opt.param_groups]
    losses = torch.full((config.steps,), torch.nan, device=device)
    curve: list[tuple[int, float]] = []
    best, diverged_at, passes = None, None, 0
    first_draw = stream_seed(seed, "method")
    cuda = [device] if device.type == "cuda" else []
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)

    def clock() -> float:
        if not cuda:
            return time.process_time()
        torch.cuda.synchronize(device)
        return time.perf_counter()

    start = clock()
    model.train()

    with torch.random.fork_rng(devices=cuda):
        _restart(first_draw - 1, cuda)  # for an optimizer that draws before its first closure
        for step in range(config.steps):
            x, y = images.index_select(0, order[step]), labels.index_select(0, order[step])

            def closure(part: int = 0, parts: int = 1, x=x, y=y, step=step) -> Tensor:
                nonlocal passes
                _restart(first_draw + step + part * MOST_STEPS, cuda)
                opt.zero_grad()
                if parts > 1:
                    x, y = _part(x, part, parts), _part(y, part, parts)
                if config.augment is not None:
                    x = config.augment(x)
                if config.precision == "bfloat16":
                    with torch.autocast("cuda", torch.bfloat16):
                        value = loss(model, x, y)
                else:
                    value = loss(model, x, y)
                value.backward()
                passes += len(y)
                return value.detach()

            share = config.lr_at(step)
            for group, peak in zip(opt.param_groups, peaks, strict=True):
                group["lr"] = peak * share
            losses[step] = opt.step(closure)

            done = step + 1
            if done % LOOK_EVERY == 0 or done == config.steps or done in config.curve:
                diverged_at = _first_non_finite(losses[:done])
                if diverged_at is not None:
                    break
            if done in config.curve:
                paused = clock()
                accuracy = evaluate(model, validate)["accuracy"]
                if not curve or accuracy > max(value for _, value in curve):
                    best = copy.deepcopy(model)
                curve.append((done, accuracy))
                start += clock() - paused  # looking is not training

        if diverged_at is None and not all(p.isfinite().all() for p in model.parameters()):
            diverged_at = config.steps - 1  # the last update, whose loss nobody saw

    return Fit(
        model=model,
        losses=losses.cpu(),
        curve=tuple(curve),
        best=best,
        diverged_at=diverged_at,
        passes=passes,
        seconds=clock() - start,
        peak_bytes=torch.cuda.max_memory_allocated(device) if cuda else None,
        config=config,
        seed=seed,
    )


def _part(batch: Tensor, part: int, parts: int) -> Tensor:
    if len(batch) % parts:
        raise ValueError(f"a batch of {len(batch)} cannot be cut into {parts} equal parts")
    size = len(batch) // parts
    return batch[part * size : (part + 1) * size]


def _restart(seed: int, cuda: list[torch.device]) -> None:
    """Seed torch's default generators, without the detours of torch.manual_seed."""
    torch.default_generator.manual_seed(seed)
    for device in cuda:
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


def _first_non_finite(losses: Tensor) -> int | None:
    bad = (~losses.isfinite()).nonzero()
    return int(bad[0]) if len(bad) else None
