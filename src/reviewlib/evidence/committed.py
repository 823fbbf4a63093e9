"""Whether runs were made under a committed registration, and whether their record may be shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from msgspec import convert

from reviewlib import papers
from reviewlib.evidence.provenance import git
from reviewlib.evidence.record import Record
from reviewlib.evidence.registration import EVIDENCE, PLACE, Entry, problems, read
from reviewlib.trial.fingerprints import differences
from reviewlib.trial.study import Study

UNREGISTERED = "unregistered"


def stated(study: Study, preset: str, commits: Iterable[str]) -> int | str:
    """Return the registration that runs were made under, for their provenance.

    Args:
        study: the study as it is today.
        preset: the preset of the runs.
        commits: the commits at which the runs were computed, those from the cache too.

    Returns:
        The version, or "unregistered"; `unregistered` says why.
    """
    return UNREGISTERED if unregistered(study, preset, commits) else study.results_version


def unregistered(study: Study, preset: str, commits: Iterable[str] = ()) -> list[str]:
    """Return why runs, or one that would start now, have no registration; empty if they have.

    Args:
        study: the study as it is today.
        preset: the preset of the runs.
        commits: as in `stated`.
    """
    if preset not in EVIDENCE:
        return [f"preset {preset} does not count as evidence and needs no registration"]
    if wrong := problems(study, preset):
        return wrong
    file = f"papers/{study.name}/{PLACE}"
    edited = git(papers.folder_of(study.name), "status", "--porcelain", "--", PLACE)
    if edited is None:
        return [f"git cannot say here whether {file} is committed; run it in a clone of the book"]
    if edited:
        return [f"{file} is not committed; commit it before the runs"]
    if lost := rewritten(study.name):
        return [f"{file} lost entries that it had at {', '.join(lost)}; restore them"]
    entry = read(study.name)[-1]
    head = git(papers.folder_of(study.name), "rev-parse", "HEAD") or "unknown"
    early = [each for each in (head, *commits) if not committed(study, each, entry)]
    return [_too_early(entry, early)] if early else []


def refused(record: Record, study: Study) -> list[str]:
    """Return why the book must not show a record for want of its registration; empty if it may.

    Only presets that count as evidence need one. Without git, or without the commits that the
    record names, its provenance is believed; a test in a full clone checks it.
    """
    preset = record.preset["name"]
    if preset not in EVIDENCE:
        return []
    if wrong := problems(study, preset):
        return wrong
    entry = read(study.name)[-1]
    made = record.provenance.get("registration")
    if type(made) is not int or made != entry.version:
        under = f"registration {made}" if type(made) is int else "no registration"
        return [f"the runs were made under {under}, and the study's is {entry.version}"]
    if record.test != entry.test[preset]:
        return [f"the runs are of another test than registration {entry.version}"]
    stored = record.fingerprints
    other = [
        name
        for name, registered in entry.fingerprints.items()
        if name in stored and differences(registered, stored[name])
    ]
    if other:
        return [
            f"arms had other arithmetic than in registration {entry.version}: {', '.join(other)}"
        ]
    early = [each for each in commits_of(record) if committed(study, each, entry) is False]
    return [_too_early(entry, early)] if early else []


def commits_of(record: Record) -> list[str]:
    """Return the commits at which a record's runs were computed."""
    return record.provenance["commit"].split(", ")


def committed(study: Study, commit: str, entry: Entry) -> bool | None:
    """Return whether the registrations at a commit had an entry; None if git cannot say.

    Args:
        study: the study.
        commit: as provenance has it, perhaps with the "+" of edited code; anything else, such as
            "unknown" or a branch, had none.
        entry: the entry as it is today.
    """
    if not re.fullmatch(r"[0-9a-f]{7,40}\+?", commit):
        return False
    found = _at(study.name, commit.rstrip("+"))
    return None if found is None else entry in found


def rewritten(study: str) -> list[str] | None:
    """Return the commits before HEAD whose registrations do not begin today's, latest first.

    None if git, or the full history, is not there.

    Raises:
        RegistrationError: today's registrations are damaged.
    """
    folder, today = papers.folder_of(study), read(study)
    if git(folder, "rev-parse", "--is-shallow-repository") != "false":
        return None
    log = git(folder, "log", "--full-history", "--format=%H", "HEAD", "--", PLACE)
    if log is None:
        return None
    past = {commit: _at(study, commit) or [] for commit in log.split()}
    return [commit[:12] for commit in past if past[commit] != today[: len(past[commit])]]


def _at(study: str, commit: str) -> list[Entry] | None:
    """Return the registrations at a commit, empty if it had none; None if git lacks the commit."""
    folder = papers.folder_of(study)
    if git(folder, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return None
    text = git(folder, "cat-file", "blob", f"{commit}:./{PLACE}")
    try:
        return convert(json.loads(text or "[]"), list[Entry])
    except ValueError:  # such as the marks of a conflict
        return []


def _too_early(entry: Entry, commits: list[str]) -> str:
    return (
        f"runs were made at a commit without registration {entry.version} "
        f"({', '.join(dict.fromkeys(commits))}), so their final seeds may have been seen before; "
        f"set results_version = {entry.version + 1} and register that, then run it anew"
    )
