"""Running a study at a preset: every arm's search on every final seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reviewlib.trial import cache, fingerprints, search
from reviewlib.trial.arms import Arm, Condition, Fingerprint
from reviewlib.trial.floor import floor
from reviewlib.trial.results import best_settings
from reviewlib.trial.runs import Run
from reviewlib.trial.scores import Row
from reviewlib.trial.search import Settings
from reviewlib.trial.study import Preset, Study

# The settings of a run, by arm, condition and seed.
Chosen = Mapping[tuple[str, str, int], Settings]


@dataclass(frozen=True)
class Outcome:
    """The results of a study at a preset.

    Attributes:
        runs: one row per run (see `scores.row_of`), with the fields that the cache adds
            (`cache.ORIGIN`).
        floor: one row per seed and condition: accuracy of scikit-learn's logistic regression.
        fingerprints: the fingerprint of every arm.
    """

    runs: list[Row]
    floor: pd.DataFrame
    fingerprints: Mapping[str, Fingerprint]


def run(
    study: Study,
    preset: Preset,
    *,
    arms: Sequence[str] = (),
    settings: Chosen | None = None,
    with_floor: bool = True,
    stamp: Mapping[str, str] | None = None,
    **how: object,
) -> Outcome:
    """Search the settings of every arm on every final seed, and return all trials' scores.

    Every new run is stamped with the digest of what defines its test. If the test changes later,
    the run keeps the old stamp.

    Args:
        study: the study to run.
        preset: its sizes.
        arms: names of the arms to run, with their parents among them or among `settings`; empty
            for all of the preset's.
        settings: chosen settings. If the preset takes its settings from another one, they replace
            the search; otherwise they are those of the parents of `arms`.
        with_floor: whether to fit logistic regression too.
        stamp: fields added to every new row.
        how: device, engine, jobs and progress of `cache.map_runs`.

    Raises:
        OSError: the cache cannot be written; checked first.
    """
    cache.folder_of(study)
    mine = [arm for arm in study.arms_of(preset) if not arms or arm.name in arms]
    places = [
        (arm, condition)
        for condition in study.conditions_of(preset)
        for arm in study.arms_in(condition, preset)
        if arm in mine
    ]
    prints = {arm.name: fingerprints.fingerprint(study, arm) for arm in mine}
    stamps = {"test": fingerprints.test_digest(study, preset), **(stamp or {})}

    def run_all(runs: Sequence[Run]) -> list[Row]:
        return cache.map_runs(study, runs, fingerprints=prints, stamp=stamps, **how)

    known = settings or {}
    asked = [(arm, where, seed) for arm, where in places for seed in study.seeds(preset.at(where))]
    if preset.settings_from is None:
        rows = _searched(study, preset, asked, known, run_all)
    else:
        if not all((arm.name, where.name, seed) in known for arm, where, seed in asked):
            first = study.seeds(preset)[0]
            one = [(arm, where, first) for arm, where in places]
            found = chosen(_searched(study, preset, one, known, run_all))
            known = {
                (arm.name, where.name, seed): found[arm.name, where.name, first]
                for arm, where, seed in asked
            }
        rows = run_all(
            [
                Run(arm, where, seed, preset.at(where), (known[arm.name, where.name, seed],))
                for arm, where, seed in asked
            ]
        )
    lines = floor(study, preset) if with_floor else pd.DataFrame()
    return Outcome(rows, lines, prints)


def chosen(runs: Iterable[Row]) -> dict[tuple[str, str, int], Settings]:
    """Return the settings that each run's search chose."""
    return {(row["arm"], row["condition"], row["seed"]): best_settings(row) for row in runs}


def count_runs(study: Study, preset: Preset) -> int:
    """Return the number of runs of a study at a preset, without a search on the first seed."""
    return sum(
        len(study.arms_in(condition, preset)) * preset.at(condition).seeds
        for condition in study.conditions_of(preset)
    )


def _searched(
    study: Study,
    preset: Preset,
    asked: Sequence[tuple[Arm, Condition, int]],
    known: Chosen,
    run_all: Callable[[Sequence[Run]], list[Row]],
) -> list[Row]:
    """Return the row of every search; runs that take a parent's settings follow it."""
    rows: dict[tuple[str, str, int], Row] = {}
    for following in (False, True):
        found = {**known, **chosen(rows.values())}
        runs = []
        for arm, where, seed in asked:
            parents = study.parents(arm, where)
            if bool(parents) != following:
                continue
            if parents:
                theirs = [found[*parent, seed] for parent in parents]
                trials = search.around(search.joined(theirs, study.hyperparameters))
            else:
                trials = search.trials_of(study, arm, seed, preset.at(where).trials)
            runs.append(Run(arm, where, seed, preset.at(where), tuple(trials)))
        for row in run_all(runs):
            rows[row["arm"], row["condition"], row["seed"]] = row
    return [rows[arm.name, where.name, seed] for arm, where, seed in asked]
