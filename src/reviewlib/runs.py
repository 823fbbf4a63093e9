"""One run, a pure function of its arguments; finished runs are kept in the user's cache.

A run is identified by what it means (arm, settings, cell, seed, sizes, data, numerics), never by
when or where it ran, so an interrupted study repeats only what was in flight. A cached run is used
again only while the code still has the arm's fingerprint.
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch

from reviewlib import data, engines, sources, stages, storage, train
from reviewlib.storage import digest
from reviewlib.study import STREAMS_APART, Arm, Cell, Preset, Sample, Study, find, found

Row = dict[str, Any]
Fingerprint = dict[str, dict[str, list[float]]]
# What the cache adds to a row, which identifies nothing.
ORIGIN = ("test", "computed", "commit", "device", "from_cache")
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

    def all_settings(self) -> dict[str, float]:
        """Return what the arm and the cell hold fixed, and the settings."""
        return {**self.cell.fixed, **self.arm.fixed, **dict(self.settings)}

    def start(self, study: Study, sample: Sample) -> train.Training | train.Solution:
        """Return the run's first stage, described and not yet started."""
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
                "phase": [self.phase, self.fold, data.FOLD_SEED],
                "stack": [1 if self.arm.draws else self.cell.stack, self.cell.ragged],
            }
        )


def test_digest(study: Study, preset: Preset) -> str:
    """Return the digest of what defines the test: it is stamped on every final run as it is made.

    That is the primary claims and the controls, their arms, ranges and cells, and the sizes. Words
    define nothing; exploratory claims, and arms of no other claim, are not covered.
    """
    claims = (*study.primary, *study.controls)
    terms = [term for claim in claims for term in (*claim.contrast, *claim.control)]
    arms = [arm for arm in study.arms if arm.name in {name for _, name, _ in terms}]
    searched = {name for arm in arms for name in arm.knobs}
    return digest(
        {
            "claims": claims,
            "arms": arms,
            "cells": [cell for cell in study.cells if cell.name in {name for *_, name in terms}],
            "knobs": [knob for knob in study.knobs if knob.name in searched],
            "sizes": replace(preset, cells=(), arms=()),
            "numerics": study.numerics,
            "folds": data.FOLD_SEED,
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
    """Return the arm's fingerprint, replayed once a state of the source, libraries and machine.

    That of a paper of this package is kept in the user's cache after that; any other study, such as
    one with changed fields, is replayed.
    """
    if study.name not in found() or find(study.name) is not study:
        return replay(study, arm)
    state = [sources.source_hash(), torch.__version__, platform.platform(), study.name, arm.name]
    path = storage.cache_folder("fingerprints") / f"{digest(state)}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf8"))
    replayed = replay(study, arm)
    with contextlib.suppress(OSError):  # it is only slower without
        storage.write(path, json.dumps(replayed))
    return replayed


def replay(study: Study, arm: Arm) -> Fingerprint:
    """Return, for every cell of the arm, its first losses and scores in tiny runs on the CPU.

    Two runs, on two seeds, trained as the study tunes them, so that a stack is covered: with every
    knob at the middle of its range, and at a quarter. Final runs share their settings and so take
    torch's own optimizer; tests hold that path to this one. Images are from the shipped subset.
    """
    knobs = [knob for knob in study.knobs if knob.name in arm.knobs]
    tiny = [
        Run(arm, cell, tuple((knob.name, knob.at(u)) for knob in knobs), seed, TINY, "tuning")
        for cell in study.cells
        if arm in study.arms_in(cell)
        for seed, u in enumerate((0.5, 0.25))
    ]
    prints: Fingerprint = {run.cell.name: {"losses": [], "scores": []} for run in tiny}
    with one_thread():
        for stack in stacks(tiny):
            together = [tiny[index] for index in stack]
            for run, ends, sample in trained(study, together, data.load(TINY.data).development):
                own = prints[run.cell.name]
                for end in ends:
                    own["losses"] += end.losses[: TINY.steps].tolist()
                    own["scores"] += study.evaluate(end.model, sample.validation).values()
                    if study.inspect is not None:
                        own["scores"] += study.inspect(end.model, sample).values()
    return {
        cell: {part: [float(f"{value:.6g}") for value in own[part]] for part in own}
        for cell, own in prints.items()
    }


def stacks(runs: Sequence[Run]) -> list[list[int]]:
    """Return the positions of the runs that are trained together, as their study composes them.

    Runs of one arm, cell and phase share a stack, up to as many as the cell allows; ragged cells
    of one name join their stacks into one batch, and an arm that draws random numbers has none.
    Neither the machine nor the cache has a say, so that within a study and preset the same runs
    always meet in the same stack.
    """
    together: dict[tuple[str, str, str], dict[str, list[int]]] = {}
    for position, run in enumerate(runs):
        batch = together.setdefault((run.arm.name, run.cell.ragged or run.cell.name, run.phase), {})
        batch.setdefault(run.cell.name, []).append(position)
    composed = []
    for batch in together.values():
        side_by_side = list(zip(*batch.values(), strict=True))  # one run of every cell
        run = runs[side_by_side[0][0]]
        if run.arm.draws:
            composed += [[position] for positions in batch.values() for position in positions]
            continue
        for i in range(0, len(side_by_side), run.cell.stack):
            composed.append(list(chain.from_iterable(side_by_side[i : i + run.cell.stack])))
    return composed


def trained(
    study: Study, runs: Sequence[Run], development: data.Development
) -> list[tuple[Run, list[train.Fit], Sample]]:
    """Train the runs of one stack to their ends; what they are given holds no test data."""
    samples = [draw(development, run.preset, run.cell, run.seed, run.arm.share) for run in runs]
    starts = [run.start(study, sample) for run, sample in zip(runs, samples, strict=True)]
    return list(zip(runs, stages.complete(starts), samples, strict=True))


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
        _row(study, run, ends, sample, sample.validation)
        for run, ends, sample in trained(study, runs, development)
    ]


def _final_rows(study: Study, runs: Sequence[Run], dataset: data.Dataset) -> list[Row]:
    """Score every run on its seed's fold of the test set, and look into the model."""
    rows = []
    for run, ends, sample in trained(study, runs, dataset.development):
        fold = data.shrink(data.fold(dataset.test, *run.fold), run.preset.side)
        row = _row(study, run, ends, sample, fold)
        if study.inspect is not None and row["diverged_at"] is None:
            row |= _mean([study.inspect(end.model, sample) for end in ends])
        rows.append(row)
    return rows


def _row(
    study: Study, run: Run, ends: Sequence[train.Fit], sample: Sample, split: data.Split
) -> Row:
    """Return the run's row; scores and passes are means over its replicates, seconds the sum."""
    diverged = [end.diverged_at for end in ends if end.diverged_at is not None]
    peaks = [end.peak_bytes for end in ends if end.peak_bytes is not None]
    return {
        "arm": run.arm.name,
        "cell": run.cell.name,
        "seed": run.seed,
        "settings": run.all_settings(),
        **_mean([_scores(study, end, sample, split) for end in ends]),
        "diverged_at": min(diverged, default=None),
        "passes": round(sum(end.passes for end in ends) / len(ends)),
        "seconds": round(sum(end.seconds for end in ends), 3),
        "peak_bytes": max(peaks, default=None),
        "curve": [
            [points[0][0], round(sum(value for _, value in points) / len(points), 4)]
            for points in zip(*(end.curve for end in ends), strict=False)
        ],
    }


def _scores(study: Study, end: train.Fit, sample: Sample, split: data.Split) -> Mapping[str, float]:
    if end.diverged_at is None:
        scores = study.evaluate(end.model, split)
        if end.best is not None:
            early = study.evaluate(end.best, split)
            scores |= {f"early_{metric}": value for metric, value in early.items()}
        scores["train_accuracy"] = study.evaluate(end.model, sample.train)["accuracy"]
        return scores
    chance = {"accuracy": 1 / sample.classes, "nll": math.log(sample.classes)}
    early = {f"early_{metric}": value for metric, value in chance.items()}
    return chance | early | {"train_accuracy": chance["accuracy"]}


def _mean(scores: Sequence[Mapping[str, float]]) -> Row:
    """Return the means of what all of the replicates have."""
    return {
        metric: round(sum(score[metric] for score in scores) / len(scores), 6)
        for metric in scores[0]
        if all(metric in score for score in scores)
    }


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
        stamp: fields added to every new row (the digest of the test).
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
    folder = storage.cache_folder("runs", study.name)
    remedy = "free some space or point XDG_CACHE_HOME elsewhere"
    storage.require_room(folder, "finished runs go", remedy)
    storage.sweep(folder)
    return folder


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
        storage.write(path, json.dumps(row))
    except OSError as error:
        raise OSError(
            f"a finished run could not be kept in {path.parent}: {error}; the runs before it are "
            "safe there: free some space and start again"
        ) from error


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
