"""The figure of how the settings that searches chose scatter over the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from scipy.stats import binomtest

from reviewlib.evidence.record import Record
from reviewlib.page.drawing import BLUE, GREEN, INK, MUTED, ORANGE, STYLE, Drawn, panels
from reviewlib.trial.arms import CORE_ROLES, Arm, Condition, Hyperparameter
from reviewlib.trial.search import at_ends
from reviewlib.trial.study import Study

# An end of a range is flagged if so many choices or more lie there by chance this rarely.
RARE = 0.01
# The conditions that one figure can tell apart, by color and shape; its table has all.
LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (MUTED, "D"))


@dataclass(frozen=True, eq=False)
class Scatter:
    """What the searches of all seeds chose for one hyperparameter of an arm in a condition.

    Attributes:
        searched: the hyperparameter with its range.
        arm: the arm.
        condition: the condition.
        values: the chosen value of each seed.
        trials: number of trials of a search, T.
    """

    searched: Hyperparameter
    arm: Arm
    condition: Condition
    values: Sequence[float]
    trials: int

    @property
    def at_ends(self) -> dict[str, tuple[int, bool]]:
        """By end, "low" or "high", how often it was chosen, and whether that is flagged.

        It is flagged if its share of the choices is significantly above 1/T (binomial test).
        """
        return {
            end: (count, self._rare(count))
            for end, count in at_ends(self.values, self.searched).items()
        }

    def _rare(self, count: int) -> bool:
        test = binomtest(count, len(self.values), 1 / self.trials, alternative="greater")
        return bool(test.pvalue < RARE)


def scatters(study: Study, record: Record) -> list[Scatter]:
    """Return what every search of a record chose; arms with one trial have none."""
    runs = record.best.assign(trials=record.runs["diverged_at"].map(len))
    own = [arm for arm in study.arms if arm.search]  # an ablation searches nothing
    return [
        Scatter(each, arm, condition, [of[each.name] for of in mine["settings"]], trials)
        for each in study.hyperparameters
        for arm in own
        if each.name in arm.search
        for condition, mine, trials in _by_condition(study, runs[runs["arm"] == arm.name])
    ]


def _by_condition(
    study: Study, runs: pd.DataFrame
) -> Iterator[tuple[Condition, pd.DataFrame, int]]:
    """Yield an arm's runs in each condition that it searches in, with its trials."""
    for condition in (each for each in study.conditions if not each.parent):
        mine = runs[runs["condition"] == condition.name]
        if len(mine) and (trials := int(mine["trials"].iloc[0])) > 1:
            yield condition, mine, trials


@plt.rc_context(STYLE)
def chosen(study: Study, record: Record) -> Drawn | None:
    """Draw the settings that each seed's search chose; None if the record has no search.

    There is one panel a hyperparameter and one row an arm: core arms and those of primary claims,
    in the conditions of these claims. The table has all.
    """
    found = scatters(study, record)
    if not found:
        return None
    conditions = _conditions(study, found)
    shown = [each for each in found if each.condition.name in conditions and _judged(study, each)]
    drawn: dict[str, list[Scatter]] = {}
    for each in shown:
        drawn.setdefault(each.searched.name, []).append(each)
    row = 0.16 + 0.11 * len(conditions)
    rows = [len({each.arm.name for each in mine}) for mine in drawn.values()]
    fig, axes = panels(*(row * count + 0.75 for count in rows))
    for axis, mine in zip(axes[:, 0], drawn.values(), strict=True):
        _panel(axis, mine, conditions)
    if len(conditions) > 1:
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    flags = [
        f"{each.searched.name} of {each.arm.label}, {each.condition.label}, at the {end} end"
        for each in found
        for end, (_, flag) in each.at_ends.items()
        if flag
    ]
    said = "No end of a range was chosen significantly more often than by chance."
    if flags:
        ends = 2 * len(found)
        said = (
            f"Chosen significantly more often than by chance (triangles): {'; '.join(flags)}. "
            f"Of {ends} ends tested, up to {math.ceil(RARE * ends)} would be flagged by chance."
        )
    middles = "; ".join(
        f"{each.searched.name}, {each.arm.label}, {each.condition.label} "
        f"{np.median(each.values):.2g} ({min(each.values):.2g} to {max(each.values):.2g})"
        for each in shown
    )
    return Drawn(
        fig,
        pd.DataFrame(_listed(each) for each in found),
        "The settings that validation chose. Each point is one seed's best trial of all; the "
        f"vertical lines are the ends of the range. {said} The numbers hold all arms.",
        f"Chosen settings by hyperparameter, median and range over seeds: {middles}. {said}",
    )


def _conditions(study: Study, found: Sequence[Scatter]) -> list[str]:
    """Return the names of the conditions that a figure has room for, those of claims first."""
    compared = {condition for claim in study.primary for _, _, condition in claim.contrast}
    names = list(dict.fromkeys(each.condition.name for each in found))
    return ([name for name in names if name in compared] or names)[: len(LOOKS)]


def _judged(study: Study, each: Scatter) -> bool:
    compared = {arm for claim in study.primary for _, arm, _ in claim.contrast}
    return each.arm.role in CORE_ROLES or each.arm.name in compared


def _listed(each: Scatter) -> dict[str, object]:
    """Return a row of the figure's table."""
    middle = {"least": min(each.values), "median": np.median(each.values), "most": max(each.values)}
    return (
        {"hyperparameter": each.searched.name, "arm": each.arm.label}
        | {"condition": each.condition.label}
        | {name: f"{value:.2g}" for name, value in middle.items()}
        | {
            f"at the {end} end": f"{count} of {len(each.values)}{', flagged' if flag else ''}"
            for end, (count, flag) in each.at_ends.items()
        }
    )


def _panel(axis: Axes, mine: Sequence[Scatter], conditions: Sequence[str]) -> None:
    """Draw one hyperparameter: a row an arm, and within it a band of points a condition."""
    searched, labels = mine[0].searched, list(dict.fromkeys(each.arm.label for each in mine))
    ends, band = {"low": searched.at(0.0), "high": searched.at(1.0)}, 0.8 / len(conditions)
    for each in mine:
        lane = conditions.index(each.condition.name)
        color, marker = LOOKS[lane]
        middle = len(labels) - labels.index(each.arm.label) + 0.4 - band * (lane + 0.5)
        heights = middle + band * np.linspace(-0.32, 0.32, len(each.values))
        label = each.condition.label if each.arm.label == labels[0] else None
        look = {"s": 11, "color": color, "marker": marker, "alpha": 0.75, "linewidths": 0}
        axis.scatter(each.values, heights, label=label, **look)
        for end, (_, flag) in each.at_ends.items():
            if flag:
                axis.plot(ends[end], middle, "<" if end == "low" else ">", ms=8, color=INK)
    for end in ends.values():
        axis.axvline(end, color=INK, lw=1)
    if searched.log:
        decades = math.log10(ends["high"] / ends["low"])
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
    axis.set_yticks(range(1, len(labels) + 1), labels[::-1])
    axis.set_ylim(0.5, len(labels) + 0.5)
    axis.set(title=searched.name)
