"""The matrix of interactions, and what every pair comes to."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes

from reviewlib.evidence import units
from reviewlib.page import costs
from reviewlib.page.chapter import Chapter
from reviewlib.page.drawing import MUTED, STYLE, WIDTH, Drawn, show
from reviewlib.page.markup import folded
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.combinations.arms import pairs
from reviewlib.papers.combinations.figures import effects
from reviewlib.papers.combinations.figures.effects import Effect
from reviewlib.papers.combinations.methods import METHODS, Method

Cells = dict[tuple[int, int], Effect]  # by row and column
COLORS = "vlag_r"  # red is below zero, blue above
HEADS = ("gain of the first", "gain of the second", "interaction")
DARKEST = 0.6  # the part of the colors that is used, so that black text stays readable


@needs_evidence
def show_matrix(page: Chapter) -> None:
    """Display what two methods gain together beyond their gains alone."""
    show(_matrix(page), page.stamp)


@plt.rc_context(STYLE)
def _matrix(page: Chapter) -> Drawn:
    clean, corrupted = (
        effects.interactions(page.study, page.record, measure)
        for measure in ("error", "corrupted error")
    )
    alone = effects.gains(page.study, page.record)
    place = {method: number for number, method in enumerate(METHODS)}
    cells: Cells = {(place[method], place[method]): each for method, each in alone.items()}
    for (first, second), each in clean.items():
        cells[place[second], place[first]] = each
    for (first, second), each in corrupted.items():
        cells[place[first], place[second]] = each
    adjusted = dict(zip(clean, effects.holm(list(clean.values())), strict=True))
    sure = [pair for pair, p in adjusted.items() if p < 0.05]
    fig, axis = plt.subplots(figsize=(WIDTH, 4.6), layout="constrained")
    _fill(axis, cells, {(place[second], place[first]) for first, second in sure})
    said = _said(clean, sure)
    return Drawn(
        fig,
        _table(clean, corrupted, adjusted),
        "What two methods gain together beyond their gains alone, in points of error: below the "
        "diagonal on clean images, above it on corrupted ones. On the diagonal, the gain of each "
        "method alone at equal steps. Blue is better than the sum, red worse; below each number, "
        f"its 95% interval; bold ones are below 0.05 after Holm's correction. {said}",
        f"A matrix of interactions. {said}",
    )


def _fill(axis: Axes, cells: Cells, sure: set[tuple[int, int]]) -> None:
    """Draw the cells: color and number are the mean, the interval stands below it."""
    size = len(METHODS)
    means = np.full((size, size), np.nan)
    for (row, column), each in cells.items():
        means[row, column] = 100 * each.interval.mean
        weight = "bold" if (row, column) in sure else "normal"
        at = {"ha": "center", "va": "center", "color": "black"}
        axis.text(column + 0.5, row + 0.38, _points(each.interval.mean), weight=weight, **at)
        axis.text(column + 0.5, row + 0.68, _ends(each), fontsize=5.4, **at)
    most = np.nanmax(np.abs(means)) / DARKEST or 1
    names = [method.label.replace(" ", "\n") for method in METHODS]
    sns.heatmap(
        means,
        cmap=COLORS,
        vmin=-most,
        vmax=most,
        cbar=False,
        xticklabels=names,
        yticklabels=names,
        linewidths=1.5,
        ax=axis,
    )
    for number in range(size):
        frame = plt.Rectangle((number, number), 1, 1, fill=False, ec=MUTED, lw=1.4, clip_on=False)
        axis.add_patch(frame)
    axis.set_title("above the diagonal: corrupted images", loc="right", fontsize=8)
    axis.set_xlabel("below the diagonal: clean images", loc="left", fontsize=8)
    axis.tick_params(length=0, labelsize=8)
    axis.tick_params(axis="y", rotation=0)
    axis.grid(False)


def _points(value: float) -> str:
    return units.effect(value, "error")


def _said(clean: dict, sure: list[tuple[Method, Method]]) -> str:
    """Return what to see, computed."""
    ranked = sorted(clean, key=lambda pair: clean[pair].interval.mean)
    low, high = ranked[0], ranked[-1]
    ends = " and ".join(
        f"{_named(pair)} ({units.with_unit(clean[pair].interval.mean, 'error')})"
        for pair in (low, high)
    )
    found = "; ".join(
        f"{_named(pair)} {'help each other' if clean[pair].interval.mean > 0 else 'overlap'}"
        for pair in sure
    )
    settled = (
        f"After Holm's correction, {len(sure)} of {len(clean)} differ from 0 on clean images: "
        f"{found}."
        if sure
        else f"After Holm's correction, none of the {len(clean)} differs from 0 on clean images."
    )
    return f"The lowest and the highest on clean images are {ends}. {settled}"


def _named(pair: tuple[Method, Method]) -> str:
    return pairs[pair].label


def _table(clean: dict, corrupted: dict, adjusted: dict) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pair": _named(pair),
            "interaction, points": _points(each.interval.mean),
            "95%": _ends(each),
            "p": f"{each.p:.2g}",
            "p, Holm": f"{adjusted[pair]:.2g}",
            "corrupted, points": _points(corrupted[pair].interval.mean),
            "corrupted, 95%": _ends(corrupted[pair]),
            "n": each.interval.n,
        }
        for pair, each in clean.items()
    )


def _ends(each: Effect, scale: str = "difference", metric: str = "error") -> str:
    lo, hi = (units.effect(end, metric, scale) for end in (each.interval.lo, each.interval.hi))
    return f"{lo} to {hi}"


@needs_evidence
def pairs_in_full(page: Chapter) -> HTML:
    """Return main effects and interaction of every pair by each measure, as folded tables."""
    parts = []
    for measure, (metric, _, log) in effects.MEASURES.items():
        scale = "log ratio" if log else "difference"
        found = {
            pair: effects.factorial(page.study, page.record, pair, measure)
            for pair in effects.interactions(page.study, page.record)
        }
        adjusted = effects.holm([each["interaction"] for each in found.values()])
        cost = costs.passes(page.study, page.record)
        rows = (
            {"pair": _named(pair)}
            | {
                head: f"{units.effect(each.interval.mean, metric, scale)} "
                f"({_ends(each, scale, metric)})"
                for head, each in zip(HEADS, by_name.values(), strict=True)
            }
            | {
                "p, Holm": f"{p:.2g}",
                "passes": f"{cost[pairs[pair].name]:.2g}×",
            }
            for (pair, by_name), p in zip(found.items(), adjusted, strict=True)
        )
        parts.append(folded(f"All pairs by {measure}", pd.DataFrame(rows)))
    return HTML("".join(parts))
