"""Every claim of every study with its measurement and verdict, as data for pages and tools."""

from __future__ import annotations

import math
from typing import Any

from reviewlib import papers
from reviewlib.evidence import history, registration, verdicts
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.stats import Interval
from reviewlib.evidence.store import Store, on_data
from reviewlib.evidence.validity import best, problems, waiting
from reviewlib.trial.study import Study

# What the fields of an entry mean, in their order. In CSV, lists are written as JSON.
FIELDS = {
    "paper": "name of the chapter",
    "title": "title of the chapter",
    "claim": "name of the claim in the chapter's study",
    "statement": "the claim in our words",
    "source": "where the paper makes it; or our own question",
    "reported": "the paper's numbers",
    "kind": "gain, no loss, or out of scope",
    "primary": "whether it is one of the at most four primary claims of a chapter",
    "metric": "what is measured; accuracies and errors are fractions",
    "better": "which direction of the metric is better: higher or lower",
    "scale": "difference, or log ratio (natural logarithm)",
    "contrast": "what is compared, as [weight, arm, condition]; weights sum to 0",
    "control": "of a claim of no loss: the contrast that must show a loss",
    "mean": "the effect, positive in favor of the claim, on that scale",
    "lo": "lower end of its interval",
    "hi": "upper end of its interval",
    "level": "level of the interval",
    "n": "number of seeds; of launches, where steps are timed",
    "margin": "the smallest effect that would matter, on that scale",
    "verdict": "the verdict; null for an exploratory claim, and without valid records",
    "preset": "the sizes of the runs: laptop or gpu",
    "results_version": "the version of the study's seeds and folds",
    "device": "what it was run on",
    "commit": "of the code that ran it",
    "registration": "the version of the registration that it was run under",
    "stale": "whether there are no valid records",
    "state": "of the records: valid, stale, or awaiting new ones",
    "reason": "why larger records, or any, are not shown",
    "versions": "what each registered version said, oldest first",
    "versions_before": "how many registered versions came before this one",
}
# The provenance that the status page shows.
MADE = ("date", "commit", "device", "versions", "cpu_seconds")


def ledger(data: str | None = None) -> list[dict[str, Any]]:
    """Return one mapping per claim of every study, from the records that the book shows.

    Args:
        data: name of a data set, or a folder of images; None for each study's own.
    """
    return [
        entry for name in papers.found() for entry in entries(*on_data(papers.find(name), data))
    ]


def entries(of: Study, store: Store) -> list[dict[str, Any]]:
    """Return one mapping per claim of a study, from its records in a store.

    If no records are valid, the verdicts are None and `stale` is True. `state` is valid, stale, or
    awaiting: then older records are shown, and carry no verdicts. `reason` says why larger records,
    or any records, are not shown, or what they await.
    """
    try:
        record, notes = best(of, store)
    except RecordError as error:
        record, notes = None, [str(error)]
    state = "stale" if record is None else "awaiting" if of.awaiting else "valid"
    shared = {"state": state, "reason": "; ".join(notes), **_versions(of)}
    outs = (
        verdicts.judge(of, record, claim) if record else verdicts.Verdict(claim, None)
        for claim in of.claims
    )
    return [_entry(of, out, record) | shared for out in outs]


def failed_controls(of: Study, store: Store) -> list[dict[str, Any]]:
    """Return the entries of a study's failed controls, which its history keeps for good."""
    try:
        record, _ = best(of, store)
    except RecordError:
        return []
    outs = verdicts.judge_controls(of, record)
    return [_entry(of, out, record) for out in outs if out.verdict == "failed"]


def record_status(of: Study, store: Store) -> list[dict[str, Any]]:
    """Return one mapping per preset of a study: the state of its records and their provenance.

    `state` is valid, stale, awaiting (older ones, without verdicts) or missing; `why` gives the
    reason for stale and awaiting.
    """
    return [_status(of, preset.name, store) for preset in of.presets]


def story(study: Study) -> list[dict[str, Any]]:
    """Return one mapping per registration, oldest first: what each version of a study said.

    It has the entry's `version`, `date`, `why` and `pilots`; and `verdicts`, the last verdict on
    each claim that the history has under this registration.

    Raises:
        RegistrationError: the registrations are damaged.
        HistoryError: the history is damaged.
    """
    past = history.read(study.name)
    return [
        {
            "version": entry.version,
            "date": entry.date,
            "why": entry.why,
            "pilots": list(entry.pilots),
            "verdicts": {
                each.claim: each.verdict for each in past if each.registration == entry.version
            },
        }
        for entry in registration.read(study.name)
    ]


def _status(of: Study, preset: str, store: Store) -> dict[str, Any]:
    found = {"preset": preset, "state": "missing", "why": ""} | dict.fromkeys(MADE)
    if not store.has(of.name, preset):
        return found
    try:
        record = store.load(of.name, preset)
        found |= {key: record.provenance.get(key) for key in MADE}
        if waiting(of, store):
            return found | {"state": "awaiting", "why": of.awaiting}
        wrong = problems(record, of, store)
    except RecordError:  # its message names a path of this machine, which no page should show
        command = f"reviewlib study {of.name} --preset {preset} --verify"
        wrong = [f"they cannot be checked; `{command}` says why"]
    return found | {"state": "stale" if wrong else "valid", "why": "; ".join(wrong)}


def _entry(of: Study, out: verdicts.Verdict, record: Record | None) -> dict[str, Any]:
    claim = out.claim
    made = record.provenance if record else {}
    if record and claim.timed and record.timings is not None:
        made = record.timings.provenance
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
        "better": claim.better,
        "scale": claim.scale,
        "contrast": [list(term) for term in claim.contrast],
        "control": [list(term) for term in claim.control],
        "mean": known(interval.mean),
        "lo": known(interval.lo),
        "hi": known(interval.hi),
        "level": known(interval.level),
        "n": interval.n,
        "margin": claim.margin if claim.kind != "out of scope" else None,
        "verdict": out.verdict,
        "preset": record.preset["name"] if record else None,
        "results_version": record.results_version if record else None,
        "device": made.get("device"),
        "commit": made.get("commit"),
        "registration": _registration(record),
        "stale": record is None,
    }


def _registration(record: Record | None) -> int | None:
    """Return the registration that a record was made under; None without one."""
    made = record.provenance.get("registration") if record else None
    return made if type(made) is int else None


def _versions(of: Study) -> dict[str, Any]:
    """Return the registered versions of a study, and how many came before today's.

    Both are None if the registrations or the history are damaged.
    """
    try:
        told = story(of)
    except ValueError:  # `problems` and `history.read` say what is wrong
        return {"versions": None, "versions_before": None}
    before = sum(version["version"] < of.results_version for version in told)
    return {"versions": told, "versions_before": before}
