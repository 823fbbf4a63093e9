"""Lines over a numeric axis: means over seeds with their 95% intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.ticker import LogLocator

from reviewlib.evidence import stats
from reviewlib.evidence.record import Record
from reviewlib.page.drawing import MUTED, STYLE, Drawn, panels
from reviewlib.trial.arms import Condition
from reviewlib.trial.study import Study


def swept(
    record: Record,
    arm: str,
    conditions: Iterable[Condition],
    by: str,
    metric: str = "accuracy",
    *,
    error: bool = False,
    best: bool = False,
) -> pd.Series:
    """Return an arm's metric in percent, indexed by the setting that the conditions sweep.

    Args:
        record: the record of the final runs.
        arm: name of the arm.
        conditions: the conditions of the sweep.
        by: name of the setting that they sweep.
        metric: column of the record, a fraction.
        error: return 100% minus the metric instead.
        best: return the results of the best of all trials, as conditions need that take their
            settings from another one; else those of one search.
    """
    runs = record.best if best else record.rows
    names = [condition.name for condition in conditions]
    runs = runs[(runs["arm"] == arm) & runs["condition"].isin(names)]
    values = 1 - runs[metric] if error else runs[metric]
    index = [settings[by] for settings in runs["settings"]]
    return pd.Series(100 * values.to_numpy(), index=index)


@plt.rc_context(STYLE)
def along_training(study: Study, record: Record, condition: str, arms: Sequence[str]) -> Drawn:
    """Draw validation accuracy along training: the mean over seeds with its 95% interval.

    A seed that diverged early counts as long as it has points; an arm needs two with a point.
    """
    fig, axes = panels(3.2)
    axis, table = axes[0, 0], []
    for name, color in zip(arms, sns.color_palette("colorblind"), strict=False):
        points = pd.DataFrame(
            [point for curve in record.of(name, condition)["curve"] for point in curve],
            columns=["step", "accuracy"],
        )
        by_step = [
            (step, stats.t_interval(100 * part))
            for step, part in points.groupby("step")["accuracy"]
            if len(part) > 1
        ]
        share = [100 * step / points["step"].max() for step, _ in by_step]
        low, mean, high = (
            [getattr(interval, end) for _, interval in by_step] for end in ("lo", "mean", "hi")
        )
        axis.plot(share, mean, color=color, label=study.arm(name).label)
        axis.fill_between(share, low, high, color=color, alpha=0.2, linewidth=0)
        table += [
            {"arm": study.arm(name).label, "% of training": round(at), "mean, %": round(value, 2)}
            for at, value in zip(share, mean, strict=True)
        ]
    axis.set(xlabel="% of the arm's training steps", ylabel="validation accuracy, %")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    data = pd.DataFrame(table, columns=["arm", "% of training", "mean, %"])
    ends = data.groupby("arm", sort=False)["mean, %"].agg(["min", "max"])
    return Drawn(
        fig,
        data,
        f"Accuracy on validation images along training, {study.condition(condition).label}; the "
        "band is the 95% interval of the mean over seeds.",
        "Line chart of validation accuracy along training: "
        + "; ".join(f"{arm} {low} to {high}" for arm, (low, high) in ends.iterrows()),
    )


@plt.rc_context(STYLE)
def over(
    lines: Mapping[str, pd.Series],
    x: str,
    y: str,
    marks: Mapping[str, float],
    caption: str,
    *,
    y_scale: str = "linear",
) -> Drawn:
    """Draw lines over a numeric axis: the mean over seeds with its 95% interval.

    Args:
        lines: by label, the values of all seeds, indexed by their x coordinate.
        x: label of the x axis, which is logarithmic.
        y: label of the y axis.
        marks: by label, the x coordinate of a vertical line.
        caption: the first sentences of the caption.
        y_scale: "linear" or "log".
    """
    fig, axes = panels(3.6)
    axis, table = axes[0, 0], []
    for (label, values), color in zip(lines.items(), sns.color_palette("colorblind"), strict=False):
        intervals = {at: stats.t_interval(part) for at, part in values.groupby(level=0)}
        low, mean, high = (
            [getattr(interval, end) for interval in intervals.values()]
            for end in ("lo", "mean", "hi")
        )
        axis.plot(list(intervals), mean, color=color, marker="o", ms=3, lw=1.4, label=label)
        axis.fill_between(list(intervals), low, high, color=color, alpha=0.2, linewidth=0)
        table += [
            {"line": label, x: at, f"{y}, mean": round(i.mean, 2)}
            | {"95% low": round(i.lo, 2), "95% high": round(i.hi, 2), "n": i.n}
            for at, i in intervals.items()
        ]
    for (label, at), style in zip(marks.items(), ("--", ":", "-."), strict=False):
        axis.axvline(at, color=MUTED, linestyle=style, label=label)
    axis.set(xscale="log", yscale=y_scale, xlabel=x, ylabel=y)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    data, mean = pd.DataFrame(table), f"{y}, mean"
    ranges = [
        f"{label} from {part[mean].iloc[0]:g} to {part[mean].iloc[-1]:g}, at most "
        f"{part[mean].max():g}"
        for label, part in data.groupby("line", sort=False)
    ]
    marked = [f"{label} at {at:g}" for label, at in marks.items()]
    return Drawn(
        fig,
        data,
        f"{caption} The band is the 95% interval of the mean over seeds.",
        f"Line chart of {y} over {x}: {'; '.join(ranges + marked)}",
    )
