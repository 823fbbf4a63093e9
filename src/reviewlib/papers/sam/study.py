"""The trial of SAM: a small net on Fashion-MNIST, with clean labels and with 40% wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reviewlib import models, train
from reviewlib.papers.sam.method import SAM
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.study import Arm, Cell, Claim, Knob, Preset, Reported, Sample, Study

CLEAN, NOISE = "clean", "noise"

ARMS = (
    Arm(
        "sgd",
        "SGD",
        "baseline",
        ("lr", "weight_decay"),
        "what SAM wraps, tuned over the learning rate and the weight decay",
    ),
    Arm(
        "sgd_2x",
        "SGD, twice the steps",
        "baseline at equal cost",
        ("lr", "weight_decay"),
        "a SAM step costs two gradients: the same money spent on more steps",
        times=2,
    ),
    Arm(
        "sam",
        "SAM",
        "method",
        ("lr", "weight_decay", "rho"),
        "the method, its radius rho tuned out of the same number of trials",
    ),
    Arm(
        "smoothing",
        "SGD, label smoothing",
        "simple",
        ("lr", "weight_decay", "smoothing"),
        "one argument of the loss, no extra cost: what a practitioner would try first",
    ),
    Arm(
        "random",
        "Random direction",
        "placebo",
        ("lr", "weight_decay", "rho"),
        "the gradient at w + rho times a random unit vector: a perturbation without the ascent",
    ),
    Arm(
        "sgd_wd0",
        "SGD, no weight decay",
        "handicapped",
        ("lr",),
        "what leaving the weight decay at zero costs; the learning rate is tuned",
        fixed={"weight_decay": 0.0},
    ),
    Arm(
        "sam_wd0",
        "SAM, no weight decay",
        "handicapped",
        ("lr", "rho"),
        "SAM without weight decay, its learning rate and radius tuned",
        fixed={"weight_decay": 0.0},
    ),
    Arm(
        "sam_smoothing",
        "SAM + label smoothing",
        "combination",
        ("lr", "weight_decay", "rho", "smoothing"),
        "whether SAM adds to the simple alternative",
    ),
)

KNOBS = (
    Knob("lr", 0.01, 0.3),
    Knob("weight_decay", 1e-4, 0.1),
    Knob("rho", 0.02, 0.8),
    Knob("smoothing", 0.0, 0.6, log=False),
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

TABLE_5 = Reported(
    "test error 3.98 ± 0.05% with SAM against 4.57 ± 0.07% (WRN-28-10, basic augmentation)",
    "Table 5, Fashion-MNIST",
    runs=5,
    interval=True,
)
TABLE_4 = Reported(
    "test accuracy 93.4% with SAM against 68.8% (ResNet-32 on CIFAR-10, 40% noise)",
    "Table 4",
    runs=None,
    interval=False,
)

CLAIMS = (
    Claim(
        "clean",
        "With clean labels, SAM is more accurate than SGD at equal cost.",
        "Table 5",
        "gain",
        primary=True,
        contrast=((1, "sam", CLEAN), (-1, "sgd_2x", CLEAN)),
        margin=0.005,
        margin_reason="0.5 points: about the gain that the paper reports on this data set (0.59)",
        reported=(TABLE_5,),
    ),
    Claim(
        "noise",
        "With 40% wrong labels, SAM is more accurate than SGD at equal cost.",
        "Table 4",
        "gain",
        primary=True,
        contrast=((1, "sam", NOISE), (-1, "sgd_2x", NOISE)),
        reported=(TABLE_4,),
    ),
    Claim(
        "direction",
        "With 40% wrong labels, the ascent direction does better than a random one.",
        "Figure 6",
        "gain",
        primary=True,
        contrast=((1, "sam", NOISE), (-1, "random", NOISE)),
    ),
    Claim(
        "clean-equal-steps",
        "With clean labels, SAM against SGD at equal steps, half of SAM's cost.",
        "Table 5",
        "gain",
        contrast=((1, "sam", CLEAN), (-1, "sgd", CLEAN)),
        margin=0.005,
        margin_reason="as for the primary claim at equal cost",
    ),
    Claim(
        "noise-equal-steps",
        "With 40% wrong labels, SAM against SGD at equal steps, half of SAM's cost.",
        "Table 4",
        "gain",
        contrast=((1, "sam", NOISE), (-1, "sgd", NOISE)),
    ),
    Claim(
        "noise-early-stopped",
        "With 40% wrong labels, SAM against SGD at equal cost, both stopped early on validation.",
        "our question",
        "gain",
        metric="early_accuracy",
        contrast=((1, "sam", NOISE), (-1, "sgd_2x", NOISE)),
    ),
    Claim(
        "noise-untuned-baseline",
        "With 40% wrong labels, tuned SAM against SGD whose weight decay was left at zero.",
        "the comparison that makes SAM look good",
        "gain",
        contrast=((1, "sam", NOISE), (-1, "sgd_wd0", NOISE)),
    ),
    Claim(
        "noise-both-without-decay",
        "With 40% wrong labels, SAM against SGD, both with weight decay at zero.",
        "our question",
        "gain",
        contrast=((1, "sam_wd0", NOISE), (-1, "sgd_wd0", NOISE)),
    ),
    Claim(
        "noise-decay-alone",
        "With 40% wrong labels, tuning weight decay in plain SGD, at no extra cost.",
        "our question",
        "gain",
        contrast=((1, "sgd", NOISE), (-1, "sgd_wd0", NOISE)),
    ),
    Claim(
        "noise-against-smoothing",
        "With 40% wrong labels, SAM against label smoothing at half the cost.",
        "our question",
        "gain",
        contrast=((1, "sam", NOISE), (-1, "smoothing", NOISE)),
    ),
    Claim(
        "noise-added-last",
        "With 40% wrong labels, SAM added to label smoothing.",
        "our question",
        "gain",
        contrast=((1, "sam_smoothing", NOISE), (-1, "smoothing", NOISE)),
    ),
    Claim(
        "noise-interaction",
        "With 40% wrong labels, what SAM and label smoothing give together beyond their sum.",
        "our question",
        "gain",
        contrast=(
            (1, "sam_smoothing", NOISE),
            (-1, "smoothing", NOISE),
            (-1, "sam", NOISE),
            (1, "sgd", NOISE),
        ),
    ),
    Claim(
        "longer-training",
        "With SAM, training two and four times longer keeps lowering the error on ImageNet.",
        "Table 2",
        "out of scope",
        reported=(
            Reported(
                "ResNet-101 top-1 error 20.2 / 19.4 / 19.0% at 100 / 200 / 400 epochs with SAM "
                "against 21.2 / 20.9 / 22.3%",
                "Table 2",
                runs=5,
                interval=False,
            ),
        ),
        why="needs ImageNet and nets that are far from fitting their training data",
    ),
    Claim(
        "fine-tuning",
        "SAM improves the fine-tuning of EfficientNets on every data set tried.",
        "Table 3",
        "out of scope",
        why="needs pre-trained EfficientNets and their target data sets",
    ),
)


def smoothed(model: nn.Module, x: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
    """Return the mean cross-entropy against labels mixed with a share of the uniform one."""
    return F.cross_entropy(model(x), y, label_smoothing=smoothing)


def perturbed(
    model: nn.Module, config: train.Config, *, method: Callable[..., torch.optim.Optimizer], rho
) -> torch.optim.Optimizer:
    """Return the baseline's SGD, wrapped in SAM or in its placebo."""
    return method(
        model.parameters(),
        torch.optim.SGD,
        rho=rho,
        model=model,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )


def run(
    arm: Arm, settings: Mapping[str, float], sample: Sample, preset: Preset, seed: int
) -> train.Fit:
    """Train one arm; arms differ in the loss, the optimizer and the number of steps only."""
    steps = preset.steps * arm.times
    config = train.Config(
        steps=steps,
        batch_size=preset.batch_size,
        lr=settings["lr"],
        weight_decay=settings["weight_decay"],
        curve=tuple(steps * part // 10 for part in range(1, 11)),
    )
    loss, optimizer = train.cross_entropy, train.sgd
    if "smoothing" in settings:
        loss = partial(smoothed, smoothing=settings["smoothing"])
    if "rho" in settings:
        method = RandomDirection if arm.role == "placebo" else SAM
        optimizer = partial(perturbed, method=method, rho=settings["rho"])
    model = train.initialized(lambda: models.mlp(sample.train, sample.classes), seed)
    return train.fit(
        model.to(sample.train.labels.device),
        sample.train,
        config,
        seed=seed,
        loss=loss,
        optimizer=optimizer,
        validate=sample.validation,
    )


STUDY = Study(
    name="sam",
    title="SAM: does a flat minimum pay for its second gradient?",
    citation="Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently "
    "Improving Generalization. ICLR 2021, arXiv 2010.01412",
    arms=ARMS,
    knobs=KNOBS,
    cells=(Cell(CLEAN, "clean labels"), Cell(NOISE, "40% wrong labels", label_noise=0.4)),
    presets=PRESETS,
    claims=CLAIMS,
    run=run,
    evaluate=train.evaluate,
)
