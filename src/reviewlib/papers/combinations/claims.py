"""The questions of the study; no paper asks them."""

from __future__ import annotations

from functools import reduce
from operator import add

from reviewlib.papers.combinations import arms
from reviewlib.papers.combinations.arms import CLEAN, LONGER, NAMES, NOISE, PAIRS, SEARCHED
from reviewlib.papers.combinations.methods import METHODS
from reviewlib.trial.contrast import two_by_two
from reviewlib.trial.declare import gain, no_loss

CORRUPTED = {"metric": "corrupted_accuracy", "shifted": True}
alone = {each.name: arms.alone[each.name] - arms.plain for each in METHODS}
together = reduce(add, (alone[name] for name in arms.STACK))

CLAIMS = (
    gain(
        "stack",
        (arms.stack - arms.plain_4x) @ CLEAN,
        "The stack that validation chose is more accurate than the plain net with four times the "
        "steps, which takes one pass an example more.",
        primary=True,
        case="on clean images against four times the steps",
    ),
    gain(
        "stack-corrupted",
        (arms.stack - arms.plain_4x) @ CLEAN,
        "On corrupted images, the same stack is more accurate than the plain net with four times "
        "the steps.",
        primary=True,
        case="on corrupted ones",
        **CORRUPTED,
    ),
    no_loss(
        "adds-up",
        ((arms.stack - arms.plain) - together) @ CLEAN,
        "The stack gains as much as its methods gain alone, added up.",
        "our question",
        control=(arms.quarter - arms.plain) @ CLEAN,
        primary=True,
        case="against the sum of its methods' gains alone",
        margin=0.01,
        margin_reason="1 point: what a gain must be to count",
    ),
    gain("stack-equal-steps", (arms.stack - arms.plain) @ CLEAN),
    gain("stack-equal-steps-corrupted", (arms.stack - arms.plain) @ CLEAN, **CORRUPTED),
    gain("stack-noise", (arms.stack - arms.plain_4x) @ NOISE),
    gain("stack-equal-steps-noise", (arms.stack - arms.plain) @ NOISE),
    gain("longer-noise", (arms.plain_4x - arms.plain) @ NOISE),
    *(gain(f"{name}-alone", contrast @ CLEAN) for name, contrast in alone.items()),
    *(gain(f"{name}-alone-noise", contrast @ NOISE) for name, contrast in alone.items()),
    *(
        gain(f"{name}-alone-corrupted", contrast @ CLEAN, **CORRUPTED)
        for name, contrast in alone.items()
    ),
    *(
        gain(
            f"{name}-interaction",
            two_by_two(
                arms.plain, *(arms.alone[each.name] for each in pair), arms.pairs[pair], CLEAN
            )["interaction"],
        )
        for name, pair in zip(NAMES, PAIRS, strict=True)
    ),
    *(
        gain(
            f"{arms.named(pair).replace('_', '-')}-searched",
            (searched - arms.pairs[pair]) @ CLEAN,
        )
        for pair, searched in SEARCHED.items()
    ),
    gain("twice-as-long", (arms.plain_2x - arms.plain) @ CLEAN),
    gain("four-times-as-long", (arms.plain_4x - arms.plain) @ CLEAN),
    gain("searched-longer", arms.plain @ LONGER - arms.plain @ CLEAN),
)
