"""What a practitioner can buy for once, twice and four times the plain net's budget."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd

from reviewlib.evidence import stats, units
from reviewlib.evidence.contrasts import by_seed
from reviewlib.page import costs
from reviewlib.page.chapter import Chapter
from reviewlib.page.drawing import BLUE, GREEN, INK, STYLE, Drawn, panels, show
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.combinations.arms import (
    CLEAN,
    LONGER,
    SEARCHED,
    STACK,
    STEP,
    alone,
    pairs,
    plain,
    plain_2x,
    plain_4x,
    stack,
)
from reviewlib.papers.combinations.figures.effects import MARGIN
from reviewlib.trial.declare import Arm

BUDGETS = (1, 2, 4)
WITHIN = 1.15  # how much more than a budget an option may cost
MORE = f"more than {BUDGETS[-1]}"
TWICE = "plain, twice the search"  # stands for the plain net after twice as many tries


@dataclass(frozen=True)
class Option:
    """Something to spend a budget on.

    Attributes:
        label: what it is.
        cost: its time, in that of a search of the plain net.
        passes: its forward-backward passes, in those of a search of the plain net.
        gain: of accuracy over the plain net.
        corrupted: of accuracy on corrupted images.
    """

    label: str
    cost: float
    passes: float
    gain: stats.Interval
    corrupted: stats.Interval

    @property
    def budget(self) -> int | None:
        """The smallest budget that it fits in; None if it fits in none."""
        return next((each for each in BUDGETS if self.cost <= WITHIN * each), None)


def time_of(page: Chapter, arm: Arm) -> float:
    """Return the time of a trial of methods, in that of the plain net; passes if not timed.

    The net of a ticket is trained twice.
    """
    if page.record.timings is None:
        return costs.passes(page.study, page.record)[arm.name]
    named = {method.name for method in arm.train.keywords["methods"]}
    trainings = 2 if "ticket" in named else 1
    timed = next(each for each in (*alone.values(), *pairs.values(), stack) if _alike(each, arm))
    return trainings * math.exp(costs.ratio(page.record, timed, plain, STEP, "step_seconds").mean)


def _alike(one: Arm, other: Arm) -> bool:
    return one.train.keywords["methods"] == other.train.keywords["methods"]


def options(page: Chapter) -> list[Option]:
    """Return all options, the cheapest first; each was searched by itself."""
    return sorted(_options(page), key=lambda option: (option.cost, option.label))


def _options(page: Chapter) -> Iterator[Option]:
    twice = page.record.after(2 * page.record.sizes(CLEAN.name)["tries"]).assign(arm=TWICE)
    rows = pd.concat([page.record.rows, twice[page.record.rows["arm"] == plain.name]])

    passes = costs.passes(page.study, page.record)

    def option(
        label: str, cost: float, arm: str, where: str = CLEAN.name, times: float = 1
    ) -> Option:
        terms = ((1, arm, where), (-1, plain.name, CLEAN.name))
        gain, corrupted = (
            stats.t_interval(by_seed(rows, terms, metric))
            for metric in ("accuracy", "corrupted_accuracy")
        )
        return Option(label, cost, times * passes.get(arm, 1), gain, corrupted)

    for arm in (plain_2x, plain_4x):
        yield option(f"{arm.step_multiple:g} times the steps", arm.step_multiple, arm.name)
    yield option("2 times the search", 2, TWICE, times=2)
    yield option("4 times the search", 4, plain.name, LONGER.name, times=4)
    for arm in (*alone.values(), *SEARCHED.values(), stack):
        label = f"the stack: {members()}" if arm is stack else arm.label
        yield option(label.removesuffix(", searched"), time_of(page, arm), arm.name)


def answer(found: list[Option], budget: float) -> str:
    """Return what an experiment says of a budget, as a sentence."""
    mine = [each for each in found if each.cost <= WITHIN * budget]
    best = max(mine, key=lambda each: each.gain.mean)
    ends = f"{_points(best.gain.lo)} to {_points(best.gain.hi)}"
    mean = _points(best.gain.mean)
    what = f"{_lower(best.label)} ({best.cost:.2g}×)"
    text = f"the largest gain is that of {what}, {mean} points ({ends})"
    if best.gain.lo <= 0:
        return f"{text}, which may be nothing"
    rivals = [
        f"{_lower(each.label)} ({each.cost:.2g}×)"
        for each in mine
        if each is not best and each.gain.hi >= best.gain.mean
    ]
    near = f"; as far as the intervals tell, as good: {', '.join(rivals)}" if rivals else ""
    worth = "" if best.gain.mean >= MARGIN else ", less than a point"
    return f"{text}{worth}{near}"


def _lower(label: str) -> str:
    return label.replace("Label", "label").replace("Ticket", "ticket")


def _points(value: float) -> str:
    return units.effect(value, "accuracy")


@needs_evidence
def answers(page: Chapter) -> str:
    """Return what to spend each budget on, as a list in Markdown."""
    found = options(page)
    lines = [f"- **{budget}× the budget**: {answer(found, budget)}." for budget in BUDGETS]
    if any(each.budget is None for each in found):
        lines.append(f"- **{MORE.capitalize()}×**: {answer(found, math.inf)}.")
    return "\n".join(lines)


@needs_evidence
def show_budgets(page: Chapter) -> None:
    """Display the gain of every option, by the budget that it fits in."""
    stamp = f"{page.stamp} Time: {page.timing_stamp}" if page.timing_stamp else page.stamp
    show(_budgets(page), stamp)


@plt.rc_context(STYLE)
def _budgets(page: Chapter) -> Drawn:
    found = options(page)
    groups: dict[str, list[Option]] = {}
    for each in found:
        name = f"{each.budget or MORE}× the budget"
        groups.setdefault(name, []).append(each)
    fig, axes = panels(*(0.42 * len(mine) + 0.6 for mine in groups.values()))
    for axis, (name, mine) in zip(axes[:, 0], groups.items(), strict=True):
        for place, each in zip(range(len(mine), 0, -1), mine, strict=True):
            axis.plot([100 * each.gain.lo, 100 * each.gain.hi], [place] * 2, color=BLUE, lw=2.4)
            axis.scatter([100 * each.gain.mean], [place], s=30, color=BLUE, zorder=3)
            text = f"{each.label}, {each.cost:.2g}×"
            axis.text(0, place + 0.28, text, transform=axis.get_yaxis_transform(), fontsize=8)
        axis.axvline(0, color=INK, lw=1)
        axis.axvline(100 * MARGIN, color=GREEN, lw=1.4)
        axis.set(title=name, yticks=[], ylim=(0.4, len(mine) + 0.9))
    ends = [100 * end for each in found for end in (each.gain.lo, each.gain.hi, MARGIN, 0)]
    room = 0.04 * (max(ends) - min(ends))
    plt.setp(axes[:, 0], xlim=(min(ends) - room, max(ends) + room))
    axes[-1, 0].set_xlabel("gain over the plain net, points of accuracy")
    said = "; ".join(f"with {budget}×, {answer(found, budget)}" for budget in BUDGETS)
    return Drawn(
        fig,
        _table(found),
        "What a budget buys: the gain over the plain net at once its budget, with 95% intervals, "
        "and the time that it takes in that of the plain net. Green is one point. "
        f"{said[0].upper()}{said[1:]}.",
        f"Gains of all options by budget: {said}.",
    )


def _table(found: list[Option]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "option": each.label,
            "time": f"{each.cost:.2f}×",
            "passes": f"{each.passes:.2g}×",
            "gain, points": _points(each.gain.mean),
            "95%": f"{_points(each.gain.lo)} to {_points(each.gain.hi)}",
            "on corrupted images": _points(each.corrupted.mean),
            "corrupted, 95%": f"{_points(each.corrupted.lo)} to {_points(each.corrupted.hi)}",
            "n": each.gain.n,
        }
        for each in found
    )


def members() -> str:
    """Return the methods of the stack, as a list in words."""
    *most, last = (_lower(alone[name].label) for name in STACK)
    return f"{', '.join(most)} and {last}"
