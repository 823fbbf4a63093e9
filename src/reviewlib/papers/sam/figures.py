"""Figures of SAM: paths over the contours of a loss, and test error against sharpness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.ticker import LogFormatter

from reviewlib.evidence.units import MINUS
from reviewlib.page.chapter import Chapter
from reviewlib.page.drawing import BLUE, GREEN, GRID, INK, MUTED, ORANGE, STYLE, Drawn, panels, show
from reviewlib.page.missing import needs_evidence


@plt.rc_context(STYLE)
def contours(
    loss: Callable[[np.ndarray], np.ndarray],
    paths: Mapping[str, Sequence[Sequence[float]]],
    around: tuple[float, float, float, float],
) -> Drawn:
    """Draw paths over the contours of a loss of two parameters whose minimum is 0.

    Args:
        loss: maps an array (2, ...) of parameters to losses (...).
        paths: the points of each path, by label; a path of two points is drawn as an arrow.
        around: limits of the axes (left, right, bottom, top).
    """
    left, right, bottom, top = around
    grid = np.array(np.meshgrid(np.linspace(left, right, 301), np.linspace(bottom, top, 301)))
    fig, axes = panels(4.2)
    axis, heights = axes[0, 0], loss(grid)
    axis.contour(*grid, np.sqrt(heights), levels=24, colors=GRID, linewidths=0.8)
    axis.contour(*grid, heights, levels=[2e-4], colors=INK, linewidths=0.8, linestyles="dashed")
    for (label, path), color in zip(paths.items(), (BLUE, ORANGE, GREEN), strict=False):
        x, y = np.transpose(path)
        if len(path) == 2:
            options = {"color": color, "length_includes_head": True}
            options |= {"width": 0.015, "head_width": 0.05, "zorder": 4}
            axis.arrow(x[0], y[0], x[1] - x[0], y[1] - y[0], label=label, **options)
        else:
            axis.plot(x, y, color=color, lw=0.9, marker="o", ms=2.5, label=label)
    axis.set(xlabel="first parameter", ylabel="second parameter", xlim=around[:2], ylim=around[2:])
    axis.grid(False)
    axis.legend(loc="upper right")
    table = [
        {"path": label, "step": step, "first": round(x, 3), "second": round(y, 3)}
        for label, path in paths.items()
        for step, (x, y) in enumerate(path)
    ]
    ends = "; ".join(
        f"{label} from ({path[0][0]:.2f}, {path[0][1]:.2f}) "
        f"to ({path[-1][0]:.2f}, {path[-1][1]:.2f})"
        for label, path in paths.items()
    )
    return Drawn(
        fig,
        pd.DataFrame(table),
        "Steps over the contours of the loss. Dashed: the floor of the valley.",
        f"Contour plot of a loss of two parameters with paths: {ends}",
    )


@needs_evidence
def show_sharpness(page: Chapter, condition: str) -> Markdown:
    """Display test error against sharpness in a condition; return text on their correlation."""
    rows = page.record.rows[page.record.rows["condition"] == condition].dropna(
        subset="top_eigenvalue"
    )
    rows = rows.assign(error=100 * (1 - rows["accuracy"]))
    data = ranked(rows.assign(arm=rows["arm"].map(lambda name: page.study.arm(name).label)))
    show(sharpness(data, rows, page.study.condition(condition).label), page.stamp)
    across = data["top eigenvalue"].corr(data["test error, %"], "spearman")
    within = data["rank correlation over seeds"]
    text = (
        f"Spearman's rank correlation of top eigenvalue and test error is {across:+.2f} across "
        f"the {len(data)} arms (their means), and {within.median():+.2f} within an arm (the "
        f"median over arms; from {within.min():+.2f} to {within.max():+.2f}, each over "
        f"{data['n'].max()} seeds). Exploratory."
    )
    return Markdown(text.replace("-0", f"{MINUS}0"))


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean sharpness and test error of each arm, numbered from flat to sharp.

    The column before the last is Spearman's rank correlation of top eigenvalue and test error over
    the seeds of the arm.
    """
    table = [
        {
            "arm": arm,
            "top eigenvalue": part["top_eigenvalue"].mean(),
            "rise in the ball, nats": part["rise_in_ball"].mean(),
            "test error, %": part["error"].mean(),
            "rank correlation over seeds": part["top_eigenvalue"].corr(part["error"], "spearman"),
            "n": len(part),
        }
        for arm, part in rows.groupby("arm", sort=False)
    ]
    frame = pd.DataFrame(table).sort_values("top eigenvalue").round(3)
    frame.insert(0, "no.", range(1, len(frame) + 1))
    return frame


@plt.rc_context(STYLE)
def sharpness(table: pd.DataFrame, runs: pd.DataFrame, where: str) -> Drawn:
    """Draw test error against the Hessian's top eigenvalue: points for runs, numbers for arms.

    Args:
        table: as `ranked` returns it.
        runs: the final runs of a condition, with their error in percent.
        where: label of the condition.
    """
    fig, axes = panels(3.6)
    axis = axes[0, 0]
    axis.scatter(
        runs["top_eigenvalue"],
        runs["error"],
        s=9,
        color=MUTED,
        alpha=0.6,
        linewidths=0,
    )
    at = table["top eigenvalue"], table["test error, %"]
    axis.scatter(*at, s=110, color=BLUE, zorder=3)
    for number, x, y in zip(table["no."], *at, strict=True):
        axis.text(x, y, number, color="white", fontsize=7, ha="center", va="center", zorder=4)
    axis.set(xscale="log", xlabel="top eigenvalue of the training loss's Hessian")
    for ticks in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        ticks(LogFormatter(minor_thresholds=(1, 0.4)))  # the default formatter writes formulas
    axis.set(ylabel="test error, %")
    ranks = "; ".join(
        f"{row['arm']} {row['top eigenvalue']:.2g}, {row['test error, %']:.1f}%"
        for row in table.to_dict("records")
    )
    return Drawn(
        fig,
        table,
        f"Test error against sharpness, {where}; a gray point is a run, a number the mean of the "
        "arm of that number in the table below.",
        f"Scatter chart of test error against the top eigenvalue; arms from flat to sharp: {ranks}",
    )
