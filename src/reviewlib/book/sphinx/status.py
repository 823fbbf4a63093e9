"""The status page: whether records are valid, when chapters ran, how verdicts changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reviewlib.book import execute
from reviewlib.book.sphinx.elements import executed_copy, heading, raw, studies
from reviewlib.book.sphinx.ledger import effect
from reviewlib.evidence import history
from reviewlib.evidence.ledger import record_status
from reviewlib.page.markup import markup

if TYPE_CHECKING:
    from reviewlib.evidence.history import Entry
    from reviewlib.trial.study import Study

    Event = list[tuple[Entry | None, Entry]]

# The versions that a record's numbers depend on most.
SHOWN = ("torch", "python", "numpy")


class Status(SphinxDirective):
    """When each chapter was last executed, and whether its records are valid."""

    def run(self) -> list[nodes.Node]:
        """Return one heading and one table per study."""
        # Executed copies and records are not part of the page's source.
        self.env.note_reread()
        found: list[nodes.Node] = []
        for study, store in studies(self.env.app):
            executed = last_execution(self.env.app, study.name)
            found.append(heading(self.env, study, f": {executed}"))
            found.append(raw(markup(side_by_side(record_status(study, store)))))
        return found or [nodes.paragraph("", "There is no study yet.")]


class VerdictHistory(SphinxDirective):
    """When verdicts changed, at which commit, and why."""

    def run(self) -> list[nodes.Node]:
        """Return each group of changes, study by study, with its reason and a table.

        Raises:
            docutils.utils.DirectiveError: a history is damaged.
        """
        if self.config.other_data:
            return [nodes.paragraph("", "Verdicts on other data than the book's have no history.")]
        self.env.note_reread()
        found: list[nodes.Node] = []
        for study, _ in studies(self.env.app):
            try:
                entries = history.read(study.name)
            except history.HistoryError as error:
                raise self.error(str(error)) from error
            for event in history.events(entries):
                found += self._event(study, event)
        return found or [nodes.paragraph("", "No verdict has been recorded yet.")]

    def _event(self, study: Study, event: Event) -> list[nodes.Node]:
        now = event[0][1]
        when = (
            f", {now.date}, commit {now.commit[:7]}, {now.preset} records, results version "
            f"{now.results_version}: {now.why}"
        )
        return [heading(self.env, study, when), raw(markup(turns(study, event)))]


def last_execution(app: Sphinx, name: str) -> str:
    """Return when a chapter was last executed and how long it took, as far as known."""
    copy = executed_copy(app, f"{name}.ipynb")
    if not copy.exists():
        return "not executed yet"
    try:
        run = execute.last_runs(Path(app.srcdir))[name]
        took = duration(run["seconds"])
        return f"last executed {run['finished'][:10]}, {run['cells']} cells in {took}"
    except (ValueError, TypeError, LookupError):  # the file is edited or of another version
        return "executed; when, and how long it took, is not known"


def side_by_side(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of a study's records (see `ledger.record_status`), one column per preset."""
    return pd.DataFrame(
        {"preset": ("state", "date", "commit", "device", "CPU time", "versions")}
        | {row["preset"]: _stored(row) for row in rows}
    )


def _stored(row: dict[str, Any]) -> list[str]:
    seconds, versions = row["cpu_seconds"], row["versions"] or {}
    found = [
        f"{row['state']}: {row['why']}" if row["why"] else row["state"],
        row["date"],
        row["commit"],
        row["device"],
        seconds and f"{seconds:,.0f} s",
        ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions),
    ]
    return [text or "–" for text in found]


def turns(study: Study, event: Event) -> pd.DataFrame:
    """Return a table of each verdict before and after an event."""
    claims = {claim.name: claim for claim in study.claims}
    return pd.DataFrame(
        {
            "claim": claims[now.claim].statement if now.claim in claims else now.claim,
            "from": (before.verdict or "no verdict") if before else "–",
            "to": now.verdict or "no verdict",
            "measured": effect(claims.get(now.claim), now),
        }
        for before, now in event
    )


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it: "45 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
