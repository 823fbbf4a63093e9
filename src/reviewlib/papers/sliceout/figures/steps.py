"""What a step of each form costs, net by net, and what training takes at the rates chosen."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

from reviewlib.page.chapter import Chapter
from reviewlib.page.costs import ratio
from reviewlib.page.drawing import BLUE, GREEN, MUTED, ORANGE, STYLE, WIDTH, Drawn, show
from reviewlib.page.markup import stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.sliceout.arms import (
    KEEPS,
    MAIN,
    OF_DENSE,
    OF_NARROW,
    dense_1x,
    half_plain,
    half_random,
    narrow_1x,
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
    seconds = seconds_of(page)
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


def seconds_of(page: Chapter) -> dict[float, pd.Series]:
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


def chosen(page: Chapter, arm: Arm) -> list[float]:
    """Return the keep rate of the best trial of each seed."""
    return [each["keep"] for each in page.record.of(arm.name, MAIN.name)["settings"]]


def took(page: Chapter, arm: Arm) -> float:
    """Return the time of an arm's training at the rates that it chose, in dense ones."""
    step, more = (sliceout, 1) if arm.name == sliceout.name else (narrow_1x, OF_NARROW)
    ratios = [of[step.name] / of[dense_1x.name] for of in seconds_of(page).values()]
    steps = np.interp([*TRAINED], KEEPS, np.broadcast_to(more, len(KEEPS)))
    return float(np.interp(chosen(page, arm), [*TRAINED], steps * ratios).mean())
