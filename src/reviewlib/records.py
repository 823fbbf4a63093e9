"""Records: one row a run, provenance once a file, and the rules that make a file valid.

The only module that knows where record files lie and what is in them.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reviewlib import data, papers, runs, schema, storage, tuning
from reviewlib.storage import digest
from reviewlib.study import Preset, Study

FORMAT = 3
# Most evidence first: a page shows the first of these that is valid.
EVIDENCE = ("gpu", "laptop")
# Another processor sums in another order; a changed default or data order moves far more. Scores
# may count single images, of which a rounding error can turn one or two.
TOLERANCES = {"losses": 1e-3, "scores": 1e-2}


class RecordError(ValueError):
    """A record file is missing, damaged or not what it says it is."""


@dataclass(frozen=True)
class Record:
    """The outcome of one study at one preset.

    Attributes:
        study: its name.
        preset: sizes that it was run at, as a mapping.
        numerics: the study's number when it was run.
        data: name and checksum of the data set.
        test: digest of what defines the test, stamped before the final seeds.
        provenance: commit, source, versions, device, seconds and date; identifies nothing.
        trials: one row a trial (see `tuning.tune`).
        rows: one row a final run: arm, cell, seed, settings, metrics, cost.
        floor: one row a seed and cell: accuracy of scikit-learn's logistic regression.
        fingerprints: per arm and cell, the first losses and scores of a tiny run on a CPU.
    """

    study: str
    preset: Mapping[str, Any]
    numerics: int
    data: Mapping[str, str]
    test: str
    provenance: Mapping[str, Any]
    trials: pd.DataFrame
    rows: pd.DataFrame
    floor: pd.DataFrame
    fingerprints: Mapping[str, runs.Fingerprint]

    def digest(self) -> str:
        """Return the digest over everything measured, which reveals an edited number."""
        return digest(
            [self.preset, self.data, self.test, self.fingerprints]
            + [_plain(table) for table in (self.trials, self.rows, self.floor)]
        )


def path_of(study: str, preset: str, folder: Path | None = None) -> Path:
    """Return where a study's records lie: in the package, or in `folder`/NAME/PRESET.json."""
    if folder is not None:
        return folder / study / f"{preset}.json"
    return Path(papers.__path__[0], study, "records", f"{preset}.json")


def folder_on(dataset: data.Dataset) -> Path:
    """Return the user's folder of records on a data set of these contents."""
    word = re.sub("[^a-z0-9]+", "-", Path(dataset.name).name.lower()).strip("-")[:40] or "data"
    return storage.data_folder("records", f"{word}-{dataset.checksum[:12]}")


def save(record: Record, folder: Path | None = None) -> Path:
    """Write a record file atomically and return its path."""
    path = path_of(record.study, record.preset["name"], folder)
    content = {"format": FORMAT, "digest": record.digest()} | {
        name: _plain(value) if isinstance(value, pd.DataFrame) else value
        for name, value in vars(record).items()
    }
    storage.write(path, _dump(content))
    return path


def writable(study: str, preset: str, folder: Path | None = None) -> None:
    """Make sure that a record can be saved, before anything is run for it.

    Raises:
        OSError: the folder cannot be made or written.
    """
    place = path_of(study, preset, folder).parent
    storage.require_room(place, "records go", "name another folder with --out")


def load(study: str, preset: str, folder: Path | None = None) -> Record:
    """Read a record file.

    Raises:
        RecordError: it is missing, not a record, or its numbers do not fit its digest.
    """
    path = path_of(study, preset, folder)
    again = f"run `reviewlib study {study} --preset {preset}` to make it anew"
    if folder is not None:
        again += ", with the --data or --out that it was made with"
    try:
        content = schema.read(path)
        if content.pop("format") != FORMAT:
            raise RecordError(f"{path} is of another format than {FORMAT}; {again}")
        schema.check(content)
        stated = content.pop("digest")
        tables = {name: pd.DataFrame(content.pop(name)) for name in ("trials", "rows", "floor")}
        record = Record(**content, **tables)
        if (record.study, record.preset["name"]) != (study, preset):
            raise RecordError(f"{path} holds the {record.preset['name']} records of {record.study}")
    except FileNotFoundError as error:
        raise RecordError(f"there are no records at {path}; {again}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{path} is not a record file ({error}); {again}") from error
    if record.digest() != stated:
        raise RecordError(f"a number in {path} was edited: its digest does not fit; {again}")
    return record


def stale_arms(record: Record, study: Study) -> list[str]:
    """Return the arms of a record that today's code would not reproduce, or does not have."""
    arms = {arm.name: arm for arm in study.arms}
    return [
        name
        for name, stored in record.fingerprints.items()
        if name not in arms or not _close(stored, runs.fingerprint(study, arms[name]))
    ]


def faults(record: Record, study: Study, folder: Path | None = None) -> list[str]:
    """Return why a record must not be shown, one sentence a reason; empty for a valid one."""
    return beyond_repair(record, study) or [
        f"{reason} {', '.join(arms)}" for reason, arms in to_rerun(record, study, folder).items()
    ]


def beyond_repair(record: Record, study: Study) -> list[str]:
    """Return why no run of a record can be used again, one sentence a reason."""
    if record.preset["name"] not in {preset.name for preset in study.presets}:
        return [f"the study no longer has a preset {record.preset['name']!r}"]
    if record.numerics != study.numerics:
        return [f"recorded at numerics {record.numerics}, the study is at {study.numerics}"]
    preset = study.preset(record.preset["name"])
    if record.preset != preset.plain():
        return ["the preset's sizes were changed since"]
    if record.test != runs.test_digest(study, preset):
        return ["what defines the test was changed after the final seeds had run"]
    return []


def to_rerun(record: Record, study: Study, folder: Path | None = None) -> dict[str, list[str]]:
    """Return the arms whose runs are no longer what the study would give, by reason.

    Args:
        record: not `beyond_repair`.
        study: as it is today.
        folder: where to look first for the records that the preset's settings come from.
    """
    preset = study.preset(record.preset["name"])
    arms = [arm.name for arm in study.arms_of(preset)]
    reasons = {
        "not in the records yet:": [name for name in arms if name not in record.fingerprints],
        "no longer in the study:": [name for name in record.fingerprints if name not in arms],
        "searched otherwise since:": _searched_otherwise(record, study),
        "the settings were tuned anew since:": _tuned_anew(record, study, preset, folder),
        "the code no longer reproduces": [
            name for name in stale_arms(record, study) if name in arms
        ],
    }
    return {reason: names for reason, names in reasons.items() if names}


def settings_source(study: Study, preset: Preset, folder: Path | None) -> pd.DataFrame | None:
    """Return the trials that a preset's settings come from; None for its own.

    Raises:
        RecordError: the records that they come from are missing.
    """
    if preset.settings_from is None:
        return None
    if folder and not path_of(study.name, preset.settings_from, folder).exists():
        folder = None
    return load(study.name, preset.settings_from, folder).trials


def _tuned_anew(record: Record, study: Study, preset: Preset, folder: Path | None) -> list[str]:
    """Return the arms whose settings are not those that the preset takes from another one."""
    source = settings_source(study, preset, folder)
    if source is None:
        return []
    return [
        arm.name
        for arm in study.arms_of(preset)
        if any(
            row["settings"] != {**row["settings"], **tuning.settings_of(source, arm.name, cell)}
            for cell, part in record.rows[record.rows["arm"] == arm.name].groupby("cell")
            for row in part.to_dict("records")
        )
    ]


def _searched_otherwise(record: Record, study: Study) -> list[str]:
    """Return the arms whose trials are not those that the study would ask for today."""
    changed = []
    for name, part in record.trials.groupby("arm", sort=False):
        arms = [arm for arm in study.arms if arm.name == name]
        asked = arms and [
            dict(settings) for settings in tuning.trials_of(study, arms[0], record.preset["trials"])
        ]
        tried = dict(zip(part["trial"], part["settings"], strict=True))
        if asked and any(asked[number : number + 1] != [tried[number]] for number in tried):
            changed.append(name)
    return changed


def best(
    study: Study, folder: Path | None = None, data_name: str | None = None
) -> tuple[Record, list[str]]:
    """Return the largest preset's valid records, and what is wrong with larger ones.

    Args:
        study: whose records.
        folder: where they are, the package's own by default.
        data_name: the data set that records in a folder are on, for the message of an error.

    Raises:
        RecordError: no preset that counts as evidence has valid records.
    """
    notes = []
    for preset in EVIDENCE:
        if not path_of(study.name, preset, folder).exists():
            continue
        try:
            record = load(study.name, preset, folder)
        except RecordError as error:
            notes.append(str(error))
            continue
        if not (wrong := faults(record, study, folder)):
            return record, notes
        notes += [f"{preset} records are stale: {reason}" for reason in wrong]
    where = f" --data {shlex.quote(data_name)}" if folder and data_name else ""
    raise RecordError(
        f"study {study.name} has no valid records{where and f' on {data_name}'}: "
        f"{'; '.join(notes) or 'none were made'}; "
        f"run `reviewlib study {study.name}{where} --preset laptop`"
    )


def _close(stored: runs.Fingerprint, fresh: runs.Fingerprint) -> bool:
    return stored.keys() == fresh.keys() and all(
        len(stored[cell][what]) == len(fresh[cell][what])
        and all(
            math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
            for a, b in zip(stored[cell][what], fresh[cell][what], strict=True)
        )
        for cell in stored
        for what, tolerance in TOLERANCES.items()
    )


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table with NaN as None, as JSON knows them."""
    return [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def _dump(content: Mapping[str, Any]) -> str:
    """Return JSON with one table row a line, so that a diff of records can be read."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = ",\n  ".join(json.dumps(row, allow_nan=False) for row in value)
            parts.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
