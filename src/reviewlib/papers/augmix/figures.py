"""Figures of AugMix: the corruptions, what they cost, what an operation is worth, confidence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reviewlib.data.corruptions import CIFAR_C, MNIST_C, SEVERITIES, corrupt
from reviewlib.evidence import stats, units
from reviewlib.evidence.contrasts import by_seed
from reviewlib.page.chapter import Chapter
from reviewlib.page.drawing import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    STYLE,
    WIDTH,
    Drawn,
    panels,
    show,
)
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.augmix.arms import LEFT_OUT, MAIN, SMALL, augmix, crop_3x, standardized
from reviewlib.papers.augmix.calibration import BINS, temperature
from reviewlib.papers.augmix.method import GEOMETRIC, AugMix, Plan, operate
from reviewlib.papers.augmix.scores import DISJOINT, OVERLAPPING, logits_of, under_corruption
from reviewlib.train import Config, fit, initialized, models
from reviewlib.train.recipe import Loss
from reviewlib.trial.declare import Sample

EVERY = (*DISJOINT, *OVERLAPPING, *MNIST_C)
GROUP_OF = (
    dict.fromkeys(DISJOINT, "disjoint")
    | dict.fromkeys(OVERLAPPING, "overlapping")
    | dict.fromkeys(MNIST_C, "far")
)


STEPS = 300  # of the two nets whose reliability the notebook shows


def said(name: str) -> str:
    """Return a corruption or an operation as words."""
    return name.replace("_", " ")


@plt.rc_context(STYLE)
def gallery(image: Tensor) -> Drawn:
    """Draw an image (1, 1, H, W) under every corruption, from severity 1 on the left to 5."""
    names = (*CIFAR_C, *MNIST_C)
    rows = -(-len(names) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(WIDTH, 0.66 * rows), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    table = []
    for axis, name in zip(axes.T.flat, names, strict=False):
        changed = [
            corrupt(image, name, severity, torch.Generator().manual_seed(0))
            for severity in SEVERITIES
        ]
        axis.imshow(torch.cat(changed, -1)[0, 0].numpy(), cmap="gray", vmin=0, vmax=255)
        axis.set_title(said(name), fontsize=7, pad=2)
        away = [(one.float() - image.float()).abs().mean().item() for one in changed]
        table.append(
            {"corruption": said(name)} | dict(zip(SEVERITIES, np.round(away, 1), strict=True))
        )
    return Drawn(
        fig,
        pd.DataFrame(table),
        "One garment under the 15 corruptions of CIFAR-10-C and four of MNIST-C, severity 1 to 5 "
        "from left to right; the numbers are mean distances in gray levels.",
        "A garment under 19 corruptions at five severities each; the higher the severity, the less "
        "of it can be seen",
    )


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
        "Accuracy by corruption, the mean over seeds and severities. From the top: corruptions "
        "that resemble no operation of AugMix, that resemble one, and that are far from natural "
        "images.",
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


@plt.rc_context(STYLE)
def reliability(predictions: Mapping[str, tuple[Tensor, Tensor]]) -> Drawn:
    """Draw accuracy over confidence for models' logits (N, classes) and labels (N,), by label."""
    fig, axes = panels(3.4)
    axis, table = axes[0, 0], []
    axis.plot([0, 100], [0, 100], color=INK, lw=0.8, linestyle="--", label="calibrated")
    for (label, (logits, labels)), color in zip(
        predictions.items(), (MUTED, BLUE, ORANGE, GREEN), strict=False
    ):
        confidence, predicted = logits.softmax(-1).max(-1)
        right = (predicted == labels).float()
        parts = confidence.argsort().tensor_split(BINS)
        x = [100 * confidence[part].mean().item() for part in parts]
        y = [100 * right[part].mean().item() for part in parts]
        axis.plot(x, y, color=color, marker="o", ms=3, lw=1.4, label=label)
        table += [
            {"model": label, "confidence, %": round(a, 1), "accuracy, %": round(b, 1)}
            for a, b in zip(x, y, strict=True)
        ]
    axis.set(xlabel="confidence, %", ylabel="accuracy, %", xlim=(15, 101), ylim=(0, 101))
    axis.legend(loc="upper left")
    frame = pd.DataFrame(table)
    gaps = frame["confidence, %"] - frame["accuracy, %"]
    means = "; ".join(
        f"{label} {gap:+.1f}"
        for label, gap in gaps.groupby(frame["model"], sort=False).mean().items()
    )
    return Drawn(
        fig,
        frame,
        f"Reliability: accuracy in {BINS} equally full bins of confidence. Below the dashed line, "
        "a model is more confident than right.",
        f"Accuracy over confidence; confidence minus accuracy, in points: {means}",
    )


def trained_reliability(sample: Sample, losses: Mapping[str, Loss]) -> Drawn:
    """Train a net with each loss and draw its reliability on corrupted validation images.

    Each is shown as it is, and with the temperature that fits the clean validation images.
    """
    shown, config = {}, Config(steps=STEPS, batch_size=50, lr=0.05)
    for label, loss in losses.items():
        net = initialized(partial(models.batchnorm_cnn, sample.train, sample.classes), seed=0)
        fit(net, sample.train, config, seed=0, loss=loss)
        t = temperature(logits_of(net, sample.validation), sample.validation.labels)
        logits, labels = under_corruption(net, sample.validation)
        shown |= {label: (logits, labels), f"{label}, scaled": (logits / t, labels)}
    return reliability(shown)


@needs_evidence
def against_temperature(page: Chapter) -> str:
    """Return AugMix's calibration error without a temperature minus the baseline's with one."""
    error = "corrupted_rms_calibration_error"
    sides = [
        page.record.of(arm.name, MAIN.name).set_index("seed")[metric]
        for arm, metric in ((augmix, error), (crop_3x, error.replace("rms", "scaled_rms")))
    ]
    gap = stats.t_interval(sides[0] - sides[1])
    return (
        f"{units.with_unit(gap.mean, error)} (95% interval {units.effect(gap.lo, error)} to "
        f"{units.effect(gap.hi, error)}, n = {gap.n})"
    )


def _interval(
    page: Chapter, arm: str, other: str, metric: str, condition: str = MAIN.name
) -> stats.Interval:
    contrast = (page.study.arm(arm) - page.study.arm(other)) @ condition
    rows = page.record.rows if condition == MAIN.name else page.record.best
    return stats.t_interval(by_seed(rows, contrast, metric))


def chains(augment: AugMix, plan: Plan, image: Tensor) -> dict[str, np.ndarray]:
    """Return the steps of the chains of one image (1, 1, H, W), their mix, and the result."""
    gray, pictures = image.float(), {}
    for chain in range(augment.width):
        now = gray
        pictures[f"chain {chain + 1}"] = now
        for step in range(augment.depth):
            code, u, sign = (each[0, chain, step] for each in plan[:3])
            label = f"{chain + 1} has ended" + " " * step  # labels must differ
            if code >= 0:
                name = augment.operations[code]
                level = 0.1 + u * (augment.severity - 0.1)
                now = operate(name, now, (level * sign if name in GEOMETRIC else level).view(1))
                label = f"{chain + 1}, {step + 1}: {said(name)}"
            pictures[label] = now
    whole = plan._replace(m=torch.ones(1))
    pictures["mix of the chains"] = augment.apply(gray / 255, whole) * 255
    pictures[f"{plan.m.item():.0%} of it: the result"] = augment.apply(gray / 255, plan) * 255
    return {label: picture[0, 0].numpy() for label, picture in pictures.items()}
