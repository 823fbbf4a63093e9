"""Which trainings run side by side as one batched model."""

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
    """Train all models in place: as one batched model where they allow it, else one by one.

    A stack takes dense nets of one shape on equally many examples, whose configurations, losses
    and optimizers differ in numbers only. The loss then gets x (R, B, C, H, W) and returns (R,),
    and numbers that differ reach it, and the optimizer, as tensors (R,). Nets of one hidden layer
    that differ in width too, on the same examples in the same order, are a ragged batch under `sgd`
    and `adam`. In either nothing may draw from torch's default generator; a draw from the CPU's is
    an error.

    Raises:
        ValueError: as `fit` raises it, or a stacked loss or optimizer drew random numbers.
    """
    if len(trainings) > 1 and (shared := _shared(trainings)) is not None:
        models = [training.model for training in trainings]
        if stackable(models):
            return train_stack(trainings, shared, Stack(models))
        if shared.optimizer in ELEMENTWISE and _share_batches(trainings):
            return train_stack(trainings, shared, Ragged(models))
    return [train_stack([training], training, Alone(training.model))[0] for training in trainings]


def _shared(trainings: Sequence[Training]) -> Training | None:
    """Return the training that stands for all of them, None if they differ in more than numbers."""
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
    """Return whether these are the widths of some seeds, each seed with the same batches."""
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
