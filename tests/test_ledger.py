"""How a study's records stand, preset by preset."""

from dataclasses import replace

import pytest
import toy

from reviewlib import ledger, papers, records, study

PRESETS = (toy.TINY, replace(toy.TINY, name="gpu"))
MADE = ("date", "commit", "device", "versions", "cpu_seconds")


@pytest.fixture
def stored(tmp_path, monkeypatch, record):
    """The record of the toy study in a package of its own."""
    monkeypatch.setattr(papers, "__path__", [str(tmp_path)])
    return records.save(record)


def standing(monkeypatch, **changes):
    monkeypatch.setattr(study, "find", lambda name: toy.study(presets=PRESETS, **changes))
    return ledger.standing("toy")


def test_records_are_valid_or_missing_and_say_where_they_are_from(stored, record, monkeypatch):
    laptop, gpu = standing(monkeypatch)
    made = {key: record.provenance[key] for key in MADE}
    assert laptop == {"preset": "laptop", "state": "valid", "why": ""} | made
    assert gpu == {"preset": "gpu", "state": "missing", "why": ""} | dict.fromkeys(MADE)


def test_stale_records_say_why(stored, monkeypatch):
    laptop, _ = standing(monkeypatch, numerics=2)
    assert laptop["state"] == "stale" and laptop["device"]
    assert laptop["why"] == "recorded at numerics 1, the study is at 2"


def test_damaged_records_are_stale_and_show_no_path_of_this_machine(stored, monkeypatch):
    stored.write_text("{")
    laptop, _ = standing(monkeypatch)
    assert laptop["state"] == "stale" and laptop["date"] is None
    assert laptop["why"].startswith("they cannot be checked; `reviewlib study toy --preset laptop")


def test_a_claim_says_at_which_numerics_it_was_judged(stored, monkeypatch):
    standing(monkeypatch)
    assert [row["numerics"] for row in ledger.entries("toy")] == [1]
    stored.unlink()
    assert [row["numerics"] for row in ledger.entries("toy")] == [None]
