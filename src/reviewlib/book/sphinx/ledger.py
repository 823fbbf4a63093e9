"""The ledger: every claim of every chapter, as a table and as JSON."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from reviewlib.book.sphinx.elements import (
    chapter_link,
    executed_copy,
    line,
    pill,
    plain_table,
    row_of,
)
from reviewlib.evidence import units
from reviewlib.evidence.ledger import FIELDS
from reviewlib.page.markup import anchor

if TYPE_CHECKING:
    from reviewlib.evidence.history import Entry
    from reviewlib.evidence.stats import Interval
    from reviewlib.trial.claims import Claim

log = logging.getLogger(__name__)

UNREADABLE = "The verdicts could not be computed; the build's log says why."


class VerdictLedger(SphinxDirective):
    """A table of every claim: what the paper reported, what we measured, and the verdict."""

    HEADINGS = (
        ("Paper", 10),
        ("Claim", 28),
        ("Paper reported", 16),
        ("Measured", 16),
        ("Test", 14),
        ("Verdict", 16),
    )

    def run(self) -> list[nodes.Node]:
        """Return the table, and links to the same rows as files."""
        self.env.note_reread()
        rows = ledger_rows(self.env.app)
        if rows is None:
            return [nodes.paragraph("", UNREADABLE)]
        if not rows:
            return [nodes.paragraph("", "No claim has been put to the test yet.")]
        up = "../" * self.env.docname.count("/")
        files = [
            nodes.reference("", kind.upper(), refuri=f"{up}_static/verdicts.{kind}", internal=True)
            for kind in ("csv", "json")
        ]
        also = [nodes.Text("All rows as "), files[0], nodes.Text(" and as "), files[1]]
        meaning = nodes.Text(". Their fields:")
        return [
            self._table(rows),
            nodes.paragraph("", "", *also, meaning),
            plain_table(("Field", "Meaning"), list(FIELDS.items())),
        ]

    def _table(self, rows: list[dict[str, Any]]) -> nodes.table:
        table = nodes.table(classes=["verdict-ledger", "colwidths-given"])
        group = nodes.tgroup(cols=len(self.HEADINGS))
        table += group
        for _, width in self.HEADINGS:
            group += nodes.colspec(colwidth=width)
        head, body = nodes.thead(), nodes.tbody()
        head += row_of([[nodes.paragraph("", heading)] for heading, _ in self.HEADINGS])
        for row in rows:
            kind = "claim-primary" if row["primary"] else "claim-secondary"
            body += row_of(self._cells(row), classes=[kind], ids=[row_id(row)])
        group += [head, body]
        return table

    def _cells(self, row: dict[str, Any]) -> list[list[nodes.Node]]:
        short = row["title"].split(":")[0]
        paper = nodes.paragraph("", "", chapter_link(self.env, row["paper"], short))
        mean, interval = measured(row)
        found = [line(mean), *([line(interval, "ledger-detail")] if interval else [])]
        verdict = [nodes.paragraph("", "", pill(row))]
        if row["stale"]:
            verdict.append(line("no valid records", "ledger-stale"))
        if row.get("state") == "awaiting":
            verdict.append(line("measured under the first protocol", "ledger-detail"))
        origin = (row["preset"], row["device"], row["commit"] and f"commit {row['commit'][:7]}")
        verdict.append(line(" · ".join(str(part) for part in origin if part), "ledger-detail"))
        if told := registered(row):
            verdict.append(line(told, "ledger-detail"))
        return [
            [paper],
            [line(row["statement"]), self._places(row)],
            [line(row["reported"] or "no number")],
            found,
            [line(text, "ledger-detail") for text in how_tested(row)] or [line("not tested")],
            verdict,
        ]

    def _places(self, row: dict[str, Any]) -> nodes.paragraph:
        """Return where the paper makes a claim, and links to the chapter's figure and the row."""
        links = [nodes.reference("", "link to this row", refuri=f"#{row_id(row)}", internal=True)]
        if row["claim"] in _shown(self.env.app, row["paper"]):
            builder = self.env.app.builder
            page = builder.get_relative_uri(self.env.docname, f"notebooks/{row['paper']}")
            place = f"{page}#{anchor(row['claim'])}"
            links.insert(0, nodes.reference("", "in the chapter", refuri=place, internal=True))
        parts: list[nodes.Node] = [nodes.Text(row["source"])]
        for link in links:
            parts += [nodes.Text(" · "), link]
        return nodes.paragraph("", "", *parts, classes=["ledger-detail"])


def row_id(row: dict[str, Any]) -> str:
    """Return the identifier of a row, to link to."""
    return nodes.make_id(f"{row['paper']}-{row['claim']}")


@lru_cache
def _shown(app: Sphinx, paper: str) -> frozenset[str]:
    """Return the names of the claims that a chapter's page has an anchor for."""
    copy = executed_copy(app, f"{paper}.ipynb")
    text = copy.read_text(encoding="utf8") if copy.exists() else ""
    return frozenset(re.findall(rf'id=\\"{anchor("")}([\w-]+)\\"', text))


def measured(row: dict[str, Any]) -> tuple[str, str]:
    """Return a row's mean with its unit, and its interval: points, factors or plain numbers."""
    if row["mean"] is None:
        return "not measured", ""
    of = row["metric"], row["scale"]
    mean = units.with_unit(row["mean"], *of)
    if row["lo"] is None or row["hi"] is None:
        return mean, ""
    lo, hi = (units.effect(row[end], *of) for end in ("lo", "hi"))
    return mean, f"[{lo}, {hi}]"


def effect(claim: Claim | None, found: Entry | Interval | None) -> str:
    """Return a claim's mean, interval and number of seeds in its unit; a dash without them."""
    if claim is None or found is None or found.mean is None:
        return "–"
    names = ("mean", "lo", "hi")
    row = {"metric": claim.metric, "scale": claim.scale}
    mean, interval = measured(row | {name: getattr(found, name) for name in names})
    return f"{mean} {interval}, n = {found.n}"


def how_tested(row: dict[str, Any]) -> list[str]:
    """Return the specification of a row's test: metric, n, level of the interval, margin."""
    if row["mean"] is None:
        return []
    lines = [f"{row['kind']} in {row['metric'].replace('_', ' ')}", f"n = {row['n']}"]
    if row["level"] is not None:
        lines.append(f"{units.percent(row['level'])} interval")
    if row["margin"] is not None:
        margin = units.with_unit(row["margin"], row["metric"], row["scale"], signed=False)
        loss = row["kind"] == "no loss"
        lines.append(f"no loss of {margin} or more" if loss else f"margin {margin}")
    return lines


def registered(row: dict[str, Any]) -> str:
    """Return the version that a primary claim was judged under, and what earlier ones said of it.

    It is empty for an exploratory claim and where there is no registration.
    """
    made = row.get("registration")
    if made is None or not row["primary"]:
        return ""
    told = [f"registered version {made}"]
    for each in row["versions"] or ():
        if each["version"] < made:
            word = each["verdicts"].get(row["claim"]) or "nothing on record"
            told.append(f"version {each['version']} said: {word}")
    return "; ".join(told)


@lru_cache(maxsize=1)
def ledger_rows(app: Sphinx) -> list[dict[str, Any]] | None:
    """Return the ledger of this build, or None with a warning if it cannot be computed."""
    try:
        if app.config.verdicts:
            return json.loads(Path(app.srcdir, app.config.verdicts).read_text(encoding="utf8"))
        from reviewlib.evidence.ledger import ledger

        return ledger(app.config.other_data)
    # A problem with one chapter's records must not break the other pages; the warning fails a build
    # with -W.
    except Exception as error:
        log.warning(
            "the verdicts cannot be computed: %s: %s",
            type(error).__name__,
            error,
            type="reviewlib",
            subtype="ledger",
        )
        return None
