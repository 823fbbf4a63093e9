"""The figure of what an accuracy costs: whole procedures, by accuracy and by passes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd

from reviewlib.evidence import stats
from reviewlib.evidence.record import Record
from reviewlib.page import costs
from reviewlib.page.drawing import BLUE, ORANGE, STYLE, Drawn, panels
from reviewlib.trial.study import Study


@plt.rc_context(STYLE)
def over_cost(study: Study, record: Record, condition: str, arms: Sequence[str]) -> Drawn:
    """Draw the mean test accuracy of arms, with its 95% interval, over what a trial costs.

    Args:
        study: the study, which has the labels.
        record: the record of the final runs.
        condition: name of the condition.
        arms: names of the arms; baselines are drawn as squares.
    """
    cost, rows = costs.passes(study, record), record.rows[record.rows["condition"] == condition]
    fig, axes = panels(3.8)
    axis, table = axes[0, 0], []
    for arm in map(study.arm, arms):
        interval = stats.t_interval(100 * rows.loc[rows["arm"] == arm.name, "accuracy"])
        color, marker = (ORANGE, "s") if arm.role.startswith("baseline") else (BLUE, "o")
        half, at = interval.hi - interval.mean, (cost[arm.name], interval.mean)
        axis.errorbar(*at, yerr=half, color=color, marker=marker, ms=4, capsize=2)
        axis.annotate(
            arm.label, at, (6, 0), textcoords="offset points", va="center", fontsize="small"
        )
        table.append(
            {"arm": arm.label, "cost": f"{cost[arm.name]:.2g}×", "mean, %": round(interval.mean, 2)}
            | {"95% low": round(interval.lo, 2), "95% high": round(interval.hi, 2)}
        )
    # room for the labels on the right of the dearest arms
    axis.set(xlim=(0, 1.4 * max(cost[name] for name in arms)), ylabel="test accuracy, %")
    axis.set_xlabel(f"passes, in trainings of “{study.role('baseline').label}”")
    data = pd.DataFrame(table)
    best = data.loc[data["mean, %"].idxmax()]
    return Drawn(
        fig,
        data,
        f"{best['arm']} is the most accurate, at {best['cost']} the cost of the baseline. Test "
        f"accuracy over cost, {study.condition(condition).label}; squares are baselines, the bar "
        "is the 95% interval of the mean over seeds.",
        f"Scatter of test accuracy over cost: {best['arm']} is the most accurate. "
        + "; ".join(f"{row['arm']} {row['mean, %']}% at {row['cost']}" for row in table),
    )
