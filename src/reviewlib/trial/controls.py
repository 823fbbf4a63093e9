"""Controls of the experiment: comparisons with a known answer, judged like claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reviewlib.trial.arms import Arm, Condition, Timing
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


def claims_of(study: Study, control: Arm, condition: Condition) -> list[Claim]:
    """Return the comparisons of the baseline with a control arm in a condition.

    The A/A control is compared on every measure that a primary claim of the condition has, or on
    accuracy if it has none, which a timing has not. The
    positive control is compared on accuracy alone: a quarter of the images need not cost anything
    else.
    """
    baseline = study.role("baseline")
    if not control.search_seed:
        fraction = control.train_fraction
        part = "a quarter" if fraction == QUARTER else f"{fraction:.0%}"
        text = f"{baseline.label} with all of its images against {part} of them"
        return [_claim("positive", text, baseline, control, condition)]
    mine = [claim for claim in study.primary if condition.name in _places(claim)]
    measures = {claim.measure: claim for claim in mine}
    if not measures and not isinstance(condition, Timing):
        measures = {("accuracy", "difference"): None}
    text = f"{baseline.label} against itself, tuned again"
    return [_claim(A_A, text, baseline, control, condition, of) for of in measures.values()]


def _claim(
    name: str, text: str, baseline: Arm, control: Arm, where: Condition, of: Claim | None = None
) -> Claim:
    """Return one comparison, on the measure of a primary claim if it is not accuracy."""
    own, suffix = {}, ""
    if of is not None and of.measure != ("accuracy", "difference"):
        own = {name: getattr(of, name) for name in ("metric", "better", "scale", "margin")}
        suffix, text = f"-{of.metric}", f"{text}, by {of.metric.replace('_', ' ')}"
    return Claim(
        f"{name}-{where.name}{suffix}",
        f"{text}, {where.label}.",
        "our control",
        "gain",
        primary=True,
        contrast=(baseline - control) @ where,
        **own,
    )


def _places(claim: Claim) -> set[str]:
    return {where for *_, where in claim.contrast}


def is_a_a(claim: Claim) -> bool:
    """Return whether a control's claim compares the baseline with itself."""
    return claim.name.startswith(f"{A_A}-")
