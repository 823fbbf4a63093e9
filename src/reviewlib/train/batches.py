"""The order of batches, and the batches of a stack, from data sets held as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reviewlib.data import stream
from reviewlib.train.ragged import Ragged
from reviewlib.train.recipe import Config, Training
from reviewlib.train.replicas import Alone, Stack


def batch_order(examples: int, config: Config, seed: int) -> Tensor:
    """Return the example indices of every batch, (steps, B); each epoch is shuffled anew.

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


def loader(
    trainings: Sequence[Training], stack: Alone | Stack | Ragged
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Return a function from the step to its batch x, y, in the shapes that the stack takes."""
    sources = trainings[:: stack.models_a_batch]
    dtype = next(trainings[0].model.parameters()).dtype
    images = torch.cat([training.train.pixels() for training in sources]).to(dtype)
    labels = torch.cat([training.train.labels for training in sources])
    indices = [
        batch_order(len(t.train), t.config, t.seed) + index * len(t.train)
        for index, t in enumerate(sources)
    ]
    order = torch.stack(indices, 1).to(labels.device)  # (steps, sources, B)

    def batch_of(step: int) -> tuple[Tensor, Tensor]:
        index = order[step].flatten()
        x, y = images.index_select(0, index), labels.index_select(0, index)
        return stack.arranged(x.unflatten(0, order.shape[1:]), y.view(order.shape[1:]))

    return batch_of


def part_of(batch: Tensor, part: int, parts: int, axis: int) -> Tensor:
    """Return part number `part`, from 0, of `parts` equal parts of a batch along an axis.

    Raises:
        ValueError: the batch has no equal parts of this number.
    """
    if batch.shape[axis] % parts:
        raise ValueError(f"a batch of {batch.shape[axis]} cannot be cut into {parts} equal parts")
    size = batch.shape[axis] // parts
    return batch.narrow(axis, part * size, size)
