"""The cards and the ledger, as they come out in the pages."""

import base64
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import smallbook
import toy
from smallbook import ROW, SVG, TEXT

from reviewlib import compare, directives, exhibits, history, study, verdicts
from reviewlib.book import execute

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
    pages, warnings = smallbook.build(root, lambda: ROWS, copies)
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
    pages, _ = smallbook.build(tmp_path, list, {"a": None})
    assert "A chapter" in pages["index"]
    assert "No verdict yet." in pages["index"]
    assert "<img" not in pages["index"]
    assert "No claim has been put to the test yet." in pages["ledger"]


def test_a_ledger_that_cannot_be_computed_warns_and_leaves_the_pages(tmp_path):
    def ledger():
        raise RuntimeError("no records")

    pages, warnings = smallbook.build(tmp_path, ledger, {"a": smallbook.executed()})
    assert warnings.count("the verdicts cannot be computed: RuntimeError: no records") == 1
    assert "could not be computed" in pages["ledger"]
    assert "could not be computed" in pages["index"]
    assert "A chapter" in pages["index"]


def test_numbers_outside_accuracy_keep_their_unit():
    row = ROW | {"metric": "sharpness", "mean": -0.4, "lo": -0.61234, "hi": -0.2, "margin": 0.1}
    assert directives.measured(row) == ("−0.4", "[−0.612, −0.2]")
    assert directives.conditions(row)[-1] == "margin 0.1"
    ratio = ROW | {"scale": "log ratio", "mean": 0.6931, "lo": 0.5, "hi": 0.9, "margin": 0.0953}
    assert directives.measured(ratio) == ("×2", "[×1.65, ×2.46]")
    assert directives.conditions(ratio)[-1] == "margin ×1.1"
    assert directives.measured(ROW | {"lo": None}) == ("+1.23 points", "")


def test_the_card_shows_the_tagged_picture_else_the_first(tmp_path):
    path = tmp_path / "a.ipynb"
    png = base64.b64encode(b"png").decode()
    notebook = json.loads(smallbook.executed(TEXT, ("image/svg+xml", SVG)))
    other = json.loads(smallbook.executed(TEXT, ("image/png", png)))["cells"][1]
    notebook["cells"].append(other)
    path.write_text(json.dumps(notebook))
    assert directives._picture(path) == (".svg", SVG.encode(), "nine by nine")
    other["metadata"]["tags"] = ["card"]
    path.write_text(json.dumps(notebook))
    assert directives._picture(path) == (".png", b"png", "nine by nine")


def test_controls_and_single_seeds_come_from_the_records(tmp_path, monkeypatch):
    of = toy.study(**toy.CONTROLLED | {"title": HOSTILE + ": a study"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    record = compare.run_study(of, toy.TINY)
    monkeypatch.setattr(exhibits, "evidence", lambda app: [(of, record)])
    text = "\n```{controls}\n```\n\n```{single-seeds}\n```\n"
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(smallbook, "INDEX", smallbook.INDEX + text)
    pages, warnings = smallbook.build(root, lambda: [], {"a": smallbook.executed()})
    assert warnings == ""
    page = pages["index"]
    for out in verdicts.judge_controls(of, record.rows):
        assert out.claim.statement in page and f">{out.verdict}</span>" in page
    assert "n = 3 seeds" in page and "of 3 seeds alone say a gain" in page
    assert "<script>alert" not in page


STATUS = "\n```{status}\n```\n\n```{verdict-history}\n```\n"
STANDING = [
    {
        "preset": "laptop",
        "state": "valid",
        "why": "",
        "date": "2026-01-02",
        "commit": HOSTILE,
        "device": HOSTILE,
        "versions": {"python": "3.11.7", "torch": HOSTILE, "joblib": "0"},
        "cpu_seconds": 1234.5,
    },
    {"preset": HOSTILE, "state": "stale", "why": HOSTILE}
    | dict.fromkeys(("date", "commit", "device", "versions", "cpu_seconds")),
]
ENTRY = history.Entry(
    "2026-01-01", "0123456789", "laptop", 1, "better", "inconclusive", 0.01, -0.02, 0.04, 3, HOSTILE
)


@pytest.fixture
def status(tmp_path, monkeypatch):
    """Build a page on the toy study, whose chapter is called a; return it and the warnings."""
    of = toy.study(name="a", title=HOSTILE + ": a study")

    def page(entries=(), runs=None, rows=STANDING):
        def read(name):
            if isinstance(entries, Exception):
                raise entries
            return list(entries)

        copy = tmp_path / "a.ipynb"
        if runs is not None:
            copy.touch()
        monkeypatch.setattr(exhibits, "executed_copy", lambda app, name: copy)
        monkeypatch.setattr(execute, "last_runs", lambda root: runs)
        monkeypatch.setattr(exhibits, "standing", lambda app: [(of, rows)])
        monkeypatch.setattr(study, "found", lambda: ["a"])
        monkeypatch.setattr(study, "find", lambda name: of)
        monkeypatch.setattr(history, "read", read)
        monkeypatch.setattr(smallbook, "INDEX", "# Status\n" + STATUS + smallbook.INDEX)
        root = tmp_path / "root"
        root.mkdir()
        pages, warnings = smallbook.build(root, list, {"a": smallbook.executed()})
        return pages["index"], warnings

    return page


def test_the_status_shows_how_records_stand_and_the_last_execution(status):
    run = {"seconds": 75.4, "finished": "2026-01-03T10:11:12+00:00", "cells": HOSTILE}
    page, warnings = status([], {"a": run})
    assert warnings == ""
    assert "<script>alert" not in page
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert f": last executed 2026-01-03, {shown}" in page and "cells in 75 s" in page
    assert f"<th>laptop</th>\n      <th>{shown}" in page
    for text in ("<td>valid</td>", f"<td>stale: {shown}", "1,234 s", "2026-01-02", "python 3.11.7"):
        assert text in page
    assert list(exhibits.side_by_side(STANDING)[HOSTILE])[1:] == ["–"] * 5
    assert "joblib" not in page and "No verdict has been recorded yet." in page


@pytest.mark.parametrize("runs", [{}, {"a": 7}, {"a": {}}, {"a": {"seconds": "long"}}])
def test_times_that_are_missing_or_damaged_are_not_known(status, runs):
    page, warnings = status(runs=runs)
    assert "executed; when, and how long it took, is not known" in page and warnings == ""


def test_a_chapter_that_was_not_executed_says_so(status):
    assert ": not executed yet" in status()[0]


def test_the_history_tells_from_what_to_what_and_why_the_newest_first(status):
    later = {"date": "2026-01-02", "commit": "abcdefghij", "preset": "gpu", "numerics": 2}
    gone = {"mean": None, "lo": None, "hi": None, "n": 0, "verdict": None, "claim": "withdrawn"}
    entries = [
        replace(ENTRY, claim="withdrawn", verdict="supported"),
        ENTRY,
        replace(ENTRY, **later, verdict="contradicted"),
        replace(ENTRY, **later, **gone),
    ]
    page, warnings = status(entries, {})
    assert warnings == "" and "<script>alert" not in page
    assert ", 2026-01-02, commit abcdefg, gpu records, numerics 2: &lt;script&gt;" in page
    assert ", 2026-01-01, commit 0123456, laptop records, numerics 1: &lt;script&gt;" in page
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
    (said,) = exhibits.VerdictHistory.run(private)
    assert said.astext() == "Verdicts on other data than the book's have no history."


def test_a_damaged_history_warns_and_leaves_the_pages(status):
    page, warnings = status(history.HistoryError("history.json is not a history"), {})
    assert "history.json is not a history" in warnings and "<td>valid</td>" in page


def test_a_book_without_valid_records_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(exhibits, "evidence", lambda app: [])
    text = "\n```{controls}\n```\n\n```{single-seeds}\n```\n"
    monkeypatch.setattr(smallbook, "INDEX", smallbook.INDEX + text)
    pages, warnings = smallbook.build(tmp_path, lambda: [], {"a": smallbook.executed()})
    assert warnings == ""
    assert "No study has controls in valid records yet." in pages["index"]
    assert "No study has valid records yet." in pages["index"]
