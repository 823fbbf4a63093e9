"""Timings: records of what the steps of a study's arms cost on one machine.

They are files of their own beside the records of a preset, because a timing is of a machine and a
training is not. Those of `gpu` are on a GPU, those of `laptop` on a CPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from msgspec import Meta, Struct, convert, to_builtins
from msgspec.structs import replace

from reviewlib import papers, storage
from reviewlib.evidence import committed, provenance, schema
from reviewlib.evidence.record import RecordError
from reviewlib.train import device as devices
from reviewlib.trial import timings
from reviewlib.trial.arms import Arm
from reviewlib.trial.fingerprints import differences, fingerprint, test_digest
from reviewlib.trial.study import Preset, Study

PRESETS = {"cpu": "laptop", "cuda": "gpu"}  # where steps are timed, and whose records they join
COUNT, POSITIVE = Annotated[int, Meta(ge=0)], Annotated[float, Meta(gt=0)]


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """A step of an arm in a timing, in one launch of a process, whose number is the `seed`."""

    arm: str
    condition: str
    seed: COUNT
    step_seconds: POSITIVE
    activation_bytes: COUNT
    peak_bytes: COUNT | None


class Timings(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The timings of one study on one machine.

    Attributes:
        study: name of the study.
        preset: the name of the preset whose records they stand beside, as a mapping.
        test: digest of what defines the test.
        timed: what was timed, without labels.
        provenance: commit, versions, device, registration and date.
        rows: one row per arm, timing and launch.
        fingerprints: those of the timed arms.
        digest: of everything measured; it does not match once a number is edited.
    """

    study: str
    preset: dict[str, str]
    test: str
    timed: list[dict[str, Any]]
    provenance: dict[str, Any]
    rows: Annotated[list[Row], Meta(min_length=1)]
    fingerprints: dict[str, dict[str, dict[str, list[float]]]]
    digest: str = ""

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows as a table; no step diverges."""
        return pd.DataFrame(to_builtins(self.rows)).assign(diverged_at=None)

    def lines(self, study: Study) -> list[tuple[str, str, str, str]]:
        """Return net, arm, milliseconds and the multiple of the net's first arm, step by step."""
        table, found = self.table, []
        for where in study.timings:
            mine = table[table["condition"] == where.name].pivot(
                index="seed", columns="arm", values="step_seconds"
            )
            first, *_ = arms = study.arms_in(where)
            for arm in arms:
                ratio = (mine[arm.name] / mine[first.name]).median()
                ms = 1e3 * mine[arm.name].median()
                found.append((where.label, arm.label, f"{ms:.3g}", f"{ratio:.2f}"))
        return found

    @property
    def launches(self) -> int:
        """The number of launches."""
        return len({row.seed for row in self.rows})

    def measured(self) -> str:
        """Return the digest of what was measured."""
        return storage.digest(
            [self.study, self.preset, self.test, self.timed, self.fingerprints]
            + to_builtins(self.rows)
        )


def preset_of(study: Study, device: str) -> Preset:
    """Return the preset whose records the timings on a device join.

    Raises:
        ValueError: the study has no such preset.
    """
    return study.preset(PRESETS[device.split(":")[0]])


def make(study: Study, device: str, launches: Iterable[list[timings.Row]]) -> Timings:
    """Return the timings of a study from the rows of its launches; they are not saved yet."""
    preset = preset_of(study, device)
    rows = [row for found in launches for row in found]
    made = provenance.today()
    made |= {"device": devices.name(device), "processor": devices.processor(device)}
    made["registration"] = committed.stated(study, preset.name, [made["commit"]])
    new = Timings(
        study=study.name,
        preset={"name": preset.name},
        test=test_digest(study, preset),
        timed=storage.meaning(study.timings),
        provenance=made,
        rows=convert(rows, list[Row]),
        fingerprints={arm.name: fingerprint(study, arm) for arm in _arms(study)},
    )
    return replace(new, digest=new.measured())


def path_of(study: str, preset: str, folder: Path | None = None) -> Path:
    """Return the path of timings beside a preset's records: the book's, or those in a folder."""
    beside = folder / study if folder else papers.folder_of(study) / "records"
    return beside / f"{preset}-timings.json"


def save(made: Timings, folder: Path | None = None) -> Path:
    """Write timings atomically, one row a line, and return the path."""
    path = path_of(made.study, made.preset["name"], folder)
    content = to_builtins(made)
    rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in content.pop("rows"))
    storage.write(path, json.dumps(content)[:-1] + f',\n "rows": [\n  {rows}\n ]}}\n')
    return path


def load(study: str, preset: str) -> Timings | None:
    """Return the book's timings beside a preset's records, or else those of `laptop`, if any.

    Raises:
        RecordError: the file holds no timings, or its numbers do not match its digest.
    """
    paths = path_of(study, preset), path_of(study, PRESETS["cpu"])
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        return None
    again = f"run `reviewlib time {study}` to make it anew"
    try:
        found = convert(schema.read(path), Timings)
    except (ValueError, OSError) as error:
        raise RecordError(f"{path} holds no timings ({error}); {again}") from error
    if found.measured() != found.digest:
        raise RecordError(f"a number in {path} was edited: its digest does not match; {again}")
    return found


def problems(study: Study, found: Timings | None, *, registered: bool = True) -> list[str]:
    """Return why timings must not be shown, one sentence per reason; empty if they may.

    Code may change the time of a step and not its arithmetic: what notices that is a benchmark.

    Args:
        study: the study as it is today.
        found: the timings beside its records.
        registered: whether they need the study's registration, as the book's do.
    """
    if not study.timings:
        return []
    if found is None:
        wrong = ["the steps of its arms were not timed"]
    elif found.timed != storage.meaning(study.timings):
        wrong = ["what is timed was changed since"]
    elif found.fingerprints.keys() != {arm.name for arm in _arms(study)}:
        wrong = ["other arms were timed"]
    else:
        stale = [
            arm.name
            for arm in _arms(study)
            if differences(found.fingerprints[arm.name], fingerprint(study, arm))
        ]
        wrong = [f"the timed code has changed of {', '.join(stale)}"] if stale else []
        wrong += committed.refused(found, study) if registered else []
    return [f"timings: {each}; run `reviewlib time {study.name}`" for each in wrong]


def _arms(study: Study) -> list[Arm]:
    """Return the arms that are timed, in the order of the study."""
    names = {name for where in study.timings for name in where.arms}
    return [arm for arm in study.arms if arm.name in names]
