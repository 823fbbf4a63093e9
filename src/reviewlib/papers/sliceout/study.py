"""The study of SliceOut: a dense net on Fashion-MNIST, and the steps of three kinds of nets."""

from __future__ import annotations

from reviewlib.papers.sliceout.arms import ARMS, CORE, HALF, MAIN, net
from reviewlib.papers.sliceout.claims import CLAIMS
from reviewlib.papers.sliceout.scores import scores
from reviewlib.papers.sliceout.timings import TIMINGS
from reviewlib.trial.declare import Hyperparameter, Study, evaluate, presets

STUDY = Study(
    name="sliceout",
    title="SliceOut: does a slice of a net train as well in less time?",
    citation="Notin, Gomez, Yoo, Gal: Improving compute efficacy frontiers with SliceOut. 2020, "
    "arXiv 2007.10909",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("lr", 0.003, 0.3),
        Hyperparameter("weight_decay", 1e-5, 0.03),
        Hyperparameter("keep", 0.25, 0.9, log=False),
    ),
    conditions=(MAIN, HALF),
    timings=TIMINGS,
    presets=presets(
        quick={
            "train": 1000,
            "validation": 500,
            "batch_size": 100,
            "steps": 150,
            "conditions": (MAIN,),
            "arms": CORE,
        },
        laptop={
            "train": 1000,
            "validation": 2000,
            "batch_size": 100,
            "steps": 300,
            "where": {HALF.name: {"trials": 8, "tries": 4, "seeds": 20}},
        },
        gpu={"batch_size": 500, "steps": 2000, "seeds": 20},
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    scores=scores,
    question="Is SliceOut worth it, if training takes too long?",
    subject="SliceOut",
    instead="For accuracy, train a narrower net first, or the dense net for fewer steps: at the "
    "width of a slice, the narrow net takes less time than SliceOut, and neither needs new code.",
)
