"""Claim and records in, verdict out. No verdict is ever typed by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reviewlib import stats
from reviewlib.stats import Interval
from reviewlib.study import Claim, Study

GAIN_VERDICTS = (
    "supported",
    "real but small",
    "contradicted",
    "no meaningful gain",
    "inconclusive",
)


@dataclass(frozen=True)
class Verdict:
    """What the records say of one claim, oriented so that positive favours the claim.

    Attributes:
        claim: what was claimed.
        verdict: the word of the protocol; None for an exploratory claim.
        interval: of the paired contrast; None for a claim out of scope.
        values: the contrast of every seed, indexed by seed.
        detectable: smallest true effect that would be called supported with probability 0.8.
        to_settle: seeds that an inconclusive claim would need.
        diverged: runs of the contrast that diverged, of how many.
    """

    claim: Claim
    verdict: str | None
    interval: Interval | None = None
    values: pd.Series | None = None
    detectable: float | None = None
    to_settle: int | None = None
    diverged: tuple[int, int] = (0, 0)


def rule_for_gain(interval: Interval, margin: float) -> str:
    """Return the protocol's word for a claimed gain (PROTOCOL rule 9)."""
    if interval.lo > 0:
        return "supported" if interval.mean >= margin else "real but small"
    if interval.hi < 0:
        return "contradicted"
    return "no meaningful gain" if interval.hi < margin else "inconclusive"


def rule_for_no_loss(interval: Interval, control: Interval, margin: float) -> str:
    """Return the protocol's word for "no loss": the control must show that a loss is noticed."""
    if interval.hi < -margin:
        return "contradicted"
    if interval.lo > -margin and control.hi < -margin:
        return "supported"
    return "inconclusive"


def judge(claim: Claim, rows: pd.DataFrame, primaries: int) -> Verdict:
    """Return the verdict on a claim.

    Args:
        claim: what to test.
        rows: the final runs of a record.
        primaries: how many primary claims the chapter has; their intervals hold together.

    Raises:
        ValueError: the records do not hold the arms, or their seeds are unpaired.
    """
    if claim.kind == "out of scope":
        return Verdict(claim, "out of scope")
    level = stats.simultaneous_level(primaries) if claim.primary else 0.95
    values = _values(claim, rows, claim.contrast)
    interval = stats.t_interval(values, level)
    detectable = to_settle = word = None
    if claim.kind == "gain":
        word, boundaries = rule_for_gain(interval, claim.margin), (0.0, claim.margin)
        detectable = stats.detectable_gain(interval.sd, interval.n, level, claim.margin)
    elif claim.control:
        control = stats.t_interval(_values(claim, rows, claim.control), level)
        word, boundaries = rule_for_no_loss(interval, control, claim.margin), (-claim.margin,)
    if word == "inconclusive" and interval.lo <= boundaries[0] <= interval.hi:
        to_settle = stats.seeds_to_settle(interval, boundaries)
    return Verdict(
        claim,
        word if claim.primary else None,
        interval,
        values,
        detectable,
        to_settle if claim.primary else None,
        _diverged(claim, rows),
    )


def judge_all(study: Study, rows: pd.DataFrame) -> list[Verdict]:
    """Return the verdicts on all claims of a study, in the order of their declaration."""
    return [judge(claim, rows, len(study.primary)) for claim in study.claims]


def _values(claim: Claim, rows: pd.DataFrame, terms: stats.Contrast) -> pd.Series:
    return stats.contrast(
        rows,
        terms,
        claim.metric,
        log=claim.scale == "log ratio",
        sign=1.0 if claim.better == "higher" else -1.0,
    )


def _diverged(claim: Claim, rows: pd.DataFrame) -> tuple[int, int]:
    pairs = {(arm, cell) for _, arm, cell in (*claim.contrast, *claim.control)}
    mine = rows[[pair in pairs for pair in zip(rows["arm"], rows["cell"], strict=True)]]
    return int(mine["diverged_at"].notna().sum()), len(mine)
