"""The trial of SAM: small nets on Fashion-MNIST, with clean labels and with 40% wrong ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from reviewlib import models, replicas, train
from reviewlib.data import Split
from reviewlib.papers.sam import sharpness
from reviewlib.papers.sam.claims import CLAIMS, CLEAN, CNN, CONTROLS, NOISE
from reviewlib.papers.sam.method import SAM
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.papers.sam.stacked import StackedSAM
from reviewlib.study import Arm, Cell, Knob, Preset, Sample, Study

# All the trials of an arm and cell, on both tuning seeds, are one stack.
STACK = 32
# Sharpness is measured on so many images, and in a ball of the paper's default radius.
SHARPNESS_IMAGES, RHO = 250, 0.05
LR_AND_DECAY = ("lr", "weight_decay")

ARMS = (
    Arm(
        "sgd",
        "SGD",
        "baseline",
        LR_AND_DECAY,
        "what SAM wraps, tuned over the learning rate and the weight decay",
    ),
    Arm(
        "sgd_2x",
        "SGD, twice the steps",
        "baseline at equal cost",
        LR_AND_DECAY,
        "a SAM step costs two gradients: the same money spent on more steps",
        times=2,
    ),
    Arm(
        "sam",
        "SAM",
        "method",
        (*LR_AND_DECAY, "rho"),
        "the method, its radius rho tuned out of the same number of trials",
    ),
    Arm(
        "smoothing",
        "SGD, label smoothing",
        "simple",
        (*LR_AND_DECAY, "smoothing"),
        "one argument of the loss, no extra cost: what a practitioner would try first",
        cells=(CLEAN, NOISE),
    ),
    Arm(
        "random",
        "Random direction",
        "placebo",
        (*LR_AND_DECAY, "rho"),
        "the gradient at w + rho times a random unit vector: a perturbation without the ascent",
        draws=True,
        cells=(CLEAN, NOISE),
    ),
    Arm(
        "smoothing_2x",
        "SGD, label smoothing, twice the steps",
        "combination",
        (*LR_AND_DECAY, "smoothing"),
        "the simple alternative at the cost of SAM on top of it",
        times=2,
        cells=(NOISE,),
    ),
    Arm(
        "sam_smoothing",
        "SAM + label smoothing",
        "combination",
        (*LR_AND_DECAY, "rho", "smoothing"),
        "whether SAM adds to the simple alternative",
        cells=(NOISE,),
    ),
    Arm(
        "mirror",
        "SGD + mirrored images",
        "combination",
        LR_AND_DECAY,
        "augmentation: every training image and its mirror image",
        fixed={"mirrored": 1},
        cells=(NOISE,),
    ),
    Arm(
        "sam_mirror",
        "SAM + mirrored images",
        "combination",
        (*LR_AND_DECAY, "rho"),
        "whether SAM adds to augmentation",
        fixed={"mirrored": 1},
        cells=(NOISE,),
    ),
    Arm(
        "sgd_wd0",
        "SGD, no weight decay",
        "handicapped",
        ("lr",),
        "what leaving the weight decay at zero costs; the learning rate is tuned",
        fixed={"weight_decay": 0.0},
        cells=(NOISE,),
    ),
    Arm(
        "sam_wd0",
        "SAM, no weight decay",
        "handicapped",
        ("lr", "rho"),
        "SAM without weight decay, its learning rate and radius tuned",
        fixed={"weight_decay": 0.0},
        cells=(NOISE,),
    ),
    Arm(
        "asam",
        "ASAM",
        "ablation",
        (*LR_AND_DECAY, "rho_adaptive"),
        "the radius measured in units of each weight, over a range of its own",
        cells=(CLEAN, NOISE),
    ),
    Arm(
        "sam_m25",
        "SAM, m = 25",
        "ablation",
        (*LR_AND_DECAY, "rho"),
        "a perturbation for each quarter of the batch, its radius tuned anew",
        fixed={"m": 25},
        cells=(NOISE,),
    ),
    Arm(
        "sam_m10",
        "SAM, m = 10",
        "ablation",
        (*LR_AND_DECAY, "rho"),
        "a perturbation for every ten examples, its radius tuned anew",
        fixed={"m": 10},
        cells=(NOISE,),
    ),
    Arm(
        "sgd_again",
        "SGD, tuned a second time",
        "control",
        LR_AND_DECAY,
        "the baseline against itself: other search draws, other initializations and batch orders",
        search=1,
        cells=(CLEAN, NOISE),
    ),
    Arm(
        "sgd_quarter",
        "SGD, a quarter of the images",
        "control",
        LR_AND_DECAY,
        "a planted effect: the baseline has four times its data",
        share=0.25,
        cells=(CLEAN, NOISE),
    ),
)

KNOBS = (
    Knob("lr", 0.003, 0.3),
    Knob("weight_decay", 1e-4, 0.1),
    Knob("rho", 0.02, 0.8),
    Knob("smoothing", 0.0, 0.6, log=False),
    Knob("rho_adaptive", 0.2, 8.0),
)

CORE = ("sgd", "sgd_2x", "sam", "smoothing", "random")

PRESETS = (
    Preset(
        "quick",
        "fashion-mnist-subset",
        side=14,
        train=1000,
        validation=500,
        batch_size=100,
        steps=150,
        trials=2,
        tuning_seeds=1,
        seeds=3,
        cells=(CLEAN, NOISE),
        arms=CORE,
        settings_from="laptop",
    ),
    Preset(
        "laptop",
        "fashion-mnist",
        side=14,
        train=2000,
        validation=2000,
        batch_size=100,
        steps=1000,
        trials=16,
        tuning_seeds=2,
        seeds=20,
    ),
    Preset(
        "gpu",
        "fashion-mnist",
        side=28,
        train=54_000,
        validation=6000,
        batch_size=500,
        steps=3000,
        trials=16,
        tuning_seeds=2,
        seeds=20,
    ),
)


def perturbed(
    model: nn.Module,
    config: train.Config,
    *,
    rho: float | Tensor,
    method: type[SAM],
    chunks: int,
    adaptive: bool,
) -> torch.optim.Optimizer:
    """Return the baseline's SGD, wrapped in SAM or in its placebo."""
    stacked = isinstance(model, replicas.Stack)
    if stacked and method is not SAM:
        raise ValueError(f"{method.__name__} has no stacked form: its arm needs draws=True")
    return (StackedSAM if stacked else method)(
        model.parameters(),
        train.sgd_class(config),
        rho=rho,
        adaptive=adaptive,
        model=model,
        chunks=chunks,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


def mirrored(split: Split) -> Split:
    """Return the images and, after them, their mirror images."""
    return Split(torch.cat([split.images, split.images.flip(-1)]), split.labels.repeat(2))


def run(
    arm: Arm, settings: Mapping[str, float], sample: Sample, preset: Preset, seed: int
) -> train.Training:
    """Describe one arm's training; arms differ in loss, optimizer, images and number of steps."""
    steps = preset.steps * arm.times
    if "channels" in settings:
        steps //= 2  # a step of the convolutional net takes three times as long
        model = partial(models.cnn, sample.train, sample.classes, int(settings["channels"]))
    else:
        model = partial(models.mlp, sample.train, sample.classes)
    config = train.Config(
        steps=steps,
        batch_size=preset.batch_size,
        lr=settings["lr"],
        weight_decay=settings["weight_decay"],
        curve=tuple(steps * part // 10 for part in range(1, 11)),
    )
    loss, optimizer = train.cross_entropy, train.sgd
    if "smoothing" in settings:
        loss = partial(train.cross_entropy, smoothing=settings["smoothing"])
    if rho := settings.get("rho", settings.get("rho_adaptive")):
        optimizer = partial(
            perturbed,
            rho=rho,
            method=RandomDirection if arm.role == "placebo" else SAM,
            chunks=preset.batch_size // int(settings.get("m", preset.batch_size)),
            adaptive="rho_adaptive" in settings,
        )
    return train.Training(
        train.initialized(model, seed).to(sample.train.labels.device),
        mirrored(sample.train) if "mirrored" in settings else sample.train,
        config,
        seed,
        loss,
        optimizer,
        sample.validation,
    )


def inspect(model: nn.Module, sample: Sample) -> dict[str, float]:
    """Return how sharp the training loss is at a model: on its first training images and labels."""
    x, y = sample.train.pixels()[:SHARPNESS_IMAGES], sample.train.labels[:SHARPNESS_IMAGES]
    loss = partial(train.cross_entropy, x=x, y=y)
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
    knobs=KNOBS,
    cells=(
        Cell(CLEAN, "clean labels", stack=STACK),
        Cell(NOISE, "40% wrong labels", label_noise=0.4, stack=STACK),
        Cell(CNN, "CNN, 40% wrong labels", label_noise=0.4, fixed={"channels": 8}),
    ),
    presets=PRESETS,
    claims=CLAIMS,
    run=run,
    evaluate=train.evaluate,
    inspect=inspect,
    controls=CONTROLS,
    numerics=2,
)
