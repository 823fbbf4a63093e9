"""The trial of double descent: random features and nets across the size that just fits."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from reviewlib import models, train
from reviewlib.data import stream
from reviewlib.papers.double_descent.claims import (
    CHANNELS,
    CLAIMS,
    CLEAN,
    CLEAN_WIDTHS,
    CONTROLS,
    FEATURES,
    KEPT,
    NOISY,
    PEAK,
    PRUNED_WIDTH,
    SAMPLES,
    STEPS,
    SWEPT_WIDTHS,
    WIDEST,
    WIDTHS,
    cell_name,
)
from reviewlib.papers.double_descent.method import RandomFeatures, rank
from reviewlib.papers.lottery_tickets import method as lottery
from reviewlib.study import Arm, Cell, Knob, Preset, Sample, Study

LR = 0.003  # Adam's, constant; a pilot on tuning seeds took it for the rate that fits all labels
# Features and their samples are counted in quarters of a run's training images, so that a closed
# form of cubic cost stays affordable, and there may be four times as many samples as features.
QUARTER = 4
STACK = 10
# A net that is to be pruned is trained for this share of the steps first.
FIND = 0.3
# Validation looks, in percent of the steps: dense where early stopping would stop.
LOOKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
LABELS = {CLEAN: (0.0, "clean labels"), NOISY: (0.2, "20% wrong labels")}


def cells_over(
    knob: str, values: tuple, noise: str, words: str, held: Mapping[str, float], **fields
) -> tuple[Cell, ...]:
    """Return a cell for every value of what is swept; `held` is what they hold besides."""
    share, labels = LABELS[noise]
    return tuple(
        Cell(
            cell_name(knob, value, noise),
            f"{words.format(value)}, {labels}",
            label_noise=share,
            fixed={**held, knob: value},
            **fields,
        )
        for value in values
    )


def names(*knobs: str, noise: str | None = None) -> tuple[str, ...]:
    """Return the names of the cells that sweep one of the knobs."""
    return tuple(
        cell.name
        for cell in CELLS
        if cell.name.split("-")[0] in knobs and noise in (None, cell.name.split("-")[-1])
    )


AS_MANY_SAMPLES, AS_MANY_FEATURES = {"samples": 1.0}, {"features": 1.0}
CELLS = (
    *cells_over("features", FEATURES, NOISY, "{:g}n random features", AS_MANY_SAMPLES),
    *cells_over("features", FEATURES, CLEAN, "{:g}n random features", AS_MANY_SAMPLES),
    *cells_over("samples", SAMPLES, NOISY, "n random features, {:g}n samples", AS_MANY_FEATURES),
    *cells_over("width", WIDTHS, NOISY, "width {}", {}, stack=STACK, ragged=NOISY),
    *cells_over("width", CLEAN_WIDTHS, CLEAN, "width {}", {}, stack=STACK, ragged=CLEAN),
    *cells_over("steps", STEPS, NOISY, "{:g} of the steps", {"width": WIDEST}, stack=STACK),
    *cells_over("kept", KEPT, NOISY, "{:g} of the weights", {"width": PRUNED_WIDTH}, stack=STACK),
    *cells_over("channels", CHANNELS, NOISY, "{} channels", {}),
)
MODEL_WISE = names("features", "samples")
NETS = names("width", "steps", "kept")
SWEPT = tuple(cell_name("width", width, NOISY) for width in SWEPT_WIDTHS)

ARMS = (
    Arm(
        "plain",
        "No penalty",
        "handicapped",
        (),
        "the papers' own object: least squares of minimum norm, or a net trained to the end by "
        "Adam at a constant rate; nothing is tuned",
        cells=(*MODEL_WISE, *names("width", "steps", "channels")),
    ),
    Arm(
        "penalty",
        "Tuned penalty",
        "baseline",
        ("penalty",),
        "the same with an L2 penalty chosen on validation in every cell: ridge regression, or "
        "weight decay",
        cells=(*MODEL_WISE, *names("width", noise=NOISY), *names("channels")),
    ),
    Arm(
        "sgd",
        "SGD instead of Adam",
        "ablation",
        (),
        "another optimizer: SGD with momentum at a constant rate",
        fixed={"lr": 0.03, "momentum": 0.9},
        cells=SWEPT,
    ),
    Arm(
        "cosine",
        "Adam, cosine schedule",
        "ablation",
        (),
        "another schedule: the learning rate falls to zero along half a cosine",
        fixed={"cosine": 1},
        cells=SWEPT,
    ),
    Arm(
        "pruned",
        "Pruned and trained again",
        "combination",
        (),
        "a wide net's largest weights, put back to their start and trained anew: the lottery "
        "ticket's one-shot pruning as a way back through the threshold",
        cells=names("kept"),
    ),
    Arm(
        "penalty_again",
        "Tuned penalty, tuned a second time",
        "control",
        ("penalty",),
        "the baseline against itself: other search draws, other initializations and batch orders",
        search=1,
        cells=(cell_name("width", PEAK),),
    ),
    Arm(
        "penalty_quarter",
        "Tuned penalty, a quarter of the images",
        "control",
        ("penalty",),
        "a planted effect: the baseline has four times its data",
        share=0.25,
        cells=(cell_name("width", PEAK),),
    ),
)

PRESETS = (
    Preset(
        "quick",
        "fashion-mnist-subset",
        side=14,
        train=800,
        validation=500,
        batch_size=100,
        steps=1,
        trials=2,
        tuning_seeds=1,
        seeds=3,
        cells=names("features", "samples", noise=NOISY),
        arms=("plain", "penalty"),
        settings_from="laptop",
    ),
    Preset(
        "laptop",
        "fashion-mnist",
        side=14,
        train=2000,
        validation=2000,
        batch_size=100,
        steps=4000,
        trials=8,
        tuning_seeds=2,
        seeds=10,
        cells=(*MODEL_WISE, *NETS),
    ),
    Preset(
        "gpu",
        "fashion-mnist",
        side=28,
        train=4000,
        validation=4000,
        batch_size=100,
        steps=10_000,
        trials=8,
        tuning_seeds=2,
        seeds=10,
    ),
)


def random_features(settings: Mapping[str, float], sample: Sample, seed: int) -> nn.Sequential:
    """Return random features of the normalized pixels below the read-out of least squares."""
    quarter = len(sample.train) // QUARTER
    part = sample.train.take(range(round(settings["samples"] * quarter)))
    inputs, count = part.images[0].numel(), round(settings["features"] * quarter)
    net = nn.Sequential(
        models.Normalize(part),
        nn.Flatten(-3),
        RandomFeatures(inputs, count, stream(seed, "init")),
    ).to(part.labels.device)
    net[2].fit(net[:2](part.pixels()), part.labels, sample.classes, settings.get("penalty", 0.0))
    return net


def ticket(dense: train.Training, left: float) -> train.Training:
    """Return a shorter training, and what follows: the largest weights, trained from their start.

    Masks of ones come first, so that both trainings have parameters of the same names.
    """
    lottery.prune(dense.model, lottery.masks(dense.model))
    start = deepcopy(dense.model.state_dict())

    def again(fit: train.Fit) -> list[train.Training]:
        model = fit.model
        kept = lottery.magnitude_masks(lottery.weights(model), lottery.masks(model), left)
        model.load_state_dict(start)
        lottery.prune(model, kept)
        return [dense]

    steps = max(1, round(FIND * dense.config.steps))
    return replace(dense, config=replace(dense.config, steps=steps, curve=()), then=again)


def run(
    arm: Arm, settings: Mapping[str, float], sample: Sample, preset: Preset, seed: int
) -> train.Training | train.Solution:
    """Describe one run: the closed form where features are counted, else a net's training."""
    if "features" in settings:
        solve = partial(random_features, settings, sample, seed)
        return train.Solution(solve, seed, passes=len(sample.train))
    steps = max(1, round(preset.steps * settings.get("steps", 1)))
    config = train.Config(
        steps=steps,
        batch_size=preset.batch_size,
        lr=settings.get("lr", LR),
        weight_decay=settings.get("penalty", 0.0),
        schedule="cosine" if "cosine" in settings else "constant",
        curve=tuple(sorted({max(1, steps * look // 100) for look in LOOKS})),
    )
    if "channels" in settings:
        make = partial(models.cnn, sample.train, sample.classes, int(settings["channels"]))
    else:
        make = partial(models.mlp, sample.train, sample.classes, int(settings["width"]))
    training = train.Training(
        train.initialized(make, seed).to(sample.train.labels.device),
        sample.train,
        config,
        seed,
        train.cross_entropy,
        train.sgd if "momentum" in settings else train.adam,
        sample.validation,
    )
    return ticket(training, settings["kept"]) if "kept" in settings else training


def inspect(model: nn.Module, sample: Sample) -> dict[str, float]:
    """Return the accuracy on the examples that a model was fitted to, and the EMC of features.

    Features fit any labels of as many examples as they are linearly independent on: that rank, as
    a share of the examples they were given, is their effective model complexity at no error.
    """
    head = model[-1]
    if not isinstance(head, RandomFeatures):
        return {"fitted": train.evaluate(model, sample.train)["accuracy"]}
    part = sample.train.take(range(head.examples))
    with torch.no_grad():
        independent = rank(head.hidden(model[:-1](part.pixels())))
    return {
        "fitted": train.evaluate(model, part)["accuracy"],
        "complexity": independent / head.examples,
    }


STUDY = Study(
    name="double_descent",
    title="Double descent: does a bigger model get worse before it gets better?",
    citation="Nakkiran, Kaplun, Bansal, Yang, Barak, Sutskever: Deep Double Descent: Where Bigger "
    "Models and More Data Hurt. ICLR 2020, arXiv 1912.02292. Belkin, Hsu, Ma, Mandal: Reconciling "
    "Modern Machine-Learning Practice and the Classical Bias-Variance Trade-Off. PNAS 2019, arXiv "
    "1812.11118",
    arms=ARMS,
    knobs=(Knob("penalty", 1e-5, 0.1),),
    cells=CELLS,
    presets=PRESETS,
    claims=CLAIMS,
    run=run,
    evaluate=train.evaluate,
    inspect=inspect,
    controls=CONTROLS,
    not_applicable={
        "baseline at equal cost": "a penalty costs no pass: equal steps are equal cost",
        "method": "the papers propose none; they describe models trained without a penalty",
        "simple": "stopping early on validation, which every run of a net is scored at too",
        "placebo": "there is no method whose outward form could be copied",
    },
)
