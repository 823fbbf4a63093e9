"""Registrations: what a study tests, and by which arithmetic, written down before its final runs.

A paper's registrations.json lies beside its records and only grows. Each version of a study has its
own seeds, searches and folds, and leaves an entry, so that nobody can try versions unseen. What was
run and deleted elsewhere before the entry was committed leaves no trace that this could find.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, TypedDict

from filelock import FileLock
from msgspec import Meta, Struct, convert, to_builtins

from reviewlib import papers, storage
from reviewlib.evidence import schema
from reviewlib.trial.fingerprints import arms_tested, differences, fingerprint, test_digest
from reviewlib.trial.study import Study

# The presets that count as evidence, the most of it first.
EVIDENCE = ("gpu", "laptop")
PLACE = "records/registrations.json"  # in a paper's folder


class RegistrationError(ValueError):
    """A study cannot be registered, or its registrations are damaged."""


class Results(TypedDict):
    """The losses and scores of an arm's tiny runs in one condition."""

    losses: list[float]
    scores: list[float]


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One registration.

    Attributes:
        version: the study's `results_version`: 1, 2, ...
        date: the day of the registration (UTC), YYYY-MM-DD.
        why: the reason for this version, in the author's words.
        test: the digest of what defines the test, for each preset that counts as evidence.
        fingerprints: those of the arms of primary claims and controls.
        pilots: what the author had seen before, one line each.
    """

    version: Annotated[int, Meta(ge=1)]
    date: str
    why: str
    test: Annotated[dict[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]], Meta(min_length=1)]
    fingerprints: dict[str, dict[str, Results]]
    pilots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError if a text is invalid."""
        date.fromisoformat(self.date)
        for text in (self.why, *self.pilots):
            if not text.strip() or not text.isprintable() or len(text) > schema.MOST_TEXT:
                raise ValueError(
                    "a reason or pilot must be one line that says something, of at most "
                    f"{schema.MOST_TEXT} characters, got {text[:80]!r}"
                )


def path_of(study: str) -> Path:
    """Return the path of a study's registrations."""
    return papers.folder_of(study) / PLACE


def read(study: str) -> list[Entry]:
    """Return the registrations of a study, oldest first; empty if there is none yet.

    Raises:
        RegistrationError: the file is damaged, or its versions are not 1, 2, ...
    """
    path = path_of(study)
    if not path.exists():
        return []
    try:
        entries = convert(schema.read(path), list[Entry])
    except ValueError as error:
        raise RegistrationError(
            f"papers/{study}/{PLACE} holds no registrations: {error}; restore it with "
            f"`git checkout`, for only `reviewlib register` writes it. {_after_a_merge(study)}"
        ) from error
    versions = [entry.version for entry in entries]
    if versions != list(range(1, len(versions) + 1)):
        raise RegistrationError(
            f"papers/{study}/{PLACE} must hold versions 1, 2, ... in this order, got "
            f"{', '.join(map(str, versions))}. {_after_a_merge(study)}"
        )
    return entries


def register(study: Study, why: str, pilots: Sequence[str] = ()) -> Entry:
    """Register a study's test and the arithmetic of its arms as version `results_version`.

    Args:
        study: the study as it is going to be run.
        why: the reason for this version, one line.
        pilots: what was seen before, one line each.

    Raises:
        RegistrationError: this version is registered already or is not the next one; a reason is
            not one line; the file is damaged.
        OSError: the file cannot be written.
    """
    _require_next(study)  # again below: this one comes before the tiny runs
    fields = {
        "version": study.results_version,
        "date": datetime.now(UTC).date().isoformat(),
        "why": why,
        "test": {
            preset.name: test_digest(study, preset)
            for preset in study.presets
            if preset.name in EVIDENCE
        },
        "fingerprints": {arm.name: fingerprint(study, arm) for arm in arms_tested(study)},
        "pilots": list(pilots),
    }
    try:
        entry = convert(fields, Entry)
    except ValueError as error:
        raise RegistrationError(f"{study.name} cannot be registered: {error}") from error
    path = path_of(study.name)
    locks = storage.cache_folder("locks")
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{storage.digest(str(path.resolve()))}.lock"):
        _require_next(study)
        plain = (to_builtins(each) for each in (*read(study.name), entry))
        lines = (json.dumps(each, ensure_ascii=False, allow_nan=False) for each in plain)
        storage.write(path, "[\n " + ",\n ".join(lines) + "\n]\n")
    return entry


def matching(study: Study, preset: str | None = None) -> Entry | None:
    """Return the registration of today's study; None if `problems` has any."""
    return None if problems(study, preset) else read(study.name)[-1]


def problems(study: Study, preset: str | None = None) -> list[str]:
    """Return why today's study is not the one that was registered last; empty if it is.

    Args:
        study: the study as it is today.
        preset: the name of a preset that counts as evidence; None for all. Another one that was
            added since then does no harm to it.
    """
    try:
        entries = read(study.name)
    except RegistrationError as error:
        return [str(error)]
    last = entries[-1].version if entries else 0
    if study.results_version < last:
        return [f"registration {last} has replaced {study.results_version}; {_set(last)}"]
    if study.results_version > last:
        known = f"the last registration is {last}" if last else "there is no registration"
        return [
            f"results_version {study.results_version} of {study.name} is not registered, "
            f"{known}; {_anew(study, last + 1)}"
        ]
    wrong = _other_tests(study, entries[-1], preset) or _other_arithmetic(study, entries[-1])
    return [f"{each}; undo that, or {_anew(study, last + 1)}" for each in wrong]


def _require_next(study: Study) -> None:
    """Raise RegistrationError unless the study's version is the next one."""
    entries = read(study.name)
    version, following = study.results_version, len(entries) + 1
    if version > following:
        raise RegistrationError(
            f"the next registration of {study.name} is {following}, and its results_version is "
            f"{version}; {_set(following)}"
        )
    if version < following:
        since = "; ".join(problems(study)) or "nothing changed since"
        raise RegistrationError(
            f"version {version} of {study.name} was registered on {entries[version - 1].date}: "
            f"{since}; a change needs results_version = {following} in its study.py, which brings "
            "new seeds, searches and folds"
        )


def _other_tests(study: Study, entry: Entry, preset: str | None) -> list[str]:
    """Return the presets whose test is not the registered one, one sentence each."""
    today = {each.name: each for each in study.presets if each.name in EVIDENCE}
    since = f"since registration {entry.version}"
    found = []
    for name in dict.fromkeys((*entry.test, *today)):
        if name not in today:
            found.append(f"preset {name} was dropped {since}")
        elif name not in entry.test:
            found += [f"preset {name} was added {since}"] if preset in (None, name) else []
        elif (now := test_digest(study, today[name])) != entry.test[name]:
            found.append(
                f"the claims' tests, arms, ranges, trials, seeds, sizes or folds of {name} changed "
                f"{since} (digest {entry.test[name][:12]}, now {now[:12]})"
            )
    return found


def _other_arithmetic(study: Study, entry: Entry) -> list[str]:
    """Return a sentence on the arms whose arithmetic is not the registered one, if there are."""
    wrong = {
        arm.name: differences(entry.fingerprints.get(arm.name, {}), fingerprint(study, arm))
        for arm in arms_tested(study)
    }
    named = [f"arm {name} ({' and '.join(wrong[name])} differ)" for name in wrong if wrong[name]]
    since = f"since registration {entry.version}"
    return [f"arithmetic changed {since}: {', '.join(named)}"] if named else []


def _set(version: int) -> str:
    return f"set results_version = {version} in its study.py"


def _anew(study: Study, version: int) -> str:
    """Return what to do for a new registration."""
    first = "" if study.results_version == version else f"{_set(version)}, "
    return f'{first}run `reviewlib register {study.name} "why"` and commit'


def _after_a_merge(study: str) -> str:
    return (
        "After a merge of two branches that both registered a version: take the file of the branch "
        f"that registered first, rebase the other on it, raise its results_version, and run "
        f'`reviewlib register {study} "why" --pilot "what the other registration said"`'
    )
