"""Store records: the book's own in the package, or a user's in another folder.

Only this module knows the names of record files; the book's timings beside them are in `timings`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from reviewlib import papers, storage
from reviewlib.evidence import schema, timings
from reviewlib.evidence.record import Record, RecordError, json_rows

if TYPE_CHECKING:
    from reviewlib.data import Dataset
    from reviewlib.trial.study import Study

FORMAT = 4
SHARED = ("arm", "condition", "fixed")


@dataclass(frozen=True)
class Store:
    """A place where records of studies are stored.

    Attributes:
        folder: the folder of NAME/PRESET.json; None for the book's own records, in the package.
        data: the data set that the records are on; None for each study's own.
    """

    folder: Path | None = None
    data: str | None = None

    @property
    def options(self) -> str:
        """The options that make `reviewlib study` write to this store, for messages."""
        named = self.folder and not self.folder.is_relative_to(storage.data_folder("records"))
        given = {"--data": self.data, "--out": named and self.folder}
        return "".join(
            f" {option} {shlex.quote(str(value))}" for option, value in given.items() if value
        )

    def path(self, study: str, preset: str) -> Path:
        """Return the path of a study's record at a preset."""
        if self.folder is not None:
            return self.folder / study / f"{preset}.json"
        return papers.folder_of(study) / "records" / f"{preset}.json"

    def has(self, study: str, preset: str) -> bool:
        """Return whether there is a record file, valid or not."""
        return self.path(study, preset).exists()

    def require_room(self, study: str) -> None:
        """Make sure that a record can be saved, before anything is run for it.

        Raises:
            OSError: the folder cannot be made or written.
        """
        place = self.path(study, "").parent
        storage.require_room(place, "records go", "name another folder with --out")

    def save(self, record: Record) -> Path:
        """Write a record file atomically and return its path."""
        path = self.path(record.study, record.preset["name"])
        content = {"format": FORMAT, "digest": record.digest()} | {
            name: json_rows(value) if isinstance(value, pd.DataFrame) else value
            for name, value in ((f.name, getattr(record, f.name)) for f in fields(record))
            if name != "timings"
        }
        content["runs"] = _together(content["runs"])
        storage.write(path, _dump(content))
        return path

    def load(self, study: str, preset: str) -> Record:
        """Read a record file.

        Raises:
            RecordError: it is missing, not a record, or its numbers do not match its digest.
        """
        path = self.path(study, preset)
        again = f"run `reviewlib study {study} --preset {preset}{self.options}` to make it anew"
        try:
            content = schema.read(path)
            if content.pop("format") != FORMAT:
                raise RecordError(f"{path} is of another format than {FORMAT}; {again}")
            schema.check(content)
            stated = content.pop("digest")
            runs = pd.DataFrame(_apart(content.pop("runs")))
            floor = pd.DataFrame(content.pop("floor"))
            beside = timings.load(study, preset)
            record = Record(**content, runs=runs, floor=floor, timings=beside)
            if (record.study, record.preset["name"]) != (study, preset):
                holds = f"the {record.preset['name']} records of {record.study}"
                raise RecordError(f"{path} holds {holds}: restore it, or {again}")
        except FileNotFoundError as error:
            raise RecordError(f"there are no records at {path}; {again}") from error
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(f"{path} is not a record file ({error}); {again}") from error
        if record.digest() != stated:
            raise RecordError(f"a number in {path} was edited: its digest does not match; {again}")
        return record


BOOK = Store()


def on_data(study: Study, name: str | None) -> tuple[Study, Store]:
    """Return a study on another data set, with the store of the user's records on it.

    If the name is None, return the study itself with the book's store.

    Raises:
        ValueError: there is no data set of this name.
        DataError: the data cannot be read.
    """
    if name is None:
        return study, BOOK
    from reviewlib import data
    from reviewlib.trial.other_data import study_on

    dataset = data.load(name)
    return study_on(study, dataset), store_on(dataset)


def store_on(dataset: Dataset) -> Store:
    """Return the store of the user's records on a data set; the folder's name has its checksum."""
    word = re.sub("[^a-z0-9]+", "-", Path(dataset.name).name.lower()).strip("-")[:40] or "data"
    folder = storage.data_folder("records", f"{word}-{dataset.checksum[:12]}")
    return Store(folder, dataset.name)


def _together(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one mapping per arm and condition, which holds the other columns of its runs by seed.

    The fixed settings, too, are those of arm and condition.
    """
    parts = (list(part) for _, part in groupby(runs, itemgetter(*SHARED)))
    return [
        {name: part[0][name] if name in SHARED else [run[name] for run in part] for name in part[0]}
        for part in parts
    ]


def _apart(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs that `_together` joined."""
    return [
        {name: value if name in SHARED else value[i] for name, value in group.items()}
        for group in groups
        for i in range(len(group["seed"]))
    ]


def _dump(content: Mapping[str, Any]) -> str:
    """Return JSON with one arm and condition per line, so that a diff shows which changed."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = ",\n  ".join(
                json.dumps(row, allow_nan=False, separators=(",", ":")) for row in value
            )
            parts.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
