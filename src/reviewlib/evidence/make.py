"""Make records: run a study and stamp its results, or rerun only the arms that are stale."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from reviewlib import data
from reviewlib.evidence import committed, provenance, timings
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.store import BOOK, Store
from reviewlib.evidence.validity import EVIDENCE, beyond_repair, settings_source, to_rerun
from reviewlib.train import device as devices
from reviewlib.trial import cache, experiment
from reviewlib.trial.fingerprints import test_digest
from reviewlib.trial.study import Preset, Study


def make(
    study: Study,
    preset: Preset,
    *,
    store: Store = BOOK,
    device: str = "cpu",
    arms: tuple[str, ...] = (),
    settings: experiment.Chosen | None = None,
    **how: Any,
) -> Record:
    """Run a study at a preset and return its record, which is not saved yet.

    Args:
        study: the study to run.
        preset: the sizes to run it at.
        store: where to look first for the records of `preset.settings_from`.
        device: where each run trains: "cpu" or "cuda".
        arms: names of the arms to run; empty for all arms of the preset.
        settings: the settings of their parents, where these are not among the arms.
        how: `engine`, `jobs` and `progress` of `cache.map_runs`.

    Raises:
        OSError: the cache cannot be written; raised before anything runs.
        RecordError: the records that the settings come from are damaged; before anything runs.
    """
    start = time.perf_counter()
    out = experiment.run(
        study,
        preset,
        arms=arms,
        settings=settings if settings is not None else settings_source(study, preset, store),
        with_floor=preset.name in EVIDENCE,
        stamp={"commit": provenance.commit(), "device": devices.name(device)},
        device=device,
        **how,
    )
    tests = {row["test"] for row in out.runs}
    test = tests.pop() if len(tests) == 1 else "mixed"
    runs = pd.DataFrame(out.runs).drop(columns=list(cache.ORIGIN))
    compared = {(arm, where) for claim in study.primary for _, arm, where in claim.contrast}
    named = zip(runs["arm"], runs["condition"], strict=True)
    runs["correct"] = runs["correct"].where([place in compared for place in named], None)
    made = provenance.of(out.runs, time.perf_counter() - start)
    made["cpu_seconds"] = round(float(runs["seconds"].sum()), 1)
    if preset.name in EVIDENCE:
        made["registration"] = committed.UNREGISTERED
        if test in [test_digest(study, size) for size in study.presets if size.name == preset.name]:
            made["registration"] = committed.stated(study, preset.name, made["commit"].split(", "))
    return Record(
        study=study.name,
        preset=preset.plain(),
        results_version=study.results_version,
        data={"name": preset.data, "checksum": data.load(preset.data).checksum},
        test=test,
        provenance=made,
        runs=runs,
        floor=out.floor,
        fingerprints=out.fingerprints,
        timings=timings.load(study.name, preset.name),
    )


def verify(
    study: Study, preset: Preset, *, store: Store = BOOK, **how: Any
) -> tuple[Record, list[str]]:
    """Replay a stored record's fingerprints and rerun only the arms that are stale.

    Args:
        study: the study whose record is verified.
        preset: the preset of the record.
        store: where the record is stored.
        how: `device`, `engine`, `jobs` and `progress` of `make`.

    Returns:
        The record, stamped as verified by today's code, and the names of the arms that were rerun.

    Raises:
        RecordError: there is no record, or none of its runs can be reused.
    """
    stored = store.load(study.name, preset.name)
    if wrong := beyond_repair(stored, study, store):
        raise RecordError(
            f"the {preset.name} records of {study.name} cannot be verified: {'; '.join(wrong)}; "
            f"run `reviewlib study {study.name} --preset {preset.name}` to make them anew"
        )
    reasons = to_rerun(stored, study, store)
    stale = {name for names in reasons.values() for name in names}
    stale |= {arm.name for arm in study.arms if stale & {*arm.parents}}  # they take its settings
    rerun = [arm.name for arm in study.arms_of(preset) if arm.name in stale]
    record = stored
    if stale:
        if rerun:
            how["settings"] = settings_source(study, preset, store) or experiment.chosen(
                stored.runs[~stored.runs["arm"].isin(stale)].to_dict("records")
            )
        fresh = make(study, preset, store=store, arms=tuple(rerun), **how) if rerun else None
        record = _joined(study, preset, stored, stale, fresh)
    return replace(record, provenance=record.provenance | {"verified": provenance.today()}), rerun


def _joined(
    study: Study, preset: Preset, stored: Record, stale: set[str], fresh: Record | None
) -> Record:
    """Return the stored record with the runs of stale arms replaced by fresh ones."""
    places = [
        (condition.name, arm.name)
        for condition in study.conditions_of(preset)
        for arm in study.arms_in(condition, preset)
    ]
    order = {place: position for position, place in enumerate(places)}

    old = stored.runs[~stored.runs["arm"].isin(stale)]
    parts = [old, fresh.runs] if fresh else [old]
    both = pd.concat([part for part in parts if len(part)], ignore_index=True)
    place = [order[pair] for pair in zip(both["condition"], both["arm"], strict=True)]
    runs = both.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    prints = {name: value for name, value in stored.fingerprints.items() if name not in stale}
    prints |= fresh.fingerprints if fresh else {}
    made = dict(stored.provenance)
    if fresh:
        for key, separator in (("commit", ", "), ("device", "; ")):
            parts = {*made[key].split(separator), *fresh.provenance[key].split(separator)}
            made[key] = separator.join(sorted(parts))
        made |= {key: fresh.provenance[key] for key in ("source", "versions", "last_run", "date")}
        if fresh.provenance.get("registration") != made.get("registration"):
            made["registration"] = committed.UNREGISTERED
    made["cpu_seconds"] = round(float(runs["seconds"].sum()), 1)
    return replace(
        stored,
        test=stored.test if fresh is None or fresh.test == stored.test else "mixed",
        runs=runs,
        floor=fresh.floor if fresh and len(fresh.floor) else stored.floor,
        fingerprints={arm.name: prints[arm.name] for arm in study.arms_of(preset)},
        provenance=made,
    )
