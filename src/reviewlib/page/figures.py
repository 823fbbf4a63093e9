"""The figures that every chapter may show; a paper's own are in its folder.

Titles and axes only describe; the verdicts state what the results mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from reviewlib.evidence import stats, units
from reviewlib.evidence.record import Record
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import tables
from reviewlib.page.drawing import BLUE, GREEN, INK, MUTED, STYLE, WIDTH, Drawn, panels
from reviewlib.trial.arms import Condition
from reviewlib.trial.study import Study


def conditions_and_arms(study: Study, table: pd.DataFrame) -> list[tuple[Condition, list[str]]]:
    """Return the conditions of a table of runs, each with its arms' names, in order."""
    return [
        (condition, list(dict.fromkeys(table.loc[table["condition"] == condition.name, "arm"])))
        for condition in study.conditions
        if condition.name in set(table["condition"])
    ]


@plt.rc_context(STYLE)
def finals(study: Study, record: Record) -> Drawn:
    """Draw each arm's test accuracy: one point per seed, and the mean with its 95% interval."""
    shown_in, table = conditions_and_arms(study, record.rows), []
    fig, axes = panels(*(0.3 * len(names) + 0.9 for _, names in shown_in))
    for axis, (condition, names) in zip(axes[:, 0], shown_in, strict=True):
        for place, name in enumerate(reversed(names), start=1):
            part = record.of(name, condition.name)
            values = 100 * part["accuracy"]
            _seeds_and_interval(axis, values, place, stats.t_interval(values))
            interval = stats.t_interval(values)
            table.append(
                {
                    "condition": condition.label,
                    "arm": study.arm(name).label,
                    "mean, %": round(interval.mean, 2),
                    "95% low": round(interval.lo, 2),
                    "95% high": round(interval.hi, 2),
                    "sd over seeds": round(interval.sd, 2),
                    "accuracy on training labels, %": round(100 * part["train_accuracy"].mean(), 1),
                    "test NLL, nats": round(part["nll"].mean(), 3),
                    "n": interval.n,
                }
            )
        if len(record.floor):
            floor = 100 * record.floor.groupby("condition")["accuracy"].mean()[condition.name]
            axis.axvline(floor, color=MUTED, linestyle="--", label="logistic regression")
        _name_arms(axis, study, names)
        axis.set(title=condition.label, xlabel="test accuracy, %")
    if axes[0, 0].get_legend_handles_labels()[0]:
        axes[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    means = "; ".join(f"{row['condition']}, {row['arm']} {row['mean, %']}" for row in table)
    return Drawn(
        fig,
        pd.DataFrame(table),
        "Test accuracy. Each gray point is one seed on its own fold of the test pool; blue is the "
        "mean with its 95% interval over seeds; the dashed line is the mean of scikit-learn's "
        "logistic regression over the same seeds.",
        f"Mean test accuracy in percent: {means}",
    )


@plt.rc_context(STYLE)
def contrasts(study: Study, verdicts: Sequence[Verdict]) -> Drawn:
    """Draw each claim's paired contrast: one point per seed, the interval, zero and the margin.

    Each unit has its own panel.
    """
    labels = [tables.contrast_label(study, out) for out in verdicts]
    by_axis: dict[tuple[float, str], list[tuple[str, Verdict]]] = {}
    for label, out in zip(labels, verdicts, strict=True):
        by_axis.setdefault(units.drawn(*out.claim.measure), []).append((label, out))
    fig, axes = panels(*(0.56 * len(mine) + 0.7 for mine in by_axis.values()))
    for axis, ((factor, axis_label), mine) in zip(axes[:, 0], by_axis.items(), strict=True):
        for place, (label, out) in zip(range(len(mine), 0, -1), mine, strict=True):
            margin = factor * out.claim.boundary
            _seeds_and_interval(axis, factor * out.values, place, out.interval, factor)
            axis.plot([margin] * 2, [place - 0.28, place + 0.28], color=GREEN, lw=2)
            # above its row: beside it, a long label would shrink the picture on a phone
            axis.text(0, place + 0.36, label, transform=axis.get_yaxis_transform(), fontsize=8)
        axis.axvline(0, color=INK, lw=1)
        axis.set_yticks([])
        axis.set_ylim(0.5, len(mine) + 0.7)
        axis.set(xlabel=axis_label)
    table = pd.DataFrame(_listed(label, out) for label, out in zip(labels, verdicts, strict=True))
    found = sorted({(_kind(out), units.percent(out.interval.level)) for out in verdicts})
    one = len({level for _, level in found}) == 1
    levels = found[0][1] if one else ", ".join(f"{level} for {what}" for what, level in found)
    loss = any(out.claim.kind == "no loss" for out in verdicts)
    return Drawn(
        fig,
        table,
        "Paired differences. Each gray point is one seed; blue is the mean with its interval "
        f"({levels}); green is the margin, the smallest effect that would matter"
        f"{', of no loss left of zero' if loss else ''}.",
        "Paired differences: "
        + "; ".join(
            f"{row['contrast']} {row['mean']} ({row['low']} to {row['high']})"
            for row in table.to_dict("records")
        ),
    )


def _kind(out: Verdict) -> str:
    return "primary claims" if out.claim.primary else "exploratory ones"


def _listed(label: str, out: Verdict) -> dict[str, object]:
    interval = out.interval
    ends = {"mean": interval.mean, "low": interval.lo, "high": interval.hi}
    return (
        {"contrast": label}
        | {name: units.effect(value, *out.claim.measure) for name, value in ends.items()}
        | {"level, %": round(100 * interval.level, 2), "n": interval.n}
        | {"margin": units.effect(out.claim.boundary, *out.claim.measure)}
    )


@plt.rc_context(STYLE)
def images(pictures: Mapping[str, np.ndarray], what: str, caption: str) -> Drawn:
    """Draw small images side by side, all on one scale from 0 to the largest value.

    Args:
        pictures: by label, an image of shape (H, W) with values of 0 or more.
        what: what the values are; labels the color bar.
        caption: the caption.
    """
    columns, top = min(len(pictures), 4), max(picture.max() for picture in pictures.values())
    rows = -(-len(pictures) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 1.55 * rows), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (label, picture) in zip(axes.flat, pictures.items(), strict=False):
        image = axis.imshow(picture, cmap="viridis", vmin=0, vmax=top)
        axis.set_title(label, fontsize=8)
    fig.colorbar(image, ax=axes, shrink=0.8, label=what)
    table = [
        {"image": label, "mean": picture.mean(), "least": picture.min(), "most": picture.max()}
        | {"at 0": (picture == 0).mean()}
        for label, picture in pictures.items()
    ]
    rounded = pd.DataFrame(table).round(3)
    ranges = "; ".join(
        f"{row['image']} from {row['least']:g} to {row['most']:g}"
        for row in rounded.to_dict("records")
    )
    return Drawn(fig, rounded, caption, f"Small images of {what}: {ranges}")


def _seeds_and_interval(
    axis: Axes, values: pd.Series, place: float, interval: stats.Interval, scale: float = 1
) -> None:
    """Draw one point per seed at height `place`, and on top the mean with its interval."""
    spread = np.linspace(-0.22, 0.22, len(values))
    axis.scatter(values, place + spread, s=9, color=MUTED, alpha=0.7, linewidths=0)
    axis.plot([scale * interval.lo, scale * interval.hi], [place] * 2, color=BLUE, lw=2.4)
    axis.scatter([scale * interval.mean], [place], s=30, color=BLUE, zorder=3)


def _name_arms(axis: Axes, study: Study, names: Sequence[str]) -> None:
    labels = [study.arm(name).label for name in reversed(names)]
    axis.set_yticks(range(1, len(names) + 1), labels)
    axis.set_ylim(0.4, len(names) + 0.6)
