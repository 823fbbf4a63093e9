"""The choice of trainings that run side by side as one batched model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter

import torch

from reviewlib.train.loop import Fit, train_stack
from reviewlib.train.optimizers import ELEMENTWISE
from reviewlib.train.ragged import Ragged, widths_of
from reviewlib.train.recipe import Training
from reviewlib.train.replicas import Alone, Stack, merged, same_inputs, stackable


def fit_all(trainings: Sequence[Training]) -> list[Fit]:
    """Train all models in place, as one batched model if possible, else one by one.

    A stack takes dense or convolutional nets of one shape, on equally many examples, whose
    configurations, losses and optimizers differ only in numbers. Trainings with the same images and
    order share a batch: the loss gets x (S, B, C, H, W) of the S different batches and y (R, B),
    and returns (R,). The loss and the optimizer get numbers that differ as tensors (R,). A ragged
    batch takes nets with one hidden layer of different widths, on the same batches, under `sgd` or
    `adam`.

    A stack may draw from torch's default generators if all its trainings see the same batches
    (S = 1). It draws once for all of them, without an axis of replicas: a loss for the examples
    x.shape[:-3], an optimizer for the parameters of one model; layers of dropout do so already. So
    each model gets what it would draw alone. The first step of a stack that draws is checked
    against that of its last training alone.

    Raises:
        ValueError: see `fit`; or a stack with S > 1 or a ragged batch drew random numbers; or a
            stack drew others than a training alone.
    """
    groups = _by_batches(trainings)
    order = list(chain(*groups))  # each group in one piece
    fits = _fit_together([trainings[index] for index in order], math.gcd(*map(len, groups)))
    return [fit for _, fit in sorted(zip(order, fits, strict=True), key=itemgetter(0))]


def _fit_together(trainings: Sequence[Training], models_a_batch: int) -> list[Fit]:
    """Train all models, of which every `models_a_batch` one after another see the same batches."""
    if len(trainings) > 1 and (shared := _shared(trainings)) is not None:
        models = [training.model for training in trainings]
        if stackable(models):
            return train_stack(trainings, shared, Stack(models, models_a_batch))
        widths = widths_of(models)
        if shared.optimizer in ELEMENTWISE and widths and models_a_batch % len(widths) == 0:
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


def _by_batches(trainings: Sequence[Training]) -> list[list[int]]:
    """Return the positions of the trainings, those that see the same batches in one list."""
    groups: list[list[int]] = []
    for position, training in enumerate(trainings):
        for group in groups:
            if _same_batches(training, trainings[group[0]]):
                group.append(position)
                break
        else:
            groups.append([position])
    return groups


def _same_batches(one: Training, other: Training) -> bool:
    """Return whether two trainings have the same images in the same order, normalized alike."""
    return (
        one.seed == other.seed
        and one.train.images.device == other.train.images.device
        and torch.equal(one.train.labels, other.train.labels)
        and torch.equal(one.train.images, other.train.images)
        and same_inputs(one.model, other.model)
    )
