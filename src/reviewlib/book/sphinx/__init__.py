"""Sphinx extension of the book.

It shows executed notebooks at the addresses of the committed ones, and makes the front page's cards
and the ledger from the verdicts. No page loads anything from another host.
"""

from __future__ import annotations

import csv
import html
import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.fileutil import copy_asset

from reviewlib.book.sphinx.answers import Forest
from reviewlib.book.sphinx.cards import ReviewCards
from reviewlib.book.sphinx.elements import executed_copy
from reviewlib.book.sphinx.first_protocol import FirstProtocol
from reviewlib.book.sphinx.ledger import VerdictLedger, ledger_rows
from reviewlib.book.sphinx.protocol import Calibration, Controls, SingleSeeds
from reviewlib.book.sphinx.scale_out import Scaling
from reviewlib.book.sphinx.status import Status, VerdictHistory
from reviewlib.evidence.ledger import FIELDS

log = logging.getLogger(__name__)

# The placeholder in _config.yml while the book has no repository: no button may link to it.
NO_OWNER = "https://github.com/OWNER/"
BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def derive_addresses(app: Sphinx, config: Config) -> None:
    """Set all addresses from the repository's URL, or from GITHUB_REPOSITORY if it is set."""
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


def announce_other_data(app: Sphinx, config: Config) -> None:
    """Announce on every page of a private book which data its verdicts are on."""
    if config.other_data:
        theme = config.html_theme_options
        name = html.escape(config.other_data)
        theme["announcement"] = f"Private book: its chapters and verdicts are on other data, {name}"


def overlay(app: Sphinx, docname: str, source: list[str]) -> None:
    """Read the executed copy instead of notebooks/NAME.ipynb; the page's address stays the same."""
    original = Path(app.env.doc2path(docname))
    if original.suffix != ".ipynb":
        return
    copy = executed_copy(app, original.name)
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


def listed_once(app: Sphinx, doctree: nodes.document) -> None:
    """Drop from what a glob of the table of contents finds the pages that it also names."""
    trees = list(doctree.findall(addnodes.toctree))
    named = {page for tree in trees if not tree["glob"] for page in tree["includefiles"]}
    for tree in trees:
        if tree["glob"]:
            tree["entries"] = [each for each in tree["entries"] if each[1] not in named]
            tree["includefiles"] = [each for each in tree["includefiles"] if each not in named]


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy MathJax and its fonts into the site, so that formulas need no other host.

    Raises:
        ExtensionError: the package with MathJax is missing.
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
    """Write the ledger beside the pages as _static/verdicts.json and verdicts.csv."""
    if error or app.builder.format != "html":
        return
    rows = ledger_rows(app) or []
    text = json.dumps(rows, indent=1, ensure_ascii=False, default=str)
    Path(app.outdir, "_static", "verdicts.json").write_text(text + "\n", encoding="utf8")
    with Path(app.outdir, "_static", "verdicts.csv").open("w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    name: json.dumps(value) if isinstance(value, list | bool) else value
                    for name, value in row.items()
                }
            )


def page_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Drop thebe, which the theme adds twice (a script error); add the filter to the ledger."""
    # in place, because `add_js_file` below appends to the same list
    context["script_files"][:] = [
        script
        for script in context["script_files"]
        if "thebe" not in (getattr(script, "filename", None) or "")
        and "THEBE" not in ((getattr(script, "attributes", None) or {}).get("body") or "")
    ]
    if doctree and any("verdict-ledger" in t["classes"] for t in doctree.findall(nodes.table)):
        app.add_js_file("ledger.js", loading_method="defer")


def _sources(text: str) -> list[tuple[str, str]]:
    """Return the types and sources of a notebook's own cells."""
    return [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(text)["cells"]
        if "injected-parameters" not in cell["metadata"].get("tags", ())
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.add_config_value("other_data", None, "env", (str,))
    # a verdicts.json to show in place of the ledger that the package's records give
    app.add_config_value("verdicts", None, "env", (str,))
    app.add_directive("review-cards", ReviewCards)
    app.add_directive("forest", Forest)
    app.add_directive("verdict-ledger", VerdictLedger)
    app.add_directive("calibration", Calibration)
    app.add_directive("controls", Controls)
    app.add_directive("first-protocol", FirstProtocol)
    app.add_directive("single-seeds", SingleSeeds)
    app.add_directive("scaling", Scaling)
    app.add_directive("status", Status)
    app.add_directive("verdict-history", VerdictHistory)
    # before other extensions read the addresses
    app.connect("config-inited", derive_addresses, priority=100)
    app.connect("config-inited", announce_other_data, priority=100)
    app.connect("source-read", overlay)
    # after the table of contents has been written into the root page
    app.connect("doctree-read", listed_once, priority=900)
    app.connect("html-page-context", page_scripts, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_verdicts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
