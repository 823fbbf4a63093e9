"""Say whether this machine agrees with the stored records, and which records a page shows."""

from __future__ import annotations

from collections.abc import Sequence

from reviewlib.evidence import stats
from reviewlib.evidence.record import Record
from reviewlib.page.markup import escaped
from reviewlib.trial.scores import Row
from reviewlib.trial.study import Study


def agreement(study: Study, fresh: Record, stored: Record | None, runs: Sequence[Row]) -> str:
    """Return a text that says whether this machine's runs agree with the stored ones.

    Args:
        study: the study that was run.
        fresh: the record made on this machine.
        stored: the stored record of the same preset; None if there is none.
        runs: every run of `fresh`, with what the cache adds to it.
    """
    preset = fresh.preset
    cached = [row["computed"] for row in runs if row["from_cache"]]
    count = f"{len(runs)} runs of the `{preset['name']}` preset"
    if cached:
        first = escaped(min(cached))
        count += f", {len(cached)} of them from this machine's cache (first of {first})"
    if stored is None:
        return f"{count}. There are no stored records of it to compare with."
    if stored.preset != preset or stored.data != fresh.data:
        return f"{count}, at other sizes or on other data than the stored records."
    both = fresh.rows.merge(stored.rows, on=["arm", "condition", "seed"], suffixes=("", "_stored"))
    equal = (both["accuracy"] == both["accuracy_stored"]).sum()
    gap = (both["accuracy"] - both["accuracy_stored"]).abs().max()
    outside = [
        escaped(f"{study.arm(arm).label}, {study.condition(condition).label}")
        for (arm, condition), part in both.groupby(["arm", "condition"])
        if not _inside(part["accuracy"].mean(), stats.t_interval(part["accuracy_stored"]))
    ]
    word = "agrees" if not outside else f"**disagrees** ({'; '.join(outside)})"
    return (
        f"{count}. {equal} of {len(both)} final runs have the same test accuracy as the stored "
        f"ones, the largest difference is {100 * gap:.2f} points: this machine {word} with the "
        f"stored records (each arm's mean against the stored 95% interval over "
        f"{preset['seeds']} seeds)."
    )


def evidence(record: Record, notes: Sequence[str], data: str | None = None) -> str:
    """Return a text that says which record the page shows, and why no larger one.

    Args:
        record: the record that the page shows.
        notes: what is wrong with larger records, one sentence each without a period.
        data: the reader's own data set; None for the book's.
    """
    made = record.provenance
    text = (
        f"Everything below rests on the **{escaped(record.preset['name'])}** records: "
        f"{len(record.rows)} final runs and {len(record.trials)} trials, "
        f"{made['cpu_seconds']:,.0f} seconds of training on {escaped(made['device'])}, torch "
        f"{escaped(made['versions']['torch'])}, commit {escaped(made['commit'])}, "
        f"{escaped(made['date'])}."
    )
    if data:
        text = (
            f"**Other data than the book's:** {escaped(record.data['name'])}. All numbers on "
            f"this page are for these data; the prose describes the book's experiment. {text}"
        )
    return "\n\n".join([text, *(f"**Note:** {escaped(note)}." for note in notes)])


def _inside(mean: float, interval: stats.Interval) -> bool:
    return interval.lo - 1e-9 <= mean <= interval.hi + 1e-9
