"""Tables of a chapter: pure functions of a study, its records and its verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from reviewlib.evidence import stats, units
from reviewlib.evidence.contrasts import by_seed
from reviewlib.evidence.health import not_learned
from reviewlib.evidence.record import Record
from reviewlib.evidence.results import at_parents_settings, results
from reviewlib.evidence.rules import NOT_LEARNED
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import costs
from reviewlib.trial.arms import Arm
from reviewlib.trial.claims import Claim, Reported
from reviewlib.trial.contrast import two_by_two as contrasts_of
from reviewlib.trial.search import FACTORS
from reviewlib.trial.study import Study


def interval_text(interval: stats.Interval, metric: str, scale: str = "difference") -> str:
    """Return the ends of an interval as effects, with its level."""
    lo, hi = (units.effect(end, metric, scale) for end in (interval.lo, interval.hi))
    return f"{lo} to {hi} ({units.percent(interval.level)})"


def claims(study: Study) -> pd.DataFrame:
    """Return the claim card: each claim with its source, the paper's number and our test."""
    return pd.DataFrame(
        {
            "claim": claim.statement,
            "where": claim.where,
            "the paper reports": _reported(claim),
            "our test": _test(study, claim),
            "kind": f"{claim.kind}, primary" if claim.primary else claim.kind,
        }
        for claim in study.claims
        if claim.reported or claim.primary or claim.kind == "out of scope"
    )


def arms(study: Study, record: Record) -> pd.DataFrame:
    """Return what each arm is, what it is tuned over and what a trial of it costs."""
    cost = costs.passes(study, record)
    return pd.DataFrame(
        {
            "arm": arm.label,
            "role": arm.role,
            "why it is here": arm.note,
            "tuned over": _searched(study, arm),
            "cost of a trial": f"{cost[arm.name]:.2g}×" if cost[arm.name] > 0 else None,
        }
        for arm in study.arms
    )


def contrasts(study: Study, outs: Iterable[Verdict]) -> pd.DataFrame:
    """Return paired differences with their intervals; a verdict only where a claim is primary."""
    return pd.DataFrame(_contrast(study, out) for out in outs)


def verdicts(study: Study, outs: Iterable[Verdict]) -> pd.DataFrame:
    """Return the verdicts on the primary claims, and why other claims are out of scope."""
    rows = []
    for out in outs:
        if out.claim.primary:
            rows.append(_contrast(study, out) | {"could have noticed": _power(study, out)})
        elif out.interval is None:
            rows.append({"claim": out.claim.statement, "verdict": "out of scope"})
            rows[-1]["could have noticed"] = out.claim.why
    return pd.DataFrame(rows)


def two_by_two(
    study: Study,
    record: Record,
    arms: tuple[str, str, str, str],
    condition: str,
    methods: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return main effects and interaction of two methods, on error and on the log of error.

    Args:
        study: the study, which has the labels.
        record: the record of the final runs.
        arms: names of the arms with neither method, the first, the second, both.
        condition: name of the condition.
        methods: what the two methods are called; by default as their arms are.
    """
    neither, first, second, both = (study.arm(name) for name in arms)
    names = methods or (first.label, second.label)
    what = {"first": names[0], "second": names[1], "interaction": "interaction"}
    found = contrasts_of(neither, first, second, both, study.condition(condition))
    rows = []
    for name, contrast in found.items():
        row = {"main effects and interaction": what[name]}
        for heading, log in (("fewer errors, points", False), ("errors divided by", True)):
            judged = results(study, record, contrast)
            values = by_seed(judged, contrast, "error", log=log, sign=-1.0)
            interval, scale = stats.t_interval(values), "log ratio" if log else "difference"
            ends = interval_text(interval, "error", scale)
            row[heading] = f"{units.effect(interval.mean, 'error', scale)}; {ends}"
        rows.append(row | {"n": str(interval.n)})
    return pd.DataFrame(rows)


def contrast_label(study: Study, out: Verdict) -> str:
    """Return what is compared: "SAM − SGD · clean labels"."""
    claim = out.claim
    weights = sorted(weight for weight, *_ in claim.contrast)
    if weights == [-1, -1, 1, 1]:
        _, arm, condition = claim.contrast.terms[0]
        terms = f"{study.arm(arm).label}, interaction · {study.condition(condition).label}"
    elif len(weights) > 2:
        terms = claim.statement.rstrip(".")
    else:
        terms = _terms(study, claim, " · ")
    early = ", stopped early" if claim.metric.startswith("early") else ""
    return terms + early + how(study, claim)


def how(study: Study, claim: Claim) -> str:
    """Return ", at the parent's settings" for a claim that is judged there, else ""."""
    parents = at_parents_settings(study, claim.contrast) and not study.awaiting
    return ", at the parent's settings" if parents else ""


def word(study: Study, out: Verdict) -> str:
    """Return the verdict on a claim or control; "awaiting" and "exploratory" stand for none."""
    none = "awaiting" if study.awaiting and out.claim.primary else "exploratory"
    return out.verdict or none


def _terms(study: Study, claim: Claim, separator: str) -> str:
    """Return a contrast in words: "SAM − SGD" with one condition, or with one for each term."""
    one_condition = len({condition for _, _, condition in claim.contrast}) == 1
    terms = " ".join(
        f"{'+' if weight > 0 else units.MINUS} {study.arm(arm).label}"
        + ("" if one_condition else f" ({study.condition(condition).label})")
        for weight, arm, condition in claim.contrast
    ).removeprefix("+ ")
    return (
        f"{terms}{separator}{study.condition(claim.contrast.terms[0][2]).label}"
        if one_condition
        else terms
    )


def _contrast(study: Study, out: Verdict) -> dict[str, str]:
    gone, runs = out.diverged
    but = (*out.marks, *([f"{gone} of {runs} runs diverged"] if gone else ()))
    of = out.claim.measure
    return {
        "claim": out.claim.statement.removesuffix(".") + how(study, out.claim) + ".",
        "verdict": word(study, out) + (f" ({'; '.join(but)})" if but else ""),
        "effect": units.with_unit(out.interval.mean, *of),
        "interval": interval_text(out.interval, *of),
        "n": f"{out.interval.n} launches" if out.claim.timed else str(out.interval.n),
        "margin": units.effect(out.claim.boundary, *of),
    }


def _power(study: Study, out: Verdict) -> str | None:
    """Return what the test could detect, what would settle it, or whose net did not learn."""
    of = out.claim.measure
    if out.verdict is None:
        return None
    if out.verdict == NOT_LEARNED:
        leads = (
            f"{study.arm(arm).label}, {study.condition(where).label}: "
            f"{units.with_unit(out.health[arm, where].mean, 'accuracy')} on logistic regression "
            f"({interval_text(out.health[arm, where], 'accuracy')})"
            for arm, where in not_learned(study, out.health)
        )
        return "; ".join(leads)
    if out.interval.n < stats.FEWEST_FOR_POWER:
        text = f"not shown below {stats.FEWEST_FOR_POWER} seeds"
    elif out.claim.kind == "no loss":
        text = (
            "with no true difference, it would be supported in at least "
            f"{units.percent(out.if_equal)} of cases; "
            f"the control differs by {units.with_unit(out.control.mean, *of)}"
        )
    else:
        text = units.with_unit(out.detectable, *of)
    return f"{text}; {out.settling}" if out.settling else text


def _searched(study: Study, arm: Arm) -> str:
    """Return what an arm is tuned over, and why over less than others."""
    if arm.parent:
        labels = " and ".join(study.arm(name).label for name in arm.parents)
        between = (
            "in the middle between the settings of"
            if len(arm.parents) > 1
            else "at the settings of"
        )
        factors = ", ".join(f"{factor:g}" for factor in FACTORS)
        tries_rates = "lr" in study.searched(arm) and not study.awaiting
        return f"{between} {labels}" + f", lr × {factors}" * tries_rates
    why = f" ({arm.searches_less})" if arm.searches_less else ""
    return (", ".join(arm.search) or "nothing") + why


def _runs(number: Reported) -> str:
    if not number.runs:
        return "runs not stated"
    return "1 run" if number.runs == 1 else f"{number.runs} runs"


def _reported(claim: Claim) -> str:
    if not claim.reported:
        return "no number that we could check"
    return "; ".join(
        f"{number.text}; {_runs(number)}, {'with' if number.interval else 'without'} an interval"
        for number in claim.reported
    )


def _test(study: Study, claim: Claim) -> str:
    if claim.kind == "out of scope":
        return f"none here: {claim.why}"
    margin = units.with_unit(claim.boundary, *claim.measure)
    return f"{_terms(study, claim, ', ')}; margin {margin} ({claim.margin_reason})"
