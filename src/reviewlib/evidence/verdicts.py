"""Compute verdicts from claims and records; no verdict is typed by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from reviewlib.evidence import contrasts, stats
from reviewlib.evidence.stats import Interval
from reviewlib.trial.claims import Claim
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.study import Study

GAIN_VERDICTS = (
    "supported",
    "real but small",
    "contradicted",
    "no meaningful gain",
    "inconclusive",
)
NO_LOSS_VERDICTS = ("supported", "small loss", "contradicted", "inconclusive")
VERDICTS = tuple(dict.fromkeys((*GAIN_VERDICTS, *NO_LOSS_VERDICTS, "out of scope")))
# Records are rounded to six decimals: a mean equal to the margin may be short by this fraction.
SHORT_OF_MARGIN = 1e-4


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim with its measurements; positive values favor the claim.

    Attributes:
        claim: the claim that is judged.
        verdict: one of the protocol's verdicts; None for an exploratory claim.
        interval: interval of the paired contrast; None for a claim out of scope.
        values: the contrast for every seed, indexed by seed.
        detectable: for a gain, the smallest true one called supported with probability 0.8.
        to_settle: number of seeds that would settle an inconclusive claim.
        diverged: of the contrast and its control, the number of diverged runs and of all runs.
        control: for no loss, the interval of the contrast that must show a loss.
        if_equal: for no loss, a lower bound on the probability of "supported" if there is no true
            difference.
    """

    claim: Claim
    verdict: str | None
    interval: Interval | None = None
    values: pd.Series | None = None
    detectable: float | None = None
    to_settle: int | None = None
    diverged: tuple[int, int] = (0, 0)
    control: Interval | None = None
    if_equal: float | None = None


def rule_for_gain(interval: Interval, margin: float) -> str:
    """Return the verdict on a claimed gain (PROTOCOL rule 9).

    A mean that misses the margin by less than a ten-thousandth of it counts as reaching it.
    """
    if interval.lo > 0:
        reached = interval.mean >= margin * (1 - SHORT_OF_MARGIN)
        return "supported" if reached else "real but small"
    if interval.hi < 0:
        return "contradicted"
    return "no meaningful gain" if interval.hi < margin else "inconclusive"


def rule_for_no_loss(interval: Interval, control: Interval, margin: float) -> str:
    """Return the verdict on a claim of no loss (PROTOCOL rule 9).

    Without a control that shows a loss, the test might not have noticed one: "inconclusive".
    """
    if interval.hi < -margin:
        return "contradicted"
    if interval.lo > -margin and control.hi < -margin:
        return "supported" if interval.hi >= 0 else "small loss"
    return "inconclusive"


def judge(claim: Claim, rows: pd.DataFrame, primaries: int) -> Verdict:
    """Return the verdict on a claim.

    Args:
        claim: the claim to judge.
        rows: the final runs of a record.
        primaries: number of primary claims in the chapter, whose intervals must hold together.

    Raises:
        ValueError: the records do not hold the arms, or their seeds are unpaired.
    """
    if claim.kind == "out of scope":
        return Verdict(claim, "out of scope")
    level = stats.simultaneous_level(primaries) if claim.primary else 0.95
    values = _values(claim, rows, claim.contrast)
    interval = stats.t_interval(values, level)
    detectable = to_settle = word = control = if_equal = None
    spread = interval.sd, interval.n, level, claim.margin
    if claim.kind == "gain":
        word = rule_for_gain(interval, claim.margin)
        to_settle = stats.seeds_to_settle(interval, (0.0, claim.margin))
        detectable = stats.detectable_gain(*spread)
    elif claim.control:
        control = stats.t_interval(_values(claim, rows, claim.control), level)
        word = rule_for_no_loss(interval, control, claim.margin)
        to_settle = seeds_for_no_loss(interval, control, claim.margin)
        if interval.n >= stats.FEWEST_FOR_POWER:
            if_equal = stats.chance_no_loss(0.0, *spread, control)
    return Verdict(
        claim,
        word if claim.primary else None,
        interval,
        values,
        detectable,
        to_settle if claim.primary and word == "inconclusive" else None,
        _diverged(rows, (*claim.contrast, *claim.control)),
        control,
        if_equal,
    )


def seeds_for_no_loss(interval: Interval, control: Interval, margin: float) -> int | None:
    """Return the number of seeds that would settle a claim of no loss.

    The interval must exclude -margin. If it lies above -margin, the control's interval must also
    lie below. None if the control's mean does not, or if more than 10,000 seeds are needed.
    """
    needed = [stats.seeds_to_settle(interval, (-margin,))]
    if interval.mean > -margin:
        loses = control.mean < -margin
        needed.append(stats.seeds_to_settle(control, (-margin,)) if loses else None)
    return None if None in needed else max(needed)


def judge_all(study: Study, rows: pd.DataFrame) -> list[Verdict]:
    """Return the verdicts on all claims of a study, in the order of their declaration."""
    return [judge(claim, rows, len(study.primary)) for claim in study.claims]


def judge_controls(study: Study, rows: pd.DataFrame) -> list[Verdict]:
    """Return whether each of the study's controls "passed" or "failed".

    The interval, at the level of a single claim, of an A/A control must contain 0; that of a
    positive control must lie above. Controls that are not in the rows are left out.
    """
    there = set(zip(rows["arm"], rows["condition"], strict=True))
    outs = []
    for claim in study.controls:
        if all((arm, condition) in there for _, arm, condition in claim.contrast):
            out, (_, (_, arm, _)) = judge(claim, rows, 1), claim.contrast
            tied = out.interval.lo <= 0 <= out.interval.hi
            passed = tied if study.arm(arm).search_seed else out.interval.lo > 0
            outs.append(replace(out, verdict="passed" if passed else "failed"))
    return outs


def _values(claim: Claim, rows: pd.DataFrame, terms: Contrast) -> pd.Series:
    return contrasts.by_seed(
        rows,
        terms,
        claim.metric,
        log=claim.scale == "log ratio",
        sign=1.0 if claim.better == "higher" else -1.0,
    )


def _diverged(rows: pd.DataFrame, terms: Contrast) -> tuple[int, int]:
    pairs = {(arm, condition) for _, arm, condition in terms}
    mine = rows[[pair in pairs for pair in zip(rows["arm"], rows["condition"], strict=True)]]
    return int(mine["diverged_at"].notna().sum()), len(mine)
