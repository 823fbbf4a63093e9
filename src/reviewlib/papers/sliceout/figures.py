"""Figures and tables of SliceOut: what slicing costs, net by net, and what single slices know."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from torch import Tensor

from reviewlib.evidence import stats
from reviewlib.page.chapter import Chapter
from reviewlib.page.costs import ratio
from reviewlib.page.drawing import BLUE, GREEN, MUTED, ORANGE, STYLE, WIDTH, Drawn, panels, show
from reviewlib.page.markup import stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.sliceout.arms import (
    HALF,
    KEEPS,
    MAIN,
    OF_DENSE,
    OF_NARROW,
    dense_1x,
    dense_at_time,
    half_dropout,
    half_flow,
    half_plain,
    half_random,
    narrow_1x,
    narrow_at_time,
    random_units,
    sliceout,
    with_dropout,
)
from reviewlib.papers.sliceout.timings import LARGER, OWN, TRAINED
from reviewlib.trial.declare import Arm, Timing

# Color, marker and line of each form; the narrow net is the bound.
FORMS = (
    (with_dropout, MUTED, "v", "-"),
    (random_units, ORANGE, "D", "-"),
    (half_random, ORANGE, "d", ":"),
    (half_plain, BLUE, "s", ":"),
    (sliceout, BLUE, "o", "-"),
    (narrow_1x, GREEN, "", "--"),
)
HIGHEST = 1.8  # of the axis, in times of a dense step
WITHIN = 1.15  # how far apart "equal time" may be


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
def show_steps(page: Chapter) -> None:
    """Display the time of a step of every form, net by net, over the keep rate."""
    show(_steps(page), page.timing_stamp)


@plt.rc_context(STYLE)
def _steps(page: Chapter) -> Drawn:
    nets: dict[str, list[Timing]] = {}
    for where in (*OWN.values(), *LARGER):
        nets.setdefault(where.name.rpartition("_")[0], []).append(where)
    fig, axes = plt.subplots(3, 2, figsize=(WIDTH, 7.2), layout="constrained", sharex=True)
    table = []
    for axis, timings in zip(axes.flat, nets.values(), strict=False):
        timings.sort(key=lambda where: where.fixed["keep"])
        for arm, color, marker, line in FORMS:
            intervals = [
                ratio(page.record, arm, dense_1x, where, "step_seconds") for where in timings
            ]
            means = [math.exp(each.mean) for each in intervals]
            axis.plot(KEEPS, means, color=color, marker=marker, ms=4, ls=line, label=arm.label)
            table += [
                {"net": where.label, "step of": arm.label}
                | {"times dense": round(mean, 2)}
                | {"95% low": round(math.exp(each.lo), 2), "95% high": round(math.exp(each.hi), 2)}
                | {"memory, times dense": _memory(page, arm, where)}
                for where, mean, each in zip(timings, means, intervals, strict=True)
            ]
        axis.axhline(1, color=MUTED, lw=0.8)
        axis.set(title=timings[0].label.rpartition(", ")[0], xticks=KEEPS, ylim=(0, HIGHEST))
    for axis in (axes[-1, 0], axes[-2, 1]):
        axis.set_xlabel("keep rate")
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("step time, of dense")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[-1, -1].axis("off")
    axes[-1, -1].legend(handles, labels, loc="center")
    data = pd.DataFrame(table)
    halves = data[data["net"].str.endswith("0.5")]
    least, most = (
        {name: part["times dense"].agg(of) for name, part in halves.groupby("step of")}
        for of in ("min", "max")
    )
    found = ", ".join(
        f"{name} {least[name]:.2g} to {most[name]:.2g}"
        for name in (sliceout.label, narrow_1x.label, with_dropout.label)
    )
    above = int((data["times dense"] > HIGHEST).sum())
    beyond = f" {above} points lie above the axis." if above else ""
    return Drawn(
        fig,
        data,
        "The time of a step, as a multiple of the dense net's, the gray line. With half of the "
        f"units, over five nets: {found}. The nearer SliceOut is to the narrow net, the less "
        f"cutting costs.{beyond}",
        f"With half of the units, the time of a step is, of the dense net's: {found}. Line charts "
        "over the keep rate for five nets.",
    )


def _memory(page: Chapter, arm: Arm, where: Timing) -> float:
    return round(math.exp(ratio(page.record, arm, dense_1x, where, "activation_bytes").mean), 2)


@needs_evidence
def contiguity(page: Chapter) -> HTML:
    """Return, net by net at half of the units, what random units cost against a slice, with 95%."""
    rows = []
    for where in (each for each in (OWN[0.5], *LARGER) if each.fixed["keep"] == 0.5):
        row = {"net": where.label.rpartition(", ")[0]}
        for heading, other, arm in (
            ("random units, with leaves", random_units, sliceout),
            ("random units, plain", half_random, half_plain),
        ):
            for what, metric in (("time", "step_seconds"), ("memory", "activation_bytes")):
                found = ratio(page.record, other, arm, where, metric)
                mean, *ends = (math.exp(each) for each in (found.mean, found.lo, found.hi))
                row[f"{heading}: {what}"] = f"×{mean:.2f}"
                if metric == "step_seconds":
                    row[f"{heading}: {what}"] += " ({:.2f} to {:.2f})".format(*ends)
        rows.append(row)
    return stamped(pd.DataFrame(rows), page.timing_stamp)


@needs_evidence
def equal_time(page: Chapter) -> HTML:
    """Return how long the arms in SliceOut's time take, and whether that is within 15% of it."""
    seconds = _seconds(page)
    rows = []
    for keep, of in seconds.items():
        more = float(np.interp(keep, KEEPS, OF_NARROW))
        took = more * of[narrow_1x.name] / of[sliceout.name]
        rows.append(
            {"arm": "Narrow net", "keep rate": f"{keep}", "steps, of SliceOut's": f"{more}"}
        )
        rows[-1] |= _within(took)
    keeps = np.linspace(*_searched(page), 101)
    sliced = np.interp(keeps, [*seconds], [of[sliceout.name] for of in seconds.values()])
    dense = np.mean([of[dense_1x.name] for of in seconds.values()])
    named = {"arm": "Dense", "keep rate": "all searched", "steps, of SliceOut's": f"{OF_DENSE}"}
    rows.append(named | _within(OF_DENSE * dense / sliced.mean()))
    return stamped(pd.DataFrame(rows), page.timing_stamp)


def _seconds(page: Chapter) -> dict[float, pd.Series]:
    """Return the seconds of a step by arm, at each keep rate of the net that is trained."""
    table = page.record.timings.table
    mean = table.groupby(["condition", "arm"])["step_seconds"].mean()
    return {keep: mean[where.name] for keep, where in TRAINED.items()}


def _searched(page: Chapter) -> tuple[float, float]:
    (of,) = (each for each in page.study.hyperparameters if each.name == "keep")
    return of.low, of.high


def _within(took: float) -> dict[str, str]:
    close = 1 / WITHIN <= took <= WITHIN
    return {"its time, of SliceOut's": f"{took:.2f}", "within 15%": "yes" if close else "no"}


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
        low, middle, high = np.percentile(_chosen(page, arm), [25, 50, 75])
        texts.append(f"{arm.label} {middle:.2f} ({low:.2f} to {high:.2f})")
    return Markdown(
        f"The keep rate of a seed's best trial, median (and middle half): {'; '.join(texts)}. At "
        "the rates that were chosen, training takes, in times of the dense net's: SliceOut "
        f"{_took(page, sliceout):.2f}; the narrow net in SliceOut's time "
        f"{_took(page, narrow_at_time):.2f}; the dense net in SliceOut's time {OF_DENSE}."
    )


def _chosen(page: Chapter, arm: Arm) -> list[float]:
    """Return the keep rate of the best trial of each seed."""
    return [each["keep"] for each in page.record.of(arm.name, MAIN.name)["settings"]]


def _took(page: Chapter, arm: Arm) -> float:
    """Return the time of an arm's training at the rates that it chose, in dense ones."""
    step, more = (sliceout, 1) if arm.name == sliceout.name else (narrow_1x, OF_NARROW)
    ratios = [of[step.name] / of[dense_1x.name] for of in _seconds(page).values()]
    steps = np.interp([*TRAINED], KEEPS, np.broadcast_to(more, len(KEEPS)))
    return float(np.interp(_chosen(page, arm), [*TRAINED], steps * ratios).mean())


@needs_evidence
def in_short(page: Chapter) -> Markdown:
    """Return what a reader gets at half of the units, and at the rates that searches choose."""
    half = _seconds(page)[0.5]
    return Markdown(
        "No one setting has both the time and the accuracy. With half of the units, a step takes "
        f"{half[sliceout.name] / half[dense_1x.name]:.2f} times the time of the dense net's, and "
        f"accuracy differs from the dense net's by {page.says('half-dense')}. At the keep rates "
        f"that searches chose (median {np.median(_chosen(page, sliceout)):.2f}), training takes "
        f"{_took(page, sliceout):.2f} times as long as the dense net's, and accuracy differs by "
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
