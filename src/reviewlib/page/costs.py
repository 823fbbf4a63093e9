"""What arms cost: passes, seconds and new hyperparameters."""

from __future__ import annotations

import pandas as pd

from reviewlib.evidence.record import Record
from reviewlib.trial.arms import CORE_ROLES
from reviewlib.trial.study import Study


def price(study: Study, record: Record) -> pd.DataFrame:
    """Return what each core arm costs: passes, seconds, trials and new hyperparameters.

    Passes and seconds are those of one trial. Seconds are the median over runs, and a trial's
    seconds are its share of its stack's time; a stochastic arm's stack has one seed's trials only.
    A search has equally many trials in every arm, so it multiplies all prices alike.
    """
    cost = passes(study, record)
    runs = record.runs.assign(trials=record.runs["diverged_at"].map(len))
    runs["seconds"] /= runs["trials"]
    first = _of_first_condition(study, runs).groupby("arm")[["seconds", "trials"]].median()
    seconds, trials = first["seconds"], first["trials"]
    base = study.role("baseline").search
    return pd.DataFrame(
        {
            "arm": arm.label,
            "forward-backward passes": f"{cost[arm.name]:.2g}×",
            "seconds per trial": f"{seconds[arm.name]:.2g}"
            + (", one seed a stack" if arm.stochastic else ""),
            "trials per seed": f"{trials[arm.name]:g}",
            "new hyperparameters": ", ".join(k for k in arm.search if k not in base) or "none",
        }
        for arm in study.arms
        if arm.role in CORE_ROLES and arm.name in seconds
    )


def passes(study: Study, record: Record) -> pd.Series:
    """Return each arm's forward-backward passes a trial, as a multiple of the baseline's.

    They are those in the first condition that both run in; NaN if there is none.
    """
    counted = record.rows.groupby(["condition", "arm"])["passes"].median().unstack("condition")
    counted = counted[[c.name for c in study.conditions if c.name in counted]]
    return (counted / counted.loc[study.role("baseline").name]).bfill(axis=1).iloc[:, 0]


def _of_first_condition(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every arm in the first condition that the arm runs in."""
    place = rows["condition"].map(
        {condition.name: place for place, condition in enumerate(study.conditions)}
    )
    return rows[place == place.groupby(rows["arm"]).transform("min")]
