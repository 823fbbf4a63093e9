"""Everything that a study.py needs to declare a study, in one import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from torch import nn

from reviewlib.data import Split
from reviewlib.train import Config, Solution, Training, adam, cross_entropy, evaluate, models, sgd
from reviewlib.train.recipe import Loss, MakeOptimizer
from reviewlib.trial.arms import Arm, Condition, Hyperparameter, Timing
from reviewlib.trial.claims import Claim, Reported
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.controls import standard_controls
from reviewlib.trial.inputs import Inputs, Sample
from reviewlib.trial.study import Preset, Study

__all__ = [
    "Arm",
    "Claim",
    "Condition",
    "Hyperparameter",
    "Inputs",
    "Preset",
    "Reported",
    "Sample",
    "Solution",
    "Study",
    "Timing",
    "Training",
    "adam",
    "cross_entropy",
    "evaluate",
    "gain",
    "models",
    "no_loss",
    "out_of_scope",
    "presets",
    "sgd",
    "standard_controls",
    "training",
]

LOOKS = 10  # a training is scored on validation images after every tenth of its steps
# The sizes that all studies share; a study adds to them or overrides them.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "quick": {
        "data": "fashion-mnist-subset",
        "image_size": 14,
        "trials": 4,
        "tries": 4,
        "seeds": 3,
        "settings_from": "laptop",
    },
    "laptop": {"data": "fashion-mnist", "image_size": 14, "trials": 16, "tries": 8, "seeds": 40},
    "gpu": {
        "data": "fashion-mnist",
        "image_size": 28,
        "train": 10_000,
        "validation": 4_000,
        "trials": 16,
        "tries": 8,
    },
}


def gain(
    name: str,
    contrast: Contrast,
    statement: str = "",
    where: str = "our question",
    **fields: Any,
) -> Claim:
    """Return the claim that a contrast is above zero (see `Claim`)."""
    return Claim(name, statement, where, "gain", contrast=contrast, **fields)


def no_loss(
    name: str, contrast: Contrast, statement: str, where: str, *, control: Contrast, **fields: Any
) -> Claim:
    """Return the claim that a contrast loses less than the margin; the control shows a loss."""
    return Claim(name, statement, where, "no loss", contrast=contrast, control=control, **fields)


def out_of_scope(
    name: str, statement: str, where: str, why: str, reported: tuple[Reported, ...] = ()
) -> Claim:
    """Return a claim of the paper that this experiment cannot test, with the reason."""
    return Claim(name, statement, where, "out of scope", why=why, reported=reported)


def presets(*, quick: Mapping[str, Any], **others: Mapping[str, Any]) -> tuple[Preset, ...]:
    """Return the presets of a study: the shared SIZES with the study's own on top.

    Args:
        quick: fields of `Preset` that differ from SIZES.
        others: the same for `laptop` and `gpu`.

    Raises:
        ValueError: a preset has another name, lacks a size, or has one that no preset has.
    """
    if unknown := sorted(set(others) - set(SIZES)):
        raise ValueError(f"presets must be called {', '.join(SIZES)}, got {unknown}")
    declared = {name: {**SIZES[name], **own} for name, own in {"quick": quick, **others}.items()}
    for name, sizes in declared.items():
        needed = {
            each.name
            for each in fields(Preset)
            if each.default is MISSING and each.default_factory is MISSING
        } - {"name"}
        if missing := sorted(needed - set(sizes)):
            raise ValueError(f"preset {name} needs the sizes {missing}: declare them")
        if unknown := sorted(set(sizes) - {field.name for field in fields(Preset)}):
            raise ValueError(f"preset {name} has no sizes {unknown}: see the fields of Preset")
    return tuple(Preset(name=name, **sizes) for name, sizes in declared.items())


def training(
    run: Inputs,
    *,
    model: nn.Module | None = None,
    train: Split | None = None,
    loss: Loss = cross_entropy,
    optimizer: MakeOptimizer = sgd,
    order: int | None = None,
    **config: Any,
) -> Training:
    """Return a training of a run; what is not given comes from the run's settings and preset.

    Args:
        run: the inputs of the run.
        model: the run's own net by default.
        train: the run's training images by default.
        loss: maps (model, x, y) to a scalar.
        optimizer: maps (model, config) to an optimizer.
        order: seed of the batch order; the run's own by default. An intermediate training takes
            another one, `next(run.orders)`, and is scored at its end only.
        config: fields of `Config` that differ from the defaults: the run's steps and batch size,
            its lr, its weight_decay if it has one, and ten evaluations on validation images.
    """
    steps = config.setdefault("steps", run.steps)
    config.setdefault("batch_size", run.preset.batch_size)
    if "lr" not in config:
        config["lr"] = run["lr"]
    if "weight_decay" in run:  # Config's own default is 0
        config.setdefault("weight_decay", run["weight_decay"])
    if order is None:
        looks = (math.ceil(steps * look / LOOKS) for look in range(1, LOOKS + 1))
        config.setdefault("eval_steps", tuple(looks))
    return Training(
        run.net() if model is None else model,
        run.sample.train if train is None else train,
        Config(**config),
        run.seed if order is None else order,
        loss,
        optimizer,
        run.sample.validation,
    )
