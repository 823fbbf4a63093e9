"""The study of double descent: random features and nets below and above the threshold."""

from __future__ import annotations

import torch
from torch import nn

from reviewlib.papers.double_descent.arms import (
    ARMS,
    BEST,
    BEST_DECAYED,
    CONDITIONS,
    PEAK,
    at,
    decay,
    net,
    over,
    plain,
    ridge,
    widths,
)
from reviewlib.papers.double_descent.claims import CLAIMS
from reviewlib.papers.double_descent.method import RandomFeatures, rank
from reviewlib.trial.declare import Hyperparameter, Sample, Study, evaluate, presets


def inspect(model: nn.Module, sample: Sample) -> dict[str, float]:
    """Return the accuracy on the fitted examples and, for random features, their complexity.

    Random features can fit any labels of as many examples as their rank. The rank, as a fraction of
    the examples, is therefore their effective model complexity (EMC) at zero error.
    """
    head = model[-1]
    if not isinstance(head, RandomFeatures):
        return {"fitted": evaluate(model, sample.train)["accuracy"]}
    part = sample.train.take(range(head.examples))
    with torch.no_grad():
        independent = rank(head.hidden(model[:-1](part.pixels())))
    return {
        "fitted": evaluate(model, part)["accuracy"],
        "complexity": independent / head.examples,
    }


# Training images in the conditions that sweep their number.
IMAGES = {where.name: {"train": where.fixed["images"]} for where in over("images")}

QUICK = (*widths(BEST, PEAK, BEST_DECAYED), at("features", 0.2), at("features", 1.0))

STUDY = Study(
    name="double_descent",
    title="Double descent: does a bigger model get worse before it gets better?",
    citation="Nakkiran, Kaplun, Bansal, Yang, Barak, Sutskever: Deep Double Descent: Where Bigger "
    "Models and More Data Hurt. ICLR 2020, arXiv 1912.02292. Belkin, Hsu, Ma, Mandal: Reconciling "
    "Modern Machine-Learning Practice and the Classical Bias-Variance Trade-Off. PNAS 2019, arXiv "
    "1812.11118",
    arms=ARMS,
    hyperparameters=(
        Hyperparameter("weight_decay", 0.001, 0.3),
        Hyperparameter("ridge", 1e-5, 0.1),
    ),
    conditions=CONDITIONS,
    presets=presets(
        quick={
            "train": 2000,
            "validation": 500,
            "batch_size": 100,
            "steps": 4000,
            "conditions": QUICK,
            "arms": (plain, decay, ridge),
        },
        laptop={
            "train": 2000,
            "validation": 2000,
            "batch_size": 100,
            "steps": 4000,
            # a run trains seven widths at once
            "trials": 8,
            "tries": 4,
            "seeds": 12,
            "conditions": over("features", "samples", "width", "images", "steps", "density"),
            "where": IMAGES,
        },
        gpu={
            "train": 4000,
            "validation": 4000,
            "batch_size": 100,
            "steps": 10_000,
            "seeds": 10,
            "where": IMAGES,
        },
    ),
    claims=CLAIMS,
    net=net,
    evaluate=evaluate,
    inspect=inspect,
    question="Trained to the end at a falling rate, on partly wrong labels: does a bigger net get "
    "worse before it gets better, and does more data hurt?",
    instead="Tune the weight decay, or stop training by validation, at the size that you can "
    "afford; search for no better size before that.",
    not_applicable={
        "baseline at equal cost": "a penalty costs no pass: equal steps are equal cost",
        "method": "the papers propose none; they describe models trained without a penalty",
        "simple": "stopping early on validation, which every run of a net is scored at too",
        "placebo": "there is no method whose outward form could be copied",
    },
)
