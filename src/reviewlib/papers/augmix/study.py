"""The study of AugMix: a small convolutional net on Fashion-MNIST, tested on corrupted images."""

from __future__ import annotations

from reviewlib.papers.augmix.arms import ARMS, CORE, MAIN, SMALL, net
from reviewlib.papers.augmix.claims import CLAIMS
from reviewlib.papers.augmix.scores import scores
from reviewlib.trial.declare import Hyperparameter, Study, evaluate, presets

FEW = {"train": 1000, "steps": 400}

STUDY = Study(
    name="augmix",
    title="AugMix: does mixing augmentations make a net robust?",
    citation="Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan: AugMix: A Simple Data "
    "Processing Method to Improve Robustness and Uncertainty. ICLR 2020, arXiv 1912.02781",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("lr", 0.005, 0.5),
        Hyperparameter("weight_decay", 1e-5, 0.01),
        Hyperparameter("severity", 0.3, 10.0),
    ),
    conditions=(MAIN, SMALL),
    presets=presets(
        quick={
            "image_size": 28,
            "train": 1000,
            "validation": 500,
            "batch_size": 50,
            "steps": 200,
            "conditions": (MAIN,),
            "arms": CORE,
        },
        laptop={
            "image_size": 28,
            "train": 2000,
            "validation": 2000,
            "batch_size": 50,
            "steps": 800,
            # a run is dear: an AugMix step shows the net three views
            "trials": 8,
            "tries": 4,
            "seeds": 20,
            "where": {SMALL.name: FEW | {"seeds": 10}},
        },
        gpu={"batch_size": 100, "steps": 4000, "seeds": 10, "where": {SMALL.name: FEW}},
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    scores=scores,
    question="Is AugMix worth its three views, if images may come corrupted?",
    subject="AugMix",
    instead="If brightness or contrast may change, standardize each image by its own mean and "
    "deviation first, which takes no further pass, and measure on the corruptions that you expect.",
)
