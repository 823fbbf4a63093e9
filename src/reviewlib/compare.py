"""Running a study: equal-budget tuning, then paired final seeds, then one record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from reviewlib import data, provenance, records, runs, tuning
from reviewlib.study import Cell, Preset, Study

# What a preset needs of another data set: batches of training images (an arm may be given a quarter
# of them), batches of validation images, and test images for every final seed.
TRAINING_BATCHES, VALIDATION_BATCHES, TEST_FOLD = 4, 1, 10


def resize(preset: Preset, seeds: int | None = None, name: str | None = None) -> Preset:
    """Return the preset with another number of final seeds or on another data set.

    Raises:
        ValueError: fewer than two seeds, which no interval can be made of.
        DataError: the data set cannot be read, or is too small.
    """
    if seeds is not None and seeds < 2:
        raise ValueError(f"seeds must be at least 2, or there is no interval, got {seeds}")
    preset = replace(preset, seeds=seeds or preset.seeds)
    return preset if name in (None, preset.data) else _fitted(preset, data.load(name))


def _fitted(preset: Preset, dataset: data.Dataset) -> Preset:
    """Return the preset on another data set, no larger than the data; it tunes for itself there."""
    train, validation = dataset.development.train, dataset.development.validation
    batch = preset.batch_size
    needed = {
        "training": (len(train), TRAINING_BATCHES * batch),
        "validation": (len(validation), VALIDATION_BATCHES * batch),
        "test": (len(dataset.test), TEST_FOLD * preset.seeds),
    }
    for what, (there, least) in needed.items():
        if there < least:
            raise data.DataError(
                f"the preset {preset.name} needs at least {least} {what} images, but there are "
                f"{there} in {dataset.name}; add images or take a smaller preset"
            )
    return replace(
        preset,
        data=dataset.name,
        side=data.nearest_image_size(train, preset.side),
        train=min(preset.train, len(train) // batch * batch),
        validation=min(preset.validation, len(validation)),
        settings_from=None,
    )


def on_data(study: Study, name: str | None) -> tuple[Study, Path | None]:
    """Return the study on another data set, and the folder of its records there.

    Every preset is resized to the data; those that the data are too small for are left out. Without
    a name it is the study itself, whose records are in the package.
    """
    if name is None:
        return study, None
    dataset, fitted = data.load(name), []
    for preset in study.presets:
        with contextlib.suppress(data.DataError):
            fitted.append(resize(preset, name=dataset.name))
    return replace(study, presets=tuple(fitted)), records.folder_on(dataset)


def resolve(device: str) -> str:
    """Return the device meant: "auto" is a GPU where there is one.

    Raises:
        ValueError: a CUDA device where there is none, or an unknown name.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch sees no GPU; use 'auto' or 'cpu'")
    return device


def run_study(
    study: Study,
    preset: Preset,
    *,
    device: str = "cpu",
    engine: str = "local",
    jobs: int = 1,
    folder: Path | None = None,
    progress: runs.Progress | None = None,
) -> records.Record:
    """Tune every arm, run the final seeds, and return the record.

    The digest of what defines the test is stamped on every final run as it is made: a record whose
    test was changed afterwards carries the old stamp.

    Args:
        study: what to run.
        preset: at which sizes.
        device: where each run trains.
        engine: local, processes or ray (see `engines`).
        jobs: how many runs or stacks at once.
        folder: where to look first for the records of `preset.settings_from`.
        progress: called with each finished run.

    Raises:
        OSError: the cache cannot be written; before anything is run.
        RecordError: the records that the settings come from are missing; before anything is run.
        ValueError: these records lack an arm or a cell; before anything is run.
    """
    start = time.perf_counter()
    runs.cache_folder(study)
    source = records.settings_source(study, preset, folder)
    prints = {arm.name: runs.fingerprint(study, arm) for arm in study.arms_of(preset)}
    origin = {"commit": provenance.commit(), "device": provenance.device_name(device)}

    def run_all(batch: Sequence[runs.Run], **stamp: str) -> list[runs.Row]:
        stamp |= origin
        return runs.map_runs(
            study,
            batch,
            device=device,
            engine=engine,
            jobs=jobs,
            stamp=stamp,
            fingerprints=prints,
            progress=progress,
        )

    if source is not None:
        for cell in study.cells_of(preset):  # what is missing there is told before anything is run
            for arm in study.arms_in(cell, preset):
                tuning.settings_of(source, arm.name, cell.name)
    trials = tuning.tune(study, preset, run_all)
    settings = trials if source is None else source
    final = [
        runs.Run(
            arm,
            cell,
            tuple(tuning.settings_of(settings, arm.name, cell.name).items()),
            seed,
            preset,
            "final",
            fold=(index, preset.seeds),
        )
        for cell in study.cells_of(preset)
        for arm in study.arms_in(cell, preset)
        for index, seed in enumerate(study.seeds(preset))
    ]
    rows = run_all(final, test=runs.test_digest(study, preset))
    tests = {row["test"] for row in rows}
    seconds = sum(trials["seconds"]) + sum(row["seconds"] for row in rows)
    return records.Record(
        study=study.name,
        preset=preset.plain(),
        numerics=study.numerics,
        data={"name": preset.data, "checksum": data.load(preset.data).checksum},
        test=tests.pop() if len(tests) == 1 else "mixed",
        provenance=provenance.provenance(rows, time.perf_counter() - start)
        | {"cpu_seconds": round(seconds, 1)},
        trials=trials,
        rows=pd.DataFrame(rows).drop(columns=list(runs.ORIGIN)),
        floor=floor(study, preset),
        fingerprints=prints,
    )


def verify(
    study: Study, preset: Preset, *, folder: Path | None = None, **how: Any
) -> tuple[records.Record, list[str]]:
    """Replay a stored record's fingerprints; rerun the arms that went stale, and no others.

    Args:
        study: whose record.
        preset: which record.
        folder: where the record is, the package's own by default.
        how: `run_study`'s device, engine, jobs and progress.

    Returns:
        The record, stamped as verified by today's code, and the names of the arms that were rerun.

    Raises:
        RecordError: there is no record, or nothing of it can be used again.
    """
    stored = records.load(study.name, preset.name, folder)
    if wrong := records.beyond_repair(stored, study):
        raise records.RecordError(
            f"the {preset.name} records of {study.name} cannot be verified: {'; '.join(wrong)}; "
            f"run `reviewlib study {study.name} --preset {preset.name}` to make them anew"
        )
    reasons = records.to_rerun(stored, study, folder)
    stale = {name for names in reasons.values() for name in names}
    rerun = [arm.name for arm in study.arms_of(preset) if arm.name in stale]
    record = stored
    if stale:
        part = replace(preset, arms=tuple(rerun))
        fresh = run_study(study, part, folder=folder, **how) if rerun else None
        record = _joined(study, preset, stored, stale, fresh)
    return replace(record, provenance=record.provenance | {"verified": provenance.today()}), rerun


def _joined(
    study: Study,
    preset: Preset,
    stored: records.Record,
    stale: set[str],
    fresh: records.Record | None,
) -> records.Record:
    """Return the stored record with the runs of stale arms replaced by fresh ones."""
    order = {
        (cell.name, arm.name): place
        for place, (cell, arm) in enumerate(
            (cell, arm) for cell in study.cells_of(preset) for arm in study.arms_in(cell, preset)
        )
    }

    def join(table: str) -> pd.DataFrame:
        old = getattr(stored, table)
        parts = [old[~old["arm"].isin(stale)]] + ([getattr(fresh, table)] if fresh else [])
        both = pd.concat([part for part in parts if len(part)], ignore_index=True)
        place = [order[pair] for pair in zip(both["cell"], both["arm"], strict=True)]
        return both.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)

    prints = {name: value for name, value in stored.fingerprints.items() if name not in stale}
    prints |= fresh.fingerprints if fresh else {}
    made = dict(stored.provenance)
    trials, rows = join("trials"), join("rows")
    if fresh:
        for key, separator in (("commit", ", "), ("device", "; ")):
            parts = {*made[key].split(separator), *fresh.provenance[key].split(separator)}
            made[key] = separator.join(sorted(parts))
        made |= {key: fresh.provenance[key] for key in ("source", "versions", "last_run", "date")}
    made["cpu_seconds"] = round(sum(trials["seconds"]) + sum(rows["seconds"]), 1)
    return replace(
        stored,
        test=stored.test if fresh is None or fresh.test == stored.test else "mixed",
        trials=trials,
        rows=rows,
        fingerprints={arm.name: prints[arm.name] for arm in study.arms_of(preset)},
        provenance=made,
    )


def runs_in(study: Study, preset: Preset) -> int:
    """Return how many runs a study consists of at a preset."""
    return sum(
        len(tuning.trials_of(study, arm, preset.trials)) * preset.tuning_seeds + preset.seeds
        for cell in study.cells_of(preset)
        for arm in study.arms_in(cell, preset)
    )


def floor(study: Study, preset: Preset) -> pd.DataFrame:
    """Return the accuracy of scikit-learn's logistic regression, which a net must clearly beat.

    Same training subset, labels and test fold as every arm of the seed; its regularization `C` is
    chosen on the seed's validation subset. Cells with the same label noise share their floor.
    Empty for a preset that is no evidence.
    """
    if preset.name not in records.EVIDENCE:
        return pd.DataFrame()
    dataset = data.load(preset.data)
    cells = study.cells_of(preset)
    by_noise = {
        noise: [
            _floor_of(dataset, preset, cell, index, seed)
            for index, seed in enumerate(study.seeds(preset))
        ]
        for noise, cell in {cell.label_noise: cell for cell in cells}.items()
    }
    return pd.DataFrame(
        {"cell": cell.name, "seed": seed, "accuracy": accuracy}
        for cell in cells
        for seed, accuracy in zip(study.seeds(preset), by_noise[cell.label_noise], strict=True)
    )


def _floor_of(dataset: data.Dataset, preset: Preset, cell: Cell, index: int, seed: int) -> float:
    """Return the floor of one seed, on its fold of the test set."""
    from sklearn.linear_model import LogisticRegression

    sample = runs.draw(dataset.development, preset, cell, seed)
    test = data.shrink(data.fold(dataset.test, index, preset.seeds), preset.side)
    fits = [
        LogisticRegression(C=c, max_iter=100, tol=1e-3).fit(*_flat(sample.train))
        for c in (1e-3, 1e-2, 1e-1)
    ]
    chosen = max(fits, key=lambda fit: fit.score(*_flat(sample.validation)))
    return float(chosen.score(*_flat(test)))


def _flat(split: data.Split) -> tuple:
    return split.pixels().flatten(1).numpy(), split.labels.numpy()
