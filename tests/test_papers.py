"""What the records of all chapters say, as the book's ledger shows it."""

import pytest

from reviewlib import papers
from reviewlib.evidence.ledger import ledger
from reviewlib.evidence.store import BOOK
from reviewlib.page.missing import has_records


@pytest.mark.slow  # replays the fingerprints of all papers
def test_every_primary_claim_with_valid_records_has_a_verdict_and_no_other():
    for row in ledger():
        judged = row["primary"] and row["state"] == "valid"
        out_of_scope = row["kind"] == "out of scope" and not row["stale"]
        assert bool(row["verdict"]) == (judged or out_of_scope)
        # a chapter without any records is up to `reviewlib check`
        assert not row["stale"] or not has_records(papers.find(row["paper"]), BOOK), row["reason"]
