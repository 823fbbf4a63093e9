"""Nothing that a file says is run, and no text from a record, a name or a label becomes markup."""

import ast
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import hostile
import pandas as pd
import pytest
import smallbook
from markdown_it import MarkdownIt

from reviewlib.book import sphinx
from reviewlib.page.agreement import agreement, evidence
from reviewlib.page.chapter import Chapter
from reviewlib.papers.sam import figures as sam

SRC = Path(__file__).parents[1] / "src"


# Nothing is unpickled or evaluated


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize(
    "path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC))
)
def test_no_code_comes_out_of_a_file(path):
    tree = ast.parse(path.read_text(encoding="utf8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        for alias in getattr(node, "names", ())
        if isinstance(alias, ast.alias)
    }
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    assert not unsafe & {str(name).split(".")[0] for name in names | modules}
    for name, keywords in calls(tree):
        assert name not in ("eval", "exec", "joblib.load", "yaml.load", "pd.read_pickle")
        assert name not in ("os.system", "os.popen")
        assert not (name == "torch.load" and "weights_only" not in keywords)
        assert "allow_pickle" not in keywords and "shell" not in keywords


# Hostile texts


class Page(HTMLParser):
    """Collects what in a page could run."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tag = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src") and "javascript:" in value):
                self.found.append((tag, name, value))

    def handle_data(self, data):
        if self.tag == "script" and "alert" in data:
            self.found.append(("script", data))
        if str(71 * 71) in data:
            self.found.append(("evaluated", data))

    def handle_endtag(self, tag):
        self.tag = None


def running(html):
    """Return everything in a page that an injected text could have made run."""
    return Page(html).found


def rendered(text):
    """Return Markdown as HTML, as notebooks and the book render an output."""
    return MarkdownIt("commonmark", {"html": True}).render(text)


@pytest.fixture(params=hostile.TEXTS, ids=range(len(hostile.TEXTS)))
def text(request, own_cache):
    return request.param


@pytest.mark.slow  # runs a study for every text
@pytest.mark.filterwarnings("ignore:constrained_layout")  # hostile labels are too long to lay out
def test_no_text_of_a_record_or_a_study_runs_in_a_chapter(text, shown):
    of = hostile.study(text)
    record = replace(hostile.record(of, text), data={"name": text, "checksum": text})
    page = Chapter(of, of.presets[0], "cpu", hostile.Held(data=text, record=record))
    clean, noise = (condition.name for condition in of.conditions)
    first, second, *_ = (arm.name for arm in of.arms)
    claim = of.claims[0].name
    page.answer()
    page.claims()
    page.experiment()
    page.show_search(claim)
    page.closing()
    page.compare(claim)
    page.show_finals()
    page.show_curves(clean, first, second)
    line = pd.Series([1.0, 2.0], index=[1, 1])
    page.show_over({text: line}, text, text, caption=text, marks={text: 1.0})
    page.show_images({text: line.to_numpy()[None]}, text, caption=text)
    page.show(sam.contours(lambda w: w[0] ** 2, {text: [(0, 0), (1, 1), (2, 1)]}, (0, 1, 0, 1)))
    ranks = sam.show_sharpness(page, clean)
    bundles = shown()
    figures = [bundle for bundle in bundles if "image/svg+xml" in bundle]
    assert len(bundles) == 23 and len(figures) == 9
    wrong = [{m: [0.0] * len(v) for m, v in scores.items()} for scores in record.runs["scores"]]
    disagrees = replace(record, runs=record.runs.assign(scores=wrong))
    sentences = [
        agreement(of, disagrees, record, [{"computed": text, "from_cache": True}]),
        evidence(record, [text], text),
        page.says(claim),
        page.notices(claim),
        page.verdict(claim),
        page.difference(first, second, noise),
        ranks.data,
    ]
    tables = [
        page.contrasts(claim).data,
        page.two_by_two(first, second, first, second, clean).data,
    ]
    sentences += [bundle["text/markdown"] for bundle in bundles if "text/markdown" in bundle]
    tables += [bundle["text/html"] for bundle in bundles if "text/html" in bundle]
    tables += [bundle["image/svg+xml"] for bundle in figures]
    for html in (*map(rendered, sentences), *tables):
        assert running(html) == []


LEDGER = "# Ledger\n\n```{verdict-ledger}\n```\n\n"
EXHIBITS = "```{controls}\n```\n\n```{single-seeds}\n```\n\n```{status}\n```\n"


@pytest.mark.slow  # runs a study and builds a book for every text
def test_none_runs_in_the_book(text, tmp_path, published):
    of = hostile.study(text)
    record = hostile.record(of, hostile.one_line(text))
    said = evidence(record, [text], text) + "\n\n" + agreement(of, record, None, [])
    published(of, record)
    copy = smallbook.executed(picture=("text/markdown", said))
    pages, _ = smallbook.build(tmp_path, None, {"toy": copy}, ledger=LEDGER + EXHIBITS)
    assert len(pages["ledger"]) > 5000 and "rests on the" in pages["toy"]
    assert "n = 3 seeds" in pages["ledger"] and "<td>valid</td>" in pages["ledger"]
    for page in pages.values():
        assert running(page) == []


def test_the_name_of_a_folder_does_not_run_in_the_banner():
    config = SimpleNamespace(other_data=hostile.TEXTS[0], html_theme_options={})
    sphinx.announce_other_data(None, config)
    assert running(config.html_theme_options["announcement"]) == []
    assert "&lt;img src=x" in config.html_theme_options["announcement"]
