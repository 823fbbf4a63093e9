"""Paired statistics of a contrast, on scipy: intervals, detectable effects, seeds to settle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

Contrast = Sequence[tuple[float, str, str]]
POWER = 0.8
# Below this many seeds the spread is too badly known to speak of detectable effects.
FEWEST_FOR_POWER = 5
MOST_SEEDS = 10_000


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
    """Return the contrast of every seed, indexed by seed.

    Args:
        rows: one row a final run, with columns arm, cell, seed and the metric. Several rows of one
            arm, cell and seed are replicates and are averaged first.
        terms: (weight, arm, cell).
        metric: a column of rows.
        log: take logarithms first, so that the contrast is a log ratio.
        sign: -1 for a metric of which less is better.

    Raises:
        ValueError: an arm is missing, a seed is unpaired, or a value is not a number.
    """
    total = None
    for weight, arm, cell in terms:
        part = rows[(rows["arm"] == arm) & (rows["cell"] == cell)]
        if part.empty:
            raise ValueError(f"the records have no arm {arm!r} in cell {cell!r}")
        usable = np.isfinite(part[metric]) & ((part[metric] > 0) | (not log))
        if not usable.all():
            bad = sorted(set(part.loc[~usable, "seed"]))
            what = "a positive number" if log else "a number"
            raise ValueError(f"{metric} of arm {arm!r} in {cell!r} is not {what} on seeds {bad}")
        values = part.groupby("seed")[metric].mean()
        values = sign * weight * (np.log(values) if log else values)
        if total is not None and not total.index.equals(values.index):
            odd = sorted(set(total.index) ^ set(values.index))
            raise ValueError(
                f"seeds must be paired; {arm!r} in {cell!r} is unpaired on seeds {odd}"
            )
        total = values if total is None else total + values
    return total


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of paired values with its Student-t interval, n - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two values, or a level outside (0, 1).
    """
    x = np.asarray(values, dtype=float)
    if x.size < 2:
        raise ValueError(f"an interval needs at least 2 seeds, got {x.size}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]), float(x[0]), level, x.size, 0.0)
    mean, sd = float(x.mean()), float(x.std(ddof=1))
    half = half_width(sd, x.size, level)
    return Interval(mean, mean - half, mean + half, level, x.size, sd)


def half_width(sd: float, n: int, level: float) -> float:
    """Return the half-width of the t interval of n values with standard deviation sd."""
    return float(stats.t.ppf((1 + level) / 2, n - 1) * sd / math.sqrt(n))


def simultaneous_level(primaries: int) -> float:
    """Return the level at which K primary claims hold together with 95% (Bonferroni)."""
    return 1 - 0.05 / max(primaries, 1)


def chance_supported(effect: float, sd: float, n: int, level: float, margin: float) -> float:
    """Return the probability that the rule for a gain says "supported" at a true effect.

    The rule is lo > 0 and mean >= margin. The mean is normal; the estimated spread, on which lo
    depends, is integrated out over its chi distribution.
    """
    quantiles = (np.arange(4000) + 0.5) / 4000
    s = sd * np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))
    bar = np.maximum(margin, stats.t.ppf((1 + level) / 2, n - 1) * s / math.sqrt(n))
    return float(stats.norm.sf((bar - effect) / (sd / math.sqrt(n))).mean())


def detectable_gain(sd: float, n: int, level: float, margin: float) -> float | None:
    """Return the smallest true effect that is called "supported" with probability 0.8.

    None below five seeds.
    """
    if n < FEWEST_FOR_POWER:
        return None
    if sd == 0:
        return margin
    return float(
        optimize.brentq(
            lambda effect: chance_supported(effect, sd, n, level, margin) - POWER,
            0.0,
            margin + 100 * sd,
        )
    )


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
