"""Figures and tables of WeightNet: what a point of error costs, and what its gates know."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, Markdown
from torch.utils.flop_counter import FlopCounterMode

from reviewlib.evidence import stats, units
from reviewlib.evidence.contrasts import by_seed
from reviewlib.page.chapter import Chapter
from reviewlib.page.costs import ratio
from reviewlib.page.drawing import BLUE, GREEN, INK, MUTED, ORANGE, STYLE, WIDTH, Drawn, show
from reviewlib.page.markup import stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.weightnet.arms import (
    LARGE,
    MAIN,
    MORE_STEPS,
    PAIR,
    STEP,
    condconv,
    one_gate,
    se,
    shuffled,
    static,
    static_parameters,
    static_time,
    weightnet,
    weightnet_2x,
    weightnet_4x,
)
from reviewlib.trial.declare import Arm
from reviewlib.trial.timings import training_of

# Each family of nets: its arms, color and marker; a line joins those that differ in one number.
FAMILIES = (
    ((static, static_parameters, static_time), INK, "o", "-"),
    ((weightnet, weightnet_2x, weightnet_4x), BLUE, "s", "-"),
    ((one_gate,), BLUE, "d", ""),
    ((se,), GREEN, "^", ""),
    ((condconv,), ORANGE, "D", ""),
)
WITHIN = 1.15  # how far apart "equal time" may be


@needs_evidence
def show_costs(page: Chapter) -> None:
    """Display the error of every kind of net over its parameters, operations and time."""
    show(_costs(page), f"{page.stamp} Time: {page.timing_stamp}")


@plt.rc_context(STYLE)
def _costs(page: Chapter) -> Drawn:
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.6), layout="constrained", sharey=True)
    rows = {}
    for arms, color, marker, line in FAMILIES:
        found = [_point(page, arm) for arm in arms]
        rows |= {arm.label: row for arm, row in zip(arms, found, strict=True)}
        error = [row["error"] for row in found]
        label = arms[0].label + (", wider" if arms[0] is static else "")
        for axis, what in zip(axes, ("parameters", "operations", "time"), strict=True):
            x = [row[what] for row in found]
            ends = [
                [abs(row[f"{what} {end}"] - row[what]) for row in found] for end in ("lo", "hi")
            ]
            axis.errorbar(
                x,
                [each.mean for each in error],
                xerr=ends,
                yerr=[each.hi - each.mean for each in error],
                color=color,
                marker=marker,
                ms=4,
                ls=line,
                lw=1,
                capsize=2,
                label=label,
            )
    for axis, name in zip(axes, ("parameters", "operations", "time of a step"), strict=True):
        axis.axhline(0, color=MUTED, lw=0.8)
        axis.set(xlabel=name, xscale="log", xticks=(1, 2, 4), xlim=(0.9, 5))
        axis.xaxis.set_major_formatter("{x:g}×")
        axis.xaxis.set_minor_formatter("")
    axes[0].set_ylabel(f"error, points from {static.label.lower()}")
    handles, labels = axes[0].get_legend_handles_labels()
    labels[1] += ", 2x and 4x"
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    table = pd.DataFrame(
        {"net": label}
        | {"error, points": _points(row["error"].mean)}
        | {"95%": f"{_points(row['error'].lo)} to {_points(row['error'].hi)}"}
        | {what: f"{row[what]:.2f}×" for what in ("parameters", "operations", "time")}
        | {"95% of the time": f"{row['time lo']:.2f} to {row['time hi']:.2f}"}
        for label, row in rows.items()
    )
    wide, of = rows[static_time.label], rows[weightnet.label]
    said = (
        f"{weightnet.label} differs from the static net by {_points(of['error'].mean)} points of "
        f"error for {of['time']:.2f} times its time; a wider static net by "
        f"{_points(wide['error'].mean)} for {wide['time']:.2f} times"
    )
    return Drawn(
        fig,
        table,
        "Test error minus that of the static net, over the parameters, the operations of a forward "
        "pass and the time of a step, all in those of the static net. Lower and further left is "
        f"better: {said}. Bars are 95% intervals, over seeds and over launches.",
        f"Three scatter plots of error over cost: {said}.",
    )


def _point(page: Chapter, arm: Arm) -> dict:
    """Return the error of an arm above the static net's, and each cost in the static net's."""
    row = {"error": _error(page, arm)}
    for what, count in (("parameters", _parameters), ("operations", _operations)):
        times = count(page, arm) / count(page, static)
        row |= dict.fromkeys((what, f"{what} lo", f"{what} hi"), times)
    time = ratio(page.record, arm, static, STEP, "step_seconds")
    ends = {"time": time.mean, "time lo": time.lo, "time hi": time.hi}
    return row | {name: math.exp(value) for name, value in ends.items()}


def _error(page: Chapter, arm: Arm) -> stats.Interval:
    if arm is static:
        return stats.t_interval([0.0, 0.0])
    return stats.t_interval(100 * by_seed(page.record.rows, (static - arm) @ MAIN, "accuracy"))


def _points(value: float) -> str:
    return units.effect(value / 100, "accuracy")


def _parameters(page: Chapter, arm: Arm) -> int:
    model = training_of(page.study, arm, STEP, "cpu").model
    return sum(parameter.numel() for parameter in model.parameters())


def _operations(page: Chapter, arm: Arm) -> float:
    """Return the multiplications of a forward pass over an image, as torch counts them."""
    model = training_of(page.study, arm, STEP, "cpu").model.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.zeros(1, 1, STEP.image_size, STEP.image_size))
    return counter.get_total_flops() / 2


@needs_evidence
def equal_time(page: Chapter) -> HTML:
    """Return how long the arms in WeightNet's time take, and whether that is within 15% of it."""
    rows = []
    for label, arm, steps in (
        (static_time.label, static_time, 1),
        ("Static, longer", static, MORE_STEPS),
    ):
        log = ratio(page.record, arm, weightnet, STEP, "step_seconds")
        took, *ends = (steps * math.exp(each) for each in (log.mean, log.lo, log.hi))
        close = 1 / WITHIN <= took <= WITHIN
        rows.append(
            {"arm": label, "steps, of WeightNet's": f"{steps}"}
            | {"its time, of WeightNet's": "{:.2f} ({:.2f} to {:.2f})".format(took, *ends)}
            | {"within 15%": "yes" if close else "no"}
        )
    return stamped(pd.DataFrame(rows), page.timing_stamp)


@needs_evidence
def larger(page: Chapter) -> HTML:
    """Return the time of a step of each kind of net, here and in a larger net, with 95%."""
    rows = []
    for arm in (weightnet, se, condconv, weightnet_4x, static_time):
        row = {
            "a step, in static ones": "Static, 1.5 times as wide"
            if arm is static_time
            else arm.label
        }
        for where in (STEP, LARGE):
            log = ratio(page.record, arm, static, where, "step_seconds")
            mean, *ends = (math.exp(each) for each in (log.mean, log.lo, log.hi))
            row[where.label] = f"×{mean:.2f} " + "({:.2f} to {:.2f})".format(*ends)
        rows.append(row)
    return stamped(pd.DataFrame(rows), page.timing_stamp)


@needs_evidence
def gates(page: Chapter) -> HTML:
    """Return how much gates vary over images, and what that is worth to the finished net."""
    rows = []
    for arm, where in (
        *((each, MAIN) for each in (weightnet, one_gate, condconv, weightnet_4x, shuffled)),
        *((each, PAIR) for each in (weightnet, shuffled)),
    ):
        runs = page.record.of(arm.name, where.name)
        gain = stats.t_interval(100 * (runs["accuracy"] - runs["mean_gates_accuracy"]))
        rows.append(
            {
                "arm": arm.label,
                "task": where.label,
                "sd of a gate over images": f"{runs['gate_sd'].mean():.3f}",
                "accuracy, %": f"{100 * runs['accuracy'].mean():.1f}",
                "with each gate at its mean, %": f"{100 * runs['mean_gates_accuracy'].mean():.1f}",
                "lost, points (95%)": f"{_points(gain.mean)} ({_points(gain.lo)} to "
                f"{_points(gain.hi)})",
            }
        )
    return stamped(pd.DataFrame(rows), page.stamp)


@needs_evidence
def show_rates(page: Chapter) -> None:
    """Display the error of single trials over the learning rate, in as many parts as trials."""
    (rate,) = (each for each in page.study.hyperparameters if each.name == "lr")
    trials, lines = page.record.trials, {}
    for arm in (static, weightnet, se, condconv):
        mine = trials[(trials["arm"] == arm.name) & (trials["condition"] == MAIN.name)]
        parts = 1 + mine["trial"].max()
        at = [
            np.log(each["lr"] / rate.low) / np.log(rate.high / rate.low)
            for each in mine["settings"]
        ]
        middles = (np.minimum(np.multiply(at, parts) // 1, parts - 1) + 0.5) / parts
        lines[arm.label] = pd.Series(
            100 * (1 - mine["accuracy"].to_numpy()), index=[rate.at(middle) for middle in middles]
        )
    page.show_over(
        lines,
        "learning rate",
        "test error, %",
        caption="Every trial of every search, over its learning rate; weight decays differ.",
    )


@needs_evidence
def in_short(page: Chapter) -> Markdown:
    """Return what the same time buys elsewhere, and what the right gates are worth."""
    row, wide = (_point(page, arm) for arm in (weightnet, static_time))
    return Markdown(
        f"A step of WeightNet 1x takes {row['time']:.2f} times as long as a static one, at "
        f"{row['operations']:.2f} times the operations, and changes accuracy by "
        f"{page.says('equal-flops')}. A wider static net, at {wide['time']:.2f} times the time, "
        f"changes it by {page.says('wider')}. Trained with its own gates instead of those of "
        f"*another* image, WeightNet gains {page.says('placebo')}."
    )
