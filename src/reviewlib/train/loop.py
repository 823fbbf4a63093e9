"""The training loop of all papers, for one model or a stack of models.

A method plugs in as a model, a loss or an optimizer. Each step is one call of
`optimizer.step(closure)`; a method that needs two gradients calls the closure twice.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.train.batches import loader, part_of
from reviewlib.train.draws import Draws
from reviewlib.train.optimizers import sgd
from reviewlib.train.ragged import Ragged
from reviewlib.train.recipe import Config, Loss, MakeOptimizer, Training, cross_entropy
from reviewlib.train.replicas import Alone, Stack
from reviewlib.train.watch import Watch, evaluate

# Steps between two checks for non-finite losses: each check makes the CPU wait for the GPU.
CHECK_EVERY = 50


@dataclass(frozen=True)
class Fit:
    """The result of one training.

    Attributes:
        model: the model after its last step.
        losses: the training loss of each step, (steps,), on the CPU; SAM's is at unperturbed w.
        curve: (step, validation accuracy) at the config's `eval_steps`.
        best: a copy of the model at the evaluated step with the highest accuracy, None without any.
        diverged_at: the first step with a non-finite loss, None for a run that finished.
        passes: number of forward-backward passes, each over one example; every view that a loss
            makes of an example and shows the model is one.
        seconds: CPU seconds of this process on a CPU, wall seconds on a GPU.
        peak_bytes: peak memory allocated on the GPU, None on a CPU.
        config: the training's configuration, None for a `Solution`.
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


def fit(
    model: nn.Module,
    train: Split,
    config: Config,
    *,
    seed: int,
    loss: Loss = cross_entropy,
    optimizer: MakeOptimizer = sgd,
    validation: Split | None = None,
) -> Fit:
    """Train the model in place.

    The batch order comes from the seed's order stream. Models, losses and optimizers draw their
    random numbers (dropout, views) from torch's default generator. Each call of the closure reseeds
    it from (seed, step, part), so two calls on one batch draw the same numbers. Draws that an
    optimizer makes before it calls the closure continue the stream of the previous step.

    Args:
        model: on the device of `train`; trained in place.
        train: the training examples.
        config: sizes and hyperparameters.
        seed: source of all randomness of the training.
        loss: maps (model, x, y) to a scalar.
        optimizer: maps (model, config) to an optimizer. Its closure also accepts closure(i, k): it
            then evaluates part i, from 0, of k equal parts of the batch.
        validation: the split that the model is scored on after `config.eval_steps`.

    Raises:
        ValueError: `eval_steps` without a validation split, or fewer examples than a batch.
    """
    training = Training(model, train, config, seed, loss, optimizer, validation)
    return train_stack([training], training, Alone(model))[0]


def train_stack(
    trainings: Sequence[Training],
    shared: Training,
    stack: Alone | Stack | Ragged,
    log: list[list[bytes]] | None = None,
) -> list[Fit]:
    """Train the models of a stack, or one model alone, with the options of the shared training.

    A log gets what `Draws` logs.
    """
    config, device = shared.config, shared.train.labels.device
    if config.eval_steps and shared.validation is None:
        raise ValueError("config.eval_steps is given, so fit needs a validation split")
    batch_of = loader(trainings, stack)
    optimizer = shared.optimizer(stack.model, config)
    peaks = [group["lr"] for group in optimizer.param_groups]
    losses = torch.full(
        (config.steps, len(trainings)),
        torch.nan,
        dtype=next(stack.model.parameters()).dtype,
        device=device,
    )
    watch = Watch(len(trainings), device)
    stack.model.train()

    with torch.random.fork_rng(devices=watch.cuda):
        draws = Draws(shared.seed, watch.cuda)
        for step in range(config.steps):
            x, y = batch_of(step)

            def closure(part: int = 0, parts: int = 1, x=x, y=y, step=step) -> Tensor:
                draws.restart(step, part)
                optimizer.zero_grad()
                if parts > 1:
                    x, y = (part_of(batch, part, parts, axis=y.ndim - 1) for batch in (x, y))
                with watch.counting(stack.model, y.shape[-1]):
                    value = shared.loss(stack.model, x, y)
                value.sum().backward()  # the sum has each replica's own gradient
                return value.detach()

            factor = config.lr_factor(step)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            losses[step] = optimizer.step(closure)

            if step == 0:
                draws.note()
                if log is not None:
                    log += draws.log
                elif draws.any and not isinstance(stack, Alone):
                    _check_draws(draws, trainings, losses[0], stack.may_draw)
            done = step + 1
            evaluates = done in config.eval_steps
            if evaluates or done % CHECK_EVERY == 0 or done == config.steps:
                if watch.divergence(losses[:done]):
                    break
            if evaluates:
                watch.validation(done, stack.unstacked(), partial(_accuracy, trainings))

    watch.last_update(config.steps - 1, stack.unstacked())
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
        )
        for index, (training, seen) in enumerate(zip(trainings, watch.seen, strict=True))
    ]


def _accuracy(trainings: Sequence[Training], index: int) -> float:
    return evaluate(trainings[index].model, trainings[index].validation)["accuracy"]


def _check_draws(
    draws: Draws, trainings: Sequence[Training], losses: Tensor, may_draw: bool
) -> None:
    """Raise ValueError unless a stack may draw and drew as its last training does by itself."""
    if not may_draw:
        raise ValueError(
            "models that train together must not draw random numbers unless all see the same "
            "batches, and a loss, an optimizer or a layer drew some; train those of each seed by "
            "themselves: in a study, declare stochastic=True on the arm"
        )
    of, log = trainings[-1], []
    config = replace(of.config, steps=1, eval_steps=())
    alone = replace(of, model=copy.deepcopy(of.model), config=config)
    (fit,) = train_stack([alone], alone, Alone(alone.model), log)
    close = {"rtol": 1e-3, "atol": 1e-6, "equal_nan": True}
    if log != draws.log or not torch.isclose(fit.losses[0], losses[-1].cpu(), **close):
        raise ValueError(
            "a stack must draw the random numbers that each of its models draws alone, and one "
            f"drew others (first loss {losses[-1]:.6g}, alone {fit.losses[0]:.6g}); draw without "
            "the axis of replicas: for the examples x.shape[:-3], not for len(x), y or logits"
        )
