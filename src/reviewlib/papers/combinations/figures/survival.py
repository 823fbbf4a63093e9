"""Whether the gain of a method survives next to others."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from IPython.display import HTML

from reviewlib.evidence import units
from reviewlib.page.chapter import Chapter
from reviewlib.page.markup import stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.papers.combinations.arms import (
    CLEAN,
    PAIRS,
    SEARCHED,
    STACK,
    alone,
    of,
    pairs,
    plain,
    stack,
)
from reviewlib.papers.combinations.figures import effects
from reviewlib.papers.combinations.methods import METHODS, Method
from reviewlib.trial.contrast import Contrast


def next_to(page: Chapter, method: Method) -> Iterator[tuple[str, Contrast, Contrast]]:
    """Yield what a method is added to last: its name, the contrast without and that with it."""
    there = set(page.record.rows["arm"])
    for pair in PAIRS:
        if method in pair and pairs[pair].name in there:
            (partner,) = (each for each in pair if each is not method)
            yield partner.label, alone[partner.name] @ CLEAN, pairs[pair] @ CLEAN
    rest = [name for name in STACK if name != method.name]
    if method.name in STACK and len(rest) > 1:
        without = SEARCHED.get(of(*rest))
        if without is not None:
            yield "the rest of the stack", without @ CLEAN, stack @ CLEAN


@needs_evidence
def survivors(page: Chapter) -> HTML:
    """Return, for every gain that is supported alone, whether it survives next to each other."""
    methods = effects.supported(page.study, page.record)
    if not methods:
        return HTML(
            f"<p>At this scale no gain of the {len(METHODS)} methods alone is supported on clean "
            "images, so there is none whose survival could be asked.</p>"
        )
    rows = []
    for method in methods:
        gain = effects.effect(page.study, page.record, (alone[method.name] - plain) @ CLEAN)
        for partner, without, both in next_to(page, method):
            last = effects.effect(page.study, page.record, both - without)
            rest, word = effects.survival(page.study, page.record, method, without, both)
            rows.append(
                {
                    "gain of": method.label,
                    "added to": partner,
                    "alone, points": _points(gain),
                    "added last, points": _points(last),
                    "added last minus half the gain alone": _points(rest),
                    "the gain": word,
                }
            )
    return stamped(pd.DataFrame(rows), page.stamp)


def _points(of: effects.Effect) -> str:
    mean, lo, hi = (
        units.effect(each, "error") for each in (of.interval.mean, of.interval.lo, of.interval.hi)
    )
    return f"{mean} ({lo} to {hi})"
