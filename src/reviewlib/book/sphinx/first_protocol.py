"""A table of the protocol page: what the first protocol said of each claim, and what this one says.

The first protocol's verdicts stand in the histories, as entries without a registration; its records
could not be judged again, because every arm had only one search. Today's come from the records.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pandas as pd
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from reviewlib.book.sphinx.elements import heading, raw, stamp, studies
from reviewlib.book.sphinx.ledger import effect
from reviewlib.evidence import history, verdicts
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.validity import best
from reviewlib.page.markup import markup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reviewlib.evidence.history import Entry
    from reviewlib.evidence.record import Record
    from reviewlib.evidence.verdicts import Verdict
    from reviewlib.trial.claims import Claim
    from reviewlib.trial.study import Study


class FirstProtocol(SphinxDirective):
    """The last verdict that each claim had under the first protocol, beside the one of today."""

    def run(self) -> list[nodes.Node]:
        """Return one table for every study with verdicts of the first protocol.

        Raises:
            docutils.utils.DirectiveError: a history is damaged.
        """
        if self.config.other_data:
            return [
                nodes.paragraph("", "The first protocol's verdicts are on the book's own data.")
            ]
        self.env.note_reread()
        found: list[nodes.Node] = []
        for study, store in studies(self.env.app):
            try:
                past = of_first_protocol(history.read(study.name))
            except history.HistoryError as error:
                raise self.error(str(error)) from error
            if not past:
                continue
            record, state = None, "awaiting" if study.awaiting else "no evidence yet"
            if not study.awaiting:
                with contextlib.suppress(RecordError):  # the status page says why
                    record, _ = best(study, store)
            found.append(heading(self.env, study, f": {stamp(record) if record else state}"))
            found.append(raw(markup(side_by_side(study, past, record, state))))
        return found or [nodes.paragraph("", "No verdict of the first protocol is kept.")]


def of_first_protocol(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return each claim's last entry that was measured under the first protocol, by claim."""
    mine = [each for each in entries if each.registration is None]
    return {each.claim: each for each in mine if each.mean is not None}


def side_by_side(
    study: Study, past: dict[str, Entry], record: Record | None, state: str
) -> pd.DataFrame:
    """Return a table of each claim's verdict and interval under both protocols.

    Args:
        study: the study as it is today.
        past: entries of the first protocol by claim.
        record: the record that today's verdicts rest on; None without one.
        state: what stands in place of a verdict if there is no record.
    """
    claims = {claim.name: claim for claim in study.claims}
    rows = []
    for name, entry in past.items():
        claim = claims.get(name)
        out = verdicts.judge(study, record, claim) if record and claim else None
        rows.append(
            {
                "claim": claim.statement if claim else name,
                "first protocol": entry.verdict or "exploratory",
                "measured then": effect(claim, entry),
                "this protocol": _word(claim, out, state),
                "measured now": effect(claim, out and out.interval),
            }
        )
    return pd.DataFrame(rows)


def _word(claim: Claim | None, out: Verdict | None, state: str) -> str:
    if claim is None:
        return "no longer tested"
    return (out.verdict or "exploratory") if out else state
