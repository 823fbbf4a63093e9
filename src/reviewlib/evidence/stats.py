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
- A search for every seed, expected best of 8 of 16 trials, n = 10, 20, 40, validated on one pool
  that all seeds share: 2.4 to 2.7%; at n = 40, if arm and learning rate alone decided which images
  of the pool are classified correctly, 3.0%. One search for all seeds: 9 to 21%.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

POWER = 0.8
# With fewer seeds the estimate of the spread is too poor for a detectable effect.
FEWEST_FOR_POWER = 5
MOST_SEEDS = 10_000
FEWEST_IMAGES = 50  # of a test fold
# Significant digits of the values that a contrast is computed from; the rest is rounding error.
DIGITS = 12


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its Student-t interval, in the unit of the contrast."""

    mean: float
    lo: float
    hi: float
    level: float
    n: int
    sd: float


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of paired values with its Student-t interval, n - 1 degrees of freedom.

    If all values are equal, the interval has zero width.

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
        x: values of n seeds, shape (..., n).
        level: confidence level of the intervals, in (0, 1).
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
    """Return the level at which the intervals of all primary claims hold together at 95%.

    This is Bonferroni's 1 - 0.05 / K for K claims.
    """
    return 1 - 0.05 / max(primaries, 1)


def chance_supported(effect: float, sd: float, n: int, level: float, margin: float) -> float:
    """Return the probability that the rule for a gain says "supported" at a true effect.

    The rule is lo > 0 and mean >= margin. The mean is normal; the estimated spread, on which lo
    depends, is integrated out over its chi distribution.
    """
    if sd == 0:
        return float(effect > 0 and effect >= margin)
    bars = np.maximum(margin, half_width(sd, n, level) * _spreads(n))
    return _chance_above(bars, effect, sd, n)


def _chance_above(bars: NDArray, effect: float, sd: float, n: int) -> float:
    """Return the probability that the mean lies above a bar, averaged over equally likely bars."""
    return float(stats.norm.sf((bars - effect) / (sd / math.sqrt(n))).mean())


@functools.cache
def _spreads(n: int) -> NDArray:
    """Return 4,000 equally likely estimates of a standard deviation of 1 from n values."""
    quantiles = (np.arange(4000) + 0.5) / 4000
    return np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))


def detectable_gain(sd: float, n: int, level: float, margin: float) -> float | None:
    """Return the smallest true effect that is called "supported" with probability 0.8.

    It takes the measured spread as exact, so it is as uncertain as the spread. None below five
    seeds.
    """
    if n < FEWEST_FOR_POWER:
        return None
    if sd == 0:
        return margin

    def excess(effect: float) -> float:
        return chance_supported(effect, sd, n, level, margin) - POWER

    return float(optimize.brentq(excess, margin, margin + 100 * sd))


def chance_no_loss(
    effect: float, sd: float, n: int, level: float, margin: float, control: Interval
) -> float:
    """Return a lower bound on the probability that the rule for no loss says "supported".

    The rule is lo > -margin and hi >= 0 for the contrast, hi < -margin for the control, whose true
    effect and spread are taken to be the measured ones. Contrast and control share an arm, so
    their errors are correlated. The bound holds for any correlation: two events occur together
    with at least the sum of their probabilities minus 1. It is exact if the control is sure to
    show a loss.

    Args:
        effect: the true difference; 0 for a method that loses nothing, negative for a loss.
        sd: standard deviation of the contrast between seeds.
        n: number of seeds.
        level: confidence level of both intervals.
        margin: the smallest loss that would matter.
        control: the interval of the contrast that has to show a loss.
    """
    if sd == 0:
        keeps = float(effect > -margin and effect >= 0)
    else:
        half = half_width(sd, n, level) * _spreads(n)
        keeps = _chance_above(np.maximum(half - margin, -half), effect, sd, n)
    noticed = chance_supported(-margin - control.mean, control.sd, control.n, level, 0.0)
    return max(0.0, keeps + noticed - 1)


def seeds_to_settle(
    interval: Interval, margin: float, images_variance: float = math.nan, pool: int | None = None
) -> int | None:
    """Return the smallest number of seeds whose half-width falls below half the margin.

    Then a gain clears one of its two boundaries, whatever the effect. The test pool is shared by
    all seeds, so its images limit what more seeds can do: half-width² = t² (images² / pool +
    seed² / n), where seed² is what the images of a fold leave of the variance between seeds.

    Args:
        interval: the interval of n seeds, each scored on its own fold of pool // n images.
        margin: the smallest effect that would matter.
        images_variance: variance of the contrast between test images, images²; NaN if it is not
            known, and then more seeds are taken to shrink all of the variance.
        pool: number of test images of all seeds together; None if it is not known.

    Returns:
        The number, at least 2; None if so many seeds would leave fewer than 50 images a fold, or
        would be more than 10,000.
    """
    most = MOST_SEEDS if pool is None else min(MOST_SEEDS, pool // FEWEST_IMAGES)
    shared = 0.0 if pool is None or math.isnan(images_variance) else images_variance / pool
    seed = max(interval.sd**2 - interval.n * shared, 0.0)

    def half(n: int) -> float:
        return half_width(math.sqrt(seed + n * shared), n, interval.level)

    if most < 2 or half(most) >= margin / 2:
        return None
    return bisect.bisect_right(range(most), -margin / 2, lo=2, key=lambda n: -half(n))
