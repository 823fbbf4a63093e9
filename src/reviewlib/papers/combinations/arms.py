"""The arms of the study: the plain net, six methods alone, all their pairs, and one stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, combinations
from typing import Any

from reviewlib.papers.combinations.methods import METHODS, Method, combined
from reviewlib.trial.declare import Arm, Condition, Timing, standard_controls

BATCHED = 8  # the trials of a seed
CLEAN = Condition("clean", "clean labels", stack=BATCHED)
NOISE = Condition("noise", "20% wrong labels", label_noise=0.2, stack=BATCHED)
# More trials of the plain net than CLEAN has; the presets say how many.
LONGER = Condition("longer_search", "four times the search", stack=BATCHED)

LR_DECAY = ("lr", "weight_decay")
PAIRS = tuple(combinations(METHODS, 2))
NAMES = tuple(f"{first.name}-{second.name}" for first, second in PAIRS)  # in those of claims
# What greedy addition chose by validation on pilot seeds.
STACK = ("smoothing", "augmix", "weightnet")
# The plain net's steps at the cost of the stack, whose images have three views, and one more.
AT_COST = 4


def named(methods: Sequence[Method]) -> str:
    """Return the name of the arm with these methods."""
    return "_".join(method.name for method in METHODS if method in methods)


def arm(*methods: Method, **options: Any) -> Arm:
    """Return the arm with these methods, which searches all of their hyperparameters."""
    given = {
        "name": named(methods),
        "label": " + ".join(method.label for method in methods),
        "role": "combination",
        "search": (*LR_DECAY, *chain(*(method.search for method in methods))),
        "note": "; ".join(method.note for method in methods),
        "train": partial(combined, methods=methods),
        "stochastic": any(method.stochastic for method in methods),
        "conditions": (CLEAN,),
    }
    return Arm(**(given | options))


def of(*names: str) -> tuple[Method, ...]:
    """Return the methods of these names, in the order in which they change a recipe."""
    return tuple(method for method in METHODS if method.name in names)


plain = Arm(
    "plain",
    "Plain",
    role="baseline",
    search=LR_DECAY,
    searches_less="it has no method to tune",
    note="the net, SGD with momentum, and cross-entropy",
    train=partial(combined, methods=()),
)


def longer(times: int, **options: Any) -> Arm:
    """Return the plain net with so many times the steps."""
    return replace(
        plain,
        name=f"plain_{times}x",
        label=f"Plain, {times} times the steps",
        note=f"the plain net, trained {times} times as long",
        step_multiple=times,
        **({"role": "ablation", "searches_less": "", "conditions": (CLEAN,)} | options),
    )


alone = {
    each.name: arm(
        each,
        # the cheapest one is the simple alternative to the stack
        role="simple" if each.name == "smoothing" else "ablation",
        conditions=(CLEAN, NOISE),
    )
    for each in METHODS
}
# At the settings of its two methods alone.
pairs = {
    pair: arm(*pair, search=(), parent=tuple(alone[each.name] for each in pair)) for pair in PAIRS
}
stack = arm(
    *of(*STACK),
    name="stack",
    role="method",
    label="Stack",
    note="label smoothing, AugMix and WeightNet, which greedy addition chose on pilot seeds",
    conditions=(CLEAN, NOISE),
)
plain_2x = longer(2)
plain_4x = longer(
    AT_COST,
    role="baseline at equal cost",
    searches_less=plain.searches_less,
    conditions=(CLEAN, NOISE),
)
again, quarter = standard_controls(plain, (CLEAN,))
# The pairs of the stack with a search of their own: how much do the settings in the middle cost?
SEARCHED = {
    pair: arm(
        *pair,
        name=f"{named(pair)}_searched",
        label=f"{pairs[pair].label}, searched",
        note="the same with a search of its own",
    )
    for pair in combinations(of(*STACK), 2)
}
ARMS = (
    *(plain, plain_4x, stack, plain_2x),
    *alone.values(),
    *pairs.values(),
    *SEARCHED.values(),
    *(again, quarter),
)
# The core arms, and the methods of the stack with their pairs.
BRIEF = (
    *(plain, plain_4x, stack),
    *(alone[name] for name in STACK),
    *(pairs[pair] for pair in SEARCHED),
)
# The settings change no time, but for the share of the units that a step keeps.
RATES = {"lr": 0.1, "weight_decay": 0.001, "rho": 0.05, "severity": 3.0, "smoothing": 0.1}
STEP = Timing(
    "step",
    "this chapter's net",
    fixed={**RATES, "keep": 0.8},
    arms=(plain, stack, *alone.values(), *pairs.values()),
    image_size=28,
    batch_size=50,
)
