"""Sphinx extension of the book.

Executed notebooks stand in for the committed ones, which keep their addresses; the verdicts become
a front page of cards and a ledger; no page loads anything from another host.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset

log = logging.getLogger(__name__)

# In _config.yml, until a repository is known: no button may lead to somebody else's.
NO_OWNER = "https://github.com/OWNER/"
BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def derive_addresses(app: Sphinx, config: Config) -> None:
    """Set every address that follows from repository.url, or from GITHUB_REPOSITORY if set."""
    theme = config.html_theme_options
    if slug := os.environ.get("GITHUB_REPOSITORY"):
        theme["repository_url"] = f"https://github.com/{slug}"
    url = theme.get("repository_url", "")
    if url.startswith(NO_OWNER):
        theme.update(dict.fromkeys(BUTTONS, False))
        theme["launch_buttons"] = {}
    if found := re.fullmatch(r"https://github\.com/([^/]+)/([^/]+?)(?:\.git)?/?", url):
        owner, name = found.groups()
        host = f"{owner.lower()}.github.io"
        base = f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"
        config.html_baseurl = config.ogp_site_url = base


def overlay(app: Sphinx, docname: str, source: list[str]) -> None:
    """Read the executed copy in place of notebooks/NAME.ipynb, which keeps its name and address."""
    original = Path(app.env.doc2path(docname))
    if original.suffix != ".ipynb":
        return
    copy = _executed(app, original.name)
    app.env.note_dependency(str(copy))
    if not copy.exists():
        log.warning(
            "no executed copy of %s: the page has no results; run `reviewlib execute`",
            original.name,
            location=docname,
            type="reviewlib",
            subtype="unexecuted",
        )
        return
    text = copy.read_text(encoding="utf8")
    if _sources(text) != _sources(source[0]):
        log.warning(
            "the executed copy of %s is of another version; run `reviewlib execute`",
            original.name,
            location=docname,
            type="reviewlib",
            subtype="stale",
        )
    source[0] = text


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax and its fonts into the site, so that formulas need no other host.

    Raises:
        ExtensionError: the package that carries MathJax is missing.
    """
    if error or app.builder.format != "html":
        return
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionError("the book carries its own MathJax: pip install sphinx-mathjax-offline")
    package = Path(spec.submodule_search_locations[0], "static", "mathjax")
    target = Path(app.outdir, "_static", "mathjax")
    copy_asset(str(package / "tex-chtml.js"), str(target))
    copy_asset(str(package / "output/chtml/fonts"), str(target / "output/chtml/fonts"))


def write_verdicts(app: Sphinx, error: Exception | None) -> None:
    """Write the ledger beside the pages as _static/verdicts.json."""
    if error or app.builder.format != "html":
        return
    text = json.dumps(_ledger(app) or [], indent=1, ensure_ascii=False, default=str)
    Path(app.outdir, "_static", "verdicts.json").write_text(text + "\n", encoding="utf8")


def page_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Drop thebe, which the theme adds twice (a script error); add the filter to the ledger."""
    # in place: what is added below goes to the same list
    context["script_files"][:] = [
        script
        for script in context["script_files"]
        if "thebe" not in (getattr(script, "filename", None) or "")
        and "THEBE" not in ((getattr(script, "attributes", None) or {}).get("body") or "")
    ]
    if doctree and any("verdict-ledger" in t["classes"] for t in doctree.findall(nodes.table)):
        app.add_js_file("ledger.js", loading_method="defer")


class ReviewCards(SphinxDirective):
    """One card a chapter: its picture, its title, its verdicts."""

    def run(self) -> list[nodes.Node]:
        """Return a list with one item a chapter."""
        # What a card shows lies outside the page's own source.
        self.env.note_reread()
        rows = _ledger(self.env.app)
        chapters = sorted(Path(self.env.srcdir, "notebooks").glob("*.ipynb"))
        if not chapters:
            return [nodes.paragraph("", "There is no chapter yet.")]
        cards = nodes.bullet_list(classes=["review-cards"])
        for path in chapters:
            own = [row for row in rows or () if row["paper"] == path.stem]
            cards += self._card(path, own)
        notice = [nodes.paragraph("", UNREADABLE)] if rows is None else []
        return [*notice, cards]

    def _card(self, path: Path, rows: list[dict[str, Any]]) -> nodes.list_item:
        card = nodes.list_item(classes=["review-card"])
        copy = _executed(self.env.app, path.name)
        title = _title(path)
        picture = _picture(copy) if copy.exists() else None
        if picture:
            card += self._image(path.stem, *picture, fallback=f"Figure of the chapter {title}")
        heading = nodes.paragraph(classes=["card-heading"])
        heading += _chapter_link(self.env, path.stem, title)
        card += heading
        primary = [row for row in rows if row["primary"]]
        if not primary:
            card += nodes.paragraph("", "No verdict yet.", classes=["card-empty"])
            return card
        listing = nodes.bullet_list(classes=["card-verdicts"])
        for row in primary:
            line = nodes.paragraph("", "", _pill(row), nodes.Text(" "))
            line += nodes.inline("", row["statement"], classes=["card-claim"])
            listing += nodes.list_item("", line)
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
        rows = _ledger(self.env.app)
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
        paper = nodes.paragraph("", "", _chapter_link(self.env, row["paper"], short))
        mean, interval = measured(row)
        found = [_line(mean)]
        if interval:
            found.append(_line(interval, "ledger-detail"))
        verdict = [nodes.paragraph("", "", _pill(row))]
        if row["stale"]:
            why = "older than the code" if row["preset"] else "no valid records"
            verdict.append(_line(why, "ledger-stale"))
        origin = (row["preset"], row["device"], row["commit"] and f"commit {row['commit'][:7]}")
        verdict.append(_line(" · ".join(str(part) for part in origin if part), "ledger-detail"))
        return [
            [paper],
            [_line(row["statement"]), _line(row["source"], "ledger-detail")],
            [_line(row["reported"] or "no number")],
            found,
            [_line(line, "ledger-detail") for line in conditions(row)] or [_line("not tested")],
            verdict,
        ]


UNREADABLE = "The verdicts could not be computed; the build's log says why."


def measured(row: dict[str, Any]) -> tuple[str, str]:
    """Return a row's mean with its unit, and its interval: points, factors or plain numbers."""
    if row["mean"] is None:
        return "not measured", ""
    mean = _number(row, row["mean"], signed=True)
    if row["lo"] is None or row["hi"] is None:
        return f"{mean}{_unit(row)}", ""
    lo, hi = (_number(row, row[end], signed=True) for end in ("lo", "hi"))
    return f"{mean}{_unit(row)}", f"[{lo}, {hi}]"


def conditions(row: dict[str, Any]) -> list[str]:
    """Return what a row's test was: metric, n, level of the interval, margin."""
    if row["mean"] is None:
        return []
    lines = [str(row["metric"])]
    if row["n"] is not None:
        lines.append(f"n = {row['n']}")
    if row["level"] is not None:
        lines.append(f"{100 * row['level']:.4g}% interval")
    if row["margin"] is not None:
        lines.append(f"margin {_number(row, row['margin'])}{_unit(row)}")
    return lines


def _unit(row: dict[str, Any]) -> str:
    points = "accuracy" in str(row["metric"]) and row["scale"] == "difference"
    return " points" if points else ""


def _number(row: dict[str, Any], value: float, *, signed: bool = False) -> str:
    """Return a contrast as a reader sees it: in points, as a factor, or as it is."""
    sign = "+" if signed else ""
    if row["scale"] == "log ratio":
        text = f"×{math.exp(value):.3g}"
    elif _unit(row):
        text = f"{100 * value:{sign}.2f}"
    else:
        text = f"{value:{sign}.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


@lru_cache(maxsize=1)
def _ledger(app: Sphinx) -> list[dict[str, Any]] | None:
    """Return the ledger of this build, or None with a warning if it cannot be computed."""
    try:
        from reviewlib.ledger import ledger

        return ledger()
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


def _executed(app: Sphinx, name: str) -> Path:
    return Path(app.srcdir, app.config.reviewlib_executed_dir, name)


def _sources(text: str) -> list[tuple[str, str]]:
    """Return the types and sources of a notebook's own cells."""
    return [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(text)["cells"]
        if "injected-parameters" not in cell["metadata"].get("tags", ())
    ]


def _title(path: Path) -> str:
    """Return the first heading of a notebook, or its name."""
    for cell in json.loads(path.read_text(encoding="utf8"))["cells"]:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return path.stem


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


def _chapter_link(env: Any, name: str, title: str) -> nodes.Node:
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


def _line(text: str, style: str | None = None) -> nodes.paragraph:
    return nodes.paragraph("", text, classes=[style] if style else [])


def _row(cells: list[list[nodes.Node]], classes: list[str] | None = None) -> nodes.row:
    row = nodes.row(classes=classes or [])
    for content in cells:
        row += nodes.entry("", *content)
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.add_config_value("reviewlib_executed_dir", "_executed", "env")
    app.add_directive("review-cards", ReviewCards)
    app.add_directive("verdict-ledger", VerdictLedger)
    # before other extensions read the addresses
    app.connect("config-inited", derive_addresses, priority=100)
    app.connect("source-read", overlay)
    app.connect("html-page-context", page_scripts, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_verdicts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
