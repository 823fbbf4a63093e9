"""A study with another number of seeds, or on another data set."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from reviewlib import data
from reviewlib.trial.study import Preset, Study

# What a preset needs of another data set, at least: batches of training images (an arm may get only
# a quarter of them), batches of validation images, and test images per final seed.
TRAINING_BATCHES, VALIDATION_BATCHES, TEST_FOLD = 4, 1, 10


def resize(preset: Preset, seeds: int | None = None, name: str | None = None) -> Preset:
    """Return the preset with another number of final seeds or on another data set.

    Raises:
        ValueError: there are fewer than two seeds, too few for an interval.
        DataError: the data set cannot be read, or is too small.
    """
    if seeds is not None and seeds < 2:
        raise ValueError(f"seeds must be at least 2, or there is no interval, got {seeds}")
    preset = replace(preset, seeds=seeds or preset.seeds)
    return preset if name in (None, preset.data) else _fitted(preset, data.load(name))


def study_on(study: Study, dataset: data.Dataset) -> Study:
    """Return the study on another data set, without the presets that are too large for it."""
    fitted = []
    for preset in study.presets:
        with contextlib.suppress(data.DataError):
            fitted.append(resize(preset, name=dataset.name))
    return replace(study, presets=tuple(fitted))


def _fitted(preset: Preset, dataset: data.Dataset) -> Preset:
    """Return the preset on another data set, with sizes that fit it, and with its own tuning."""
    train, validation = dataset.development.train, dataset.development.validation
    batch = preset.batch_size
    needed = {
        "training": (len(train), TRAINING_BATCHES * batch),
        "validation": (len(validation), VALIDATION_BATCHES * batch),
        "test": (len(dataset.test), TEST_FOLD * preset.seeds),
    }
    for what, (there, least) in needed.items():
        if there < least:
            raise data.DataError(
                f"the preset {preset.name} needs at least {least} {what} images, but there are "
                f"{there} in {dataset.name}; add images or take a smaller preset"
            )
    return replace(
        preset,
        data=dataset.name,
        image_size=data.nearest_image_size(train, preset.image_size),
        train=min(preset.train, len(train) // batch * batch),
        validation=min(preset.validation, len(validation)),
        settings_from=None,
    )
