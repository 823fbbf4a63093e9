"""The front page: one card per chapter, with its picture, its title and its answer."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from reviewlib import papers
from reviewlib.book.sphinx.answers import answered
from reviewlib.book.sphinx.elements import chapter_link, executed_copy, pill, raw
from reviewlib.book.sphinx.ledger import UNREADABLE, ledger_rows
from reviewlib.page.answer import box


class ReviewCards(SphinxDirective):
    """One card per chapter: its picture, its title and its answer."""

    def run(self) -> list[nodes.Node]:
        """Return a list with one item per chapter."""
        # The cards depend on files other than the page's source.
        self.env.note_reread()
        rows = ledger_rows(self.env.app)
        order = papers.found()  # what combines several papers comes last
        chapters = sorted(
            Path(self.env.srcdir, "notebooks").glob("*.ipynb"),
            key=lambda path: (order.index(path.stem) if path.stem in order else -1, path.stem),
        )
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
        if rows and path.stem in (found := answered(self.env.app)):
            card += raw(box(found[path.stem].answer.brief()))
            return card
        primary = [row for row in rows if row["primary"]]
        if not primary:
            card += nodes.paragraph("", "No verdict yet.", classes=["card-empty"])
            return card
        listing = nodes.bullet_list(classes=["card-verdicts"])
        for row in primary:
            entry = nodes.paragraph("", "", pill(row), nodes.Text(" "))
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


def _title(path: Path) -> str:
    """Return the first heading of a notebook, or its name."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    found = re.search(r"^# (.+)", "\n".join(texts), re.MULTILINE)
    return found[1].strip() if found else path.stem


def _picture(path: Path) -> tuple[str, bytes, str] | None:
    """Return (suffix, content, alt text) of the first image, preferring cells tagged `card`."""
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
