"""Executed copies in place of the sources, addresses, and nothing from another host."""

import json
import re
from types import SimpleNamespace

import smallbook
from smallbook import ROW, SVG, TEXT

from reviewlib.book import pairing, sphinx


def test_the_executed_copy_is_shown_and_nothing_is_loaded_from_elsewhere(tmp_path):
    copy = smallbook.executed(picture=("image/svg+xml", SVG))
    pages, warnings = smallbook.build(tmp_path, [ROW], {"a": copy})
    assert warnings == ""
    assert 'alt="nine by nine"' in pages["a"]
    assert (tmp_path / "out" / "_static" / "mathjax" / "tex-chtml.js").exists()
    assert "ledger.js" in pages["ledger"]
    assert "ledger.js" not in pages["index"]
    assert json.loads((tmp_path / "out" / "_static" / "verdicts.json").read_text()) == [ROW]


def test_a_copy_that_is_missing_or_of_another_version_is_a_warning(tmp_path):
    copies = {"a": None, "b": smallbook.executed(TEXT.replace("\n1\n", "\n2\n"))}
    _, warnings = smallbook.build(tmp_path, [], copies)
    assert "no executed copy of a.ipynb" in warnings
    assert "a.ipynb is of another version" not in warnings
    assert "the executed copy of b.ipynb is of another version" in warnings


def test_a_page_that_the_table_of_contents_names_is_not_listed_by_a_glob_too(tmp_path):
    copies = dict.fromkeys("ab", smallbook.executed(picture=("image/svg+xml", SVG)))
    own = "```{toctree}\n../notebooks/b\n```\n"
    pages, _ = smallbook.build(tmp_path, [], copies, top=own)
    item = 'class="toctree-l1"><a class="reference internal" href="../notebooks/{}.html"'
    links = [pages["index"].count(item.format(name)) for name in "ab"]
    assert links[0] == links[1] > 0


def test_the_chapter_that_combines_papers_has_the_last_card(tmp_path):
    copy = smallbook.executed(picture=("image/svg+xml", SVG))
    pages, _ = smallbook.build(tmp_path, [], dict.fromkeys(("augmix", "combinations", "sam"), copy))
    cards = re.findall(r"card-heading.*?notebooks/(\w+)\.html", pages["index"], re.S)
    assert cards == ["augmix", "sam", "combinations"]


def test_an_injected_cell_does_not_make_a_copy_another_version():
    notebook = json.loads(smallbook.executed())
    cell = {"cell_type": "code", "source": "n = 1", "metadata": {"tags": ["injected-parameters"]}}
    notebook["cells"].insert(1, cell)
    assert sphinx._sources(json.dumps(notebook)) == sphinx._sources(pairing.to_ipynb(TEXT))


def config(url):
    return SimpleNamespace(
        html_theme_options={"repository_url": url, "use_repository_button": True},
        html_baseurl="",
        ogp_site_url="",
    )


def test_all_addresses_follow_from_the_repository(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    ours = config("https://github.com/Someone/trial.git")
    sphinx.derive_addresses(None, ours)
    assert ours.html_baseurl == ours.ogp_site_url == "https://someone.github.io/trial/"
    assert ours.html_theme_options["use_repository_button"]

    placeholder = config("https://github.com/OWNER/fair-trial")
    sphinx.derive_addresses(None, placeholder)
    assert not placeholder.html_theme_options["use_repository_button"]
    assert placeholder.html_theme_options["launch_buttons"] == {}

    monkeypatch.setenv("GITHUB_REPOSITORY", "else/else.github.io")
    published = config("https://github.com/OWNER/fair-trial")
    sphinx.derive_addresses(None, published)
    assert (
        published.html_theme_options["repository_url"] == "https://github.com/else/else.github.io"
    )
    assert published.html_theme_options["use_repository_button"]
    assert published.html_baseurl == "https://else.github.io/"
