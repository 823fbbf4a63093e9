"""Say whether this machine agrees with the stored records, and which records a page shows."""

from __future__ import annotations

from collections.abc import Sequence

from reviewlib.evidence.record import Record
from reviewlib.page.markup import escaped
from reviewlib.trial.scores import Row
from reviewlib.trial.study import Study

# Another processor sums in another order, which can turn a few images of a fold. A changed default
# or data order has a far larger effect.
TOLERANCE = 0.02


def agreement(study: Study, fresh: Record, stored: Record | None, runs: Sequence[Row]) -> str:
    """Return a text that says whether this machine's runs agree with the stored ones.

    Each run's test accuracy is compared with that of the same run in the stored record.

    Args:
        study: the study that was run.
        fresh: the record made on this machine.
        stored: the stored record of the same preset; None if there is none.
        runs: every run of `fresh`, and of a search for its settings, with what the cache adds.
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
    if (both["settings"] != both["settings_stored"]).any():
        return f"{count}, at other settings than the stored records of this preset."
    gap = (both["accuracy"] - both["accuracy_stored"]).abs()
    far = both[gap > TOLERANCE + 1e-9]
    named = [
        escaped(f"{study.arm(arm).label}, {study.condition(condition).label}")
        for arm, condition in dict.fromkeys(zip(far["arm"], far["condition"], strict=True))
    ]
    word = f"**disagrees** ({'; '.join(named)})" if named else "agrees"
    return (
        f"{count}. {(gap == 0).sum()} of {len(both)} have the same test accuracy as the stored "
        f"ones, the largest difference is {100 * gap.max():.2f} points: this machine {word} with "
        f"the stored records (up to {100 * TOLERANCE:.0f} points, another processor may round "
        "otherwise)."
    )


def evidence(record: Record, notes: Sequence[str], data: str | None = None) -> str:
    """Return a text that says which record the page shows, and why no larger one.

    Args:
        record: the record that the page shows.
        notes: what is wrong with larger records, one sentence each without a period.
        data: the reader's own data set; None for the book's.
    """
    made = record.provenance
    number = made.get("registration")
    under = f"registration {number}" if isinstance(number, int) else "no registration"
    text = (
        f"Everything below rests on the **{escaped(record.preset['name'])}** records: "
        f"{len(record.runs):,} runs with {len(record.trials):,} trials in all, "
        f"{made['cpu_seconds']:,.0f} seconds of training on {escaped(made['device'])}, torch "
        f"{escaped(made['versions']['torch'])}, commit {escaped(made['commit'])}, "
        f"{escaped(made['date'])}, under {under}."
    )
    if data:
        text = (
            f"**Other data than the book's:** {escaped(record.data['name'])}. All numbers on "
            f"this page are for these data; the prose describes the book's experiment. {text}"
        )
    return "\n\n".join([text, *(f"**Note:** {escaped(note)}." for note in notes)])
