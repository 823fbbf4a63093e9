"""What the book's directives share: links, badges, tables, and the records that they show."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from reviewlib import papers

if TYPE_CHECKING:
    from reviewlib.evidence.record import Record
    from reviewlib.trial.study import Study


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


def executed_copy(app: Sphinx, name: str) -> Path:
    """Return where the executed copy of notebooks/NAME.ipynb is, if there is one."""
    return Path(app.srcdir, "_executed", name)


def pill(row: dict[str, Any]) -> nodes.inline:
    """Return a verdict as a badge, whose color and sign book.css sets by class."""
    none = "awaiting" if row.get("state") == "awaiting" else "no evidence yet"
    text = row["verdict"] or (none if row["primary"] else "exploratory")
    return nodes.inline("", text, classes=["verdict", f"verdict-{nodes.make_id(text)}"])


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.table:
    """Return a table of plain texts."""
    table = nodes.table(classes=["plain-table"])
    group = nodes.tgroup(cols=len(headings))
    table += group
    group += [nodes.colspec(colwidth=1) for _ in headings]
    head, body = nodes.thead(), nodes.tbody()
    head += row_of([[line(heading)] for heading in headings])
    body += [row_of([[line(text)] for text in row]) for row in rows]
    group += [head, body]
    return table


def line(text: str, style: str | None = None) -> nodes.paragraph:
    """Return a paragraph of plain text."""
    return nodes.paragraph("", text, classes=[style] if style else [])


def row_of(cells: list[list[nodes.Node]], **attributes: Any) -> nodes.row:
    """Return a row of cells, each given as what it contains, with classes and ids."""
    row = nodes.row(**attributes)
    for content in cells:
        row += nodes.entry("", *content)
    return row


@lru_cache(maxsize=1)
def studies(app: Sphinx) -> list[tuple[Study, Any]]:
    """Return every study with the store of its records, on the data that the book is about."""
    from reviewlib.evidence.store import on_data

    return [on_data(papers.find(name), app.config.other_data) for name in papers.found()]


@lru_cache(maxsize=1)
def evidence(app: Sphinx) -> list[tuple[Study, Record]]:
    """Return every study that has a valid record and verdicts, with the largest such record."""
    from reviewlib.evidence.record import RecordError
    from reviewlib.evidence.validity import best

    found = []
    for study, store in (pair for pair in studies(app) if not pair[0].awaiting):
        with contextlib.suppress(RecordError):  # the ledger says why it has none
            found.append((study, best(study, store)[0]))
    return found


def heading(env: Any, study: Study, more: str = "") -> nodes.paragraph:
    """Return the heading of a table: the study's title, linked to its chapter, and more text."""
    title = chapter_link(env, study.name, study.title.split(":")[0])
    return nodes.paragraph("", "", title, nodes.Text(more))


def stamp(record: Record) -> str:
    """Return one line that says where a record's numbers come from."""
    made = record.provenance
    return (
        f"preset {record.preset['name']}, {made['device']}, n = {record.n} seeds, "
        f"commit {made['commit']}"
    )


def raw(page: str) -> nodes.raw:
    """Return a node for HTML, which is not escaped."""
    return nodes.raw("", page, format="html")
