"""The training loop of all papers, for one model or a stack of models.

A method plugs in as a model, a loss or an optimizer. Each step is one call of
`optimizer.step(closure)`; a method that needs two gradients calls the closure twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from reviewlib.data import Split, stream_seed
from reviewlib.train.batches import loader, part_of
from reviewlib.train.optimizers import sgd
from reviewlib.train.ragged import Ragged
from reviewlib.train.recipe import Config, Loss, MakeOptimizer, Training, cross_entropy
from reviewlib.train.replicas import Alone, Stack
from reviewlib.train.watch import Watch, evaluate

# Steps between two checks for non-finite losses: each check makes the CPU wait for the GPU.
CHECK_EVERY = 50
# The seeds of two parts of a batch are this far apart: more than any number of steps, but small,
# because torch's CPU generator uses only the low 32 bits of a seed.
MOST_STEPS = 2**20


@dataclass(frozen=True)
class Fit:
    """The result of one training.

    Attributes:
        model: the model after its last step.
        losses: the training loss of each step, (steps,), on the CPU; SAM's is at unperturbed w.
        curve: (step, validation accuracy) at the config's `eval_steps`.
        best: a copy of the model at the evaluated step with the highest accuracy, None without any.
        diverged_at: the first step with a non-finite loss, None for a run that finished.
        passes: number of forward-backward passes, each over one example.
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
    trainings: Sequence[Training], shared: Training, stack: Alone | Stack | Ragged
) -> list[Fit]:
    """Train the models of a stack, or one model alone, with the options of the shared training."""
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
    first_draw = stream_seed(shared.seed, "method")
    watch = Watch(len(trainings), device)
    stack.model.train()

    with torch.random.fork_rng(devices=watch.cuda):
        _restart(first_draw - 1, watch.cuda)  # an optimizer may draw before its first closure
        for step in range(config.steps):
            x, y = batch_of(step)

            def closure(part: int = 0, parts: int = 1, x=x, y=y, step=step) -> Tensor:
                if stack.may_draw:
                    _restart(first_draw + step + part * MOST_STEPS, watch.cuda)
                optimizer.zero_grad()
                if parts > 1:
                    x, y = (part_of(batch, part, parts, axis=y.ndim - 1) for batch in (x, y))
                value = shared.loss(stack.model, x, y)
                value.sum().backward()  # the sum has each replica's own gradient
                watch.passes += y.shape[-1]
                return value.detach()

            factor = config.lr_factor(step)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            losses[step] = optimizer.step(closure)

            if step == 0 and not stack.may_draw:
                _refuse_draws(first_draw - 1)
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


def _refuse_draws(seed: int) -> None:
    """Raise ValueError if anything was drawn since the default generator was seeded."""
    untouched = torch.Generator().manual_seed(seed).get_state()
    if not torch.equal(torch.default_generator.get_state(), untouched):
        raise ValueError(
            "models that train together must not draw random numbers unless all see the same "
            "batches, and a loss, an optimizer or a layer drew some; train those of each seed by "
            "themselves: in a study, declare stochastic=True on the arm"
        )


def _restart(seed: int, cuda: list[torch.device]) -> None:
    """Seed torch's default generators, without the overhead of torch.manual_seed."""
    torch.default_generator.manual_seed(seed)
    for device in cuda:
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
