"""Figures and tables of SliceOut: how units are drawn, what slices know, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from torch import Tensor

from reviewlib.evidence import stats
from reviewlib.page.chapter import Chapter
from reviewlib.page.drawing import BLUE, GREEN, ORANGE, STYLE, Drawn, panels
from reviewlib.page.markup import stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.sliceout.arms import (
    HALF,
    MAIN,
    OF_DENSE,
    dense_1x,
    dense_at_time,
    half_dropout,
    half_flow,
    narrow_1x,
    narrow_at_time,
    random_units,
    sliceout,
    with_dropout,
)
from reviewlib.papers.sliceout.figures.steps import chosen, seconds_of, took
from reviewlib.papers.sliceout.figures.steps import contiguity as contiguity
from reviewlib.papers.sliceout.figures.steps import equal_time as equal_time
from reviewlib.papers.sliceout.figures.steps import show_steps as show_steps


@plt.rc_context(STYLE)
def chances(lines: Mapping[str, Tensor]) -> Drawn:
    """Draw the probability that each unit of a layer is kept, for several ways to draw slices."""
    fig, axes = panels(3.2)
    axis = axes[0, 0]
    for (label, values), color in zip(lines.items(), (BLUE, ORANGE, GREEN), strict=False):
        axis.plot(values.tolist(), drawstyle="steps-mid", color=color, lw=1.4, label=label)
    axis.set(xlabel="unit", ylabel="probability to be kept", ylim=(0, 1.05))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    table = pd.DataFrame(
        {"starts": label, "least": round(v.min().item(), 4), "mean": round(v.mean().item(), 4)}
        | {"most": round(v.max().item(), 4), "largest gain 1/p": round(1 / v.min().item(), 1)}
        for label, v in lines.items()
    )
    said = "; ".join(
        f"{row['starts']}: {row['least']} to {row['most']}" for row in table.to_dict("records")
    )
    return Drawn(
        fig,
        table,
        "The probability that a unit is kept, by how slices may start. The mean is the keep rate.",
        f"Step chart of the probability that each unit is kept: {said}",
    )


@needs_evidence
def parts(page: Chapter) -> HTML:
    """Return the accuracy of single passes, of eight together, and of the whole net."""
    rows = []
    for arm, where in (
        *((each, MAIN) for each in (sliceout, with_dropout, random_units)),
        *((each, HALF) for each in (half_flow, half_dropout)),
    ):
        runs = page.record.of(arm.name, where.name)
        gap = stats.t_interval(100 * (runs["accuracy"] - runs["ensemble_accuracy"]))
        rows.append(
            {
                "arm": arm.label,
                "one pass, %": f"{100 * runs['single_accuracy'].mean():.1f}",
                "eight passes together, %": f"{100 * runs['ensemble_accuracy'].mean():.1f}",
                "the whole net, %": f"{100 * runs['accuracy'].mean():.1f}",
                "whole - eight, points (95%)": f"{gap.mean:+.2f} ({gap.lo:+.2f} to {gap.hi:+.2f})",
                "test loss of eight, nats": f"{runs['ensemble_nll'].mean():.3f}",
                "of the whole": f"{runs['nll'].mean():.3f}",
            }
        )
    return stamped(pd.DataFrame(rows), page.stamp)


@needs_evidence
def chosen_keeps(page: Chapter) -> Markdown:
    """Return a sentence on the keep rates that the searches chose."""
    texts = []
    for arm in (sliceout, with_dropout, narrow_1x):
        low, middle, high = np.percentile(chosen(page, arm), [25, 50, 75])
        texts.append(f"{arm.label} {middle:.2f} ({low:.2f} to {high:.2f})")
    return Markdown(
        f"The keep rate of a seed's best trial, median (and middle half): {'; '.join(texts)}. At "
        "the rates that were chosen, training takes, in times of the dense net's: SliceOut "
        f"{took(page, sliceout):.2f}; the narrow net in SliceOut's time "
        f"{took(page, narrow_at_time):.2f}; the dense net in SliceOut's time {OF_DENSE}."
    )


@needs_evidence
def in_short(page: Chapter) -> Markdown:
    """Return what a reader gets at half of the units, and at the rates that searches choose."""
    half = seconds_of(page)[0.5]
    return Markdown(
        "No one setting has both the time and the accuracy. With half of the units, a step takes "
        f"{half[sliceout.name] / half[dense_1x.name]:.2f} times the time of the dense net's, and "
        f"accuracy differs from the dense net's by {page.says('half-dense')}. At the keep rates "
        f"that searches chose (median {np.median(chosen(page, sliceout)):.2f}), training takes "
        f"{took(page, sliceout):.2f} times as long as the dense net's, and accuracy differs by "
        f"{page.says('dense')}. Dropout itself changes accuracy by {page.says('dropout')} here."
    )


@needs_evidence
def losses(page: Chapter) -> Markdown:
    """Return the test losses of the arms that a regularizer is compared with, as a sentence."""
    arms = (sliceout, with_dropout, dense_1x, dense_at_time, narrow_at_time)
    texts = [f"{arm.label} {page.record.of(arm.name, MAIN.name)['nll'].mean():.3f}" for arm in arms]
    return Markdown(
        f"Test loss, mean over seeds, in nats: {'; '.join(texts)}. Where a shorter "
        "training of the dense net has a lower loss, too, that much is no effect of slices."
    )
