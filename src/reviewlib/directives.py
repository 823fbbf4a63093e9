"""The directives of the front page and the ledger: chapter cards, and all claims."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from reviewlib import units

log = logging.getLogger(__name__)

UNREADABLE = "The verdicts could not be computed; the build's log says why."


class ReviewCards(SphinxDirective):
    """One card a chapter: its picture, its title, its verdicts."""

    def run(self) -> list[nodes.Node]:
        """Return a list with one item a chapter."""
        # What a card shows lies outside the page's own source.
        self.env.note_reread()
        rows = ledger_rows(self.env.app)
        chapters = sorted(Path(self.env.srcdir, "notebooks").glob("*.ipynb"))
        if not chapters:
            return [nodes.paragraph("", "There is no chapter yet.")]
        cards = nodes.bullet_list(classes=["review-cards"])
        for path in chapters:
            cards += self._card(path, [row for row in rows or () if row["paper"] == path.stem])
        notice = [nodes.paragraph("", UNREADABLE)] if rows is None else []
        return [*notice, cards]

    def _card(self, path: Path, rows: list[dict[str, Any]]) -> nodes.list_item:
        card = nodes.list_item(classes=["review-card"])
        copy = executed_copy(self.env.app, path.name)
        title = _title(path)
        picture = _picture(copy) if copy.exists() else None
        if picture:
            card += self._image(path.stem, *picture, fallback=f"Figure of the chapter {title}")
        heading = nodes.paragraph(classes=["card-heading"])
        heading += chapter_link(self.env, path.stem, title)
        card += heading
        primary = [row for row in rows if row["primary"]]
        if not primary:
            card += nodes.paragraph("", "No verdict yet.", classes=["card-empty"])
            return card
        listing = nodes.bullet_list(classes=["card-verdicts"])
        for row in primary:
            entry = nodes.paragraph("", "", _pill(row), nodes.Text(" "))
            entry += nodes.inline("", row["statement"], classes=["card-claim"])
            listing += nodes.list_item("", entry)
        card += listing
        return card

    def _image(self, name: str, suffix: str, data: bytes, alt: str, *, fallback: str) -> nodes.Node:
        folder = Path(self.env.app.doctreedir, "cards")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"card-{name}{suffix}"
        target.write_bytes(data)
        here = Path(self.env.doc2path(self.env.docname)).parent
        uri = Path(os.path.relpath(target, here)).as_posix()
        return nodes.image(uri=uri, alt=alt or fallback, classes=["card-picture"])


class VerdictLedger(SphinxDirective):
    """Every claim of every chapter, what was reported, what was measured, and the verdict."""

    HEADINGS = (
        ("Paper", 10),
        ("Claim", 28),
        ("Paper reported", 16),
        ("Measured", 16),
        ("Test", 14),
        ("Verdict", 16),
    )

    def run(self) -> list[nodes.Node]:
        """Return the table, and a link to the same rows as JSON."""
        self.env.note_reread()
        rows = ledger_rows(self.env.app)
        if rows is None:
            return [nodes.paragraph("", UNREADABLE)]
        if not rows:
            return [nodes.paragraph("", "No claim has been put to the test yet.")]
        up = "../" * self.env.docname.count("/")
        link = nodes.reference("", "JSON", refuri=f"{up}_static/verdicts.json", internal=True)
        also = nodes.paragraph("", "", nodes.Text("The same rows as "), link, nodes.Text("."))
        return [self._table(rows), also]

    def _table(self, rows: list[dict[str, Any]]) -> nodes.table:
        table = nodes.table(classes=["verdict-ledger", "colwidths-given"])
        group = nodes.tgroup(cols=len(self.HEADINGS))
        table += group
        for _, width in self.HEADINGS:
            group += nodes.colspec(colwidth=width)
        head, body = nodes.thead(), nodes.tbody()
        head += _row([[nodes.paragraph("", heading)] for heading, _ in self.HEADINGS])
        for row in rows:
            kind = "claim-primary" if row["primary"] else "claim-secondary"
            body += _row(self._cells(row), classes=[kind])
        group += [head, body]
        return table

    def _cells(self, row: dict[str, Any]) -> list[list[nodes.Node]]:
        short = row["title"].split(":")[0]
        paper = nodes.paragraph("", "", chapter_link(self.env, row["paper"], short))
        mean, interval = measured(row)
        found = [line(mean), *([line(interval, "ledger-detail")] if interval else [])]
        verdict = [nodes.paragraph("", "", _pill(row))]
        if row["stale"]:
            verdict.append(line("no valid records", "ledger-stale"))
        origin = (row["preset"], row["device"], row["commit"] and f"commit {row['commit'][:7]}")
        verdict.append(line(" · ".join(str(part) for part in origin if part), "ledger-detail"))
        return [
            [paper],
            [line(row["statement"]), line(row["source"], "ledger-detail")],
            [line(row["reported"] or "no number")],
            found,
            [line(text, "ledger-detail") for text in conditions(row)] or [line("not tested")],
            verdict,
        ]


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


def conditions(row: dict[str, Any]) -> list[str]:
    """Return what a row's test was: metric, n, level of the interval, margin."""
    if row["mean"] is None:
        return []
    lines = [row["metric"].replace("_", " "), f"n = {row['n']}"]
    if row["level"] is not None:
        lines.append(f"{units.percent(row['level'])} interval")
    if row["margin"] is not None:
        margin = units.with_unit(row["margin"], row["metric"], row["scale"], signed=False)
        lines.append(f"margin {margin}")
    return lines


@lru_cache(maxsize=1)
def ledger_rows(app: Sphinx) -> list[dict[str, Any]] | None:
    """Return the ledger of this build, or None with a warning if it cannot be computed."""
    try:
        from reviewlib.ledger import ledger

        return ledger(app.config.other_data)
    # Whatever is wrong with one chapter's records must not take the other pages away; the warning
    # fails a build that has -W.
    except Exception as error:
        log.warning(
            "the verdicts cannot be computed: %s: %s",
            type(error).__name__,
            error,
            type="reviewlib",
            subtype="ledger",
        )
        return None


def executed_copy(app: Sphinx, name: str) -> Path:
    """Return where the executed copy of notebooks/NAME.ipynb is, if there is one."""
    return Path(app.srcdir, "_executed", name)


def _title(path: Path) -> str:
    """Return the first heading of a notebook, or its name."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    found = re.search(r"^# (.+)", "\n".join(texts), re.MULTILINE)
    return found[1].strip() if found else path.stem


def _picture(path: Path) -> tuple[str, bytes, str] | None:
    """Return (suffix, content, alt text) of the cell tagged `card`, else of the first image."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    cells.sort(key=lambda cell: "card" not in cell["metadata"].get("tags", ()))
    for cell in cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            alt = "".join(data.get("text/plain", ""))
            if "image/svg+xml" in data:
                return ".svg", "".join(data["image/svg+xml"]).encode(), alt
            if "image/png" in data:
                return ".png", base64.b64decode("".join(data["image/png"])), alt
    return None


def chapter_link(env: Any, name: str, title: str) -> nodes.Node:
    """Return a link to a chapter, or its title where the book has no such chapter."""
    if f"notebooks/{name}" not in env.found_docs:
        return nodes.inline("", title)
    return addnodes.pending_xref(
        "",
        nodes.inline("", title),
        refdomain="std",
        reftype="doc",
        reftarget=f"/notebooks/{name}",
        refdoc=env.docname,
        refexplicit=True,
        refwarn=True,
    )


def _pill(row: dict[str, Any]) -> nodes.inline:
    """Return a verdict as a badge; book.css gives every class its color and its sign."""
    text = row["verdict"] or ("no evidence yet" if row["primary"] else "exploratory")
    return nodes.inline("", text, classes=["verdict", f"verdict-{nodes.make_id(text)}"])


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.table:
    """Return a table of plain texts."""
    table = nodes.table(classes=["plain-table"])
    group = nodes.tgroup(cols=len(headings))
    table += group
    group += [nodes.colspec(colwidth=1) for _ in headings]
    head, body = nodes.thead(), nodes.tbody()
    head += _row([[line(heading)] for heading in headings])
    body += [_row([[line(text)] for text in row]) for row in rows]
    group += [head, body]
    return table


def line(text: str, style: str | None = None) -> nodes.paragraph:
    """Return a paragraph of plain text."""
    return nodes.paragraph("", text, classes=[style] if style else [])


def _row(cells: list[list[nodes.Node]], classes: list[str] | None = None) -> nodes.row:
    row = nodes.row(classes=classes or [])
    for content in cells:
        row += nodes.entry("", *content)
    return row
