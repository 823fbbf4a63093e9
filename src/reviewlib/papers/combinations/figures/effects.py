"""Effects of single methods and of pairs, computed from a record."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from reviewlib.evidence import stats
from reviewlib.evidence.contrasts import by_seed
from reviewlib.evidence.record import Record
from reviewlib.evidence.results import results
from reviewlib.evidence.rules import rule_for_gain, rule_for_survival
from reviewlib.papers.combinations.arms import CLEAN, PAIRS, alone, pairs, plain
from reviewlib.papers.combinations.methods import METHODS, Method
from reviewlib.trial.contrast import Contrast, two_by_two
from reviewlib.trial.study import Study

MARGIN = 0.01  # of the gain of a method alone
# By name, a metric with the sign of what is better and whether its logarithm is taken.
MEASURES = {
    "error": ("error", -1.0, False),
    "log error": ("error", -1.0, True),
    "corrupted error": ("corrupted_error", -1.0, False),
    "NLL": ("nll", -1.0, False),
}


@dataclass(frozen=True)
class Effect:
    """An effect over seeds, positive if it is in favor.

    Attributes:
        interval: its mean and 95% interval.
        p: of no effect, from a two-sided t test; 1 where all seeds have 0.
    """

    interval: stats.Interval
    p: float


def effect(study: Study, record: Record, contrast: Contrast, measure: str = "error") -> Effect:
    """Return a contrast by a measure, one of MEASURES."""
    metric, sign, log = MEASURES[measure]
    rows = results(study, record, contrast)
    values = by_seed(rows, contrast, metric, log=log, sign=sign)
    interval = stats.t_interval(values)
    p = ttest_1samp(values, 0).pvalue if interval.sd else float(interval.mean == 0)
    return Effect(interval, float(p))


def factorial(
    study: Study, record: Record, pair: tuple[Method, Method], measure: str = "error"
) -> dict[str, Effect]:
    """Return the main effects, "first" and "second", and the "interaction" of two methods."""
    first, second = (alone[method.name] for method in pair)
    found = two_by_two(plain, first, second, pairs[pair], CLEAN)
    return {name: effect(study, record, each, measure) for name, each in found.items()}


def interactions(
    study: Study, record: Record, measure: str = "error"
) -> dict[tuple[Method, Method], Effect]:
    """Return the interaction of every pair that the record has."""
    there = set(record.rows["arm"])
    asked = [pair for pair in PAIRS if pairs[pair].name in there]
    return {pair: factorial(study, record, pair, measure)["interaction"] for pair in asked}


def holm(effects: list[Effect]) -> list[float]:
    """Return the p values of a family of effects, adjusted by Holm's method."""
    return [float(p) for p in multipletests([each.p for each in effects], method="holm")[1]]


def gains(study: Study, record: Record, measure: str = "error") -> dict[Method, Effect]:
    """Return the gain of every method alone, at equal steps, each with its own search."""
    return {
        method: effect(study, record, (alone[method.name] - plain) @ CLEAN, measure)
        for method in METHODS
    }


def supported(study: Study, record: Record) -> list[Method]:
    """Return the methods whose gain alone is supported, at the level of as many claims."""
    level = stats.simultaneous_level(len(METHODS))
    found = []
    for method in METHODS:
        contrast = (alone[method.name] - plain) @ CLEAN
        values = by_seed(record.rows, contrast, "accuracy")
        if rule_for_gain(stats.t_interval(values, level), MARGIN) == "supported":
            found.append(method)
    return found


def survival(
    study: Study, record: Record, method: Method, without: Contrast, both: Contrast
) -> tuple[Effect, str]:
    """Return the gain of a method added last minus half its gain alone, and whether it survives."""
    last = both - without
    found = effect(study, record, last - 0.5 * (alone[method.name] - plain) @ CLEAN)
    return found, rule_for_survival(found.interval)
