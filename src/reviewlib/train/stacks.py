"""The choice of trainings that run side by side as one batched model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from reviewlib.train.loop import Fit, train_stack
from reviewlib.train.optimizers import ELEMENTWISE
from reviewlib.train.ragged import Ragged, widths_of
from reviewlib.train.recipe import Training
from reviewlib.train.replicas import Alone, Stack, merged, stackable


def fit_all(trainings: Sequence[Training]) -> list[Fit]:
    """Train all models in place, as one batched model if possible, else one by one.

    A stack takes dense nets of one shape, on equally many examples, whose configurations, losses
    and optimizers differ only in numbers. The loss then gets x (R, B, C, H, W) and returns (R,);
    the loss and the optimizer get numbers that differ as tensors (R,). A ragged batch takes nets
    with one hidden layer of different widths, on the same batches, under `sgd` or `adam`. Neither
    may draw from torch's default generators; a draw from the CPU's generator raises an error.

    Raises:
        ValueError: see `fit`; or a loss or an optimizer of a stack drew random numbers.
    """
    if len(trainings) > 1 and (shared := _shared(trainings)) is not None:
        models = [training.model for training in trainings]
        if stackable(models):
            return train_stack(trainings, shared, Stack(models))
        if shared.optimizer in ELEMENTWISE and _share_batches(trainings):
            return train_stack(trainings, shared, Ragged(models))
    return [train_stack([training], training, Alone(training.model))[0] for training in trainings]


def _shared(trainings: Sequence[Training]) -> Training | None:
    """Return one training for all, numbers merged; None if they differ in more than numbers."""
    configs = [training.config for training in trainings]
    sizes = {(t.train.images.shape, t.train.images.device, t.validation is None) for t in trainings}
    alike = {replace(config, lr=0.0, weight_decay=0.0) for config in configs}
    if len(sizes) > 1 or len(alike) > 1:
        return None
    like = next(trainings[0].model.parameters())
    try:
        config = replace(
            configs[0],
            lr=merged([config.lr for config in configs], like),
            weight_decay=merged([config.weight_decay for config in configs], like),
        )
        loss = merged([training.loss for training in trainings], like)
        optimizer = merged([training.optimizer for training in trainings], like)
    except ValueError:
        return None
    return replace(trainings[0], config=config, loss=loss, optimizer=optimizer)


def _share_batches(trainings: Sequence[Training]) -> bool:
    """Return whether the models form a ragged batch and all of a seed see the same batches."""
    widths = widths_of([training.model for training in trainings])
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
