"""The result of a run, from the row of all its trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reviewlib.trial.search import Settings, expected, ranking

# Columns that a result takes from the run as they are.
PLACE, WHOLE = ("arm", "condition", "seed"), ("passes", "seconds", "peak_bytes", "curve", "correct")


def result(run: Mapping[str, Any], tries: int) -> dict[str, Any]:
    """Return the result of a run: the expected test scores of the best of k tries.

    `tries` of 0 stands for all trials: the scores of the best of all, at its own settings. A result
    has diverged if all its trials have.
    """
    order = _order(run)
    scores = {
        metric: expected(values, order, tries or len(order))
        for metric, values in run["scores"].items()
        if not metric.startswith("validation_")
    }
    gone = [at for at in run["diverged_at"] if at is not None]
    return (
        {name: run[name] for name in PLACE}
        | {"settings": {**run["fixed"], **best_settings(run)}}
        | scores
        | {"diverged_at": min(gone) if len(gone) == len(run["diverged_at"]) else None}
        | {name: run.get(name) for name in WHOLE}
        | run["best"]
    )


def best_settings(run: Mapping[str, Any]) -> Settings:
    """Return the searched settings of a run's best trial on validation images."""
    first = _order(run)[0]
    return {name: values[first] for name, values in run["settings"].items()}


def listed(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per trial: arm, condition, seed, trial, rank, settings and scores.

    `rank` is its place on validation images, from 0, the best.
    """
    rows = []
    for run in runs:
        rank = {int(trial): place for place, trial in enumerate(_order(run))}
        rows += [
            {name: run[name] for name in PLACE}
            | {"trial": trial, "rank": rank[trial]}
            | {"settings": {name: values[trial] for name, values in run["settings"].items()}}
            | {metric: values[trial] for metric, values in run["scores"].items()}
            | {"diverged_at": diverged}
            for trial, diverged in enumerate(run["diverged_at"])
        ]
    return rows


def _order(run: Mapping[str, Any]) -> list[int]:
    return ranking(run["scores"]["validation_accuracy"], run["scores"]["validation_nll"]).tolist()
