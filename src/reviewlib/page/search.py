"""The figure of what the length of the search does to a claim."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from reviewlib.evidence import stats, units
from reviewlib.evidence.record import Record
from reviewlib.evidence.results import at_parents_settings, holds, values_of
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import tables
from reviewlib.page.drawing import BLUE, GREEN, INK, MUTED, STYLE, Drawn, panels
from reviewlib.trial.claims import Claim
from reviewlib.trial.study import Study

# An effect this many margins large would flatten the others on a linear axis.
FAR = 5


def has_length(study: Study, record: Record, claim: Claim) -> bool:
    """Return whether a claim compares searches, so that their length can change it."""
    return (
        claim.kind != "out of scope"
        and not at_parents_settings(study, claim.contrast)
        and holds(record.rows, claim.contrast)
        and _trials(record, claim) > 1
    )


def _trials(record: Record, claim: Claim) -> int:
    """Return the number of trials of a claim's longest search."""
    return max(map(len, _only(record, claim).runs["diverged_at"]))


def _only(record: Record, claim: Claim) -> Record:
    """Return the record with the runs of a claim alone."""
    pairs = {(arm, condition) for _, arm, condition in claim.contrast}
    runs = record.runs
    mine = [pair in pairs for pair in zip(runs["arm"], runs["condition"], strict=True)]
    return replace(record, runs=runs[mine])


def by_tries(record: Record, claim: Claim) -> dict[int, stats.Interval]:
    """Return a claim's contrast for searches of 1 to T tries, each with its interval at 95%."""
    mine = _only(record, claim)
    return {
        tries: stats.t_interval(values_of(claim, mine.after(tries), claim.contrast))
        for tries in range(1, _trials(record, claim) + 1)
    }


@plt.rc_context(STYLE)
def length(study: Study, record: Record, outs: Iterable[Verdict]) -> Drawn | None:
    """Draw each claim's contrast against the length of the search, one panel a claim.

    Claims with an ablation are left out, and those without a search; None if no other is there.
    """
    shown = [out for out in outs if has_length(study, record, out.claim)]
    if not shown:
        return None
    fig, axes = panels(*[2.1] * len(shown))
    rows, told = [], []
    for axis, out in zip(axes[:, 0], shown, strict=True):
        claim, label = out.claim, tables.contrast_label(study, out)
        found = by_tries(record, claim)
        judged = record.sizes(claim.contrast.terms[0][2])["tries"]
        _length_panel(axis, claim, found, judged)
        axis.set_title(label, fontsize=9)
        rows += [_tries_row(label, claim, tries, found[tries]) for tries in found]
        marked = [rows[tries - 1 - len(found)] for tries in (1, judged, len(found))]
        told.append(
            f"{label}: "
            + ", ".join(
                f"{row['tries']} {'try' if row['tries'] == 1 else 'tries'} {row['mean']} "
                f"({row['95% low']} to {row['95% high']})"
                for row in marked
            )
            + f", judged at {judged}"
        )
    axes[-1, 0].set_xlabel("tries of the search")
    axes[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1.12), ncols=2, borderaxespad=0)
    return Drawn(
        fig,
        pd.DataFrame(rows),
        "Paired differences against the length of the search: the expected result of the best of "
        "so many tries, in both arms. The band is the 95% interval over seeds at each length by "
        "itself, not for all lengths together.",
        f"Line charts of the paired difference over the tries of the search. {'; '.join(told)}",
    )


def _length_panel(axis: Axes, claim: Claim, found: dict[int, stats.Interval], judged: int) -> None:
    factor, y_label = units.drawn(*claim.measure)
    low, mean, high = (
        factor * np.array([getattr(interval, end) for interval in found.values()])
        for end in ("lo", "mean", "hi")
    )
    axis.fill_between(list(found), low, high, color=BLUE, alpha=0.25, linewidth=0)
    axis.plot(list(found), mean, color=BLUE, marker="o", ms=3, lw=1.4)
    axis.axhline(0, color=INK, lw=1)
    axis.axhline(factor * claim.boundary, color=GREEN, lw=1.6, label="margin")
    axis.axvline(judged, color=MUTED, linestyle="--", label="the length that is judged")
    near = 2 * factor * claim.margin  # up to here the axis is linear
    y_label = textwrap.fill(y_label, 24)
    if max(abs(low).max(), abs(high).max()) > FAR * factor * claim.margin:
        axis.set_yscale("symlog", linthresh=near)
        ticks = [near * step for step in (0.5, 1, 2, 5, 10, 20, 50)]
        axis.yaxis.set_major_locator(FixedLocator([-tick for tick in ticks] + [0, *ticks]))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
        y_label += f"\n(log beyond {near:g})"
    axis.xaxis.set_major_locator(MaxNLocator(16, integer=True))
    axis.margins(y=0.1)
    axis.set_xlim(0.5, len(found) + 0.5)
    axis.set_ylabel(y_label, fontsize=8)


def _tries_row(label: str, claim: Claim, tries: int, interval: stats.Interval) -> dict[str, object]:
    ends = {"mean": interval.mean, "95% low": interval.lo, "95% high": interval.hi}
    return (
        {"contrast": label, "tries": tries}
        | {name: units.effect(value, *claim.measure) for name, value in ends.items()}
        | {"n": interval.n}
    )
