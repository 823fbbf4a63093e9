"""Running a study at a preset: equal-budget search, then paired final seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reviewlib.trial import cache, fingerprints, search
from reviewlib.trial.arms import Fingerprint
from reviewlib.trial.floor import floor
from reviewlib.trial.runs import Run
from reviewlib.trial.scores import Row
from reviewlib.trial.study import Preset, Study


@dataclass(frozen=True)
class Outcome:
    """The results of a study at a preset.

    Attributes:
        trials: one row per trial (see `search.tune`).
        rows: one row per final run, with the fields that the cache adds (`cache.ORIGIN`).
        floor: one row per seed and condition: accuracy of scikit-learn's logistic regression.
        fingerprints: the fingerprint of every arm.
    """

    trials: pd.DataFrame
    rows: list[Row]
    floor: pd.DataFrame
    fingerprints: Mapping[str, Fingerprint]


def run(
    study: Study,
    preset: Preset,
    *,
    arms: Sequence[str] = (),
    settings: pd.DataFrame | None = None,
    with_floor: bool = True,
    stamp: Mapping[str, str] | None = None,
    **how: object,
) -> Outcome:
    """Tune every arm, run the final seeds, and return the results.

    Every new final run is stamped with the digest of what defines its test. If the test changes
    later, the run keeps the old stamp.

    Args:
        study: the study to run.
        preset: its sizes.
        arms: names of the arms to run; empty for all of the preset's.
        settings: trials of another preset; the final runs use the settings chosen there. By
            default, each arm uses the settings chosen in its own trials.
        with_floor: whether to fit logistic regression too.
        stamp: fields added to every new row.
        how: device, engine, jobs and progress of `cache.map_runs`.

    Raises:
        OSError: the cache cannot be written; checked first.
        ValueError: the settings lack an arm or a condition; checked first.
    """
    cache.folder_of(study)
    places = [
        (arm, condition)
        for condition in study.conditions_of(preset)
        for arm in study.arms_in(condition, preset)
        if not arms or arm.name in arms
    ]
    if settings is not None:
        for arm, condition in places:
            search.settings_of(settings, arm.name, condition.name)
    mine = [arm for arm in study.arms_of(preset) if not arms or arm.name in arms]
    prints = {arm.name: fingerprints.fingerprint(study, arm) for arm in mine}

    def run_all(runs: Sequence[Run], **stamps: str) -> list[Row]:
        stamps |= stamp or {}
        return cache.map_runs(study, runs, fingerprints=prints, stamp=stamps, **how)

    trials = search.tune(study, places, preset, run_all)
    chosen = trials if settings is None else settings
    final = [
        Run(
            arm,
            condition,
            tuple(search.settings_of(chosen, arm.name, condition.name).items()),
            seed,
            preset,
            "final",
            fold=(index, preset.seeds),
        )
        for arm, condition in places
        for index, seed in enumerate(study.seeds(preset))
    ]
    rows = run_all(final, test=fingerprints.test_digest(study, preset))
    lines = floor(study, preset) if with_floor else pd.DataFrame()
    return Outcome(trials, rows, lines, prints)


def count_runs(study: Study, preset: Preset) -> int:
    """Return the number of runs of a study at a preset."""
    return sum(
        len(search.trials_of(study, arm, preset.trials)) * preset.tuning_seeds + preset.seeds
        for condition in study.conditions_of(preset)
        for arm in study.arms_in(condition, preset)
    )
