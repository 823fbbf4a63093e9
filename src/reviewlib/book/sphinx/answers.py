"""The answers of all chapters, for the cards, and the forest plot of all primary claims."""

from __future__ import annotations

import html
from functools import lru_cache
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reviewlib.book.sphinx.elements import raw, stamp, studies
from reviewlib.book.sphinx.ledger import UNREADABLE, ledger_rows
from reviewlib.evidence import verdicts
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import Store
from reviewlib.evidence.validity import best
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page.answer import Answer, answer, no_answer, primaries
from reviewlib.page.forest import forest
from reviewlib.page.missing import why_missing
from reviewlib.trial.study import Study


class Answered(NamedTuple):
    """A chapter's answer with the verdicts on its primary claims, none without an answer."""

    study: Study
    answer: Answer
    outs: list[Verdict]
    stamp: str


class Forest(SphinxDirective):
    """The forest plot of the primary claims of all chapters that have an answer."""

    def run(self) -> list[nodes.Node]:
        """Return one table with a group of rows a chapter."""
        self.env.note_reread()
        if ledger_rows(self.env.app) is None:
            return [nodes.paragraph("", UNREADABLE)]
        found = [each for each in answered(self.env.app).values() if each.outs]
        if not found:
            return [nodes.paragraph("", "No primary claim has a verdict yet.")]
        return [raw(forest({self._heading(each): each.outs for each in found}))]

    def _heading(self, of: Answered) -> str:
        """Return a chapter's name as HTML, linked where the book has the chapter, and its stamp."""
        name = html.escape(of.study.title.split(":")[0])
        page = f"notebooks/{of.study.name}"
        if page in self.env.found_docs:
            address = self.env.app.builder.get_relative_uri(self.env.docname, page)
            name = f'<a class="reference internal" href="{html.escape(address)}">{name}</a>'
        return f'{name} <span class="forest-stamp">{html.escape(of.stamp)}</span>'


@lru_cache(maxsize=1)
def answered(app: Sphinx) -> dict[str, Answered]:
    """Return the answers of all studies by name."""
    return {study.name: _answered(study, store) for study, store in studies(app)}


def _answered(study: Study, store: Store) -> Answered:
    try:
        record, _ = best(study, store)
    except RecordError:
        return Answered(study, no_answer(study, why_missing(study, store)), [], "")
    outs = verdicts.judge_all(study, record)
    found = answer(study, outs, record)
    return Answered(study, found, primaries(outs) if found.facts else [], stamp(record))
