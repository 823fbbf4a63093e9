"""Test error along what a study sweeps, read from its records."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def errors(
    rows: pd.DataFrame, arm: str, cells: Sequence[str], knob: str, metric: str = "accuracy"
) -> pd.Series:
    """Return the errors of an arm's runs in percent, indexed by the knob that the cells sweep.

    Args:
        rows: final runs of a record.
        arm: whose runs.
        cells: where.
        knob: the setting that they are indexed by.
        metric: an accuracy of the rows.
    """
    part = rows[(rows["arm"] == arm) & rows["cell"].isin(cells)]
    return pd.Series(
        100 * (1 - part[metric].to_numpy()),
        index=[settings[knob] for settings in part["settings"]],
    )


def validation_errors(rows: pd.DataFrame, arm: str, cell: str) -> pd.Series:
    """Return an arm's errors on its validation labels in percent, indexed by the training step."""
    part = rows[(rows["arm"] == arm) & (rows["cell"] == cell)]
    points = [point for curve in part["curve"] for point in curve]
    return pd.Series([100 * (1 - value) for _, value in points], index=[at for at, _ in points])
