"""The history of verdicts: when one changed, at which commit, and why.

A paper's history.json lies beside its records. It only grows: a claim gets a new entry when its
verdict, or the preset, results version or registration that it rests on, differs from its last
entry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from reviewlib import papers, storage
from reviewlib.evidence import provenance, schema
from reviewlib.evidence.rules import FAILED, VERDICTS

WORDS = (*VERDICTS, FAILED, None)


class HistoryError(ValueError):
    """A history file is damaged or is not a history."""


@dataclass(frozen=True)
class Entry:
    """One change of a claim's verdict.

    Attributes:
        date: the day on which the change was recorded, YYYY-MM-DD.
        commit: the commit of the source tree that computed the verdict.
        preset: the preset whose records the verdict rests on.
        results_version: the results version of the study.
        claim: the name of the claim.
        verdict: the new verdict, or "failed" for a control; None for a claim that no longer has one
            and for a control that no longer fails.
        mean: mean of the contrast; None if nothing is measured.
        lo: lower end of the interval.
        hi: upper end of the interval.
        n: number of seeds.
        why: the reason for the change, in the author's words.
        registration: the registration that the records were made under; None without one.
    """

    date: str
    commit: str
    preset: str
    results_version: int
    claim: str
    verdict: str | None
    mean: float | None
    lo: float | None
    hi: float | None
    n: int
    why: str
    registration: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError or TypeError if a field is invalid."""
        date.fromisoformat(self.date)
        for name in ("commit", "preset", "claim", "why"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip() or not value.isprintable():
                raise ValueError(f"{name} must be one line that says something, got {value!r}")
            if len(value) > schema.MOST_TEXT:
                raise ValueError(f"{name} must be at most {schema.MOST_TEXT} characters long")
        for name in ("results_version", "n"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a count, got {value!r}")
        if self.registration not in (None, self.results_version):
            raise ValueError(f"registration must be results_version, got {self.registration!r}")
        if self.verdict not in WORDS:
            raise ValueError(f"verdict must be one of the protocol's words, got {self.verdict!r}")
        effect = (self.lo, self.mean, self.hi)
        if effect != (None,) * 3 and not -math.inf < self.lo <= self.mean <= self.hi < math.inf:
            raise ValueError(f"the mean must lie in its interval, got lo, mean, hi = {effect}")


def path_of(study: str) -> Path:
    """Return the path of a study's history."""
    return papers.folder_of(study) / "records" / "history.json"


def read(study: str) -> list[Entry]:
    """Return the entries of a study, oldest first; empty if there is no history yet.

    Raises:
        HistoryError: the file is not a history.
    """
    path = path_of(study)
    if not path.exists():
        return []
    entries: list[Entry] = []
    try:
        rows = schema.read(path)
        if not isinstance(rows, list):
            raise ValueError(f"a history is a list, got {type(rows).__name__}")
        for fields in rows:
            entries.append(Entry(**fields))
    except (ValueError, TypeError) as error:
        raise HistoryError(
            f"{path} is not a history, after {len(entries)} entries: {error}; restore it, "
            "for only `reviewlib verdicts --record` writes it"
        ) from error
    return entries


def failures(study: str) -> list[Entry]:
    """Return the entries that say that a control failed, of every version of a study."""
    return [entry for entry in read(study) if entry.verdict == FAILED]


def changes(past: Iterable[Entry], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the verdicts that differ between the last entries and today's records.

    Args:
        past: entries of a study, oldest first.
        rows: the study's entries in the ledger; without valid records, nothing differs.

    Returns:
        One mapping per changed claim: the fields of an `Entry` that come from the records.
    """
    if any(row["stale"] or row.get("state") == "awaiting" for row in rows):
        return []
    last = {entry.claim: _says(asdict(entry)) for entry in past}
    today = {row["claim"]: row for row in rows}
    gone = [_without_verdict(claim, rows[0]) for claim in last if claim not in today]
    return [
        _finding(row) for row in (*rows, *gone) if _says(row) != last.get(row["claim"], (None,))
    ]


def append(
    study: str, found: Iterable[Mapping[str, Any]], when: str, commit: str, why: str
) -> Path:
    """Add `changes` to a study's history and return its path.

    Args:
        study: the name of the study.
        found: what `changes` returned.
        when: the date, YYYY-MM-DD.
        commit: the commit of the source tree that computed the verdicts.
        why: the reason for the changes.

    Raises:
        HistoryError: the existing file is not a history.
        ValueError: a field is invalid, such as an empty reason.
    """
    fresh = [Entry(date=when, commit=commit, why=why, **finding) for finding in found]
    lines = (json.dumps(_plain(e), ensure_ascii=False) for e in [*read(study), *fresh])
    path = path_of(study)
    storage.write(path, "[\n " + ",\n ".join(lines) + "\n]\n")
    return path


def keep(study: str, rows: Sequence[Mapping[str, Any]], why: str | None) -> str:
    """Record the verdicts that changed if a reason is given; return a message about them.

    Args:
        study: the name of the study.
        rows: the study's entries in the ledger.
        why: the reason for the changes; None records nothing.

    Returns:
        A message that names the changed claims; empty if no verdict changed.

    Raises:
        HistoryError: the existing file is not a history.
        ValueError: the code or the records are not committed; an entry names their commit.
    """
    changed = changes(read(study), rows)
    if not changed:
        return ""
    done = 'not in the history yet; run `reviewlib verdicts --record "why"`'
    if why:
        made = provenance.today()
        if "+" in made["commit"] or made["commit"] == "unknown":
            raise ValueError("commit the code and its records first: the history names the commit")
        append(study, changed, made["date"], made["commit"], why)
        done = "recorded"
    return f"verdicts of {study} that changed: {', '.join(row['claim'] for row in changed)}; {done}"


def events(entries: Iterable[Entry]) -> list[list[tuple[Entry | None, Entry]]]:
    """Return groups of changes that were recorded together, latest first.

    A change is a pair: the claim's previous entry, None for its first, and its new entry.
    """
    last: dict[str, Entry] = {}
    pairs = []
    for entry in entries:
        pairs.append((last.get(entry.claim), entry))
        last[entry.claim] = entry
    together = groupby(pairs, key=lambda pair: (pair[1].date, pair[1].commit, pair[1].why))
    return [list(part) for _, part in together][::-1]


def _plain(entry: Entry) -> dict[str, Any]:
    """Return the fields of an entry; an older one keeps its line, which has no registration."""
    found = asdict(entry)
    return found if entry.registration else {k: found[k] for k in found if k != "registration"}


def _says(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the verdict and the records that it rests on; only the verdict if unmeasured."""
    if row["verdict"] is None or row["mean"] is None:
        return (row["verdict"],)
    return row["verdict"], row["preset"], row["results_version"], row.get("registration")


def _finding(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in ("preset", "results_version", "claim", "verdict", "n")}
    # as many digits as the records have
    effect = {name: row[name] and round(row[name], 6) for name in ("mean", "lo", "hi")}
    return found | effect | {"registration": row.get("registration")}


def _without_verdict(claim: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without a verdict, for a claim that the study no longer makes."""
    return {**row, "claim": claim, "verdict": None, "mean": None, "lo": None, "hi": None, "n": 0}
