"""The steps that are timed: all forms of five nets at three keep rates, and those in equal time."""

from __future__ import annotations

from reviewlib.papers.sliceout.arms import (
    KEEPS,
    again,
    dense_1x,
    half_plain,
    half_random,
    narrow_1x,
    random_units,
    sliceout,
    with_dropout,
)
from reviewlib.trial.declare import Timing

TIMED = (
    *(dense_1x, with_dropout, narrow_1x, sliceout, random_units),
    *(half_plain, half_random),
)
COMPARED = dense_1x, narrow_1x, sliceout  # in equal time


def timing(
    name: str, label: str, keep: float, image_size: int, batch_size: int, **fixed: float
) -> Timing:
    """Return the timing of forms of a net's step at a keep rate."""
    more = {"own": (again,)}.get(name, ())
    return Timing(
        f"{name}_{round(100 * keep)}",
        f"{label}, keep {keep}",
        fixed={"lr": 0.001, "weight_decay": 0.0, "keep": keep, **fixed},
        arms=COMPARED if name == "trained" else (*TIMED, *more),
        image_size=image_size,
        batch_size=batch_size,
    )


OWN = {
    keep: timing("own", "this chapter's net", keep, 14, 100, units=512)
    for keep in (0.5, 0.25, 0.75)
}
# As the arms in equal time train it: with weight decay, and up to the largest keep rate.
TRAINED = {
    keep: timing(
        "trained", "the same with weight decay", keep, 14, 100, units=512, weight_decay=0.001
    )
    for keep in (*KEEPS, 0.9)
}
LARGER = tuple(
    timing(name, label, keep, *sizes, **width)
    for name, label, sizes, width in (
        ("mlp_1024", "1,024 units", (28, 128), {"units": 1024}),
        ("mlp_2048", "2,048 units", (28, 128), {"units": 2048}),
        ("convolution", "convolution", (14, 32), {"channels": 128}),
        ("feed_forward", "feed-forward", (28, 32), {"inner": 1024}),
    )
    for keep in KEEPS
)
TIMINGS = (*OWN.values(), *LARGER, *TRAINED.values())
