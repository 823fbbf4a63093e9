"""The answer box that opens a chapter, and what a chapter without an answer shows."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import timed
import toy

from reviewlib import papers
from reviewlib.evidence import verdicts
from reviewlib.evidence.stats import Interval
from reviewlib.page import answer, forest, markup

ADVICE = "Tune the baseline first."
HOSTILE = '<script>alert(1)</script> & "x"'


class Page(HTMLParser):
    """Collects the tags of HTML and complains about those that are not closed in order."""

    VOID = frozenset({"circle", "line"})  # closed in their own tag

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def html(shown):
    return [bundle["text/html"] for bundle in shown()]


# The box


def test_the_box_has_the_answer_its_price_its_scope_and_advice(record):
    study = toy.study(question="Is it worth it?", instead=ADVICE)
    found = answer.answer(study, verdicts.judge_all(study, record), record)
    assert found.question == "Is it worth it?" and "against SGD" in found.sentence
    assert list(found.facts) == ["Price", "Scope", "Instead"]
    assert found.facts["Price"] == "As many passes as SGD; new to tune: damping."
    assert found.facts["Scope"].startswith("On fashion-mnist-subset at 7 × 7 pixels, 60 training")
    assert "3 paired seeds, 95% intervals" in found.facts["Scope"]
    assert found.facts["Instead"] == ADVICE
    assert list(found.brief().facts) == ["Price", "Instead"]


def test_a_box_on_steps_says_what_one_costs_and_where_it_was_timed(record):
    study = timed.study(arms=toy.ARMS, timings=(replace(timed.STEP, arms=toy.ARMS),))
    record = replace(record, timings=timed.made(study))
    found = answer.answer(study, verdicts.judge_all(study, record), record)
    assert "0.5 times the time of a step and 0.5 times its activation" in found.facts["Price"]
    assert "; steps timed on CPU (" in found.facts["Scope"]
    drawn = forest.forest({"": answer.primaries(verdicts.judge_all(study, record))})
    assert "over paired seeds, or over launches of a process where a step is measured" in drawn


def test_the_price_counts_the_lines_of_the_method(record, shelf):
    study = toy.study()
    shelf(study)
    (papers.folder_of("toy") / "method.py").write_text("1\n" * 7)
    found = answer.answer(study, verdicts.judge_all(study, record), record)
    assert found.facts["Price"].endswith("; 7 lines in method.py.")


@pytest.mark.parametrize(
    ("title", "asked"),
    [("SAM: does it pay?", "Does it pay?"), ("A toy", "A toy")],
)
def test_the_title_asks_the_question_of_a_study_without_one(title, asked):
    assert answer.question(toy.study(title=title)) == asked


def test_a_failed_control_is_said_in_the_box(record):
    study = toy.study(claims=(replace(toy.CLAIM, case="with clean labels"),))
    (out,) = verdicts.judge_all(study, record)
    out = replace(out, marks=("a control failed: a_a-clean",))
    found = answer.answer(study, [out], record)
    said = "A control failed: a_a-clean (read with care: with clean labels)."
    assert found.facts["Controls"] == said and found.brief().facts["Controls"] == said


def test_the_box_escapes_its_texts_and_shows_code():
    page = answer.box(answer.Answer(HOSTILE, f"Yes: {HOSTILE}.", {"Instead": f"`x` {HOSTILE}"}))
    Page(page)
    assert "<script" not in page and "<code>x</code>" in page and "<strong>Yes</strong>: " in page


# Without an answer


@pytest.mark.parametrize(
    ("claims", "changes"),
    [
        ((replace(toy.CLAIM, primary=False),), {}),
        ((toy.CLAIM,), {"verdict": None}),
        ((), {}),
    ],
    ids=["exploratory claims", "too few seeds for a verdict", "no claims"],
)
def test_an_exploratory_chapter_has_no_answer(claims, changes, record):
    study = toy.study(claims=claims)
    outs = [replace(out, **changes) for out in verdicts.judge_all(study, record)]
    found = answer.answer(study, outs, record)
    assert found.sentence == "No answer yet: everything in this chapter is exploratory."
    assert found.facts == {}


def test_a_chapter_that_waits_for_records_has_no_answer(record):
    study = toy.study(awaiting="the search is now part of every seed")
    found = answer.answer(study, verdicts.judge_all(study, record), record)
    assert found.sentence == "No answer yet: the search is now part of every seed."
    assert found.facts == {}


# On the page


def test_a_chapter_opens_with_its_answer_and_the_forest_plot(page, shown):
    page.answer()
    (text,) = html(shown)
    Page(text)
    out = page.verdicts["better"]
    assert text.index("answer-box") < text.index('class="forest"') < text.index("table-stamp")
    assert markup.badge(out.verdict) in text and page.stamp in text


def test_a_chapter_without_records_runs_and_says_so(page, shown):
    page.store.path("toy", "laptop").unlink()
    page.answer()
    page.claims()
    page.experiment()
    page.closing()
    page.compare("better")
    page.show_finals()
    page.show_curves("clean", "sgd", "slow")
    (box, *_), bundles = html(lambda: [b for b in shown() if "text/html" in b]), shown()
    assert "No answer yet" in box and "no records yet; <code>reviewlib study toy --out" in box
    assert not re.search("|".join(verdicts.VERDICTS), box) and "forest" not in box
    lines = [bundle["text/markdown"] for bundle in bundles if "text/markdown" in bundle]
    assert lines.count("No records yet.") == 5
    for said in (page.says("better"), page.notices("better"), page.verdict("better")):
        assert said == "No records yet."
    assert page.difference("sgd", "slow", "clean") == "No records yet."
    for table in (page.contrasts("better"), page.two_by_two("a", "b", "c", "d", "clean")):
        assert table.data == "<p>No records yet.</p>"


def test_a_chapter_with_stale_records_has_no_answer_and_its_numbers_remain_an_error(
    open_page, record, shown
):
    page = open_page(replace(record, test="another one"))
    page.answer()
    (text,) = html(shown)
    assert "No answer yet" in text and "stale or damaged" in text and "verdict-" not in text
    with pytest.raises(ValueError, match="no valid records"):
        page.says("better")


# The forest plot


def out(kind="gain", word="supported", lo=0.01, mean=0.02, hi=0.03, **fields):
    claim = replace(toy.CLAIM, kind=kind, control=toy.CLAIM.contrast, **fields)
    return verdicts.Verdict(claim, word, Interval(mean, lo, hi, level=0.9875, n=20, sd=0.01))


def drawn(*outs):
    """Return the positions of zero, margin, interval and mean in every row, in percent."""
    body = forest.forest({"": outs}).split("<tbody")[1].split("</tbody>")[0]
    places = []
    for row in body.split("<tr")[1:]:
        zero, _, margin, _, lo, hi, mean = map(float, re.findall(r'[x12c]="([-\d.]+)%"', row))
        places.append((zero, margin, lo, hi, mean))
    return places


def test_the_margin_is_drawn_on_the_side_that_the_rule_tests():
    gain, loss = drawn(out(), out("no loss"))
    for zero, _, lo, hi, mean in (gain, loss):
        assert zero < lo < mean < hi
    assert gain[1] > gain[0] > loss[1]
    assert gain[1] == pytest.approx(gain[2])  # its lower end is at the margin


def test_effects_of_any_unit_share_one_scale_of_margins():
    ratio = out(metric="top_eigenvalue", scale="log ratio", margin=0.5, lo=0.5, mean=1.0, hi=1.5)
    points, factors = drawn(out(), ratio)
    assert points == factors
    near, far = drawn(out(), out(lo=0.31, mean=0.32, hi=0.33))  # as wide, 30 margins away
    assert near[3] < far[2] < far[3] <= 100 and far[3] - far[2] < near[3] - near[2]


def test_the_plot_is_a_table_whose_text_says_all_of_it():
    text = forest.forest({"<a>One</a>": [out(statement=HOSTILE)], "": [out(word="inconclusive")]})
    tags = Page(text).tags
    assert "<script" not in text and text.count("<tbody") == 2
    assert '<th scope="rowgroup" role="rowheader" colspan="4"><a>One</a></th>' in text
    assert (
        "<span>+2.00 points,</span> <span>+1.00 to +3.00;</span> <span>margin +1.00</span>" in text
        and "98.8% interval" in text
    )
    assert "Primary claims: 1 supported, 1 inconclusive." in text
    assert "verdict-inconclusive" in text and "logarithmic beyond 2 margins" in text
    assert all(given.get("aria-hidden") == "true" for tag, given in tags if tag == "svg")
    near = forest.forest({"": [out(lo=0.001, mean=0.002, hi=0.003)]})
    assert "logarithmic" not in near and "the margin of no loss" not in near
    assert "the margin of no loss lies left of it" in forest.forest({"": [out("no loss")]})
