"""The value of a contrast for every seed, computed from the rows of a record."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from reviewlib.evidence.stats import DIGITS
from reviewlib.trial.contrast import Term
from reviewlib.trial.shades import shades


def by_seed(
    rows: pd.DataFrame, terms: Iterable[Term], metric: str, *, log: bool = False, sign: float = 1.0
) -> pd.Series:
    """Return the value of a contrast for every seed, indexed by seed, without rounding errors.

    Args:
        rows: one row per final run, with columns arm, condition, seed and the metric. Several rows
            of one arm, condition and seed are replicates and are averaged first.
        terms: triples (weight, arm, condition).
        metric: a column of `rows`, or "error" or "early_error": 1 minus the accuracy.
        log: take logarithms first, so that the contrast is a log ratio.
        sign: -1 for a metric where lower is better.

    Raises:
        ValueError: there are no terms, the metric or an arm is missing, a seed is unpaired, or a
            value is not a number.
    """
    terms = tuple(terms)
    if not terms:
        raise ValueError("a contrast needs at least one (weight, arm, condition), got none")
    rows = rows.assign(**{metric: _column(rows, metric)})
    parts = [
        sign * weight * _values(rows, arm, condition, metric, log=log)
        for weight, arm, condition in terms
    ]
    for (_, arm, where), part in zip(terms, parts, strict=True):
        if not part.index.equals(parts[0].index):
            odd = sorted(set(part.index) ^ set(parts[0].index))
            raise ValueError(
                f"seeds must be paired; {arm!r} in {where!r} is unpaired on seeds {odd}: run them"
            )
    # Without this, rounding errors would decide which side of a boundary a tie falls on.
    size = max(part.abs().max() for part in parts) or 1.0
    return sum(parts).round(DIGITS - math.ceil(math.log10(size)))


def images_variance(rows: pd.DataFrame, terms: Iterable[Term]) -> float:
    """Return the variance of a contrast of accuracies between the test images of a seed's fold.

    It is averaged over seeds, and in the unit of the squared accuracy. NaN where the correctness of
    the images was not kept.

    Args:
        rows: one row per final run, with columns arm, condition, seed and `correct`: how often each
            test image of the seed's fold is classified correctly (see `shades.shades`).
        terms: triples (weight, arm, condition).
    """
    terms = tuple(terms)
    if "correct" not in rows:
        return math.nan
    mine = _compared(rows, terms)
    if not all(isinstance(kept, str) for kept in mine["correct"]):
        return math.nan
    mine = mine.assign(correct=mine["correct"].map(shades))
    variances = []
    for _, runs in mine.groupby("seed"):
        kept = runs.groupby(["arm", "condition"])["correct"].apply(list)
        parts = [weight * np.mean(kept[arm, condition], axis=0) for weight, arm, condition in terms]
        variances.append(np.var(sum(parts), ddof=1))
    return float(np.mean(variances)) if variances else math.nan


def fold_size(rows: pd.DataFrame, terms: Iterable[Term]) -> int | None:
    """Return the number of test images of a seed's fold where a contrast is taken.

    None where it was not kept; conditions may differ in it.
    """
    kept = _compared(rows, tuple(terms)).get("correct", ())
    return next((len(digits) for digits in kept if isinstance(digits, str)), None)


def _compared(rows: pd.DataFrame, terms: tuple[Term, ...]) -> pd.DataFrame:
    """Return the rows of a contrast's arms in their conditions."""
    named = {term[1:] for term in terms}
    return rows[[pair in named for pair in zip(rows["arm"], rows["condition"], strict=True)]]


def _column(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Return a metric for every row; an error is 1 minus the accuracy."""
    if metric in rows:
        return rows[metric]
    accuracy = metric.replace("error", "accuracy")
    if accuracy not in rows:
        raise ValueError(f"the metric must be a column of the records, got {metric!r}")
    return 1 - rows[accuracy]


def _values(rows: pd.DataFrame, arm: str, condition: str, metric: str, *, log: bool) -> pd.Series:
    """Return an arm's metric, or its logarithm, by seed; replicates are averaged."""
    part = rows[(rows["arm"] == arm) & (rows["condition"] == condition)]
    of = f"{metric} of arm {arm!r} in {condition!r}"
    if part.empty:
        raise ValueError(f"the records have no arm {arm!r} in condition {condition!r}: run it")
    bad = part[~np.isfinite(part[metric])]
    finished = bad[bad["diverged_at"].isna()] if "diverged_at" in bad else bad
    if len(finished):
        seeds = sorted(set(finished["seed"]))
        raise ValueError(f"{of} is not a number on seeds {seeds}: run them again")
    if len(bad):
        seeds = sorted(set(bad["seed"]))
        raise ValueError(
            f"{of} is not a number on seeds {seeds}, which diverged: score chance for them"
        )
    values = part.groupby("seed")[metric].mean()
    if not log:
        return values
    if not (values > 0).all():
        seeds = values.index[values <= 0].tolist()
        raise ValueError(f"{of} is not positive on seeds {seeds}, so it has no logarithm")
    return np.log(values)
