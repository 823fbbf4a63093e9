"""The figure of what accuracy costs: whole procedures against the baseline, by their passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from reviewlib.evidence import stats
from reviewlib.evidence.contrasts import by_seed
from reviewlib.evidence.record import Record
from reviewlib.evidence.units import MINUS
from reviewlib.page import costs
from reviewlib.page.drawing import BLUE, INK, ORANGE, STYLE, Drawn, panels
from reviewlib.trial.study import Study

APART = 0.07  # between arms of one cost, so that their intervals can be told apart
LINE = 0.05  # the height of a label, as a fraction of the axis


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
    axis, table, means = axes[0, 0], [], {}
    labels: dict[float, list[tuple[float, str]]] = {}
    for arm in map(study.arm, arms):
        terms = (arm - base) @ condition
        interval = stats.t_interval(100 * by_seed(record.rows, terms, "accuracy"))
        color, marker = (ORANGE, "s") if arm.role.startswith("baseline") else (BLUE, "o")
        side = APART * len(labels.get(cost[arm.name], ()))
        at, means[arm.name] = (cost[arm.name] + side, interval.mean), interval.mean
        half = interval.hi - interval.mean
        axis.errorbar(*at, yerr=half, color=color, marker=marker, ms=4, capsize=2)
        table.append(
            {"arm": arm.label, "cost": f"{cost[arm.name]:.2g}×"}
            | {"mean, points": f"{interval.mean:+.2f}".replace("-", MINUS)}
            | {"95% low": round(interval.lo, 2), "95% high": round(interval.hi, 2)}
        )
        labels.setdefault(cost[arm.name], []).append((interval.mean, arm.label))
    axis.axhline(0, color=INK, lw=1)
    gap, where = LINE * np.ptp(axis.get_ylim()), {"xytext": (7, 0), "textcoords": "offset points"}
    for at, named in labels.items():
        right, height = at + APART * (len(named) - 1), -math.inf
        for mean, label in sorted(named):
            height = max(mean, height + gap)
            axis.annotate(label, (right, height), fontsize="small", va="center", **where)
    # room for the labels on the right of the dearest arms
    axis.set(xlim=(0, 1.5 * max(cost[name] for name in arms)))
    axis.set_ylabel(f"accuracy above “{base.label}”, points")
    axis.set_xlabel(f"passes, in trainings of “{base.label}”")
    best = max(means, key=means.get)
    said = f"{study.arm(best).label} is the most accurate of these, at {cost[best]:.2g}× the cost "
    said += f"of {base.label}"
    return Drawn(
        fig,
        pd.DataFrame(table),
        f"{said}. {study.condition(condition).label}; arms of one cost stand side by side, the "
        "square is the baseline at equal cost, the bar is the 95% interval of the paired "
        "difference over seeds.",
        f"Scatter of accuracy over cost: {said}. "
        + "; ".join(f"{row['arm']} {row['mean, points']} at {row['cost']}" for row in table),
    )
