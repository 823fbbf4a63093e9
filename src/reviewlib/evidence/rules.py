"""The rules that turn intervals into words, and what a verdict holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from reviewlib.evidence.stats import Interval
from reviewlib.trial.claims import Claim

GAIN_VERDICTS = (
    "supported",
    "real but small",
    "contradicted",
    "no meaningful gain",
    "inconclusive",
)
NO_LOSS_VERDICTS = ("supported", "small loss", "contradicted", "inconclusive")
NOT_LEARNED = "not judged: the net did not learn"
VERDICTS = tuple(dict.fromkeys((*GAIN_VERDICTS, *NO_LOSS_VERDICTS, "out of scope", NOT_LEARNED)))
FAILED = "failed"
CONTROL_VERDICTS = ("passed", "cannot tell", FAILED)
# Records are rounded to six decimals: a mean equal to the margin may be short by this fraction.
SHORT_OF_MARGIN = 1e-4


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim with its measurements; positive values favor the claim.

    Attributes:
        claim: the claim that is judged.
        verdict: one of VERDICTS; None for an exploratory claim. Of a control, one of
            CONTROL_VERDICTS.
        interval: interval of the paired contrast; None for a claim out of scope.
        values: the contrast for every seed, indexed by seed.
        detectable: for a gain, the smallest true one called supported with probability 0.8.
        to_settle: number of seeds that would settle an inconclusive claim; None if none can.
        settling: the same in words; empty unless the claim is inconclusive.
        diverged: of the contrast and its control, the number of diverged runs and of all runs.
        control: for no loss, the interval of the contrast that must show a loss.
        if_equal: for no loss, a lower bound on the probability of "supported" if there is no true
            difference.
        health: for a primary claim, the `health` of its arms.
        marks: for a primary claim, what else speaks against it: the controls that failed in its
            conditions.
    """

    claim: Claim
    verdict: str | None
    interval: Interval | None = None
    values: pd.Series | None = None
    detectable: float | None = None
    to_settle: int | None = None
    settling: str = ""
    diverged: tuple[int, int] = (0, 0)
    control: Interval | None = None
    if_equal: float | None = None
    health: Mapping[tuple[str, str], Interval] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


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


def rule_for_survival(interval: Interval) -> str:
    """Return whether a supported gain survives next to another method (PROTOCOL rule 11).

    Args:
        interval: of the gain when the method is added last, minus half its gain alone.
    """
    if interval.lo > 0:
        return "survives"
    return "does not survive" if interval.hi < 0 else "undecided"


def rule_for_no_loss(interval: Interval, control: Interval, margin: float) -> str:
    """Return the verdict on a claim of no loss (PROTOCOL rule 9).

    Without a control that shows a loss, the test might not have noticed one: "inconclusive".
    """
    if interval.hi < -margin:
        return "contradicted"
    if interval.lo > -margin and control.hi < -margin:
        return "supported" if interval.hi >= 0 else "small loss"
    return "inconclusive"
