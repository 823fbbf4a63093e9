"""The study of WeightNet: small convolutional nets on Fashion-MNIST, and their steps."""

from __future__ import annotations

from reviewlib.papers.weightnet.arms import ARMS, CORE, MAIN, PAIR, TIMINGS, net
from reviewlib.papers.weightnet.claims import CLAIMS
from reviewlib.papers.weightnet.scores import scores
from reviewlib.trial.declare import Hyperparameter, Study, evaluate, presets

STUDY = Study(
    name="weightnet",
    title="WeightNet: does a kernel that depends on the input pay?",
    citation="Ma, Zhang, Huang, Sun: WeightNet: Revisiting the Design Space of Weight Networks. "
    "ECCV 2020, arXiv 2007.11823",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("lr", 0.03, 1.0),
        Hyperparameter("weight_decay", 1e-5, 0.01),
    ),
    conditions=(MAIN, PAIR),
    timings=TIMINGS,
    presets=presets(
        quick={
            "train": 1000,
            "validation": 500,
            "batch_size": 64,
            "steps": 120,
            "conditions": (MAIN,),
            "arms": CORE,
        },
        laptop={
            "train": 6000,
            "validation": 2000,
            "batch_size": 64,
            "steps": 500,
            "trials": 8,
            "tries": 4,
            "seeds": 20,
            "where": {PAIR.name: {"seeds": 10}},
        },
        gpu={"batch_size": 256, "steps": 3000, "seeds": 20},
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    scores=scores,
    question="Does WeightNet pay for its time?",
    subject="WeightNet",
    instead="Train the plain net longer, or widen it, up to WeightNet's time, and tune that. Time "
    "a step of your own net first: what gates and width cost depends on its size.",
)
