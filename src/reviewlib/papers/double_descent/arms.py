"""The arms and conditions of the double descent study: sizes below and above the threshold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import nn

from reviewlib import data
from reviewlib.papers.double_descent.method import RandomFeatures
from reviewlib.papers.lottery_tickets import method as lottery
from reviewlib.train.recipe import MakeOptimizer
from reviewlib.trial.declare import (
    Arm,
    Condition,
    Inputs,
    Solution,
    Training,
    adam,
    models,
    sgd,
    standard_controls,
    training,
)

# The swept values; each condition has one.
WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)
DECAYED_WIDTHS = (8, 16, 32, 64, 128, 256, 1024)
CLEAN_WIDTHS = (4, 8, 24, 64, 256)
SWEPT_WIDTHS = (8, 24, 64, 256, 1024)
FEATURES = (0.03, 0.1, 0.2, 0.4, 0.7, 0.9, 1.0, 1.1, 1.4, 2.0, 4.0, 8.0)
SAMPLES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.25, 1.6, 2.4, 4.0)
IMAGES = (100, 200, 300, 500, 700, 1000, 1400)
DECAYED_IMAGES = (100, 500, 1000)
STEPS = (0.01, 0.03, 0.1, 0.3)
DENSITIES = (0.03, 0.1, 0.2, 0.4)
CHANNELS = (1, 2, 4, 8, 16, 32, 64)

# Widths with 20% wrong labels, by the validation accuracy of ten pilot seeds: the best one before
# the peak, the worst, the widest, and the best one with a tuned weight decay.
BEST, PEAK, WIDEST, BEST_DECAYED = 8, 64, 1024, 256
# A quarter of the images; the net of the peak's width just fits all of them.
FEWER = 500
# Densities of a pruned net of this width: where it does worst, and where it has recovered.
PRUNED_WIDTH, SPARSE_PEAK, SPARSEST = 256, 0.2, 0.03

LR = 0.003  # Adam's peak rate; in a pilot it fits all labels
# Features and samples are multiples of a quarter of a run's training images: the closed form has
# cubic cost, and the samples must reach four times the features.
QUARTER = 4
STACK = 12  # one training of every seed
SEARCHED = 32  # the trials of four seeds
# A net that is to be pruned is trained for this fraction of the steps first.
FIND = 0.3
# Steps to evaluate on validation images, in percent: dense where early stopping would stop.
LOOKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
LABELS = {"clean": (0.0, "clean labels"), "noisy": (0.2, "20% wrong labels")}


def sweep(
    what: str, values: tuple[float, ...], noise: str, words: str, **fields: Any
) -> tuple[Condition, ...]:
    """Return a condition for every swept value; `held` has the other values that they fix."""
    wrong, labels = LABELS[noise]
    held = fields.pop("held", {})
    return tuple(
        Condition(
            f"{what}-{value:g}-{noise}",
            f"{words.format(value)}, {labels}",
            label_noise=wrong,
            fixed={**held, what: value},
            **fields,
        )
        for value in values
    )


AS_MANY_SAMPLES, AS_MANY_FEATURES = {"samples": 1.0}, {"features": 1.0}
FEATURES_OF_N, SAMPLES_OF_N = "{:g}n random features", "n random features, {:g}n samples"
CONDITIONS = (
    *sweep("features", FEATURES, "noisy", FEATURES_OF_N, held=AS_MANY_SAMPLES),
    *sweep("features", FEATURES, "clean", FEATURES_OF_N, held=AS_MANY_SAMPLES),
    *sweep("samples", SAMPLES, "noisy", SAMPLES_OF_N, held=AS_MANY_FEATURES),
    *sweep("width", WIDTHS, "noisy", "width {}", stack=STACK, ragged="noisy"),
    *sweep("images", IMAGES, "noisy", "{:,} images", held={"width": PEAK}, stack=SEARCHED),
    *sweep("width", CLEAN_WIDTHS, "clean", "width {}", stack=STACK, ragged="clean"),
    *sweep("steps", STEPS, "noisy", "{:g} of the steps", held={"width": WIDEST}, stack=STACK),
    *sweep(
        "density",
        DENSITIES,
        "noisy",
        "{:g} of the weights",
        held={"width": PRUNED_WIDTH},
        stack=STACK,
    ),
    *sweep("channels", CHANNELS, "noisy", "{} channels"),
)


def at(what: str, value: float, noise: str = "noisy") -> Condition:
    """Return the condition in which `what` is swept and has this value."""
    return next(each for each in CONDITIONS if each.name == f"{what}-{value:g}-{noise}")


def over(*swept: str, noise: str | None = None) -> tuple[Condition, ...]:
    """Return the conditions in which one of these is swept."""
    return tuple(
        each
        for each in CONDITIONS
        if each.name.split("-")[0] in swept and noise in (None, each.name.split("-")[-1])
    )


def net(run: Inputs) -> nn.Module:
    """Return a convolutional net if the condition fixes channels, else one hidden layer."""
    if "channels" in run:
        return models.cnn(run.sample.train, run.sample.classes, run["channels"])
    return models.mlp(run.sample.train, run.sample.classes, run["width"])


def fitted(run: Inputs) -> Iterator[Training | Solution]:
    """Solve for the read-out of random features, or train a net to the end by Adam."""
    if "features" in run:
        yield Solution(partial(random_features, run), passes=len(run.sample.train))
    else:
        yield trained(run)


def by_sgd(run: Inputs) -> Iterator[Training]:
    """Train by SGD with momentum."""
    yield trained(run, optimizer=sgd)


def at_constant_rate(run: Inputs) -> Iterator[Training]:
    """Train by Adam at a constant rate."""
    yield trained(run, schedule="constant")


def pruned(run: Inputs) -> Iterator[Training]:
    """Train a wide net briefly; train its largest weights again from their initial values."""
    model = run.net()
    for candidate in lottery.rounds(model, run["density"], 1):
        yield trained(run, model=candidate, order=run.seed, fraction=FIND)
    yield trained(run, model=model)


def trained(
    run: Inputs, *, optimizer: MakeOptimizer = adam, fraction: float = 1, **options: Any
) -> Training:
    """Return the training of a net, for a fraction of its steps."""
    steps = max(1, round(fraction * max(1, round(run.steps * run.get("steps", 1)))))
    if "order" not in options:
        options["eval_steps"] = tuple(sorted({max(1, steps * look // 100) for look in LOOKS}))
    return training(run, optimizer=optimizer, steps=steps, lr=run.get("lr", LR), **options)


def random_features(run: Inputs) -> nn.Sequential:
    """Return random features of the normalized pixels with a least-squares read-out."""
    quarter = len(run.sample.train) // QUARTER
    part = run.sample.train.take(range(round(run["samples"] * quarter)))
    inputs, count = part.images[0].numel(), round(run["features"] * quarter)
    features = RandomFeatures(inputs, count, data.stream(run.seed, "init"))
    model = nn.Sequential(models.Normalize(part), nn.Flatten(-3), features).to(part.labels.device)
    features.fit(model[:2](part.pixels()), part.labels, run.sample.classes, run.get("ridge", 0.0))
    return model


def widths(*values: int) -> tuple[Condition, ...]:
    """Return the conditions with these widths and wrong labels."""
    return tuple(at("width", width) for width in values)


plain = Arm(
    "plain",
    "No penalty",
    role="untuned",
    search=(),
    note="the papers' own object: least squares of minimum norm, or a net trained to the end by "
    "Adam; nothing is tuned, and it may do worse than logistic regression",
    train=fitted,
    may_fail=True,
    conditions=over("features", "samples", "width", "images", "steps", "channels"),
)
decay = Arm(
    "decay",
    "Tuned weight decay",
    role="baseline",
    search=("weight_decay",),
    note="the same net with a weight decay chosen on validation in every condition",
    train=fitted,
    conditions=(
        *widths(*DECAYED_WIDTHS),
        *(at("images", images) for images in DECAYED_IMAGES),
        *over("channels"),
    ),
)
ridge = Arm(
    "ridge",
    "Tuned ridge penalty",
    role="ablation",
    search=("ridge",),
    note="random features with an L2 penalty chosen on validation in every condition",
    train=fitted,
    conditions=(*over("features", noise="noisy"), *over("samples")),
)
with_sgd = Arm(
    "sgd",
    "SGD instead of Adam",
    role="ablation",
    search=(),
    note="another optimizer: SGD with momentum",
    train=by_sgd,
    fixed={"lr": 0.03},
    may_fail=True,
    conditions=widths(*SWEPT_WIDTHS),
)
constant = Arm(
    "constant",
    "Adam, constant rate",
    role="ablation",
    search=(),
    note="the deep paper's schedule: the learning rate never falls",
    train=at_constant_rate,
    may_fail=True,
    conditions=widths(*SWEPT_WIDTHS),
)
sparse = Arm(
    "pruned",
    "Pruned and trained again",
    role="combination",
    search=(),
    note="a wide net's largest weights, put back to their start and trained anew: the lottery "
    "ticket's one-shot pruning as a way back through the threshold",
    train=pruned,
    may_fail=True,
    conditions=over("density"),
)
JUDGED = (*widths(BEST, PEAK, BEST_DECAYED, WIDEST), at("images", FEWER))
ARMS = (plain, decay, ridge, with_sgd, constant, sparse, *standard_controls(decay, JUDGED))
