"""A chapter with timed steps: its stamps, its tables, and launches where others have seeds."""

from dataclasses import replace

import pytest
import timed
import toy
from msgspec.structs import replace as changed

from reviewlib.evidence import timings
from reviewlib.evidence.ledger import entries
from reviewlib.evidence.make import make
from reviewlib.evidence.store import Store
from reviewlib.page.chapter import Chapter

QUICK = replace(toy.TINY, name="quick", settings_from="laptop")
STUDY = timed.study(presets=(QUICK, toy.TINY))


@pytest.fixture
def page(shelf, own_cache, tmp_path):
    shelf(STUDY)
    store = Store(tmp_path / "records")
    store.save(make(STUDY, toy.TINY, store=store))
    made = timed.made(STUDY)
    made = changed(made, provenance=made.provenance | {"commit": "c0ffee123456"})
    timings.save(made)
    return Chapter(STUDY, QUICK, "cpu", store)


def html(shown):
    return "".join(bundle.get("text/html", "") for bundle in shown())


def test_an_effect_on_steps_is_told_with_its_launches(page):
    assert page.says("faster").endswith("8 launches)")
    assert "n = 3" in page.says("better")


def test_a_table_says_where_its_numbers_come_from(page):
    trained, steps = page.contrasts("better").data, page.contrasts("faster").data
    assert page.stamp in trained and "Steps timed on" not in trained
    assert page.timing_stamp in steps and "Preset laptop" not in steps
    assert "8 launches of a process" in page.timing_stamp
    assert "<td>8 launches</td>" in steps and "<td>3</td>" in trained
    both = page.contrasts("better", "faster").data
    assert page.stamp in both and page.timing_stamp in both


def test_the_ledger_names_the_commit_of_the_timings(page):
    rows = {row["claim"]: row for row in entries(STUDY, page.store)}
    made = page.record.timings.provenance
    assert (rows["faster"]["commit"], rows["faster"]["device"]) == (made["commit"], made["device"])
    assert rows["better"]["commit"] == page.record.provenance["commit"]


def test_the_closing_has_a_table_of_steps(page, shown):
    page.closing()
    text = html(shown)
    assert "<th>a step, a step</th>" in text and "<td>0.50 (0.50 to 0.50)</td>" in text
    assert text.count(page.timing_stamp) >= 2  # of the verdicts, and of the steps
