"""A study small enough to run in a fraction of a second, with two arms that really train."""

from functools import partial

from reviewlib import models, train
from reviewlib.study import Arm, Cell, Claim, Knob, Preset, Study

TINY = Preset("laptop", "fashion-mnist-subset", 7, 60, 40, 20, 4, 3, 1, 3)
ARMS = (
    Arm("sgd", "SGD", "baseline", ("lr",), "the baseline"),
    Arm("slow", "Half the momentum", "method", ("lr", "damping"), "the method", {"momentum": 0.45}),
)
CLAIM = Claim(
    "better",
    "The method is better.",
    "nowhere",
    "gain",
    primary=True,
    contrast=((1, "slow", "clean"), (-1, "sgd", "clean")),
)


# Two controls, and a measure of the final models, for the tests that need them.
CONTROLLED = {
    "arms": (
        *ARMS,
        Arm("again", "SGD again", "control", ("lr",), "other draws", search=1, cells=("clean",)),
        Arm("part", "SGD, half the data", "control", ("lr",), "planted", share=0.5),
    ),
    "controls": (
        Claim(
            "tuned-twice",
            "SGD is better than itself.",
            "our control",
            "gain",
            primary=True,
            contrast=((1, "sgd", "clean"), (-1, "again", "clean")),
        ),
        Claim(
            "planted",
            "More data help.",
            "our control",
            "gain",
            primary=True,
            contrast=((1, "sgd", "noise"), (-1, "part", "noise")),
        ),
    ),
    "inspect": lambda model, sample: {
        "top_eigenvalue": model[2].weight.abs().max().item(),
        "rise_in_ball": float(len(sample.train)),
    },
}


def run(arm, settings, sample, preset, seed, sgd=train.sgd):
    config = train.Config(
        steps=preset.steps * arm.times,
        batch_size=preset.batch_size,
        lr=settings["lr"] / (1 + settings.get("damping", 0)),
        momentum=settings.get("momentum", 0.9),
        curve=(2, preset.steps),
    )
    model = train.initialized(lambda: models.mlp(sample.train, sample.classes, 4), seed)
    return train.Training(
        model, sample.train, config, seed, train.cross_entropy, sgd, sample.validation
    )


def study(**changes) -> Study:
    """Return the toy study with some fields replaced."""
    fields = {
        "name": "toy",
        "title": "A toy",
        "citation": "nobody",
        "arms": ARMS,
        "knobs": (Knob("lr", 0.01, 0.1), Knob("damping", 0.0, 1.0, log=False)),
        "cells": (Cell("clean", "clean labels", stack=4), Cell("noise", "wrong labels", 0.4)),
        "presets": (TINY,),
        "claims": (CLAIM,),
        "run": run,
        "evaluate": train.evaluate,
        "not_applicable": dict.fromkeys(
            ("baseline at equal cost", "simple", "placebo"), "it is a toy"
        ),
    }
    return Study(**fields | changes)


def broken(optimizer):
    """Return `run` with another optimizer: changed arithmetic, same declaration."""
    return partial(run, sgd=optimizer)
