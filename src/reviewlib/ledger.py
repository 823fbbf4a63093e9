"""All claims of all studies with what the records say, as plain data for pages and other tools."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from reviewlib import compare, records, study, verdicts
from reviewlib.stats import Interval
from reviewlib.study import Claim, Study

# What the status page shows of a record's origin.
MADE = ("date", "commit", "device", "versions", "cpu_seconds")


def ledger(data: str | None = None) -> list[dict[str, Any]]:
    """Return one plain mapping a claim of every study, from the records that the book shows."""
    return [entry for name in study.found() for entry in entries(name, data)]


def entries(name: str, data: str | None = None) -> list[dict[str, Any]]:
    """Return one plain mapping a claim of a study, of its records on other data where these say so.

    Without valid records the verdicts are None and `stale` is True; `reason` says why these records
    are shown and not larger ones.
    """
    of, folder = compare.on_data(study.find(name), data)
    try:
        record, notes = records.best(of, folder, data)
    except records.RecordError as error:
        record, notes = None, [str(error)]
    return [_entry(of, claim, record) | {"reason": "; ".join(notes)} for claim in of.claims]


def standing(name: str, data: str | None = None) -> list[dict[str, Any]]:
    """Return one plain mapping a preset of a study: may its records be shown, and whence they are.

    `state` is valid, stale or missing, and `why` says what made them stale.
    """
    of, folder = compare.on_data(study.find(name), data)
    return [_standing(of, preset.name, folder) for preset in of.presets]


def _standing(of: Study, preset: str, folder: Path | None) -> dict[str, Any]:
    found = {"preset": preset, "state": "missing", "why": ""} | dict.fromkeys(MADE)
    if not records.path_of(of.name, preset, folder).exists():
        return found
    try:
        record = records.load(of.name, preset, folder)
        found |= {key: record.provenance.get(key) for key in MADE}
        wrong = records.faults(record, of, folder)
    except records.RecordError:  # it names a path of this machine
        command = f"reviewlib study {of.name} --preset {preset} --verify"
        wrong = [f"they cannot be checked; `{command}` says why"]
    return found | {"state": "stale" if wrong else "valid", "why": "; ".join(wrong)}


def _entry(of: Study, claim: Claim, record: records.Record | None) -> dict[str, Any]:
    out = (
        verdicts.judge(claim, record.rows, len(of.primary))
        if record
        else verdicts.Verdict(claim, None)
    )
    interval = out.interval or Interval(math.nan, math.nan, math.nan, math.nan, 0, math.nan)

    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "paper": of.name,
        "title": of.title,
        "claim": claim.name,
        "statement": claim.statement,
        "source": claim.where,
        "reported": "; ".join(number.text for number in claim.reported),
        "kind": claim.kind,
        "primary": claim.primary,
        "metric": claim.metric,
        "scale": claim.scale,
        "mean": known(interval.mean),
        "lo": known(interval.lo),
        "hi": known(interval.hi),
        "level": known(interval.level),
        "n": interval.n,
        "margin": claim.margin if claim.kind != "out of scope" else None,
        "verdict": out.verdict,
        "preset": record.preset["name"] if record else None,
        "numerics": record.numerics if record else None,
        "device": record.provenance["device"] if record else None,
        "commit": record.provenance["commit"] if record else None,
        "stale": record is None,
    }
