"""The study of lottery tickets: small nets on Fashion-MNIST, pruned to a fifth and less."""

from __future__ import annotations

from reviewlib.papers.lottery_tickets.arms import ARMS, CORE, MAIN, NARROW, SPARSER, SPARSEST
from reviewlib.papers.lottery_tickets.claims import CLAIMS
from reviewlib.papers.lottery_tickets.procedures import net
from reviewlib.trial.declare import Hyperparameter, Study, evaluate, presets

STUDY = Study(
    name="lottery_tickets",
    title="Lottery tickets: is there a small net inside that could have been trained alone?",
    citation="Frankle, Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural "
    "Networks. ICLR 2019, arXiv 1803.03635",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("lr", 0.001, 0.04),
        Hyperparameter("weight_decay", 1e-5, 0.01),
    ),
    conditions=(MAIN, SPARSER, SPARSEST, NARROW),
    presets=presets(
        quick={
            "train": 2000,
            "validation": 500,
            "batch_size": 64,
            "steps": 150,
            "conditions": (MAIN,),
            "arms": CORE,
        },
        laptop={
            "train": 8000,
            "validation": 4000,
            "batch_size": 64,
            "steps": 1500,
            # a run is dear: a ticket costs four trainings
            "trials": 8,
            "tries": 4,
            "seeds": 20,
        },
        gpu={"batch_size": 64, "steps": 8000, "seeds": 10},
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    question="Is there a small net inside that could have been trained alone, and is it worth its "
    "search?",
    subject="a pruned net",
    instead="For accuracy, give the dense net the steps; for a sparse net, prune and restart the "
    "learning rate, and see at your sparsity whether to put the weights back.",
)
