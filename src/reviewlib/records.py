"""Records: one row a run, provenance once a file, and the rules that make a file valid.

The only module that knows where record files lie and what is in them.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from reviewlib import data, papers, runs
from reviewlib.study import Arm, Cell, Preset, Study, digest

FORMAT = 1
# Most evidence first: a page shows the first of these that is valid.
EVIDENCE = ("gpu", "laptop")
# A fingerprint is the losses of this many steps, and the scores after them.
FINGERPRINT = Preset("fingerprint", "fashion-mnist-subset", 14, 400, 200, 50, 20, 1, 1, 1)
# Another processor sums in another order; a changed default or data order moves far more. Scores
# may count single images, of which a rounding error can turn one or two.
TOLERANCES = {"losses": 1e-3, "scores": 1e-2}
PROVENANCE = ("torch", "numpy", "pandas", "scipy")


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
        claims: digest of the claims, stamped before the final seeds.
        provenance: commit, source, versions, device, seconds and date; identifies nothing.
        trials: one row a trial (see `tuning.tune`).
        rows: one row a final run: arm, cell, seed, settings, metrics, cost.
        floor: one row a seed and cell: accuracy of scikit-learn's logistic regression.
        fingerprints: per arm, the first losses and scores of a tiny run on a CPU.
    """

    study: str
    preset: Mapping[str, Any]
    numerics: int
    data: Mapping[str, str]
    claims: str
    provenance: Mapping[str, Any]
    trials: pd.DataFrame
    rows: pd.DataFrame
    floor: pd.DataFrame
    fingerprints: Mapping[str, Mapping[str, list[float]]]

    def digest(self) -> str:
        """Return the digest over everything measured, which reveals an edited number."""
        return digest(
            [self.preset, self.data, self.claims, self.fingerprints]
            + [_plain(table) for table in (self.trials, self.rows, self.floor)]
        )


def path_of(study: str, preset: str, folder: Path | None = None) -> Path:
    """Return where a study's records lie: in the package, or in `folder`/NAME/PRESET.json."""
    if folder is not None:
        return folder / study / f"{preset}.json"
    return Path(papers.__path__[0], study, "records", f"{preset}.json")


def save(record: Record, folder: Path | None = None) -> Path:
    """Write a record file atomically and return its path."""
    path = path_of(record.study, record.preset["name"], folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "digest": record.digest()} | {
        name: _plain(value) if isinstance(value, pd.DataFrame) else value
        for name, value in vars(record).items()
    }
    runs.write_atomically(path, _dump(content))
    return path


def load(study: str, preset: str, folder: Path | None = None) -> Record:
    """Read a record file.

    Raises:
        RecordError: it is missing, not a record, or its numbers do not fit its digest.
    """
    path = path_of(study, preset, folder)
    again = f"run `reviewlib study {study} --preset {preset}` to make it anew"
    try:
        content = json.loads(path.read_text(encoding="utf8"))
        if content.pop("format") != FORMAT:
            raise RecordError(f"{path} is of another format than {FORMAT}; {again}")
        stated = content.pop("digest")
        tables = {name: pd.DataFrame(content.pop(name)) for name in ("trials", "rows", "floor")}
        record = Record(**content, **tables)
    except FileNotFoundError as error:
        raise RecordError(f"there are no records at {path}; {again}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{path} is not a record file ({error}); {again}") from error
    if record.digest() != stated:
        raise RecordError(f"a number in {path} was edited: its digest does not fit; {again}")
    return record


def fingerprint(study: Study, arm: Arm) -> dict[str, list[float]]:
    """Return the arm's first losses and final scores in a tiny run, in float32 on the CPU.

    Every knob is at the middle of its range, in the last cell, on the shipped subset.
    """
    settings = tuple((knob.name, knob.at(0.5)) for knob in study.knobs if knob.name in arm.knobs)
    run = runs.Run(arm, study.cells[-1], settings, 0, FINGERPRINT, "tuning")
    with runs._one_thread():
        dataset = data.load(FINGERPRINT.data)
        sample = runs.draw(dataset.development, FINGERPRINT, run.cell, run.seed)
        out = study.run(arm, {**arm.fixed, **dict(settings)}, sample, FINGERPRINT, run.seed)
        scores = study.evaluate(out.model, sample.validation)
    values = {"losses": out.losses[: FINGERPRINT.steps].tolist(), "scores": scores.values()}
    return {what: [float(f"{value:.6g}") for value in part] for what, part in values.items()}


def stale_arms(record: Record, study: Study) -> list[str]:
    """Return the arms of a record that today's code would not reproduce."""
    arms = [study.arm(name) for name in record.fingerprints if name in {a.name for a in study.arms}]
    stale = [
        arm.name
        for arm in arms
        if not _close(record.fingerprints[arm.name], fingerprint(study, arm))
    ]
    gone = [name for name in record.fingerprints if name not in {a.name for a in study.arms}]
    return stale + gone


def faults(record: Record, study: Study) -> list[str]:
    """Return why a record must not be shown, one sentence a reason; empty for a valid one."""
    found = []
    if record.numerics != study.numerics:
        found.append(f"recorded at numerics {record.numerics}, the study is at {study.numerics}")
    if record.claims != study.digest():
        found.append("the claims were changed after the final seeds had run")
    if record.preset != _jsonable(asdict(study.preset(record.preset["name"]))):
        found.append("the preset's sizes were changed since")
    if stale := stale_arms(record, study):
        found.append(f"the code no longer reproduces the arms {', '.join(stale)}")
    return found


def best(study: Study, folder: Path | None = None) -> tuple[Record, list[str]]:
    """Return the largest preset's valid records, and what is wrong with larger ones.

    Raises:
        RecordError: no preset that counts as evidence has valid records.
    """
    notes = []
    for preset in EVIDENCE:
        if not path_of(study.name, preset, folder).exists():
            continue
        record = load(study.name, preset, folder)
        if not (wrong := faults(record, study)):
            return record, notes
        notes += [f"{preset} records are stale: {reason}" for reason in wrong]
    raise RecordError(
        f"study {study.name} has no valid records: {'; '.join(notes) or 'none were made'}; "
        f"run `reviewlib study {study.name} --preset laptop`"
    )


def provenance(device: str, seconds: float, computed: list[str]) -> dict[str, Any]:
    """Return where and when a record was made."""
    return {
        "commit": commit(),
        "source": source_hash(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PROVENANCE},
        "device": device_name(device),
        "seconds": round(seconds, 1),
        "first_run": min(computed),
        "last_run": max(computed),
        "date": datetime.now(UTC).date().isoformat(),
    }


def device_name(device: str) -> str:
    """Return what the device is called, "CPU" with its kind or the GPU's name."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), one thread a run"


def commit() -> str:
    """Return the commit of the source tree, with "+" if src differs from it, or "unknown"."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        edited = git("status", "--porcelain", "--", str(here), f":!{here / 'papers'}/*/records")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if edited else "")


def source_hash() -> str:
    """Return the digest of the package's Python files."""
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]


def cells_of(study: Study, preset: Preset) -> list[Cell]:
    """Return the cells that a preset runs."""
    return [cell for cell in study.cells if not preset.cells or cell.name in preset.cells]


def arms_of(study: Study, preset: Preset) -> list[Arm]:
    """Return the arms that a preset runs."""
    return [arm for arm in study.arms if not preset.arms or arm.name in preset.arms]


def _close(stored: Mapping[str, list[float]], fresh: Mapping[str, list[float]]) -> bool:
    return all(
        len(stored[what]) == len(fresh[what])
        and all(
            math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
            for a, b in zip(stored[what], fresh[what], strict=True)
        )
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


def _jsonable(value: Any) -> Any:
    return json.loads(json.dumps(value))


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
