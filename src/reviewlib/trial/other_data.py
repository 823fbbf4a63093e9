"""A study with another number of seeds, or on another data set."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

from reviewlib import data
from reviewlib.data import image_folder
from reviewlib.trial.study import Preset, Study

# What a run needs of another data set, at least: batches of training images (an arm may get only a
# quarter of them), and batches of validation images.
TRAINING_BATCHES, VALIDATION_BATCHES = 4, 1
TEST_FOLD = 50  # test images per final seed, at least
MOST_SEEDS = 40
LEAST_SEEDS = 10  # fewer judge no claim


def resize(preset: Preset, seeds: int | None = None, name: str | None = None) -> Preset:
    """Return the preset with another number of final seeds or on another data set.

    On another data set, a run takes at most half of a pool, and every final seed has at least 50
    test images; unless `seeds` says otherwise, there are at most 40.

    Raises:
        ValueError: `seeds` is no whole number, or below two, too few for an interval.
        DataError: the data set cannot be read, or is too small.
    """
    if seeds is not None and (type(seeds) is not int or seeds < 2):
        raise ValueError(
            f"seeds must be a whole number of at least 2, or there is no interval, got {seeds!r}"
        )
    if name in (None, preset.data):
        where = preset.where
        if seeds:
            where = {
                condition: {name: value for name, value in sizes.items() if name != "seeds"}
                for condition, sizes in where.items()
            }
        return replace(preset, seeds=seeds or preset.seeds, where=where)
    return _fitted(preset, data.load(name), seeds)


def study_on(study: Study, dataset: data.Dataset) -> Study:
    """Return the study on another data set, without the presets that are too large for it.

    With too few test images it awaits more of them, so no claim of it is judged (see `shortfall`).
    """
    fitted = []
    for preset in study.presets:
        with contextlib.suppress(data.DataError):
            fitted.append(resize(preset, name=dataset.name))
    return replace(study, presets=tuple(fitted), awaiting=shortfall(dataset))


def shortfall(dataset: data.Dataset) -> str:
    """Return the text that says how many images are missing to judge a claim, "" if none are.

    With fewer than 10 final seeds of 50 test images, all that a study finds is exploratory.
    """
    there, least = len(dataset.test), LEAST_SEEDS * TEST_FOLD
    if there >= least:
        return ""
    missing = least - there
    lacking = "1 test image is missing" if missing == 1 else f"{missing:,} test images are missing"
    images = math.ceil(missing / image_folder.TEST)
    return (
        f"everything here is exploratory: {there:,} test images give {there // TEST_FOLD} final "
        f"seeds of {TEST_FOLD}, and to judge a claim takes {LEAST_SEEDS}. {lacking}: "
        f"add about {images:,} images, as about {image_folder.TEST:.0%} are for testing."
    )


def _fitted(preset: Preset, dataset: data.Dataset, seeds: int | None) -> Preset:
    """Return the preset on another data set, with sizes that fit it."""
    train, validation = dataset.development.train, dataset.development.validation
    batch = preset.batch_size
    needed = {
        "training": (len(train), 2 * TRAINING_BATCHES * batch),  # a run takes half of them
        "validation": (len(validation), 2 * VALIDATION_BATCHES * batch),
        "test": (len(dataset.test), TEST_FOLD * (seeds or 2)),
    }
    for what, (there, least) in needed.items():
        if there < least:
            raise data.DataError(
                f"the preset {preset.name} needs at least {least} {what} images, but there are "
                f"{there} in {dataset.name}; add images or take a smaller preset"
            )
    most = {
        "train": data.limit(len(train)) // batch * batch,
        "validation": data.limit(len(validation)),
        "seeds": seeds or min(len(dataset.test) // TEST_FOLD, MOST_SEEDS),
    }
    where = {
        name: {size: min(value, most.get(size, value)) for size, value in sizes.items()}
        for name, sizes in preset.where.items()
    }
    return replace(
        preset,
        data=dataset.name,
        where=where,
        image_size=data.nearest_image_size(train, preset.image_size),
        train=min(preset.train, most["train"]),
        validation=min(preset.validation, most["validation"]),
        seeds=seeds or min(preset.seeds, most["seeds"]),
    )
