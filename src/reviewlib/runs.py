"""One run, a pure function of its arguments; finished runs are kept in the user's cache.

A run is identified by what it means (arm, settings, cell, seed, sizes, data, numerics), never by
when or where it ran, so an interrupted study repeats only what was in flight. A cached run is used
again only while the code still has the arm's fingerprint.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import joblib
import torch
from platformdirs import user_cache_path

from reviewlib import data
from reviewlib.study import Arm, Cell, Preset, Sample, Study, digest

Row = dict[str, Any]
Fingerprint = dict[str, dict[str, list[float]]]
# What the cache adds to a row, which identifies nothing.
ORIGIN = ("claims", "computed", "commit", "device", "from_cache")
# A fingerprint is the losses of this many steps, and the scores after them.
TINY = Preset("fingerprint", "fashion-mnist-subset", 14, 400, 200, 50, 20, 1, 1, 1)
Progress = Callable[[Row], None]


@dataclass(frozen=True)
class Run:
    """One arm at one setting on one seed, in one cell.

    Attributes:
        phase: "tuning" is scored on validation images, "final" on the seed's test fold.
        fold: (index, number of folds) of the test set; only in the final phase.
    """

    arm: Arm
    cell: Cell
    settings: tuple[tuple[str, float], ...]
    seed: int
    preset: Preset
    phase: Literal["tuning", "final"]
    fold: tuple[int, int] | None = None

    def key(self, study: Study, checksum: str, fingerprint: Fingerprint) -> str:
        """Return the digest of all that the run's result depends on."""
        return digest(
            {
                "fingerprint": fingerprint,
                "study": study.name,
                "numerics": study.numerics,
                "data": checksum,
                "arm": [self.arm.name, self.arm.times],
                "settings": sorted({**self.arm.fixed, **dict(self.settings)}.items()),
                "noise": self.cell.label_noise,
                "seed": self.seed,
                "sizes": [
                    self.preset.side,
                    self.preset.train,
                    self.preset.validation,
                    self.preset.batch_size,
                    self.preset.steps,
                ],
                "phase": [self.phase, self.fold],
            }
        )


def draw(development: data.Development, preset: Preset, cell: Cell, seed: int) -> Sample:
    """Return the seed's training and validation subsets, with the cell's label noise on both.

    The same seed gives every arm the same images and the same wrong labels.
    """
    subset, noise = data.stream(seed, "subset"), data.stream(seed, "noise")
    parts = []
    for split, size in (
        (development.train, preset.train),
        (development.validation, preset.validation),
    ):
        part = data.shrink(data.subset(split, size, subset), preset.side)
        labels = data.flip_labels(part.labels, cell.label_noise, len(development.classes), noise)
        parts.append(data.Split(part.images, labels))
    return Sample(*parts, classes=len(development.classes))


def fingerprint(study: Study, arm: Arm) -> Fingerprint:
    """Return, for every cell, an arm's first losses and its scores in a tiny run on the CPU.

    Every knob is at the middle of its range; images are from the shipped subset.
    """
    settings = {knob.name: knob.at(0.5) for knob in study.knobs if knob.name in arm.knobs}
    found = {}
    for cell in study.cells:
        sample = draw(data.load(TINY.data).development, TINY, cell, seed=0)
        with one_thread():
            out = study.run(arm, {**arm.fixed, **settings}, sample, TINY, 0)
            scores = study.evaluate(out.model, sample.validation).values()
        found[cell.name] = {
            "losses": [float(f"{value:.6g}") for value in out.losses[: TINY.steps].tolist()],
            "scores": [float(f"{value:.6g}") for value in scores],
        }
    return found


def perform(study: Study, run: Run, device: str = "cpu") -> Row:
    """Train and score one run on one thread; a diverged one scores chance.

    Args:
        study: whose run it is.
        run: what to do.
        device: where.
    """
    dataset = data.load(run.preset.data, device)
    development = dataset.development
    sample = draw(development, run.preset, run.cell, run.seed)
    settings = {**run.arm.fixed, **dict(run.settings)}
    split = sample.validation
    if run.fold is not None:
        split = data.shrink(data.fold(dataset.test, *run.fold), run.preset.side)
    with one_thread():
        out = study.run(run.arm, settings, sample, run.preset, run.seed)
        chance = {
            "accuracy": 1 / len(development.classes),
            "nll": math.log(len(development.classes)),
        }
        if out.diverged_at is None:
            scores = study.evaluate(out.model, split)
            if out.best is not None:
                early = study.evaluate(out.best, split)
                scores |= {f"early_{metric}": value for metric, value in early.items()}
            scores["train_accuracy"] = study.evaluate(out.model, sample.train)["accuracy"]
        else:
            scores = chance | {f"early_{metric}": value for metric, value in chance.items()}
            scores["train_accuracy"] = chance["accuracy"]
    return {
        "arm": run.arm.name,
        "cell": run.cell.name,
        "seed": run.seed,
        "settings": settings,
        **{metric: round(value, 6) for metric, value in scores.items()},
        "diverged_at": out.diverged_at,
        "passes": out.passes,
        "seconds": round(out.seconds, 3),
        "peak_bytes": out.peak_bytes,
        "curve": [[step, round(value, 4)] for step, value in out.curve],
    }


def map_runs(
    study: Study,
    runs: Sequence[Run],
    *,
    device: str = "cpu",
    jobs: int = 1,
    stamp: dict[str, str] | None = None,
    fingerprints: Mapping[str, Fingerprint] | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Return the rows of all runs, in order; those in the cache are not repeated.

    Args:
        study: whose runs they are.
        runs: what to do.
        device: where each run trains.
        jobs: processes on this machine; 1 stays in this process.
        stamp: fields added to every new row (the digest of the claims).
        fingerprints: of every arm, where they are known already.
        progress: called with each row as it becomes known.

    Raises:
        OSError: the cache cannot be written; raised before anything is trained.
    """
    cache = _cache(study)
    checksums = {name: data.load(name).checksum for name in {run.preset.data for run in runs}}
    prints = fingerprints or {run.arm.name: fingerprint(study, run.arm) for run in _first(runs)}
    paths = [
        cache / f"{run.key(study, checksums[run.preset.data], prints[run.arm.name])}.json"
        for run in runs
    ]
    rows = [_read(path) for path in paths]
    for row in rows:
        if row is not None and progress:
            progress(row)
    missing = [index for index, row in enumerate(rows) if row is None]

    def save(index: int, row: Row) -> None:
        row = row | (stamp or {}) | {"computed": _now(), "from_cache": False}
        write_atomically(paths[index], json.dumps(row))
        rows[index] = row
        if progress:
            progress(row)

    if jobs == 1:
        for index in missing:
            save(index, perform(study, runs[index], device))
    else:
        work = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
            joblib.delayed(_indexed)(study, index, runs[index], device) for index in missing
        )
        for index, row in work:
            save(index, row)
    return rows


def _first(runs: Iterable[Run]) -> Iterable[Run]:
    """Return one run of every arm."""
    return {run.arm.name: run for run in runs}.values()


def _indexed(study: Study, index: int, run: Run, device: str) -> tuple[int, Row]:
    return index, perform(study, run, device)


def _cache(study: Study) -> Path:
    """Return the study's cache folder, after trying to write there."""
    folder = user_cache_path("reviewlib") / "runs" / study.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(2**20))
    except OSError as error:
        raise OSError(
            f"finished runs are kept in {folder}, which must be writable and have room: {error}; "
            "free some space or point XDG_CACHE_HOME elsewhere"
        ) from error
    return folder


def _read(path: Path) -> Row | None:
    """Return a cached row, or None; a file that is no row is dropped with a warning."""
    try:
        row = json.loads(path.read_text())
        return row | {"from_cache": True, "seed": row["seed"], "accuracy": row["accuracy"]}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path} is no finished run ({error}); it is run again", stacklevel=3)
        path.unlink(missing_ok=True)
        return None


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=path.name, suffix=".part", delete=False
    ) as part:
        part.write(text)
    os.replace(part.name, path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread a run: nets this small gain nothing from more, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
