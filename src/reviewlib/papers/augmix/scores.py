"""Scores of a model under corruption, and of its calibration, before and after a temperature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib.data import Split
from reviewlib.data.corruptions import CIFAR_C, MNIST_C, SEVERITIES, benchmark, severity_of
from reviewlib.train.calibration import calibration_errors, temperature
from reviewlib.trial.declare import Sample

# The corruptions of CIFAR_C that resemble AugMix's operations: the first two autocontrast, equalize
# and solarize, the third rotation and shearing. Those of MNIST_C are far from all of them.
OVERLAPPING = ("brightness", "contrast", "elastic_transform")
DISJOINT = tuple(name for name in CIFAR_C if name not in OVERLAPPING)
GROUPS = {"corrupted": CIFAR_C, "disjoint": DISJOINT, "overlapping": OVERLAPPING, "far": MNIST_C}
IMAGES = 2000  # images of a fold that are corrupted, at most
BATCH = 2000


def said(name: str) -> str:
    """Return a corruption or an operation as words."""
    return name.replace("_", " ")


def scores(model: nn.Module, fold: Split, sample: Sample) -> dict[str, float]:
    """Return a model's accuracies under corruption and its calibration errors.

    Each image of the fold is seen once with each corruption, at severities that take turns.
    Calibration is measured within each corruption of CIFAR_C and averaged over them.

    Args:
        model: the model.
        fold: the test images of its seed.
        sample: its images; the temperature is fitted on the validation images.

    Returns:
        `temperature`; `GROUP_accuracy` for each of GROUPS, the mean over its corruptions;
        `NAME_accuracy` for each corruption; `severity_N_accuracy`, over CIFAR_C; `corrupted_nll`;
        and the errors of `calibration_errors`, with `corrupted_` before them for corrupted images,
        and then with `scaled_` for logits that were divided by the temperature.
    """
    t = temperature(logits_of(model, sample.validation), sample.validation.labels)
    right, calibration = {}, []
    for name, split in _corrupted(fold).items():
        logits = logits_of(model, split)
        right[name] = (logits.argmax(-1) == split.labels).double()
        if name in CIFAR_C:
            nll = {"corrupted_nll": float(F.cross_entropy(logits, split.labels))}
            calibration.append(nll | _calibration(logits, split.labels, t, "corrupted_"))
    found = {name: float(each.mean()) for name, each in right.items()}
    found |= {
        group: sum(found[name] for name in names) / len(names) for group, names in GROUPS.items()
    }
    for severity in SEVERITIES:
        at = [right[name][severity_of(len(fold), name)[:IMAGES] == severity] for name in CIFAR_C]
        found[f"severity_{severity}"] = float(sum(each.mean() for each in at)) / len(at)
    return (
        {"temperature": t}
        | _calibration(logits_of(model, fold), fold.labels, t)
        | _means(calibration)
        | {f"{name}_accuracy": value for name, value in found.items()}
    )


def _calibration(logits: Tensor, labels: Tensor, t: float, where: str = "") -> dict[str, float]:
    scaled = calibration_errors(logits / t, labels)
    return {
        f"{where}{name}": value for name, value in calibration_errors(logits, labels).items()
    } | {f"{where}scaled_{name}": value for name, value in scaled.items()}


def _means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    rows = list(rows)
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


@lru_cache(maxsize=1)  # all trials of a run are scored on one fold
def _corrupted(fold: Split) -> dict[str, Split]:
    part = fold.take(range(min(len(fold), IMAGES)))
    return {name: Split(benchmark(part.images, name), part.labels) for name in (*CIFAR_C, *MNIST_C)}


def under_corruption(model: nn.Module, split: Split) -> tuple[Tensor, Tensor]:
    """Return a model's logits (N, classes) under all of CIFAR_C, and the labels (N,)."""
    sets = [each for name, each in _corrupted(split).items() if name in CIFAR_C]
    return torch.cat([logits_of(model, each) for each in sets]), split.labels.repeat(len(sets))


@torch.no_grad()
def logits_of(model: nn.Module, split: Split) -> Tensor:
    """Return a model's logits on a split, in evaluation mode, (N, classes)."""
    was_training = model.training
    model.eval()
    logits = torch.cat([model(x) for x in split.pixels().split(BATCH)])
    model.train(was_training)
    return logits
