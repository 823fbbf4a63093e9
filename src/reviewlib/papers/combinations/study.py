"""The study of combinations: six methods and their pairs in a small net on Fashion-MNIST."""

from __future__ import annotations

from torch import nn

from reviewlib.papers.combinations import nets
from reviewlib.papers.combinations.arms import ARMS, BRIEF, CLEAN, LONGER, NOISE, STEP
from reviewlib.papers.combinations.claims import CLAIMS
from reviewlib.papers.combinations.scores import scores
from reviewlib.trial.declare import Hyperparameter, Inputs, Study, evaluate, presets


def net(run: Inputs) -> nn.Module:
    """Return the net without any of the methods."""
    return nets.net(run.sample.train, run.sample.classes)


TRIALS, TRIES = 8, 4  # a run is dear: there are two dozen arms
FOUR_TIMES = {"trials": 4 * TRIES, "tries": 4 * TRIES}  # each of the trials is a try

STUDY = Study(
    name="combinations",
    title="In combination: does the gain survive next to other methods?",
    citation="Our own experiment with the six methods of this book's other chapters",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("lr", 0.02, 0.4),
        Hyperparameter("weight_decay", 1e-5, 0.01),
        Hyperparameter("smoothing", 0.0, 0.5, log=False),
        Hyperparameter("severity", 0.3, 5.0),
        Hyperparameter("rho", 0.01, 0.2),
        Hyperparameter("keep", 0.5, 0.95, log=False),
    ),
    conditions=(CLEAN, NOISE, LONGER),
    timings=(STEP,),
    presets=presets(
        quick={
            "image_size": 28,
            "train": 1000,
            "validation": 500,
            "batch_size": 50,
            "steps": 100,
            "conditions": (CLEAN,),
            "arms": BRIEF,
        },
        laptop={
            "image_size": 28,
            "train": 2000,
            "validation": 2000,
            "batch_size": 50,
            "steps": 500,
            "trials": TRIALS,
            "tries": TRIES,
            "seeds": 10,
            "where": {LONGER.name: FOUR_TIMES},
        },
        gpu={
            "batch_size": 256,
            "steps": 3000,
            "trials": TRIALS,
            "tries": TRIES,
            "seeds": 10,
            "where": {LONGER.name: FOUR_TIMES},
        },
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    scores=scores,
    question="Is a stack of methods worth its cost?",
    subject="the stack",
    instead="Add methods one at a time, each against what you have at equal cost, with the "
    "learning rate tried again at every step; and give longer training and a longer search the "
    "same budget.",
    not_applicable={
        "placebo": "a stack has no outward form without the methods in it; their own chapters have "
        "a placebo each",
    },
)
