"""The arms and conditions of the SAM study, and the training of each arm."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reviewlib.data import Split
from reviewlib.papers.sam.m_sharpness import MSharpSAM
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.train import Config, sgd_class
from reviewlib.train.recipe import Loss
from reviewlib.train.replicas import Stack
from reviewlib.trial.declare import (
    Arm,
    Condition,
    Inputs,
    Training,
    cross_entropy,
    models,
    standard_controls,
    training,
)

STACK = 32  # all the trials of an arm and condition, on both tuning seeds
CLEAN = Condition("clean", "clean labels", stack=STACK)
NOISE = Condition("noise", "40% wrong labels", label_noise=0.4, stack=STACK)
CNN = Condition(
    "cnn",
    "CNN, 40% wrong labels",
    label_noise=0.4,
    fixed={"channels": 8},
    step_multiple=0.5,  # a step of this net takes three times as long
)


def net(run: Inputs) -> nn.Module:
    """Return a small convolutional net if the condition fixes channels, else an MLP."""
    if "channels" in run:
        return models.cnn(run.sample.train, run.sample.classes, run["channels"])
    return models.mlp(run.sample.train, run.sample.classes)


def plain(run: Inputs, *, mirrored: bool = False) -> Iterator[Training]:
    """Train by SGD."""
    yield training(run, loss=smoothed(run), train=images(run, mirrored))


def with_sam(
    run: Inputs, *, rho: str = "rho", mirrored: bool = False, **options: Any
) -> Iterator[Training]:
    """Train by SAM or a variant of it around the baseline's SGD; `rho` names the radius setting."""
    chunks = run.preset.batch_size // run.get("m", run.preset.batch_size)
    optimizer = partial(perturbed, rho=run[rho], chunks=chunks, **options)
    yield training(run, loss=smoothed(run), optimizer=optimizer, train=images(run, mirrored))


def smoothed(run: Inputs) -> Loss:
    """Return the cross-entropy with the arm's label smoothing."""
    return partial(cross_entropy, smoothing=run.get("smoothing", 0.0))


def images(run: Inputs, mirrored: bool) -> Split:
    """Return the training images, followed by their mirror images if `mirrored`."""
    split = run.sample.train
    if not mirrored:
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

sgd = Arm("sgd", "SGD", role="baseline", search=LR_DECAY, note="what SAM wraps", train=plain)
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
CORE = (sgd, sgd_2x, sam, smoothing, random)

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
mirror = Arm(
    "mirror",
    "SGD + mirrored images",
    role="combination",
    search=LR_DECAY,
    note="augmentation: every training image and its mirror image",
    train=partial(plain, mirrored=True),
    conditions=NOISY,
)
sam_mirror = Arm(
    "sam_mirror",
    "SAM + mirrored images",
    role="combination",
    search=sam.search,
    note="whether SAM adds to augmentation",
    train=partial(with_sam, mirrored=True),
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
    conditions=MLP,
)
sam_m25, sam_m10 = (
    Arm(
        f"sam_m{m}",
        f"SAM, m = {m}",
        role="ablation",
        search=sam.search,
        note=note,
        train=with_sam,
        fixed={"m": m},
        conditions=NOISY,
    )
    for m, note in (
        (25, "a perturbation for each quarter of the batch, its radius tuned anew"),
        (10, "a perturbation for every ten examples, its radius tuned anew"),
    )
)
ARMS = (
    *CORE,
    *(smoothing_2x, sam_smoothing, mirror, sam_mirror, sgd_wd0, sam_wd0, asam, sam_m25, sam_m10),
    *standard_controls(sgd, MLP),
)
