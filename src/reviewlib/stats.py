"""Paired statistics of a contrast, on scipy: intervals, detectable effects, seeds to settle.

The t interval is exact for normal differences between seeds. Where they are not normal, simulations
at n = 3, 5, 10 say what becomes of a boundary that 2.5% of the studies should cross (level 95%):

- Accuracies of test folds of 500 images, both arms on the same ones. Where the arms disagree on 5%
  of the images or more: 2.4 to 2.6%. Where they disagree on fewer: no effect is taken for a gain in
  1.1 to 2.6%, and an effect of just the margin lies outside the interval in up to 3.2%.
- Diverged runs, equally likely in both arms: 0.7 to 2.7%. An outlier mostly widens the interval
  until nothing is settled, so what they cost is power: at n = 10, with one run in fifty, an effect
  found in all studies is found in two of three. A divergence of one arm that is too rare to be
  among the seeds is not in the interval.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

Contrast = Sequence[tuple[float, str, str]]
POWER = 0.8
# Below this many seeds the spread is too badly known to speak of detectable effects.
FEWEST_FOR_POWER = 5
MOST_SEEDS = 10_000
# Significant digits of what a contrast is computed from; the rest is rounding error.
DIGITS = 12


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its Student-t interval; unit of the contrast."""

    mean: float
    lo: float
    hi: float
    level: float
    n: int
    sd: float


def contrast(
    rows: pd.DataFrame, terms: Contrast, metric: str, *, log: bool = False, sign: float = 1.0
) -> pd.Series:
    """Return the contrast of every seed, indexed by seed, free of rounding errors.

    Args:
        rows: one row a final run, with columns arm, cell, seed and the metric. Several rows of one
            arm, cell and seed are replicates and are averaged first.
        terms: (weight, arm, cell).
        metric: a column of rows; "error" and "early_error" are 1 minus the accuracy.
        log: take logarithms first, so that the contrast is a log ratio.
        sign: -1 for a metric of which less is better.

    Raises:
        ValueError: there are no terms, the metric or an arm is missing, a seed is unpaired, or a
            value is not a number.
    """
    if not terms:
        raise ValueError("a contrast needs at least one (weight, arm, cell), got none")
    rows = rows.assign(**{metric: _column(rows, metric)})
    parts = [
        sign * weight * _by_seed(rows, arm, cell, metric, log=log) for weight, arm, cell in terms
    ]
    for (_, arm, cell), part in zip(terms, parts, strict=True):
        if not part.index.equals(parts[0].index):
            odd = sorted(set(part.index) ^ set(parts[0].index))
            raise ValueError(
                f"seeds must be paired; {arm!r} in {cell!r} is unpaired on seeds {odd}: run them"
            )
    # Else the rounding errors of ties would decide on which side of a boundary they lie.
    size = max(part.abs().max() for part in parts) or 1.0
    return sum(parts).round(DIGITS - math.ceil(math.log10(size)))


def _column(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Return a metric of every row; an error is 1 minus the accuracy."""
    if metric in rows:
        return rows[metric]
    accuracy = metric.replace("error", "accuracy")
    if accuracy not in rows:
        raise ValueError(f"the metric must be a column of the records, got {metric!r}")
    return 1 - rows[accuracy]


def _by_seed(rows: pd.DataFrame, arm: str, cell: str, metric: str, *, log: bool) -> pd.Series:
    """Return an arm's metric or its logarithm by seed, replicates averaged."""
    part = rows[(rows["arm"] == arm) & (rows["cell"] == cell)]
    of = f"{metric} of arm {arm!r} in {cell!r}"
    if part.empty:
        raise ValueError(f"the records have no arm {arm!r} in cell {cell!r}: run it")
    bad = part[~np.isfinite(part[metric])]
    finished = bad[bad["diverged_at"].isna()] if "diverged_at" in bad else bad
    if len(finished):
        seeds = sorted(set(finished["seed"]))
        raise ValueError(f"{of} is not a number on seeds {seeds}: run them again")
    if len(bad):
        seeds = sorted(set(bad["seed"]))
        raise ValueError(f"{of} is not a number on seeds {seeds}, which diverged: score chance")
    values = part.groupby("seed")[metric].mean()
    if not log:
        return values
    if not (values > 0).all():
        seeds = values.index[values <= 0].tolist()
        raise ValueError(f"{of} is not positive on seeds {seeds}, so it has no logarithm")
    return np.log(values)


def two_by_two(neither: str, first: str, second: str, both: str, cell: str) -> dict[str, Contrast]:
    """Return the contrasts of two methods' 2x2: either's main effect, and their interaction.

    A main effect is the method's gain, averaged over without and with the other method. The
    interaction is the gain of one added last minus its gain alone: positive if they help each
    other. On "error" with sign -1 it is that of accuracy; with log it compares factors of error.

    Args:
        neither: the arm with neither method.
        first: the arm with the first method alone.
        second: the arm with the second method alone.
        both: the arm with both.
        cell: where.
    """
    weights = {"first": (-1, 1, -1, 1), "second": (-1, -1, 1, 1), "interaction": (2, -2, -2, 2)}
    arms = (neither, first, second, both)
    return {
        name: tuple((weight / 2, arm, cell) for weight, arm in zip(row, arms, strict=True))
        for name, row in weights.items()
    }


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of paired values with its Student-t interval, n - 1 degrees of freedom.

    Values that are all equal have an interval of no width.

    Raises:
        ValueError: fewer than two values, one that is not finite, or a level outside (0, 1).
    """
    x = np.asarray(values, dtype=float)
    if x.size < 2:
        raise ValueError(f"an interval needs at least 2 seeds, got {x.size}")
    if not np.isfinite(x).all():
        raise ValueError(f"an interval needs finite values, got {x[~np.isfinite(x)].tolist()}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    mean, lo, hi, sd = (float(value) for value in t_bounds(x, level))
    return Interval(mean, lo, hi, level, x.size, sd)


def t_bounds(x: NDArray, level: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return means, lower bounds, upper bounds and standard deviations of many studies at once.

    Args:
        x: values, (..., n), of n seeds.
        level: of the intervals.
    """
    ties = np.ptp(x, axis=-1) <= 10**-DIGITS * np.abs(x).max(-1)
    mean = np.where(ties, x[..., 0], x.mean(-1))
    sd = np.where(ties, 0.0, x.std(-1, ddof=1))
    half = half_width(1.0, x.shape[-1], level) * sd
    return mean, mean - half, mean + half, sd


def half_width(sd: float, n: int, level: float) -> float:
    """Return the half-width of the t interval of n values with standard deviation sd."""
    return float(special.stdtrit(n - 1, (1 + level) / 2) * sd / math.sqrt(n))


def simultaneous_level(primaries: int) -> float:
    """Return the level at which K primary claims hold together with 95% (Bonferroni)."""
    return 1 - 0.05 / max(primaries, 1)


def chance_supported(effect: float, sd: float, n: int, level: float, margin: float) -> float:
    """Return the probability that the rule for a gain says "supported" at a true effect.

    The rule is lo > 0 and mean >= margin. The mean is normal; the estimated spread, on which lo
    depends, is integrated out over its chi distribution.
    """
    if sd == 0:
        return float(effect > 0 and effect >= margin)
    bar = np.maximum(margin, half_width(sd, n, level) * _spreads(n))
    return float(stats.norm.sf((bar - effect) / (sd / math.sqrt(n))).mean())


@functools.cache
def _spreads(n: int) -> NDArray:
    """Return 4,000 equally likely estimates of a standard deviation of 1 from n values."""
    quantiles = (np.arange(4000) + 0.5) / 4000
    return np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))


def detectable_gain(sd: float, n: int, level: float, margin: float) -> float | None:
    """Return the smallest true effect that is called "supported" with probability 0.8.

    It takes the spread as known, and is as uncertain as the spread. None below five seeds.
    """
    if n < FEWEST_FOR_POWER:
        return None
    return _least(lambda effect: chance_supported(effect, sd, n, level, margin), margin, sd)


def chance_no_loss(
    effect: float, sd: float, n: int, level: float, margin: float, control: Interval
) -> float:
    """Return the probability, at the least, that the rule for no loss says "supported".

    The rule is lo > -margin, and hi < -margin of the control, whose true effect and spread are
    taken to be the measured ones. The two share an arm, so their errors are correlated, which we
    do not model: two events together have at least the sum of their probabilities minus 1. Where
    the control is sure to lose, that is exact.

    Args:
        effect: the true difference; 0 for a method that loses nothing, negative for a loss.
        sd: standard deviation of the contrast between seeds.
        n: seeds.
        level: of both intervals.
        margin: the smallest loss that would matter.
        control: the interval of the contrast that has to show a loss.
    """
    # lo > 0 of what is shifted by the margin; margin 0 adds nothing to that.
    keeps = chance_supported(effect + margin, sd, n, level, 0.0)
    noticed = chance_supported(-margin - control.mean, control.sd, control.n, level, 0.0)
    return max(0.0, keeps + noticed - 1)


def detectable_no_loss(
    sd: float, n: int, level: float, margin: float, control: Interval
) -> float | None:
    """Return the smallest true difference that is called "no loss" with probability 0.8.

    Negative: a loss of that size still passes. Positive: even a method that loses nothing mostly
    fails. None below five seeds, and where the control is too weak for any method to pass.
    """
    if n < FEWEST_FOR_POWER:
        return None

    def chance(effect: float) -> float:
        return chance_no_loss(effect, sd, n, level, margin, control)

    return _least(chance, -margin, sd)


def _least(chance: Callable[[float], float], start: float, sd: float) -> float | None:
    """Return the least effect from start on with a chance of 0.8; None if none has it."""
    end = start + 100 * (sd or abs(start))
    if chance(end) < POWER:
        return None
    if sd == 0:
        return start
    return float(optimize.brentq(lambda effect: chance(effect) - POWER, start, end))


def seeds_to_settle(interval: Interval, boundaries: Sequence[float]) -> int | None:
    """Return the n at which the half-width falls below the distance to the nearest boundary.

    None if the mean lies on a boundary or more than 10,000 seeds would be needed.
    """
    distance = min(abs(interval.mean - boundary) for boundary in boundaries)
    if half_width(interval.sd, MOST_SEEDS, interval.level) >= distance:
        return None
    low, high = 2, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        if half_width(interval.sd, middle, interval.level) < distance:
            high = middle
        else:
            low = middle + 1
    return low
