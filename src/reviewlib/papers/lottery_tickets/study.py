"""The study of lottery tickets: small nets on Fashion-MNIST, pruned to a few percent."""

from __future__ import annotations

from reviewlib.papers.lottery_tickets.arms import (
    ARMS,
    CORE,
    DENSER,
    MAIN,
    NARROW,
    SPARSER,
    WIDE,
    net,
)
from reviewlib.papers.lottery_tickets.claims import CLAIMS
from reviewlib.trial.declare import Hyperparameter, Study, evaluate, presets

STUDY = Study(
    name="lottery_tickets",
    title="Lottery tickets: is there a small net inside that could have been trained alone?",
    citation="Frankle, Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural "
    "Networks. ICLR 2019, arXiv 1803.03635",
    arms=ARMS,
    hyperparameters=(Hyperparameter("lr", 0.002, 0.05),),
    conditions=(MAIN, DENSER, SPARSER, NARROW, WIDE),
    presets=presets(
        quick={
            "train": 2000,
            "validation": 500,
            "batch_size": 64,
            "steps": 100,
            "conditions": (MAIN,),
            "arms": CORE,
        },
        laptop={"train": 4000, "validation": 2000, "batch_size": 64, "steps": 250, "seeds": 16},
        gpu={"batch_size": 64, "steps": 8000, "seeds": 10},
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    awaiting="its nets are too briefly trained to carry the claims, "
    "and one search for all seeds left its luck out of the intervals",
    subject="a ticket",
    instead="For accuracy, spend the steps on the dense net; for a sparse net, first see what "
    "pruning once, or keeping the trained weights, loses at your sparsity.",
)
