"""Small books: chapters to run, or a page of cards, a ledger and a chapter for Sphinx to build."""

import io
import json
from pathlib import Path

import pytest
from sphinx.application import Sphinx
from sphinx.util.console import nocolor
from sphinx.util.docutils import docutils_namespace

from reviewlib.book import pairing

STATIC = Path(__file__).parents[1] / "book" / "_static"
TEXT = """# %% [markdown]
# # A chapter

# %%
1
"""
LEDGER = "# Ledger\n\n```{verdict-ledger}\n```\n"
INDEX = "# Cards\n\n```{review-cards}\n```\n\n```{toctree}\n:glob:\nledger\n../notebooks/*\n```\n"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9"/></svg>'
ROW = {
    "paper": "a",
    "title": "A chapter",
    "claim": "gain",
    "statement": "It helps.",
    "source": "Table 1",
    "reported": "2.7%",
    "kind": "gain",
    "primary": True,
    "metric": "accuracy",
    "scale": "difference",
    "mean": 0.0123,
    "lo": 0.004,
    "hi": 0.0206,
    "level": 0.95,
    "n": 10,
    "margin": 0.01,
    "verdict": "supported",
    "preset": "laptop",
    "device": "cpu",
    "commit": "0123456789",
    "stale": False,
}


def write(root, chapters):
    """Write a book's settings and chapters, each given as the sources of its code cells."""
    (root / "_config.yml").touch()
    (root / "notebooks").mkdir(exist_ok=True)
    for name, cells in chapters.items():
        text = "\n\n".join(f"# %%\n{source}" for source in cells)
        (root / "notebooks" / f"{name}.ipynb").write_text(pairing.to_ipynb(text))


def executed(text=TEXT, picture=None):
    """Return the executed copy of a chapter, with a (mime type, data) as its only output."""
    notebook = json.loads(pairing.to_ipynb(text))
    cell = notebook["cells"][1]
    cell["execution_count"] = 1
    if picture:
        data = {picture[0]: picture[1], "text/plain": "nine by nine"}
        cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
        cell["metadata"]["mystnb"] = {"image": {"alt": "nine by nine"}}
    return json.dumps(notebook)


def build(root, rows, copies, *, top="", ledger=None, **more):
    """Build a book with one chapter for every copy; return its pages and Sphinx's warnings.

    Args:
        root: where.
        rows: of the ledger; None for those of the papers' records.
        copies: the text of each chapter's executed copy, None for a chapter that was not run.
        top: Markdown above the front page.
        ledger: Markdown of the ledger's page.
        more: settings of Sphinx.
    """
    for folder in ("book", "notebooks", "_executed"):
        (root / folder).mkdir(exist_ok=True)
    (root / "book" / "index.md").write_text(f"{top}\n{INDEX}")
    (root / "book" / "ledger.md").write_text(ledger or LEDGER)
    if rows is not None:
        (root / "rows.json").write_text(json.dumps(rows))
        more["verdicts"] = "rows.json"
    for name, copy in copies.items():
        (root / "notebooks" / f"{name}.ipynb").write_text(pairing.to_ipynb(TEXT))
        if copy:
            (root / "_executed" / f"{name}.ipynb").write_text(copy)
    warnings = io.StringIO()
    nocolor()
    settings = {
        "extensions": ["myst_nb", "reviewlib.book.sphinx"],
        "root_doc": "book/index",
        "html_theme": "basic",
        "include_patterns": ["book/**", "notebooks/**"],
        "html_static_path": [str(STATIC)],
        "mathjax_path": "mathjax/tex-chtml.js",
        "nb_execution_mode": "off",
        **more,
    }
    # each build registers the same nodes again
    with pytest.MonkeyPatch.context() as patch, docutils_namespace():
        patch.delenv("GITHUB_REPOSITORY", raising=False)
        Sphinx(
            srcdir=str(root),
            confdir=None,
            outdir=str(root / "out"),
            doctreedir=str(root / "trees"),
            buildername="html",
            confoverrides=settings,
            status=None,
            warning=warnings,
            freshenv=True,
        ).build()
    return {p.stem: p.read_text() for p in (root / "out").rglob("*.html")}, warnings.getvalue()
