"""The table of an experiment's sizes: its data, pools, seeds and searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from reviewlib import data
from reviewlib.evidence import stats, units
from reviewlib.evidence.record import Record
from reviewlib.trial.search import FACTORS
from reviewlib.trial.study import Study
from reviewlib.trial.timings import ROUNDS

SWEEP = 3  # a size that takes more other values than this is swept


def protocol(study: Study, record: Record, *, first: bool = False) -> pd.DataFrame:
    """Return the sizes of the experiment, as the record states them.

    Args:
        study: the study.
        record: the record that the page shows.
        first: whether it was made under the book's first protocol.
    """
    sizes = record.preset
    level = units.percent(stats.simultaneous_level(len(study.primary)))
    noise = ", with the same label noise" if any(c.label_noise for c in study.conditions) else ""

    def each(size: str) -> str:
        return by_condition(study, record, lambda here: here[size])

    rows = {
        "data": f"{record.data['name']}, SHA-256 {record.data['checksum'][:12]}…",
        "training images per run": f"{each('train')}, another subset for every seed",
        "validation images per run": f"{each('validation')}{noise}",
        "steps × batch": f"{each('steps')} × {sizes['batch_size']}, unless an arm differs",
        "final seeds": f"{each('seeds')}, the same for every arm",
        "interval": f"Student t, {level} for primary claims, 95% for the others",
    }
    if record.timings is not None:
        rows["timed steps"] = (
            f"{len(study.timings)} timings, the shortest of {ROUNDS} rounds in each of "
            f"{record.timings.launches} launches of a process"
        )
    rows |= _first_protocol(sizes) if first else _pools_and_search(study, record)
    return pd.DataFrame({"what": rows.keys(), "how much": rows.values()})


def _first_protocol(sizes: Mapping[str, int]) -> dict[str, str]:
    """Return how the records were made that await new ones."""
    return {
        "search": "the book's first protocol: one for all seeds",
        "test images": f"{sizes['seeds']} disjoint folds of the test set, one per seed",
    }


def _pools_and_search(study: Study, record: Record) -> dict[str, str]:
    """Return where images come from and what one run is."""
    name, pools = record.preset["data"], ("training", "validation", "test")
    there = data.pool_sizes(name)
    parts = ", ".join(f"{size:,} {pool}" for size, pool in zip(there, pools, strict=True))

    def shared(size: str, pool: int) -> str:
        return by_condition(
            study, record, lambda here: data.overlap(here[size], pool), units.percent
        )

    def each(of: Callable[[Mapping[str, int]], float]) -> str:
        return by_condition(study, record, of)

    return {
        "pools": f"{parts} images; none is in two of them",
        "overlap": f"two seeds share {shared('train', there[0])} of their training and "
        f"{shared('validation', there[1])} of their validation images",
        "test images": f"{each(lambda here: there[2] // here['seeds'])} a seed, which no other "
        "seed has",
        "trials × tries": f"{each(lambda here: here['trials'])} trials of every searched arm on "
        f"every seed; judged is the expected best of {each(lambda here: here['tries'])}",
        "search": "stratified over each range, drawn anew for every seed"
        + _inherited(study, record),
    }


def _inherited(study: Study, record: Record) -> str:
    """Return which conditions take their settings from which; "" if none does."""
    there = set(record.rows["condition"])
    children: dict[str, list[str]] = {}
    for condition in study.conditions:
        if condition.parent and condition.name in there:
            children.setdefault(condition.parent, []).append(condition.label)
    factors = ", ".join(f"{factor:g}" for factor in FACTORS)
    return "".join(
        f"; {' and '.join(labels)}: the settings chosen with {study.condition(parent).label}, "
        f"lr × {factors}"
        for parent, labels in children.items()
    )


def by_condition(
    study: Study,
    record: Record,
    of: Callable[[Mapping[str, int]], float],
    form: Callable[[float], str] = "{:,}".format,
) -> str:
    """Return a size that conditions may differ in: "2,000", "2,000 (4,000: small net)".

    Of a size that is swept, it is the first one and the range: "2,000 (100 to 1,400: a sweep)".
    """
    found: dict[float, list[str]] = {}
    for condition in dict.fromkeys(record.rows["condition"]):
        value = of(record.sizes(condition))
        found.setdefault(value, []).append(study.condition(condition).label)
    (first, _), *others = found.items()
    if len(others) > SWEEP:
        values = sorted(value for value, _ in others)
        return f"{form(first)} ({form(values[0])} to {form(values[-1])}: a sweep)"
    return form(first) + "".join(
        f" ({form(value)}: {', '.join(labels)})" for value, labels in others
    )
