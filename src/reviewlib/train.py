"""The one training loop: `fit` trains a model on a split and knows nothing of papers.

A method enters through PyTorch's own nouns: the model, the loss or the optimizer. The loop calls
`optimizer.step(closure)` and nothing else: a method that needs two gradients takes two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib import ragged, replicas
from reviewlib.data import Split, stream, stream_seed
from reviewlib.watch import Watch

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Augment = Callable[[Tensor], Tensor]
MakeOptimizer = Callable[[nn.Module, "Config"], torch.optim.Optimizer]
Then = Callable[["Fit"], "Sequence[Training | Solution]"]

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
        lr: peak learning rate; in a stack whose runs differ, one a replica, (R,).
        weight_decay: the optimizer's own (L2 for SGD and Adam); in a stack as `lr`.
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
    lr: float | Tensor = 0.1
    weight_decay: float | Tensor = 0.0
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
            value = torch.as_tensor(getattr(self, name))
            if not (value.isfinite() & (value >= 0)).all():
                raise ValueError(f"{name} must be a finite number >= 0, got {value.tolist()}")
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
        config: what was asked for, None for a solution.
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
    config: Config | None = field(repr=False)
    seed: int


@dataclass(frozen=True)
class Training:
    """A training run, described and not yet started: what `fit` is called with.

    `then` says what follows from what came out: nothing, the next stage, or replicates of it.
    """

    model: nn.Module
    train: Split
    config: Config
    seed: int
    loss: Loss
    optimizer: MakeOptimizer
    validate: Split | None = None
    then: Then | None = None


@dataclass(frozen=True)
class Solution:
    """A model that is found without steps (in closed form, say), described and not yet found."""

    solve: Callable[[], nn.Module]
    seed: int
    passes: int = 0


def cross_entropy(
    model: nn.Module, x: Tensor, y: Tensor, smoothing: float | Tensor = 0.0
) -> Tensor:
    """Return the mean cross-entropy in nats of `model` on x (B, C, H, W) with labels y (B,).

    For a stack of replicas with x (R, B, C, H, W) and y (R, B) it returns every replica's, (R,).

    Args:
        model: one model or a stack.
        x: images.
        y: classes.
        smoothing: share of the labels that is spread evenly over all classes, in [0, 1]; a number,
            or one a replica, (R,).
    """
    log_p = F.log_softmax(model(x), -1)
    nll = -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1).mean(-1)
    if isinstance(smoothing, float) and smoothing == 0:
        return nll
    return (1 - smoothing) * nll - smoothing * log_p.mean((-2, -1))


def sgd_class(config: Config) -> Callable[..., torch.optim.Optimizer]:
    """Return torch's fused SGD, or the stack's where replicas differ in what it is told."""
    if isinstance(config.lr, Tensor) or isinstance(config.weight_decay, Tensor):
        return replicas.SGD
    return partial(torch.optim.SGD, fused=True)


def sgd(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return SGD with momentum; weight decay acts on all parameters."""
    return sgd_class(config)(
        ragged.groups(model, lr=config.lr, weight_decay=config.weight_decay),
        momentum=config.momentum,
    )


def adam(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return Adam with PyTorch's betas; weight decay is L2, added to the gradient."""
    differ = isinstance(config.lr, Tensor) or isinstance(config.weight_decay, Tensor)
    make = replicas.Adam if differ else partial(torch.optim.Adam, fused=True)
    return make(ragged.groups(model, lr=config.lr, weight_decay=config.weight_decay))


# Each treats a parameter by itself, so it may meet the units of many nets in one tensor.
ELEMENTWISE = (sgd, adam)


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
    optimizer: MakeOptimizer = sgd,
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
    training = Training(model, train, config, seed, loss, optimizer, validate)
    return _loop([training], training)[0]


def fit_all(trainings: Sequence[Training]) -> list[Fit]:
    """Train all models in place: as one batched model where they allow it, else one by one.

    A stack takes dense nets of one shape on equally many examples, whose configurations, losses
    and optimizers differ in numbers only. The loss then meets x (R, B, C, H, W) and returns (R,),
    and numbers that differ reach it, and the optimizer, as tensors (R,). Nets of one hidden layer
    that differ in width too, on the same examples in the same order, are a ragged batch under `sgd`
    and `adam`. In either nothing may draw from torch's default generator; what the CPU's shows of
    it is an error.

    Raises:
        ValueError: as `fit` raises it, or a stacked loss or optimizer drew random numbers.
    """
    if len(trainings) > 1 and (orders := _common(trainings)) is not None:
        models = [training.model for training in trainings]
        if replicas.stackable(models):
            return _loop(trainings, orders, replicas.Stack(models))
        if orders.optimizer in ELEMENTWISE and _ragged(trainings):
            return _loop(trainings, orders, ragged.Ragged(models))
    return [_loop([training], training)[0] for training in trainings]


def _common(trainings: Sequence[Training]) -> Training | None:
    """Return what the runs are told in common, None if they differ in more than numbers."""
    configs = [training.config for training in trainings]
    sizes = {(t.train.images.shape, t.train.images.device, t.validate is None) for t in trainings}
    alike = {replace(config, lr=0.0, weight_decay=0.0) for config in configs}
    if len(sizes) > 1 or len(alike) > 1 or configs[0].augment:
        return None
    like = next(trainings[0].model.parameters())
    try:
        config = replace(
            configs[0],
            lr=replicas.merged([config.lr for config in configs], like),
            weight_decay=replicas.merged([config.weight_decay for config in configs], like),
        )
        loss = replicas.merged([training.loss for training in trainings], like)
        optimizer = replicas.merged([training.optimizer for training in trainings], like)
    except ValueError:
        return None
    return replace(trainings[0], config=config, loss=loss, optimizer=optimizer)


def _ragged(trainings: Sequence[Training]) -> bool:
    """Return whether the widths of each seed can share its batches."""
    widths = ragged.widths_of([training.model for training in trainings])
    if widths is None:
        return False
    first = [trainings[i - i % len(widths)] for i in range(len(trainings))]
    return all(
        one.seed == other.seed
        and torch.equal(one.train.labels, other.train.labels)
        and torch.equal(one.train.images, other.train.images)
        and all(map(torch.equal, one.model.buffers(), other.model.buffers()))
        for one, other in zip(trainings, first, strict=True)
    )


def _loop(
    trainings: Sequence[Training],
    orders: Training,
    stack: replicas.Stack | ragged.Ragged | None = None,
) -> list[Fit]:
    """Train one model, or a stack of them by common orders; tensors of a stack lead with R."""
    config, device = orders.config, orders.train.labels.device
    if config.curve and orders.validate is None:
        raise ValueError("config.curve names steps, so fit needs a split to validate on")
    if config.precision == "bfloat16" and device.type != "cuda":
        raise ValueError(f"bfloat16 needs a CUDA device, got {device}; use precision='float32'")
    model = orders.model if stack is None else stack
    batch_of = _loader(trainings, stack)
    opt = orders.optimizer(model, config)
    peaks = [group["lr"] for group in opt.param_groups]
    losses = torch.full(
        (config.steps, len(trainings)),
        torch.nan,
        dtype=next(model.parameters()).dtype,
        device=device,
    )
    first_draw = stream_seed(orders.seed, "method")
    watch = Watch(len(trainings), device)
    model.train()

    with torch.random.fork_rng(devices=watch.cuda):
        _restart(first_draw - 1, watch.cuda)  # for an optimizer that draws before its first closure
        for step in range(config.steps):
            x, y = batch_of(step)

            def closure(part: int = 0, parts: int = 1, x=x, y=y, step=step) -> Tensor:
                if stack is None:
                    _restart(first_draw + step + part * MOST_STEPS, watch.cuda)
                opt.zero_grad()
                if parts > 1:
                    x, y = (_part(batch, part, parts, axis=y.ndim - 1) for batch in (x, y))
                if config.augment is not None:
                    x = config.augment(x)
                if config.precision == "bfloat16":
                    with torch.autocast("cuda", torch.bfloat16):
                        value = orders.loss(model, x, y)
                else:
                    value = orders.loss(model, x, y)
                value.sum().backward()  # replicas do not meet, so the sum has each one's gradient
                watch.passes += y.shape[-1]
                return value.detach()

            share = config.lr_at(step)
            for group, peak in zip(opt.param_groups, peaks, strict=True):
                group["lr"] = peak * share
            losses[step] = opt.step(closure)

            if stack is not None and step == 0:
                _refuse_draws(first_draw - 1)
            done = step + 1
            if done % LOOK_EVERY == 0 or done == config.steps or done in config.curve:
                if watch.divergence(losses[:done]):
                    break
            if done in config.curve:
                models = (model,) if stack is None else stack.unstacked()
                watch.validation(done, models, partial(_accuracy, trainings))

    models = (model,) if stack is None else stack.unstacked()
    watch.last_update(config.steps - 1, models)
    seconds, peak_bytes, losses = watch.seconds(), watch.peak_bytes(), losses.cpu()
    return [
        Fit(
            model=training.model,
            losses=losses[:, index],
            curve=tuple(seen.curve),
            best=seen.best,
            diverged_at=seen.diverged_at,
            passes=seen.passes,
            seconds=seconds,
            peak_bytes=peak_bytes,
            config=training.config,
            seed=training.seed,
        )
        for index, (training, seen) in enumerate(zip(trainings, watch.seen, strict=True))
    ]


def _loader(
    trainings: Sequence[Training], stack: replicas.Stack | ragged.Ragged | None
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Return what gives the batch of a step.

    x is (R, B, C, H, W), without R for one model and one a seed for a ragged batch; y is (R, B).
    """
    widths = len(stack.widths) if isinstance(stack, ragged.Ragged) else 1
    sources = trainings[::widths]
    dtype = next(trainings[0].model.parameters()).dtype
    images = torch.cat([training.train.pixels() for training in sources]).to(dtype)
    labels = torch.cat([training.train.labels for training in sources])
    orders = [
        batches(len(t.train), t.config, t.seed) + index * len(t.train)
        for index, t in enumerate(sources)
    ]
    order = torch.stack(orders, 1).to(labels.device)  # (steps, sources, B)

    def batch_of(step: int) -> tuple[Tensor, Tensor]:
        index = order[step].flatten()
        x, y = images.index_select(0, index), labels.index_select(0, index)
        if stack is None:
            return x, y
        shape = order.shape[1:]
        return x.unflatten(0, shape), y.view(shape).repeat_interleave(widths, 0)

    return batch_of


def _accuracy(trainings: Sequence[Training], index: int) -> float:
    return evaluate(trainings[index].model, trainings[index].validate)["accuracy"]


def _refuse_draws(seed: int) -> None:
    """Raise ValueError if anything was drawn since the default generator was seeded."""
    untouched = torch.Generator().manual_seed(seed).get_state()
    if not torch.equal(torch.default_generator.get_state(), untouched):
        raise ValueError(
            "a loss or optimizer of a stack must not draw random numbers, and one did; declare "
            "draws=True on its arm, so that each of its runs trains by itself"
        )


def _part(batch: Tensor, part: int, parts: int, axis: int) -> Tensor:
    if batch.shape[axis] % parts:
        raise ValueError(f"a batch of {batch.shape[axis]} cannot be cut into {parts} equal parts")
    size = batch.shape[axis] // parts
    return batch.narrow(axis, part * size, size)


def _restart(seed: int, cuda: list[torch.device]) -> None:
    """Seed torch's default generators, without the detours of torch.manual_seed."""
    torch.default_generator.manual_seed(seed)
    for device in cuda:
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
