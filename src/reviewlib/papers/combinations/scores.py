"""Scores of a model under corruption."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F

from reviewlib.data import Split
from reviewlib.data.corruptions import CIFAR_C, benchmark
from reviewlib.papers.augmix.scores import logits_of
from reviewlib.trial.declare import Sample

IMAGES = 1000  # images of a fold that are corrupted, at most


def scores(model: nn.Module, fold: Split, sample: Sample) -> dict[str, float]:
    """Return a model's accuracy and loss under the corruptions of CIFAR-10-C.

    The first images of the fold are seen once with each corruption, at severities that take turns.

    Args:
        model: the model.
        fold: the test images of its seed.
        sample: its own images, which this needs not.

    Returns:
        `corrupted_accuracy` and `corrupted_nll`, in nats.
    """
    split = _corrupted(fold)
    logits = logits_of(model, split)
    return {
        "corrupted_accuracy": float((logits.argmax(-1) == split.labels).double().mean()),
        "corrupted_nll": float(F.cross_entropy(logits, split.labels)),
    }


@lru_cache(maxsize=1)  # all trials of a run are scored on one fold
def _corrupted(fold: Split) -> Split:
    part = fold.take(range(min(len(fold), IMAGES)))
    images = torch.cat([benchmark(part.images, name) for name in CIFAR_C])
    return Split(images, part.labels.repeat(len(CIFAR_C)))
