"""The controls of the experiment, which must come out as known, and what they calibrate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from reviewlib.evidence import stats
from reviewlib.evidence.results import conditions_of, diverged_of, holds, results, values_of
from reviewlib.evidence.rules import Verdict
from reviewlib.trial.claims import Claim
from reviewlib.trial.controls import is_a_a
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.evidence.record import Record

# Both sides of an A/A control are exchangeable, so at 95% one in twenty would fail by chance.
A_A_LEVEL = 0.999


class Calibration(NamedTuple):
    """How many A/A intervals at 95% exclude 0, of how many, and how many should."""

    excluding: int
    total: int
    expected: float


def judge_controls(study: Study, record: Record) -> list[Verdict]:
    """Return whether each of the study's controls "passed", "failed" or "cannot tell".

    A positive control's interval at 95% must lie above 0. An A/A control fails if its interval at
    99.9% excludes 0. If it contains 0 and is wider than those of all primary claims of its
    condition, it says nothing about them. Controls that are not in the record are left out. While a
    study awaits new records, their verdicts are None.
    """
    return [
        _judge_control(study, record, claim)
        for claim in study.controls
        if holds(results(study, record, claim.contrast), claim.contrast)
    ]


def calibration(outs: Iterable[Verdict]) -> Calibration:
    """Return how many of the A/A intervals exclude 0 at 95%, and how many should.

    What cannot vary, such as the bytes that a step saves, does not count.

    Args:
        outs: the verdicts on the controls of all studies; those on other controls do not count.
    """
    intervals = [stats.t_interval(out.values) for out in outs if is_a_a(out.claim)]
    intervals = [each for each in intervals if each.sd > 0]
    excluding = sum(not each.lo <= 0 <= each.hi for each in intervals)
    return Calibration(excluding, len(intervals), 0.05 * len(intervals))


def _judge_control(study: Study, record: Record, claim: Claim) -> Verdict:
    again, table = is_a_a(claim), results(study, record, claim.contrast)
    values = values_of(claim, table, claim.contrast)
    interval = stats.t_interval(values, A_A_LEVEL if again else 0.95)
    passed = interval.lo <= 0 <= interval.hi if again else interval.lo > 0
    word = "passed" if passed else "failed"
    if again and passed and _too_wide(study, record, claim):
        word = "cannot tell"
    return Verdict(
        claim,
        None if study.awaiting else word,
        interval,
        values,
        stats.detectable_gain(interval.sd, interval.n, interval.level, claim.margin),
        diverged=diverged_of(table, claim.contrast),
    )


def _too_wide(study: Study, record: Record, again: Claim) -> bool:
    """Return whether an A/A interval is wider than those of all primaries that it speaks for.

    They are those of its condition and its measure, and all intervals are at one level.
    """
    wider = []
    for claim in study.primary:
        table = results(study, record, claim.contrast)
        alike = claim.measure == again.measure and conditions_of(claim) & conditions_of(again)
        if alike and holds(table, claim.contrast):
            theirs, ours = (
                stats.t_interval(values_of(claim, rows, terms), A_A_LEVEL)
                for rows, terms in (
                    (table, claim.contrast),
                    (results(study, record, again.contrast), again.contrast),
                )
            )
            wider.append(ours.hi - ours.mean > theirs.hi - theirs.mean)
    return bool(wider) and all(wider)
