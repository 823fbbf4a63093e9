"""Every chapter's committed records: present, valid, and within their budget."""

import pytest

from reviewlib import ledger, records, study

QUICK_SECONDS, LAPTOP_SECONDS = 45, 2400


@pytest.mark.parametrize("name", study.found())
def test_laptop_and_quick_records_are_valid_today(name):
    of = study.find(name)
    for preset in ("laptop", "quick"):
        assert records.faults(records.load(name, preset), of) == []


@pytest.mark.parametrize("name", study.found())
def test_records_kept_to_their_budget(name):
    assert records.load(name, "quick").provenance["cpu_seconds"] <= QUICK_SECONDS
    assert records.load(name, "laptop").provenance["cpu_seconds"] <= LAPTOP_SECONDS


@pytest.mark.parametrize("name", study.found())
def test_records_were_made_by_committed_code(name):
    for preset in ("laptop", "quick"):
        commit = records.load(name, preset).provenance["commit"]
        assert commit != "unknown" and not commit.endswith("+")


def test_every_claim_has_a_source_and_every_primary_one_a_verdict():
    for row in ledger.ledger():
        assert row["source"], row["claim"]
        assert bool(row["verdict"]) == (row["primary"] or row["kind"] == "out of scope")
        assert not row["stale"]
