"""How a study's records stand, preset by preset, and what they say of its claims."""

from dataclasses import replace

import pandas as pd
import pytest
import toy

from reviewlib.evidence import history, ledger, validity, verdicts
from reviewlib.evidence.make import make
from reviewlib.evidence.store import Store

MADE = ("date", "commit", "device", "versions", "cpu_seconds")
OUT = replace(toy.CLAIM, name="far", kind="out of scope", primary=False, why="too large")


def study(**changes):
    presets = (toy.TINY, replace(toy.TINY, name="gpu"))
    return toy.study(presets=presets, claims=(toy.CLAIM, OUT), **changes)


@pytest.fixture
def store(record, tmp_path):
    """The record of the toy study in a folder."""
    store = Store(tmp_path)
    store.save(record)
    return store


def test_records_are_valid_or_missing_and_say_where_they_are_from(store, record):
    laptop, gpu = ledger.record_status(study(), store)
    made = {key: record.provenance[key] for key in MADE}
    assert laptop == {"preset": "laptop", "state": "valid", "why": ""} | made
    assert gpu == {"preset": "gpu", "state": "missing", "why": ""} | dict.fromkeys(MADE)


def test_stale_records_say_why(store):
    laptop, _ = ledger.record_status(study(results_version=2), store)
    assert laptop["state"] == "stale" and laptop["device"]
    assert laptop["why"] == "recorded at results_version 1, the study is at 2"


def test_damaged_records_are_stale_and_show_no_path_of_this_machine(store):
    store.path("toy", "laptop").write_text("{")
    laptop, _ = ledger.record_status(study(), store)
    assert laptop["state"] == "stale" and laptop["date"] is None
    assert laptop["why"].startswith("they cannot be checked; `reviewlib study toy --preset laptop")


def test_every_field_of_an_entry_has_a_meaning(store):
    for entry in ledger.entries(toy.study(), store):
        assert tuple(entry) == tuple(ledger.FIELDS)


def test_an_entry_says_what_the_records_say_of_a_claim(store, record):
    gain, far = ledger.entries(study(), store)
    out = verdicts.judge(study(), record, toy.CLAIM)
    assert (gain["mean"], gain["lo"], gain["hi"], gain["n"]) == (
        out.interval.mean,
        out.interval.lo,
        out.interval.hi,
        3,
    )
    assert (gain["verdict"], gain["results_version"], gain["stale"]) == (out.verdict, 1, False)
    assert (gain["paper"], gain["claim"], gain["preset"]) == ("toy", "better", "laptop")
    assert (far["verdict"], far["mean"], far["margin"], far["n"]) == ("out of scope", None, None, 0)


def test_without_valid_records_no_claim_has_a_verdict(store):
    store.path("toy", "laptop").unlink()
    for entry in ledger.entries(study(), store):
        assert entry["stale"] and "none were made" in entry["reason"]
        assert {entry[key] for key in ("results_version", "preset", "mean")} == {None}
    assert ledger.entries(study(), store)[0]["verdict"] is None


def test_the_ledger_has_the_claims_of_every_paper(published, record):
    published(toy.study(), record)
    (entry,) = ledger.ledger()
    assert (entry["paper"], entry["claim"], entry["stale"]) == ("toy", "better", False)


def test_a_study_that_awaits_records_shows_older_ones_and_says_why(store, record):
    of = study(awaiting="its nets are small", results_version=2)
    gain, far = ledger.entries(of, store)
    mean = ledger.entries(study(), store)[0]["mean"]
    assert (gain["verdict"], gain["state"], gain["stale"], gain["mean"]) == (
        None,
        "awaiting",
        False,
        mean,
    )
    assert far["verdict"] == "out of scope" and "its nets are small" in gain["reason"]
    laptop, gpu = ledger.record_status(of, store)
    assert (laptop["state"], laptop["why"]) == ("awaiting", "its nets are small")
    assert gpu["state"] == "missing" and laptop["commit"] == record.provenance["commit"]


def test_a_study_that_awaits_records_and_has_none_says_so(tmp_path):
    gain = ledger.entries(study(awaiting="its nets are small"), Store(tmp_path))[0]
    assert gain["stale"] and gain["state"] == "stale" and "there are no records" in gain["reason"]


def test_records_on_own_data_do_not_await(record, tmp_path):
    own = Store(tmp_path, "my pets")
    own.save(record)
    of = study(awaiting="its nets are small")
    assert validity.best(of, own)[1] == []
    assert ledger.entries(of, own)[0]["verdict"] is None


def test_a_failed_control_is_an_entry_for_the_history(tmp_path, own_cache):
    of = study(arms=(*toy.ARMS, toy.AGAIN))
    made = make(of, toy.TINY)
    runs = made.runs.to_dict("records")
    baseline = {(row["condition"], row["seed"]): row for row in runs if row["arm"] == "sgd"}
    for row in (row for row in runs if row["arm"] == "again"):  # always 0.3 above the baseline
        twin = baseline[row["condition"], row["seed"]]["scores"]
        row["scores"] = twin | {"accuracy": [value + 0.3 for value in twin["accuracy"]]}
    store = Store(tmp_path)
    store.save(replace(made, runs=pd.DataFrame(runs)))
    (entry,) = ledger.failed_controls(of, store)
    assert (entry["claim"], entry["verdict"]) == ("a_a-clean", "failed")
    assert [each["claim"] for each in history.changes([], [entry])] == ["a_a-clean"]
    store.save(made)
    assert ledger.failed_controls(of, store) == []
