"""Whether the nets of a claim learned more than logistic regression does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from reviewlib.evidence import contrasts, stats
from reviewlib.evidence.results import is_timed, results
from reviewlib.evidence.stats import Interval
from reviewlib.trial.claims import Claim
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.evidence.record import Record

FLOOR = "logistic regression"


def health(study: Study, record: Record, claim: Claim) -> dict[tuple[str, str], Interval]:
    """Return how far a claim's arms lead logistic regression in accuracy, at 95%.

    Returns:
        Intervals by arm and condition; empty if the record has no logistic regression, and for
        timed steps.

    Raises:
        ValueError: a seed or condition has none.
    """
    timed = is_timed(study, claim.contrast)  # a single step learns nothing
    if record.floor.empty or claim.kind == "out of scope" or timed:
        return {}
    columns = ["arm", "condition", "seed", "accuracy"]
    both = results(study, record, claim.contrast), record.floor.assign(arm=FLOOR)
    rows = pd.concat([table[columns] for table in both])
    return {
        (arm, condition): stats.t_interval(
            contrasts.by_seed(rows, ((1, arm, condition), (-1, FLOOR, condition)), "accuracy")
        )
        for _, arm, condition in claim.contrast
    }


def not_learned(study: Study, leads: Mapping[tuple[str, str], Interval]) -> list[tuple[str, str]]:
    """Return the arms, with condition, that had to learn and do not lead logistic regression."""
    return [
        (arm, condition)
        for (arm, condition), lead in leads.items()
        if lead.lo <= 0 and not study.arm(arm).may_fail
    ]
