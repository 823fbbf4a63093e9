"""What arms cost: passes, seconds and new hyperparameters."""

from __future__ import annotations

import pandas as pd

from reviewlib.evidence.record import Record
from reviewlib.trial.arms import CORE_ROLES
from reviewlib.trial.study import Study


def price(study: Study, record: Record) -> pd.DataFrame:
    """Return what each core arm costs: passes, seconds and new hyperparameters.

    Seconds are the median over runs, and a run's seconds are its share of its stack's time. An arm
    that trains unstacked has no seconds, because they would not be comparable.
    """
    cost = passes(study, record)
    seconds = _of_first_condition(study, record.rows).groupby("arm")["seconds"].median()
    base = study.role("baseline").search
    return pd.DataFrame(
        {
            "arm": arm.label,
            "forward-backward passes": f"{cost[arm.name]:.2g}×",
            "seconds per run": "trains unstacked" if arm.stochastic else f"{seconds[arm.name]:.2f}",
            "new hyperparameters": ", ".join(k for k in arm.search if k not in base) or "none",
        }
        for arm in study.arms
        if arm.role in CORE_ROLES
    )


def passes(study: Study, record: Record) -> pd.Series:
    """Return each arm's forward-backward passes per run, as a multiple of the baseline's."""
    counted = record.rows.groupby(["condition", "arm"])["passes"].median().unstack("condition")
    return (counted / counted.loc[study.role("baseline").name]).median(axis=1)


def _of_first_condition(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every arm in the first condition that the arm runs in."""
    place = rows["condition"].map(
        {condition.name: place for place, condition in enumerate(study.conditions)}
    )
    return rows[place == place.groupby(rows["arm"]).transform("min")]
