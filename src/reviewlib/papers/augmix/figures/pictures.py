"""Pictures of AugMix that a notebook computes: corruptions, chains, reliability."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reviewlib.data.corruptions import CIFAR_C, MNIST_C, SEVERITIES, corrupt
from reviewlib.page.drawing import BLUE, GREEN, INK, MUTED, ORANGE, STYLE, WIDTH, Drawn, panels
from reviewlib.papers.augmix.method import GEOMETRIC, AugMix, Plan, operate
from reviewlib.papers.augmix.scores import logits_of, said, under_corruption
from reviewlib.train import Config, fit, initialized, models
from reviewlib.train.calibration import BINS, temperature
from reviewlib.train.recipe import Loss
from reviewlib.trial.declare import Sample

STEPS = 300  # of the nets whose reliability is shown


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
