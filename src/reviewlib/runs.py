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
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import torch
from platformdirs import user_cache_path

from reviewlib import data, engines, train
from reviewlib.study import STREAMS_APART, Arm, Cell, Preset, Sample, Study, digest

Row = dict[str, Any]
Fingerprint = dict[str, dict[str, list[float]]]
# What the cache adds to a row, which identifies nothing.
ORIGIN = ("claims", "computed", "commit", "device", "from_cache")
# A fingerprint is the losses of this many steps, and the scores after them.
TINY = Preset("fingerprint", "fashion-mnist-subset", 14, 400, 200, 50, 20, 1, 1, 1)
Progress = Callable[[Row], None]
# Nobody takes this long over one file: a part of one that is older was left by a killed process.
ABANDONED = 24 * 3600  # seconds


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

    def all_settings(self) -> dict[str, float]:
        """Return what the arm and the cell hold fixed, and the settings."""
        return {**self.cell.fixed, **self.arm.fixed, **dict(self.settings)}

    def training(self, study: Study, sample: Sample) -> train.Training:
        """Return the training, described and not yet started."""
        seed = self.seed + self.arm.search * STREAMS_APART
        return study.run(self.arm, self.all_settings(), sample, self.preset, seed)

    def key(self, study: Study, checksum: str, fingerprint: Fingerprint) -> str:
        """Return the digest of all that the run's result depends on."""
        return digest(
            {
                "fingerprint": fingerprint,
                "study": study.name,
                "numerics": study.numerics,
                "data": checksum,
                "arm": [self.arm.name, self.arm.times, self.arm.share, self.arm.search],
                "settings": sorted(self.all_settings().items()),
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
                "stack": 1 if self.arm.draws else self.cell.stack,
            }
        )


def draw(
    development: data.Development, preset: Preset, cell: Cell, seed: int, share: float = 1.0
) -> Sample:
    """Return the seed's training and validation subsets, with the cell's label noise on both.

    The same seed gives every arm the same images and the same wrong labels; an arm with a share
    gets the first of the same training images.
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
    training = parts[0].take(range(round(share * preset.train))) if share < 1 else parts[0]
    return Sample(training, parts[1], classes=len(development.classes))


def fingerprint(study: Study, arm: Arm) -> Fingerprint:
    """Return, for every cell of the arm, its first losses and scores in tiny runs on the CPU.

    Two runs, on two seeds, trained as the study tunes them, so that a stack is covered: with every
    knob at the middle of its range, and at a quarter. Final runs share their settings and so take
    torch's own optimizer; tests hold that path to this one. Images are from the shipped subset.
    """
    knobs = [knob for knob in study.knobs if knob.name in arm.knobs]
    found = {}
    for cell in study.cells:
        if arm not in study.arms_in(cell):
            continue
        tiny = [
            Run(arm, cell, tuple((knob.name, knob.at(u)) for knob in knobs), seed, TINY, "tuning")
            for seed, u in enumerate((0.5, 0.25))
        ]
        losses, scores = [], []
        with one_thread():
            for stack in stacks(tiny):
                together = [tiny[index] for index in stack]
                for _, out, sample in trained(study, together, data.load(TINY.data).development):
                    losses += out.losses[: TINY.steps].tolist()
                    scores += study.evaluate(out.model, sample.validation).values()
                    if study.inspect is not None:
                        scores += study.inspect(out.model, sample).values()
        found[cell.name] = {
            "losses": [float(f"{value:.6g}") for value in losses],
            "scores": [float(f"{value:.6g}") for value in scores],
        }
    return found


def stacks(runs: Sequence[Run]) -> list[list[int]]:
    """Return the positions of the runs that are trained together, as their study composes them.

    Neighbors of one arm, cell and phase share a stack, up to as many as the cell allows; an arm
    that draws random numbers has no stacks. Neither the machine nor the cache has a say, so that
    within a study and preset the same runs always meet in the same stack.
    """
    together: list[list[int]] = []
    for _, part in groupby(
        range(len(runs)), lambda i: (runs[i].arm.name, runs[i].cell.name, runs[i].phase)
    ):
        positions = list(part)
        run = runs[positions[0]]
        most = 1 if run.arm.draws else run.cell.stack
        together += [positions[i : i + most] for i in range(0, len(positions), most)]
    return together


def trained(
    study: Study, runs: Sequence[Run], development: data.Development
) -> list[tuple[Run, train.Fit, Sample]]:
    """Train the runs of one stack; what they are given holds no test data."""
    samples = [draw(development, run.preset, run.cell, run.seed, run.arm.share) for run in runs]
    described = [run.training(study, sample) for run, sample in zip(runs, samples, strict=True)]
    return list(zip(runs, train.fit_all(described), samples, strict=True))


def perform(study: Study, runs: Sequence[Run], device: str = "cpu") -> list[Row]:
    """Train and score the runs of one stack, on one thread; a diverged one scores chance.

    Args:
        study: whose runs they are.
        runs: of one arm, cell, preset and phase.
        device: where.
    """
    dataset = data.load(runs[0].preset.data, device)
    with one_thread():
        if runs[0].phase == "tuning":
            return _tuning_rows(study, runs, dataset.development)
        return _final_rows(study, runs, dataset)


def _tuning_rows(study: Study, runs: Sequence[Run], development: data.Development) -> list[Row]:
    """Score on validation images; `development` has no others but the training images."""
    return [
        _row(study, run, out, sample, sample.validation)
        for run, out, sample in trained(study, runs, development)
    ]


def _final_rows(study: Study, runs: Sequence[Run], dataset: data.Dataset) -> list[Row]:
    """Score every run on its seed's fold of the test set, and look into the model."""
    rows = []
    for run, out, sample in trained(study, runs, dataset.development):
        fold = data.shrink(data.fold(dataset.test, *run.fold), run.preset.side)
        row = _row(study, run, out, sample, fold)
        if study.inspect is not None and out.diverged_at is None:
            row |= _rounded(study.inspect(out.model, sample))
        rows.append(row)
    return rows


def _row(study: Study, run: Run, out: train.Fit, sample: Sample, split: data.Split) -> Row:
    if out.diverged_at is None:
        scores = study.evaluate(out.model, split)
        if out.best is not None:
            early = study.evaluate(out.best, split)
            scores |= {f"early_{metric}": value for metric, value in early.items()}
        scores["train_accuracy"] = study.evaluate(out.model, sample.train)["accuracy"]
    else:
        chance = {"accuracy": 1 / sample.classes, "nll": math.log(sample.classes)}
        scores = chance | {f"early_{metric}": value for metric, value in chance.items()}
        scores["train_accuracy"] = chance["accuracy"]
    return {
        "arm": run.arm.name,
        "cell": run.cell.name,
        "seed": run.seed,
        "settings": run.all_settings(),
        **_rounded(scores),
        "diverged_at": out.diverged_at,
        "passes": out.passes,
        "seconds": round(out.seconds, 3),
        "peak_bytes": out.peak_bytes,
        "curve": [[step, round(value, 4)] for step, value in out.curve],
    }


def _rounded(scores: Mapping[str, float]) -> Row:
    return {metric: round(value, 6) for metric, value in scores.items()}


def map_runs(
    study: Study,
    runs: Sequence[Run],
    *,
    device: str = "cpu",
    engine: str = "local",
    jobs: int = 1,
    stamp: dict[str, str] | None = None,
    fingerprints: Mapping[str, Fingerprint] | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Return the rows of all runs, in order; stacks whose runs are in the cache are not repeated.

    Args:
        study: whose runs they are.
        runs: what to do.
        device: where each run trains.
        engine: what maps over the stacks (see `engines`).
        jobs: how many at once.
        stamp: fields added to every new row (the digest of the claims).
        fingerprints: of every arm, where they are known already.
        progress: called with each row as it becomes known.

    Raises:
        OSError: the cache cannot be written, which is tried before anything is trained; what was
            finished before stays there.
    """
    cache = cache_folder(study)
    checksums = {name: data.load(name).checksum for name in {run.preset.data for run in runs}}
    arms = {run.arm.name: run.arm for run in runs}
    prints = fingerprints or {name: fingerprint(study, arm) for name, arm in arms.items()}
    paths = [
        cache / f"{run.key(study, checksums[run.preset.data], prints[run.arm.name])}.json"
        for run in runs
    ]
    rows = [_read(path) for path in paths]
    missing = []
    for stack in stacks(runs):
        if any(rows[index] is None for index in stack):
            missing.append(stack)
        elif progress:
            for index in stack:
                progress(rows[index])

    tasks = [(study, [runs[index] for index in stack], device) for stack in missing]
    gpus = int(torch.device(device).type == "cuda")
    for number, done in engines.map_tasks(perform, tasks, engine=engine, jobs=jobs, gpus=gpus):
        for index, row in zip(missing[number], done, strict=True):
            row = row | (stamp or {}) | {"computed": _now(), "from_cache": False}
            _keep(paths[index], row)
            rows[index] = row
            if progress:
                progress(row)
    return rows


def cache_folder(study: Study) -> Path:
    """Return where the study's finished runs are kept, after trying to write there.

    Raises:
        OSError: it cannot be written or is full.
    """
    folder = user_cache_path("reviewlib") / "runs" / study.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(2**20))
    except OSError as error:
        raise OSError(
            f"finished runs are kept in {folder}, which must be writable and have room: {error}; "
            "free some space or point XDG_CACHE_HOME elsewhere"
        ) from error
    return folder


def _sweep(folder: Path) -> None:
    """Remove the half-written files of processes that were killed while they wrote."""
    for part in folder.glob("*.part"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _read(path: Path) -> Row | None:
    """Return a cached row, or None; what is no row is dropped with a warning."""
    try:
        row = json.loads(path.read_text())
        return row | {"from_cache": True, "seed": row["seed"], "accuracy": row["accuracy"]}
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
        write_atomically(path, json.dumps(row))
    except OSError as error:
        raise OSError(
            f"a finished run could not be kept in {path.parent}: {error}; the runs before it are "
            "safe there: free some space and start again"
        ) from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it; leave nothing behind on an error."""
    part = tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=path.name, suffix=".part", delete=False
    )
    try:
        with part:
            part.write(text)
        os.replace(part.name, path)
    finally:
        Path(part.name).unlink(missing_ok=True)


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
