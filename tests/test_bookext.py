import base64
import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from sphinx.application import Sphinx
from sphinx.util.console import nocolor
from sphinx.util.docutils import docutils_namespace

from reviewlib import bookext, pairing

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT = Path(__file__).parent.parent
HOSTILE = '<script>alert(1)</script> **bold** `code` {cite}`x` & "quoted"'
TEXT = """# %% [markdown]
# # A chapter

# %%
1
"""
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
UNTESTED = dict.fromkeys(("mean", "lo", "hi", "level", "n", "preset", "device", "commit"))


def executed(text, picture=None):
    notebook = json.loads(pairing.to_ipynb(text))
    cell = notebook["cells"][1]
    cell["execution_count"] = 1
    if picture:
        data = {picture[0]: picture[1], "text/plain": "nine by nine"}
        cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
        cell["metadata"]["mystnb"] = {"image": {"alt": "nine by nine"}}
    return json.dumps(notebook)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of a cards page, a ledger page and one chapter; built by calling it with rows."""
    for folder in ("book", "notebooks", "_executed"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book" / "index.md").write_text(
        "# Cards\n\n```{review-cards}\n```\n\n```{toctree}\nledger\n../notebooks/a\n```\n"
    )
    (tmp_path / "book" / "ledger.md").write_text("# Ledger\n\n```{verdict-ledger}\n```\n")
    (tmp_path / "notebooks" / "a.ipynb").write_text(pairing.to_ipynb(TEXT))
    (tmp_path / "_executed" / "a.ipynb").write_text(executed(TEXT))
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)

    def build(rows):
        def ledger():
            if isinstance(rows, Exception):
                raise rows
            return rows

        monkeypatch.setitem(sys.modules, "reviewlib.ledger", SimpleNamespace(ledger=ledger))
        warnings = io.StringIO()
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        nocolor()
        # each build registers the same nodes again
        with docutils_namespace():
            app = Sphinx(
                srcdir=str(tmp_path),
                confdir=None,
                outdir=str(tmp_path / "out"),
                doctreedir=str(tmp_path / "trees"),
                buildername="html",
                confoverrides={
                    "extensions": ["myst_nb", "reviewlib.bookext"],
                    "root_doc": "book/index",
                    "html_theme": "basic",
                    "include_patterns": ["book/**", "notebooks/**"],
                    "html_static_path": [str(ROOT / "book" / "_static")],
                    "mathjax_path": "mathjax/tex-chtml.js",
                    "nb_execution_mode": "off",
                },
                status=None,
                warning=warnings,
                freshenv=True,
            )
            app.build()
        pages = {p.stem: p.read_text() for p in (tmp_path / "out").rglob("*.html")}
        return pages, warnings.getvalue()

    build.root = tmp_path
    return build


def test_the_executed_copy_is_shown_and_nothing_is_loaded_from_elsewhere(book):
    (book.root / "_executed" / "a.ipynb").write_text(
        executed(TEXT, ("image/svg+xml", SVG)),
    )
    pages, warnings = book([ROW])
    assert warnings == ""
    assert 'alt="nine by nine"' in pages["a"]
    assert 'alt="nine by nine"' in pages["index"]
    assert (book.root / "out" / "_images" / "card-a.svg").read_text() == SVG
    assert (book.root / "out" / "_static" / "mathjax" / "tex-chtml.js").exists()
    assert "ledger.js" in pages["ledger"]
    assert "ledger.js" not in pages["index"]
    assert 'href="../notebooks/a.html"' in pages["ledger"]


def test_a_missing_copy_is_a_warning_and_the_card_does_without_a_picture(book):
    (book.root / "_executed" / "a.ipynb").unlink()
    pages, warnings = book([])
    assert "no executed copy of a.ipynb" in warnings
    assert "A chapter" in pages["index"]
    assert "No verdict yet." in pages["index"]
    assert "<img" not in pages["index"]
    assert "No claim has been put to the test yet." in pages["ledger"]


def test_a_copy_of_another_version_is_a_warning(book):
    (book.root / "_executed" / "a.ipynb").write_text(executed(TEXT.replace("\n1\n", "\n2\n")))
    _, warnings = book([])
    assert "a.ipynb is of another version" in warnings


def test_an_injected_cell_does_not_make_a_copy_another_version():
    notebook = json.loads(executed(TEXT))
    cell = {"cell_type": "code", "source": "n = 1", "metadata": {"tags": ["injected-parameters"]}}
    notebook["cells"].insert(1, cell)
    assert bookext._sources(json.dumps(notebook)) == bookext._sources(pairing.to_ipynb(TEXT))


def test_hostile_text_is_shown_and_never_interpreted(book):
    keys = ("title", "statement", "source", "reported", "metric", "preset", "device", "verdict")
    hostile = ROW | dict.fromkeys(keys, HOSTILE)
    pages, warnings = book([hostile, hostile | {"paper": "<img src=x onerror=alert(1)>"}])
    assert warnings == ""
    for name in ("index", "ledger"):
        assert "<script>alert" not in pages[name]
        assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold** `code`" in pages[name]
        assert "<img src=x" not in pages[name]
    rows = json.loads((book.root / "out" / "_static" / "verdicts.json").read_text())
    assert rows[0]["statement"] == HOSTILE


def test_the_ledger_shows_points_intervals_and_what_was_not_tested(book):
    scope = ROW | UNTESTED | {"verdict": "out of scope", "primary": False, "reported": None}
    open_ended = ROW | {"verdict": None, "primary": False, "stale": True}
    pending = ROW | UNTESTED | {"verdict": None, "stale": True}
    pages, warnings = book([ROW, scope, open_ended, pending])
    assert warnings == ""
    page = pages["ledger"]
    for text in ("+1.23 points", "[+0.40, +2.06]", "n = 10", "95% interval", "margin 1.00 points"):
        assert text in page
    for text in ("not measured", "not tested", "no number", "exploratory", "older than the code"):
        assert text in page
    for text in ("no valid records", "no evidence yet"):
        assert text in page
    assert 'class="verdict verdict-out-of-scope"' in page
    assert page.count("claim-primary") == 2
    assert "out of scope" not in pages["index"]
    assert "no evidence yet" in pages["index"]


def test_a_ledger_that_cannot_be_computed_warns_and_leaves_the_pages(book):
    pages, warnings = book(RuntimeError("no records"))
    assert "the verdicts cannot be computed: RuntimeError: no records" in warnings
    assert "could not be computed" in pages["ledger"]
    assert "A chapter" in pages["index"]


def test_numbers_outside_accuracy_keep_their_unit():
    row = ROW | {"metric": "sharpness", "mean": -0.4, "lo": -0.61234, "hi": -0.2, "margin": 0.1}
    assert bookext.measured(row) == ("−0.4", "[−0.612, −0.2]")
    assert bookext.conditions(row)[-1] == "margin 0.1"
    ratio = ROW | {"scale": "log ratio", "mean": 0.6931, "lo": 0.5, "hi": 0.9, "margin": 0.0953}
    assert bookext.measured(ratio) == ("×2", "[×1.65, ×2.46]")
    assert bookext.conditions(ratio)[-1] == "margin ×1.1"
    assert bookext.measured(ROW | {"lo": None}) == ("+1.23 points", "")


def test_the_card_shows_the_tagged_picture_else_the_first(tmp_path):
    path = tmp_path / "a.ipynb"
    png = base64.b64encode(b"png").decode()
    notebook = json.loads(executed(TEXT, ("image/svg+xml", SVG)))
    other = json.loads(executed(TEXT, ("image/png", png)))["cells"][1]
    notebook["cells"].append(other)
    path.write_text(json.dumps(notebook))
    assert bookext._picture(path) == (".svg", SVG.encode(), "nine by nine")
    other["metadata"]["tags"] = ["card"]
    path.write_text(json.dumps(notebook))
    assert bookext._picture(path) == (".png", b"png", "nine by nine")


def config(url):
    return SimpleNamespace(
        html_theme_options={"repository_url": url, "use_repository_button": True},
        html_baseurl="",
        ogp_site_url="",
    )


def test_all_addresses_follow_from_the_repository(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    ours = config("https://github.com/Someone/trial.git")
    bookext.derive_addresses(None, ours)
    assert ours.html_baseurl == ours.ogp_site_url == "https://someone.github.io/trial/"
    assert ours.html_theme_options["use_repository_button"]

    placeholder = config("https://github.com/OWNER/fair-trial")
    bookext.derive_addresses(None, placeholder)
    assert not placeholder.html_theme_options["use_repository_button"]
    assert placeholder.html_theme_options["launch_buttons"] == {}

    monkeypatch.setenv("GITHUB_REPOSITORY", "else/else.github.io")
    published = config("https://github.com/OWNER/fair-trial")
    bookext.derive_addresses(None, published)
    assert (
        published.html_theme_options["repository_url"] == "https://github.com/else/else.github.io"
    )
    assert published.html_theme_options["use_repository_button"]
    assert published.html_baseurl == "https://else.github.io/"
