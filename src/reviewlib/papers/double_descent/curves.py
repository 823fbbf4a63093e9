"""Test error along what a study sweeps, read from its records."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reviewlib.papers.double_descent.claims import PRUNED_WIDTH, WIDEST, cell_name
from reviewlib.papers.double_descent.study import names


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


def parts(rows: pd.DataFrame, knob: str) -> dict[str, pd.Series]:
    """Return errors on test and training labels over a share of a net, and of the whole at 1.

    Args:
        rows: of a record.
        knob: "steps", a share of the training of the widest net; or "kept", of the weights of the
            net that is pruned.
    """
    arm, width = {"steps": ("plain", WIDEST), "kept": ("pruned", PRUNED_WIDTH)}[knob]
    found = {}
    for label, metric in (("test", "accuracy"), ("its training labels", "fitted")):
        whole = errors(rows, "plain", [cell_name("width", width)], "width", metric)
        some = errors(rows, arm, names(knob), knob, metric)
        found[label] = pd.concat([some, whole.rename({width: 1})])
    return found
