"""What a claim is judged by: the rows of a record and their values, seed by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reviewlib.evidence import contrasts
from reviewlib.trial.claims import TIMED, Claim
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.evidence.record import Record


COLUMNS = ["arm", "condition", "seed", *TIMED]  # of timings


def results(study: Study, record: Record, terms: Contrast) -> pd.DataFrame:
    """Return the rows that a contrast is judged by.

    They are the expected results of a search; with an arm that takes a parent's settings and
    searches nothing but its learning rate, the results at the best settings of all ("at the
    parent's settings"). Those of timed steps are launches.
    """
    if is_timed(study, terms):
        return record.timings.table if record.timings else pd.DataFrame(columns=COLUMNS)
    return record.best if at_parents_settings(study, terms) else record.rows


def is_timed(study: Study, terms: Contrast) -> bool:
    """Return whether a contrast is of timed steps, not of trained nets."""
    timed = {where.name for where in study.timings}
    return any(condition in timed for _, _, condition in terms)


def at_parents_settings(study: Study, terms: Contrast) -> bool:
    """Return whether a contrast has an arm that takes its settings from a parent."""
    return any(
        study.parents(study.arm(arm), study.condition(condition)) for _, arm, condition in terms
    )


def conditions_of(claim: Claim) -> set[str]:
    """Return the names of the conditions that a claim compares arms in."""
    return {condition for _, _, condition in claim.contrast}


def holds(rows: pd.DataFrame, terms: Contrast) -> bool:
    """Return whether the rows have every arm of a contrast in its condition."""
    there = set(zip(rows["arm"], rows["condition"], strict=True))
    return all((arm, condition) in there for _, arm, condition in terms)


def values_of(claim: Claim, rows: pd.DataFrame, terms: Contrast) -> pd.Series:
    """Return a contrast by seed, on a claim's metric and scale, positive in favor of the claim."""
    return contrasts.by_seed(
        rows,
        terms,
        claim.metric,
        log=claim.scale == "log ratio",
        sign=1.0 if claim.better == "higher" else -1.0,
    )


def diverged_of(rows: pd.DataFrame, terms: Contrast) -> tuple[int, int]:
    """Return the number of a contrast's runs that diverged, and of all its runs."""
    pairs = {(arm, condition) for _, arm, condition in terms}
    mine = rows[[pair in pairs for pair in zip(rows["arm"], rows["condition"], strict=True)]]
    return int(mine["diverged_at"].notna().sum()), len(mine)
