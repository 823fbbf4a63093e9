"""The study of SAM: small nets on Fashion-MNIST, with clean labels and with 40% wrong ones."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from reviewlib.papers.sam import sharpness
from reviewlib.papers.sam.arms import ARMS, CLEAN, CNN, CORE, NOISE, TIMINGS, net
from reviewlib.papers.sam.claims import CLAIMS
from reviewlib.trial.declare import (
    Hyperparameter,
    Sample,
    Study,
    cross_entropy,
    evaluate,
    presets,
)

# Sharpness: the number of images, and the radius of the ball, the paper's default.
SHARPNESS_IMAGES, RHO = 250, 0.05


def inspect(model: nn.Module, sample: Sample) -> dict[str, float]:
    """Return the sharpness of a model's training loss, on its first training images."""
    x, y = sample.train.pixels()[:SHARPNESS_IMAGES], sample.train.labels[:SHARPNESS_IMAGES]
    loss = partial(cross_entropy, x=x, y=y)
    start = torch.Generator().manual_seed(0)
    return {
        "top_eigenvalue": sharpness.top_eigenvalue(model, loss, start),
        "rise_in_ball": sharpness.worst_in_ball(model, loss, RHO),
    }


STUDY = Study(
    name="sam",
    title="SAM: does a flat minimum pay for its second gradient?",
    citation="Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently "
    "Improving Generalization. ICLR 2021, arXiv 2010.01412",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("lr", 0.003, 0.3),
        Hyperparameter("weight_decay", 1e-4, 0.1),
        Hyperparameter("rho", 0.02, 0.8),
        Hyperparameter("smoothing", 0.0, 0.6, log=False),
        Hyperparameter("rho_adaptive", 0.2, 8.0),
        Hyperparameter("forget", 0.01, 1.0),
    ),
    conditions=(CLEAN, NOISE, CNN),
    timings=TIMINGS,
    presets=presets(
        quick={
            "train": 1000,
            "validation": 500,
            "batch_size": 100,
            "steps": 150,
            "conditions": (CLEAN, NOISE),
            "arms": CORE,
        },
        laptop={
            "train": 2000,
            "validation": 2000,
            "batch_size": 100,
            "steps": 1000,
            "where": {CNN.name: {"train": 4000, "steps": 800, "seeds": 20}},
        },
        gpu={"batch_size": 500, "steps": 3000, "seeds": 20},
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    inspect=inspect,
    question="Is SAM worth its second gradient?",
    subject="SAM",
    instead="Search the learning rate and the weight decay of what you have over a wide range, and "
    "try label smoothing, which costs no extra pass, before you pay for SAM.",
)
