"""Text, tables and source code as a page shows them, escaped."""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown

from reviewlib.evidence.verdicts import VERDICTS


def source(thing: Any) -> Markdown:
    """Return the source of a function, class or method as the library runs it."""
    return Markdown(f"```python\n{textwrap.dedent(inspect.getsource(thing)).rstrip()}\n```")


def anchor(claim: str) -> str:
    """Return the identifier of the place on a chapter's page that shows a claim."""
    return f"claim-{claim}"


def escaped(text: str) -> str:
    """Return text escaped for Markdown, so that nothing in it is markup, HTML or a formula."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~&!])", r"\\\1", " ".join(text.split()))


def stamped(frame: pd.DataFrame, stamp: str = "") -> HTML:
    """Return a table with a line below it that says where its numbers come from."""
    return HTML(markup(frame) + (stamp_line(stamp) if stamp else ""))


def stamp_line(stamp: str) -> str:
    """Return the line below a table that says where its numbers come from, as escaped HTML."""
    return f'<p class="table-stamp">{html.escape(stamp)}</p>'


def markup(frame: pd.DataFrame) -> str:
    """Return a table as escaped HTML that scrolls sideways on a narrow screen.

    A table cell with nothing but a verdict is shown as a badge.
    """
    inner = frame.to_html(index=False, escape=True, border=0, classes="dataframe", na_rep="–")
    for word in VERDICTS:
        inner = inner.replace(f"<td>{word}</td>", f"<td>{badge(word)}</td>")
    return f'<div class="trial-table" role="region" aria-label="table" tabindex="0">{inner}</div>'


def badge(verdict: str) -> str:
    """Return a verdict as a badge, whose color and sign book.css sets by class."""
    short = re.sub("[^a-z]+", "-", verdict.partition(":")[0])
    return f'<span class="verdict verdict-{short}">{html.escape(verdict)}</span>'


def folded(title: str, frame: pd.DataFrame) -> str:
    """Return a table that opens on a click, as escaped HTML."""
    return f"<details><summary>{html.escape(title)}</summary>{markup(frame)}</details>"
