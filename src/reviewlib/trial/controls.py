"""Controls of the experiment: comparisons with a known answer, judged like claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reviewlib.trial.arms import Arm, Condition
from reviewlib.trial.claims import Claim

if TYPE_CHECKING:
    from reviewlib.trial.study import Study

QUARTER = 0.25
A_A = "a_a"  # first part of the name of an A/A control's claim


def standard_controls(baseline: Arm, conditions: Sequence[Condition] = ()) -> tuple[Arm, Arm]:
    """Return the two control arms of every study.

    The A/A control repeats the baseline with other search points, initializations and batch orders
    on the same images: any difference is luck. The positive control is the baseline, at the
    settings that its search chose, with a quarter of its images: the experiment must find this
    loss.

    Args:
        baseline: the arm that they repeat.
        conditions: the conditions they are run in, which must include every one with a primary
            claim; the baseline's by default.
    """
    control = replace(baseline, role="control", conditions=conditions or baseline.conditions)
    return (
        replace(
            control,
            name=f"{baseline.name}_again",
            label=f"{baseline.label}, tuned again (A/A)",
            note="the baseline against itself: other search points, initializations, batch orders",
            search_seed=1,
        ),
        replace(
            control,
            name=f"{baseline.name}_quarter",
            label=f"{baseline.label}, a quarter of the images",
            search=(),
            parent=baseline.name,
            note="a loss that must be found: the baseline has four times its images",
            train_fraction=QUARTER,
        ),
    )


def control_claim(study: Study, control: Arm, condition: Condition) -> Claim:
    """Return the comparison of the baseline with a control arm in a condition."""
    baseline = study.role("baseline")
    if control.search_seed:
        name, statement = A_A, f"{baseline.label} against itself, tuned again"
    else:
        name, fraction = "positive", control.train_fraction
        part = "a quarter" if fraction == QUARTER else f"{fraction:.0%}"
        statement = f"{baseline.label} with all of its images against {part} of them"
    return Claim(
        f"{name}-{condition.name}",
        f"{statement}, {condition.label}.",
        "our control",
        "gain",
        primary=True,
        contrast=(baseline - control) @ condition,
    )


def is_a_a(claim: Claim) -> bool:
    """Return whether a control's claim compares the baseline with itself."""
    return claim.name.startswith(f"{A_A}-")
