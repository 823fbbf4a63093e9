"""The cache of finished runs, from which an interrupted study continues.

A cached run is used only as long as the code still gives the arm's fingerprint.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from reviewlib import data, storage
from reviewlib.trial import engines
from reviewlib.trial.arms import Fingerprint
from reviewlib.trial.fingerprints import fingerprint
from reviewlib.trial.runs import Run, perform, tasks
from reviewlib.trial.scores import Row
from reviewlib.trial.study import Study

# Fields that the cache adds to a row; they do not identify the run.
ORIGIN = ("test", "computed", "commit", "device", "from_cache")
Progress = Callable[[Row], None]


def map_runs(
    study: Study,
    runs: Sequence[Run],
    *,
    device: str = "cpu",
    engine: str = "local",
    jobs: int = 1,
    stamp: Mapping[str, str] | None = None,
    fingerprints: Mapping[str, Fingerprint] | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Return the rows of all runs, in order; tasks that are entirely in the cache are not rerun.

    Args:
        study: the study that the runs belong to.
        runs: the runs to do.
        device: the device that each run trains on.
        engine: the engine that maps over the tasks (see `engines`).
        jobs: number of tasks at once.
        stamp: fields added to every new row, such as the digest of the test.
        fingerprints: the fingerprint of every arm, if known already.
        progress: called with each row as it becomes known.

    Raises:
        OSError: the cache cannot be written. This is checked before any training and at every
            finished task; the runs before it stay in the cache.
    """
    cache = folder_of(study)
    contents = {name: data.load(name).identity for name in {run.preset.data for run in runs}}
    arms = {run.arm.name: run.arm for run in runs}
    prints = fingerprints or {name: fingerprint(study, arm) for name, arm in arms.items()}
    paths = [
        cache / f"{run.key(study, contents[run.preset.data], prints[run.arm.name])}.json"
        for run in runs
    ]
    rows = [_read(path) for path in paths]
    missing = []
    for task in tasks(runs):
        if any(rows[index] is None for index in task):
            missing.append(task)
        elif progress:
            for index in task:
                progress(rows[index])

    wanted = [(study, [runs[index] for index in task], device) for task in missing]
    gpus = int(torch.device(device).type == "cuda")
    for number, done in engines.map_tasks(perform, wanted, engine=engine, jobs=jobs, gpus=gpus):
        for index, row in zip(missing[number], done, strict=True):
            row = row | dict(stamp or {}) | {"computed": _now(), "from_cache": False}
            _keep(paths[index], row)
            rows[index] = row
            if progress:
                progress(row)
    return rows


def folder_of(study: Study) -> Path:
    """Return the folder of the study's finished runs, after checking that it is writable.

    Raises:
        OSError: the folder cannot be written or is full.
    """
    folder = storage.cache_folder("runs", study.name)
    remedy = "free some space or point XDG_CACHE_HOME elsewhere"
    storage.require_room(folder, "finished runs go", remedy)
    storage.sweep(folder)
    return folder


def _read(path: Path) -> Row | None:
    """Return a cached row, or None; delete an invalid entry with a warning."""
    try:
        row = json.loads(path.read_text())
        return row | {"from_cache": True, "seed": row["seed"], "scores": row["scores"]}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError, IsADirectoryError) as error:
        warnings.warn(f"{path} is no finished run ({error}); it is run again", stacklevel=3)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return None


def _keep(path: Path, row: Row) -> None:
    try:
        storage.write(path, json.dumps(row))
    except OSError as error:
        raise OSError(
            f"cannot save a finished run in {path.parent}: {error}; earlier runs are safe there: "
            "free some space and start again"
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
