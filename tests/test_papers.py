"""What the records of all chapters say, as the book's ledger shows it."""

import pytest

from reviewlib.evidence.ledger import ledger


@pytest.mark.slow  # replays the fingerprints of all papers
def test_every_primary_claim_has_a_verdict_and_no_other():
    for row in ledger():
        judged = row["primary"] and row["state"] == "valid"
        assert bool(row["verdict"]) == (judged or row["kind"] == "out of scope")
        assert not row["stale"]
