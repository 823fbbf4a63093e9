"""Figures of AugMix from its records: accuracy by corruption, and what an operation is worth."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

from reviewlib.data.corruptions import CIFAR_C, MNIST_C
from reviewlib.evidence import stats, units
from reviewlib.evidence.contrasts import by_seed
from reviewlib.page.chapter import Chapter
from reviewlib.page.drawing import (
    BLUE,
    GRID,
    MUTED,
    ORANGE,
    STYLE,
    WIDTH,
    Drawn,
    panels,
    show,
)
from reviewlib.page.markup import stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.page.tables import interval_text
from reviewlib.papers.augmix.arms import (
    LEFT_OUT,
    MAIN,
    SMALL,
    augmix,
    augmix_standardized,
    crop,
    crop_3x,
    mixed_3x,
    standardized,
)
from reviewlib.papers.augmix.scores import DISJOINT, OVERLAPPING, said
from reviewlib.trial.declare import Arm

EVERY = (*DISJOINT, *OVERLAPPING, *MNIST_C)
GROUP_OF = (
    dict.fromkeys(DISJOINT, "disjoint")
    | dict.fromkeys(OVERLAPPING, "overlapping")
    | dict.fromkeys(MNIST_C, "far")
)


# The disjoint corruptions that leave the brightness of the background as it is.
QUIET = tuple(name for name in DISJOINT if name not in ("snow", "frost", "fog"))


@needs_evidence
def show_corruptions(page: Chapter) -> None:
    """Display the accuracy of three arms under each corruption."""
    show(_dumbbells(page), page.stamp)


@plt.rc_context(STYLE)
def _dumbbells(page: Chapter) -> Drawn:
    arms = ((crop_3x, MUTED, "s"), (augmix, BLUE, "o"), (standardized, ORANGE, "D"))
    fig, axes = panels(0.24 * len(EVERY) + 0.9)
    axis, table = axes[0, 0], []
    for place, name in enumerate(reversed(EVERY)):
        metric = f"{name}_accuracy"
        means = {
            arm.label: 100 * page.record.of(arm.name, MAIN.name)[metric].mean() for arm, *_ in arms
        }
        axis.plot([min(means.values()), max(means.values())], [place] * 2, color=GRID, lw=2)
        for arm, color, marker in arms:
            label = arm.label if place == 0 else None
            axis.scatter(
                means[arm.label], place, s=22, color=color, marker=marker, label=label, zorder=3
            )
        gap = _interval(page, augmix.name, crop_3x.name, metric)
        table.append(
            {"corruption": said(name), "group": GROUP_OF[name]}
            | {f"{label}, %": round(mean, 1) for label, mean in means.items()}
            | {"AugMix - flip + crop at equal cost, points": units.effect(gap.mean, "accuracy")}
            | {"95% low": units.effect(gap.lo, "accuracy")}
            | {"95% high": units.effect(gap.hi, "accuracy")}
        )
    for edge in (len(MNIST_C), len(MNIST_C) + len(OVERLAPPING)):
        axis.axhline(edge - 0.5, color=MUTED, lw=0.8, linestyle="--")
    axis.set_yticks(range(len(EVERY)), [said(name) for name in reversed(EVERY)])
    axis.set(xlabel="test accuracy, %", ylim=(-0.6, len(EVERY) - 0.4))
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    listed = "; ".join(
        f"{row['corruption']} {row['AugMix - flip + crop at equal cost, points']}"
        for row in reversed(table)
    )
    return Drawn(
        fig,
        pd.DataFrame(table[::-1]),
        "Accuracy by corruption, the mean over seeds and severities. From the top, between dashed "
        "lines: the disjoint, the overlapping and the far corruptions.",
        f"AugMix minus flip + crop at equal cost, points of accuracy: {listed}",
    )


@needs_evidence
def show_left_out(page: Chapter) -> None:
    """Display what each operation is worth under each corruption."""
    show(_heat_map(page), page.stamp)


@plt.rc_context(STYLE)
def _heat_map(page: Chapter) -> Drawn:
    gains, clear = np.zeros((2, len(EVERY), len(LEFT_OUT)))
    for column, arm in enumerate(LEFT_OUT.values()):
        for row, name in enumerate(EVERY):
            gap = _interval(page, augmix.name, arm.name, f"{name}_accuracy", SMALL.name)
            gains[row, column] = 100 * gap.mean
            clear[row, column] = not gap.lo <= 0 <= gap.hi
    fig, axis = plt.subplots(figsize=(WIDTH, 0.25 * len(EVERY) + 1.3), layout="constrained")
    most = np.abs(gains).max()
    axis.imshow(gains, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    for (row, column), gain in np.ndenumerate(gains):
        dark = abs(gain) > 0.6 * most
        axis.text(
            column,
            row,
            f"{gain:+.1f}".replace("-", units.MINUS) + "*" * bool(clear[row, column]),
            ha="center",
            va="center",
            fontsize=6,
            color="white" if dark else "#1b1f25",
        )
    axis.set_yticks(range(len(EVERY)), [said(name) for name in EVERY], fontsize=7)
    axis.set_xticks(
        range(len(LEFT_OUT)), [said(name) for name in LEFT_OUT], rotation=40, ha="right", fontsize=7
    )
    axis.grid(False)
    table = pd.DataFrame(gains.round(2), columns=[said(name) for name in LEFT_OUT])
    table.insert(0, "corruption", [said(name) for name in EVERY])
    row, column = np.unravel_index(np.abs(gains).argmax(), gains.shape)
    return Drawn(
        fig,
        table,
        "What each operation is worth: accuracy with all nine minus accuracy without it, in "
        "points, by corruption. A star: the 95% interval excludes 0, which one in twenty would by "
        "chance.",
        f"Heat map of operations by corruptions; the largest value is {gains[row, column]:+.1f} "
        f"points, for {said(list(LEFT_OUT)[column])} under {said(EVERY[row])}; "
        f"{int(clear.sum())} of {clear.size} intervals exclude 0",
    )


@needs_evidence
def relative_error(page: Chapter, arm: Arm) -> str:
    """Return an arm's error relative to the baseline's at equal cost, as text.

    It is the mean over the corruptions of CIFAR_C, in percent, with its interval over seeds.
    """
    error, baseline = (
        1 - _of(page, name)[[f"{each}_accuracy" for each in CIFAR_C]]
        for name in (arm.name, crop_3x.name)
    )
    ratio = stats.t_interval(100 * (error / baseline).mean(axis=1))
    return f"{ratio.mean:.0f}% (95% interval {ratio.lo:.0f} to {ratio.hi:.0f}, n = {ratio.n})"


@needs_evidence
def calibration_table(page: Chapter) -> HTML:
    """Return the mean calibration errors of all kinds, in percent, as a table."""
    return stamped(_calibration(page), page.stamp)


def _calibration(page: Chapter) -> pd.DataFrame:
    rows = []
    for arm in (crop, crop_3x, augmix, mixed_3x, standardized, augmix_standardized):
        means = _of(page, arm.name).mean(numeric_only=True)
        for images, prefix in (("clean", ""), ("corrupted", "corrupted_")):
            row = {"arm": arm.label, "images": images}
            for short, kind in (("ECE", "expected"), ("adaptive", "adaptive"), ("RMS", "rms")):
                plain, scaled = (
                    100 * means[f"{prefix}{how}{kind}_calibration_error"] for how in ("", "scaled_")
                )
                row |= {short: f"{plain:.1f}", f"{short}, scaled": f"{scaled:.1f}"}
            rows.append(row)
    return pd.DataFrame(rows)


@needs_evidence
def against_temperature(page: Chapter) -> str:
    """Return how much lower AugMix's error without a temperature is than the baseline's with one.

    It is the calibration error on corrupted images, as text.
    """
    error = "corrupted_rms_calibration_error"
    plain, scaled = (
        _of(page, arm.name)[metric]
        for arm, metric in ((augmix, error), (crop_3x, error.replace("rms", "scaled_rms")))
    )
    return _text(stats.t_interval(scaled - plain), error)


@needs_evidence
def after_the_fact(page: Chapter, corruptions: Sequence[str]) -> str:
    """Return AugMix's lead at equal cost over some corruptions, as text."""
    contrast = (augmix - crop_3x) @ MAIN
    gaps = [by_seed(page.record.rows, contrast, f"{name}_accuracy") for name in corruptions]
    return _text(stats.t_interval(sum(gaps) / len(gaps)), "accuracy")


def _text(interval: stats.Interval, metric: str) -> str:
    return (
        f"{units.with_unit(interval.mean, metric)} (looked at after the fact; "
        f"{interval_text(interval, metric)}, n = {interval.n})"
    )


def _of(page: Chapter, arm: str) -> pd.DataFrame:
    return page.record.of(arm, MAIN.name).set_index("seed")


def _interval(
    page: Chapter, arm: str, other: str, metric: str, condition: str = MAIN.name
) -> stats.Interval:
    contrast = (page.study.arm(arm) - page.study.arm(other)) @ condition
    rows = page.record.rows if condition == MAIN.name else page.record.best
    return stats.t_interval(by_seed(rows, contrast, metric))
