"""What the directives of the book put on its pages: cards, the ledger, controls, the status."""

import base64
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import smallbook
import toy
from smallbook import ROW, SVG, TEXT

from reviewlib import papers
from reviewlib.book.sphinx import cards, ledger
from reviewlib.book.sphinx.status import VerdictHistory, last_execution, side_by_side
from reviewlib.evidence import history, verdicts
from reviewlib.evidence.make import make
from reviewlib.page.markup import markup

HOSTILE = '<script>alert(1)</script> **bold** `code` {cite}`x` & "quoted"'
HOSTILE_KEYS = (
    "title", "statement", "source", "reported", "metric", "preset", "device", "verdict",
)  # fmt: skip
UNTESTED = dict.fromkeys(("mean", "lo", "hi", "level", "n", "preset", "device", "commit"))
HOSTILE_ROW = ROW | dict.fromkeys(HOSTILE_KEYS, HOSTILE)
ROWS = [
    ROW,
    ROW | UNTESTED | {"verdict": "out of scope", "primary": False, "reported": None},
    ROW | {"verdict": None, "primary": False},
    ROW | UNTESTED | {"verdict": None, "stale": True},
    HOSTILE_ROW,
    HOSTILE_ROW | {"paper": "<img src=x onerror=alert(1)>"},
]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    copies = {"a": smallbook.executed(picture=("image/svg+xml", SVG))}
    pages, warnings = smallbook.build(root, ROWS, copies)
    assert warnings == ""
    return root, pages


def test_hostile_text_is_shown_and_never_interpreted(book):
    root, pages = book
    for name in ("index", "ledger"):
        assert "<script>alert" not in pages[name]
        assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold** `code`" in pages[name]
        assert "<img src=x" not in pages[name]
    rows = json.loads((root / "out" / "_static" / "verdicts.json").read_text())
    assert rows == ROWS


def test_the_ledger_shows_points_intervals_and_what_was_not_tested(book):
    page = book[1]["ledger"]
    for text in ("+1.23 points", "[+0.40, +2.06]", "n = 10", "95% interval", "margin 1.00 points"):
        assert text in page
    for text in ("not measured", "not tested", "no number", "exploratory", "no valid records"):
        assert text in page
    assert "no evidence yet" in page
    assert 'class="verdict verdict-out-of-scope"' in page
    assert page.count("claim-primary") == 4
    assert page.count("claim-secondary") == 2
    assert 'href="../notebooks/a.html"' in page


def test_a_card_shows_the_picture_and_only_the_primary_claims(book):
    root, pages = book
    assert 'alt="nine by nine"' in pages["index"]
    assert (root / "out" / "_images" / "card-a.svg").read_text() == SVG
    assert "no evidence yet" in pages["index"]
    assert "out of scope" not in pages["index"]


def test_a_chapter_that_was_not_run_has_a_card_without_picture_and_verdict(tmp_path):
    pages, _ = smallbook.build(tmp_path, [], {"a": None})
    assert "A chapter" in pages["index"]
    assert "No verdict yet." in pages["index"]
    assert "<img" not in pages["index"]
    assert "No claim has been put to the test yet." in pages["ledger"]


def test_a_ledger_that_cannot_be_computed_warns_and_leaves_the_pages(tmp_path, shelf):
    shelf(SimpleNamespace(name="bad"))  # no study
    pages, warnings = smallbook.build(tmp_path, None, {"a": smallbook.executed()})
    assert warnings.count("the verdicts cannot be computed: AttributeError: ") == 1
    assert "could not be computed" in pages["ledger"]
    assert "could not be computed" in pages["index"]
    assert "A chapter" in pages["index"]


def test_the_ledger_is_of_the_papers_records(tmp_path, published, record, own_cache):
    published(toy.study(), record)
    pages, warnings = smallbook.build(tmp_path, None, {"toy": smallbook.executed()})
    assert warnings == ""
    (row,) = json.loads((tmp_path / "out" / "_static" / "verdicts.json").read_text())
    assert row["statement"] == toy.CLAIM.statement and row["verdict"] in pages["ledger"]


def test_the_ledger_tells_the_version_of_a_verdict_and_what_earlier_ones_said():
    versions = [
        {"version": 1, "verdicts": {ROW["claim"]: "contradicted"}},
        {"version": 2, "verdicts": {}},
        {"version": 3, "verdicts": {}},
    ]
    row = ROW | {"registration": 3, "versions": versions, "primary": True}
    said = "version 1 said: contradicted; version 2 said: nothing on record"
    assert ledger.registered(row) == f"registered version 3; {said}"
    assert ledger.registered(row | {"primary": False}) == ""
    assert ledger.registered(row | {"registration": None}) == ""


def test_numbers_outside_accuracy_keep_their_unit():
    row = ROW | {"metric": "sharpness", "mean": -0.4, "lo": -0.61234, "hi": -0.2, "margin": 0.1}
    assert ledger.measured(row) == ("−0.4", "[−0.612, −0.2]")
    assert ledger.how_tested(row)[-1] == "margin 0.1"
    ratio = ROW | {"scale": "log ratio", "mean": 0.6931, "lo": 0.5, "hi": 0.9, "margin": 0.0953}
    assert ledger.measured(ratio) == ("×2", "[×1.65, ×2.46]")
    assert ledger.how_tested(ratio)[-1] == "margin ×1.1"
    assert ledger.measured(ROW | {"lo": None}) == ("+1.23 points", "")


def test_the_card_shows_the_tagged_picture_else_the_first(tmp_path):
    path = tmp_path / "a.ipynb"
    png = base64.b64encode(b"png").decode()
    notebook = json.loads(smallbook.executed(TEXT, ("image/svg+xml", SVG)))
    other = json.loads(smallbook.executed(TEXT, ("image/png", png)))["cells"][1]
    notebook["cells"].append(other)
    path.write_text(json.dumps(notebook))
    assert cards._picture(path) == (".svg", SVG.encode(), "nine by nine")
    other["metadata"]["tags"] = ["card"]
    path.write_text(json.dumps(notebook))
    assert cards._picture(path) == (".png", b"png", "nine by nine")


EXHIBITS = "# Exhibits\n\n```{controls}\n```\n\n```{single-seeds}\n```\n"


def test_controls_and_single_seeds_come_from_the_records(tmp_path, published, own_cache):
    of = toy.study(**toy.CONTROLLED | {"title": HOSTILE + ": a study"})
    record = make(of, toy.TINY)
    published(of, record)
    pages, warnings = smallbook.build(tmp_path, [], {"a": smallbook.executed()}, top=EXHIBITS)
    assert warnings == ""
    page = pages["index"]
    outs = verdicts.judge_controls(of, record)
    assert len(outs) == 2
    for out in outs:
        assert out.claim.statement in page and f"<td>{out.verdict}</td>" in page
    assert "n = 3 seeds" in page and "of 3 seeds alone say a gain" in page
    assert "<script>alert" not in page


def test_a_book_without_valid_records_says_so(tmp_path, shelf):
    shelf(toy.study())
    pages, warnings = smallbook.build(tmp_path, [], {"a": smallbook.executed()}, top=EXHIBITS)
    assert warnings == ""
    assert "No study has controls in valid records yet." in pages["index"]
    assert "No study has valid records yet." in pages["index"]


STATUS = "# Status\n\n```{status}\n```\n\n```{verdict-history}\n```\n"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"
STALE = {"preset": HOSTILE, "state": "stale", "why": HOSTILE}
STALE |= dict.fromkeys(("date", "commit", "device", "versions", "cpu_seconds"))
MADE = {
    "date": "2026-01-02",
    "device": HOSTILE,
    "versions": {"python": "3.11.7", "torch": HOSTILE, "joblib": "0"},
    "cpu_seconds": 1234.5,
}
ENTRY = history.Entry(
    "2026-01-01", "0123456789", "laptop", 1, "better", "inconclusive", 0.01, -0.02, 0.04, 3, HOSTILE
)


@pytest.fixture
def status(tmp_path, published, record, own_cache):
    """Build a page on the toy study, with a record of it; return the page and the warnings."""

    def page(entries=(), times="{}", copy=None):
        published(toy.study(title=HOSTILE + ": a study"), record, **MADE)
        written = entries if isinstance(entries, str) else json.dumps(list(map(asdict, entries)))
        (papers.folder_of("toy") / "records" / "history.json").write_text(written)
        (tmp_path / "_executed").mkdir()
        (tmp_path / "_executed" / "times.json").write_text(times)
        pages, warnings = smallbook.build(tmp_path, [], {"toy": copy}, top=STATUS)
        return pages["index"], warnings

    return page


def test_the_status_shows_how_records_stand_and_the_last_execution(status):
    run = {"seconds": 75.4, "finished": "2026-01-03T10:11:12+00:00", "cells": HOSTILE}
    page, warnings = status([], json.dumps({"toy": run}), smallbook.executed())
    assert warnings == ""
    assert "<script>alert" not in page
    assert f": last executed 2026-01-03, {SHOWN}" in page and "cells in 75 s" in page
    assert "<th>laptop</th>" in page and "<td>versions</td>" in page
    for text in ("<td>valid</td>", f"<td>{SHOWN}", "1,234 s", "2026-01-02", "python 3.11.7"):
        assert text in page
    assert "joblib" not in page and "No verdict has been recorded yet." in page


def test_records_that_are_stale_say_why_and_what_is_not_known_is_a_dash():
    table = side_by_side([STALE])
    assert list(table[HOSTILE])[1:] == ["–"] * 5
    page = markup(table)
    assert f"<td>stale: {SHOWN}" in page and f"<th>{SHOWN}" in page and "<script>" not in page


@pytest.mark.parametrize("times", ["{", "{}", '{"a": 7}', '{"a": {}}', '{"a": {"seconds": "x"}}'])
def test_times_that_are_missing_or_damaged_are_not_known(tmp_path, times):
    folder = tmp_path / "_executed"
    folder.mkdir()
    (folder / "a.ipynb").touch()
    (folder / "times.json").write_text(times)
    said = last_execution(SimpleNamespace(srcdir=tmp_path), "a")
    assert said == "executed; when, and how long it took, is not known"


def test_a_chapter_that_was_not_executed_says_so(status):
    assert ": not executed yet" in status()[0]


def test_the_history_tells_from_what_to_what_and_why_the_newest_first(status):
    later = {"date": "2026-01-02", "commit": "abcdefghij", "preset": "gpu", "results_version": 2}
    gone = {"mean": None, "lo": None, "hi": None, "n": 0, "verdict": None, "claim": "withdrawn"}
    entries = [
        replace(ENTRY, claim="withdrawn", verdict="supported"),
        ENTRY,
        replace(ENTRY, **later, verdict="contradicted"),
        replace(ENTRY, **later, **gone),
    ]
    page, warnings = status(entries, copy=smallbook.executed())
    assert warnings == "" and "<script>alert" not in page
    assert ", 2026-01-02, commit abcdefg, gpu records, results version 2: &lt;script&gt;" in page
    assert ", 2026-01-01, commit 0123456, laptop records, results version 1: &lt;script&gt;" in page
    badge = '<span class="verdict verdict-{0}">{0}</span>'.format
    measured = "+1.00 points [−2.00, +4.00], n = 3"
    assert re.findall("<td>(.*?)</td>", page)[-16:] == [
        *("The method is better.", badge("inconclusive"), badge("contradicted"), measured),
        *("withdrawn", badge("supported"), "no verdict", "–"),
        *("withdrawn", "–", badge("supported"), "–"),
        *("The method is better.", "–", badge("inconclusive"), measured),
    ]


def test_a_private_book_does_not_pass_the_published_history_off_as_its_own():
    private = SimpleNamespace(config=SimpleNamespace(other_data="digits"))
    (said,) = VerdictHistory.run(private)
    assert said.astext() == "Verdicts on other data than the book's have no history."


def test_a_damaged_history_warns_and_leaves_the_pages(status):
    page, warnings = status("{", copy=smallbook.executed())
    assert "history.json is not a history" in warnings and "<td>valid</td>" in page


def test_the_scaling_page_shows_what_the_benchmark_wrote(tmp_path):
    (tmp_path / "book").mkdir()
    shutil.copy(Path(__file__).parents[3] / "book" / "scaling.json", tmp_path / "book")
    top = "# Scaling\n\n```{scaling}\n```\n"
    pages, warnings = smallbook.build(tmp_path, [], {"a": smallbook.executed()}, top=top)
    assert warnings == ""
    for text in ("Speed-up", "<p>ray</p>", "runs of the study sam at the preset quick"):
        assert text in pages["index"]
