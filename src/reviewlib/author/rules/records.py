"""Rules on a chapter's records: they exist, are valid, within budget and of committed code."""

from __future__ import annotations

from collections.abc import Iterator

from reviewlib.author.draft import Draft, Unreadable, reading
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import BOOK
from reviewlib.evidence.validity import problems

BUDGETS = {"laptop": 7200, "quick": 45}  # CPU-seconds
COMBINED = 10_800  # of `laptop` for a study that combines the methods of several papers


def records_are_valid(draft: Draft) -> list[str]:
    """Quick and laptop records are valid, or readable if the chapter awaits new ones."""
    found = []
    if draft.study.awaiting:
        try:
            with reading(place := _record(draft, "laptop")):
                BOOK.load(draft.name, "laptop")
        except Unreadable as error:
            found.append(str(error))
        return found
    for preset in BUDGETS:
        place = _record(draft, preset)
        try:
            with reading(place):
                reasons = problems(BOOK.load(draft.name, preset), draft.study)
            found += [f"{place}: {reason}" for reason in reasons]
        except Unreadable as error:
            found.append(str(error))
    return found


def records_kept_to_their_budget(draft: Draft) -> list[str]:
    """No record took more CPU-seconds than the budget of its preset."""
    return [
        f"{_record(draft, preset)}: took {made['cpu_seconds']} CPU-seconds, at most {most}"
        for preset, made in _provenances(draft)
        if made["cpu_seconds"] > (most := _budget(draft, preset))
    ]


def records_are_of_committed_code(draft: Draft) -> list[str]:
    """All records were made by committed code."""
    return [
        f"{_record(draft, preset)}: made by {made['commit']}; commit the code and make it anew"
        for preset, made in _provenances(draft)
        if made["commit"] == "unknown" or "+" in made["commit"]
    ]


def _budget(draft: Draft, preset: str) -> int:
    """Return the budget of a preset; a study without a method.py combines several papers."""
    combines = not (draft.root / draft.folder / "method.py").exists()
    return COMBINED if combines and preset == "laptop" else BUDGETS[preset]


def _provenances(draft: Draft) -> Iterator[tuple[str, dict]]:
    """Yield (preset, provenance) of the records that exist."""
    for preset in BUDGETS:
        if (draft.root / _record(draft, preset)).exists():
            try:
                yield preset, BOOK.load(draft.name, preset).provenance
            except RecordError:
                continue  # `records_are_valid` reports it


def _record(draft: Draft, preset: str) -> str:
    return f"{draft.folder}/records/{preset}.json"
