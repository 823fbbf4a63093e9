"""Compute verdicts from claims and records; no verdict is typed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from reviewlib.evidence import contrasts, history, stats
from reviewlib.evidence.controls import calibration, judge_controls
from reviewlib.evidence.health import health, not_learned
from reviewlib.evidence.results import conditions_of, diverged_of, results, values_of
from reviewlib.evidence.rules import (
    NOT_LEARNED,
    VERDICTS,
    Verdict,
    rule_for_gain,
    rule_for_no_loss,
)
from reviewlib.trial.claims import Claim
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.evidence.record import Record

__all__ = [
    "VERDICTS",
    "Verdict",
    "calibration",
    "health",
    "judge",
    "judge_all",
    "judge_controls",
]


def judge(study: Study, record: Record, claim: Claim) -> Verdict:
    """Return the verdict on a claim of a study.

    A primary claim whose nets did not learn is not judged (see `health`); one in whose conditions a
    control failed is marked. While a study awaits new records, no claim has a verdict.

    Args:
        study: the study; its primary claims' intervals must hold together.
        record: its records.
        claim: the claim to judge.

    Raises:
        ValueError: the records do not hold the arms, or their seeds are unpaired.
    """
    if claim.kind == "out of scope":
        return Verdict(claim, "out of scope")
    if claim.timed and record.timings is None:
        raise ValueError(f"steps of {study.name} were not timed: run `reviewlib time {study.name}`")
    level = stats.simultaneous_level(len(study.primary)) if claim.primary else 0.95
    table = results(study, record, claim.contrast)
    values = values_of(claim, table, claim.contrast)
    interval = stats.t_interval(values, level)
    detectable = word = control = if_equal = None
    spread = interval.sd, interval.n, level, claim.margin
    if claim.kind == "gain":
        word = rule_for_gain(interval, claim.margin)
        detectable = stats.detectable_gain(*spread)
    elif claim.control:
        of_control = results(study, record, claim.control)
        control = stats.t_interval(values_of(claim, of_control, claim.control), level)
        word = rule_for_no_loss(interval, control, claim.margin)
        if interval.n >= stats.FEWEST_FOR_POWER:
            if_equal = stats.chance_no_loss(0.0, *spread, control)
    out = Verdict(
        claim,
        None,
        interval,
        values,
        detectable,
        diverged=diverged_of(table, (*claim.contrast, *claim.control)),
        control=control,
        if_equal=if_equal,
    )
    if not claim.primary or study.awaiting:
        return out
    leads = health(study, record, claim)
    word = NOT_LEARNED if not_learned(study, leads) else word
    to_settle, settling = _settling(out, table) if word == "inconclusive" else (None, "")
    marks = _marks(claim, judge_controls(study, record)) + _earlier_marks(study, record, claim)
    return replace(
        out, verdict=word, to_settle=to_settle, settling=settling, health=leads, marks=marks
    )


def judge_all(study: Study, record: Record) -> list[Verdict]:
    """Return the verdicts on all claims of a study, in the order of their declaration."""
    return [judge(study, record, claim) for claim in study.claims]


def _marks(claim: Claim, outs: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(
        f"a control failed: {out.claim.name}"
        for out in outs
        if out.verdict == "failed" and conditions_of(out.claim) & conditions_of(claim)
    )


def _earlier_marks(study: Study, record: Record, claim: Claim) -> tuple[str, ...]:
    """Return the failures of controls under earlier registrations, which no new version clears."""
    made = record.provenance.get("registration")
    if type(made) is not int:
        return ()
    controls = {control.name: control for control in study.controls}
    try:
        past = history.failures(study.name)
    except history.HistoryError:  # the status page and `reviewlib verdicts` say what is wrong
        return ()
    return tuple(
        f"a control failed in version {entry.registration}: {entry.claim}"
        for entry in past
        if (entry.registration or made) < made
        and entry.claim in controls
        and conditions_of(controls[entry.claim]) & conditions_of(claim)
    )


def _settling(out: Verdict, table: pd.DataFrame) -> tuple[int | None, str]:
    """Return the seeds that would settle an inconclusive claim, and what the page says of it."""
    claim, interval = out.claim, out.interval
    if claim.kind == "no loss" and interval.lo > -claim.margin:
        return None, "its control must show a loss first"
    fold = contrasts.fold_size(table, claim.contrast)
    images = math.nan
    if claim.scale == "difference" and claim.metric in ("accuracy", "error"):
        images = contrasts.images_variance(table, claim.contrast)
    seeds = stats.seeds_to_settle(interval, claim.margin, images, fold and fold * interval.n)
    if seeds is None:
        return None, "this test pool cannot settle it"
    if seeds <= interval.n:  # of no loss alone, whose one boundary an effect may just lie on
        return None, "the loss is too close to the margin to be settled"
    return seeds, f"about {seeds} seeds would settle it"
