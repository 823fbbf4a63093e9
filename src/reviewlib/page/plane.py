"""The figure of what accuracy costs: whole procedures against the baseline, by their passes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd

from reviewlib.evidence import stats
from reviewlib.evidence.contrasts import by_seed
from reviewlib.evidence.record import Record
from reviewlib.evidence.units import MINUS
from reviewlib.page import costs
from reviewlib.page.drawing import BLUE, INK, ORANGE, STYLE, Drawn, panels
from reviewlib.trial.study import Study

APART = 0.07  # between arms of one cost, so that their intervals can be told apart


@plt.rc_context(STYLE)
def over_cost(study: Study, record: Record, condition: str, arms: Sequence[str]) -> Drawn:
    """Draw how far arms lie above the baseline, over what a trial of them costs.

    Args:
        study: the study, which has the labels.
        record: the record of the final runs.
        condition: name of the condition.
        arms: names of the arms without the baseline; one at equal cost is drawn as a square.
    """
    cost, base = costs.passes(study, record), study.role("baseline")
    fig, axes = panels(3.8)
    axis, table, taken = axes[0, 0], [], dict.fromkeys(cost, 0)
    for arm in map(study.arm, arms):
        terms = (arm - base) @ condition
        interval = stats.t_interval(100 * by_seed(record.rows, terms, "accuracy"))
        color, marker = (ORANGE, "s") if arm.role.startswith("baseline") else (BLUE, "o")
        at = (cost[arm.name] + APART * taken[cost[arm.name]], interval.mean)
        taken[cost[arm.name]] += 1
        half = interval.hi - interval.mean
        axis.errorbar(*at, yerr=half, color=color, marker=marker, ms=4, capsize=2)
        table.append(
            {"arm": arm.label, "cost": f"{cost[arm.name]:.2g}×"}
            | {"mean, points": f"{interval.mean:+.2f}".replace("-", MINUS)}
            | {"95% low": round(interval.lo, 2), "95% high": round(interval.hi, 2)}
        )
    for arm in map(study.arm, arms):
        mean = 100 * by_seed(record.rows, (arm - base) @ condition, "accuracy").mean()
        right = cost[arm.name] + APART * (taken[cost[arm.name]] - 1)
        where = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
        axis.annotate(arm.label, (right, mean), fontsize="small", **where)
    axis.axhline(0, color=INK, lw=1)
    # room for the labels on the right of the dearest arms
    axis.set(xlim=(0, 1.5 * max(cost[name] for name in arms)))
    axis.set_ylabel(f"accuracy above “{base.label}”, points")
    axis.set_xlabel(f"passes, in trainings of “{base.label}”")
    order = sorted(table, key=lambda row: float(row["mean, points"].replace(MINUS, "-")))
    best = order[-1]
    said = f"{best['arm']} is the most accurate of these, {best['mean, points']} points against "
    said += f"{base.label} at {best['cost']} its cost"
    return Drawn(
        fig,
        pd.DataFrame(table),
        f"{said}. {study.condition(condition).label}; arms of one cost stand side by side, the "
        "square is the baseline at equal cost, the bar is the 95% interval of the paired "
        "difference over seeds.",
        f"Scatter of accuracy over cost: {said}. "
        + "; ".join(f"{row['arm']} {row['mean, points']} at {row['cost']}" for row in table),
    )
