"""The arms and conditions of the SAM study, and the training of each arm."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.papers.sam.averaging import Averaged
from reviewlib.papers.sam.m_sharpness import MSharpSAM
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.train import Config, sgd_class
from reviewlib.train.recipe import Loss
from reviewlib.train.replicas import Stack
from reviewlib.trial.declare import (
    Arm,
    Condition,
    Inputs,
    Timing,
    Training,
    cross_entropy,
    models,
    sgd,
    standard_controls,
    training,
)

# Two seeds' searches of 16 trials, and eight of the convolutional nets.
STACK, CNN_STACK = 32, 8
CLEAN = Condition("clean", "clean labels", stack=STACK)
NOISE = Condition("noise", "40% wrong labels", label_noise=0.4, stack=STACK)
CNN = Condition("cnn", "CNN, clean labels", fixed={"channels": 8}, stack=CNN_STACK)


def net(run: Inputs) -> nn.Module:
    """Return a convolutional net with BatchNorm if the condition fixes channels, else an MLP."""
    if "channels" in run:
        return models.batchnorm_cnn(run.sample.train, run.sample.classes, run["channels"])
    return models.mlp(run.sample.train, run.sample.classes)


def plain(run: Inputs) -> Iterator[Training]:
    """Train by SGD."""
    yield training(run, loss=smoothed(run), train=images(run))


def with_sam(run: Inputs, *, rho: str = "rho", **options: Any) -> Iterator[Training]:
    """Train by SAM or a variant of it around the baseline's SGD; `rho` names the radius setting."""
    chunks = run.preset.batch_size // run.get("m", run.preset.batch_size)
    optimizer = partial(perturbed, rho=run[rho], chunks=chunks, **options)
    yield training(run, loss=smoothed(run), optimizer=optimizer, train=images(run))


def with_average(run: Inputs) -> Iterator[Training]:
    """Train by SGD and keep a moving average of its weights."""
    yield training(run, optimizer=partial(averaged, forget=run["forget"]))


def averaged(model: nn.Module, config: Config, *, forget: float | Tensor) -> torch.optim.Optimizer:
    """Return the baseline's SGD, which ends at the average of its weights."""
    return Averaged(sgd(model, config), forget, config.steps)


def smoothed(run: Inputs) -> Loss:
    """Return the cross-entropy with the arm's label smoothing."""
    return partial(cross_entropy, smoothing=run.get("smoothing", 0.0))


def images(run: Inputs) -> Split:
    """Return the training images; a convolutional net also gets their mirror images."""
    split = run.sample.train
    if "channels" not in run:
        return split
    return Split(torch.cat([split.images, split.images.flip(-1)]), split.labels.repeat(2))


def perturbed(
    model: nn.Module,
    config: Config,
    *,
    rho: float | Tensor,
    method: type[MSharpSAM] = MSharpSAM,
    chunks: int = 1,
    adaptive: bool = False,
) -> torch.optim.Optimizer:
    """Return the baseline's SGD, wrapped in SAM or in its placebo."""
    return method(
        model.parameters(),
        sgd_class(config),
        rho=rho,
        adaptive=adaptive,
        model=model,
        chunks=chunks,
        norm_axis=int(isinstance(model, Stack)),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


LR_DECAY = ("lr", "weight_decay")
MLP, NOISY = (CLEAN, NOISE), (NOISE,)

sgd_1x = Arm("sgd", "SGD", role="baseline", search=LR_DECAY, note="what SAM wraps", train=plain)
sgd_2x = Arm(
    "sgd_2x",
    "SGD, twice the steps",
    role="baseline at equal cost",
    search=LR_DECAY,
    note="a SAM step costs two gradients: SGD with as many gradients",
    train=plain,
    step_multiple=2,
)
sam = Arm(
    "sam",
    "SAM",
    role="method",
    search=(*LR_DECAY, "rho"),
    note="the method; its radius rho is tuned within the same number of trials",
    train=with_sam,
)
smoothing = Arm(
    "smoothing",
    "SGD, label smoothing",
    role="simple",
    search=(*LR_DECAY, "smoothing"),
    note="one argument of the loss, no extra cost: what a practitioner tries first",
    train=plain,
    conditions=MLP,
)
average = Arm(
    "average",
    "SGD, averaged weights",
    role="simple",
    search=(*LR_DECAY, "forget"),
    note="a moving average of the weights, no extra pass",
    train=with_average,
    conditions=MLP,
)
random = Arm(
    "random",
    "Random direction",
    role="placebo",
    search=(*LR_DECAY, "rho"),
    note="the gradient at w + rho times a random unit vector: a perturbation without the ascent",
    train=partial(with_sam, method=RandomDirection),
    stochastic=True,
    conditions=MLP,
)
CORE = (sgd_1x, sgd_2x, sam, smoothing, average, random)

smoothing_2x = Arm(
    "smoothing_2x",
    "SGD, label smoothing, twice the steps",
    role="combination",
    search=smoothing.search,
    note="label smoothing alone, at the cost of SAM + label smoothing",
    train=plain,
    step_multiple=2,
    conditions=NOISY,
)
sam_smoothing = Arm(
    "sam_smoothing",
    "SAM + label smoothing",
    role="combination",
    search=(*sam.search, "smoothing"),
    note="whether SAM adds to the simple alternative",
    train=with_sam,
    conditions=NOISY,
)
sgd_wd0 = Arm(
    "sgd_wd0",
    "SGD, no weight decay",
    role="untuned",
    search=("lr",),
    note="what zero weight decay costs; only the learning rate is tuned",
    train=plain,
    fixed={"weight_decay": 0.0},
    conditions=NOISY,
)
sam_wd0 = Arm(
    "sam_wd0",
    "SAM, no weight decay",
    role="untuned",
    search=("lr", "rho"),
    note="SAM without weight decay; only its learning rate and radius are tuned",
    train=with_sam,
    fixed={"weight_decay": 0.0},
    conditions=NOISY,
)
asam = Arm(
    "asam",
    "ASAM",
    role="ablation",
    search=(*LR_DECAY, "rho_adaptive"),
    note="measures the radius in units of each weight; its range is its own",
    train=partial(with_sam, rho="rho_adaptive", adaptive=True),
    conditions=NOISY,
)
sam_m25 = Arm(
    "sam_m25",
    "SAM, m = 25",
    role="ablation",
    search=sam.search,
    note="a perturbation for each quarter of the batch, its radius tuned anew",
    train=with_sam,
    fixed={"m": 25},
    conditions=NOISY,
)
ARMS = (
    *CORE,
    *(smoothing_2x, sam_smoothing, sgd_wd0, sam_wd0, asam, sam_m25),
    *standard_controls(sgd_1x),
)
# What a step costs; the settings change no time.
RATES = {"lr": 0.01, "weight_decay": 0.001, "rho": 0.1, "smoothing": 0.1, "forget": 0.1}
TIMINGS = (
    Timing(
        "step",
        "one hidden layer",
        fixed=RATES,
        arms=(sgd_1x, sam, smoothing, average, random),
        image_size=14,
        batch_size=100,
    ),
    Timing(
        "cnn_step",
        "CNN",
        fixed={**RATES, **CNN.fixed},
        arms=(sgd_1x, sam),
        image_size=14,
        batch_size=100,
    ),
)
