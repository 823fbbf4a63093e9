"""The answers on the front page: on the chapters' cards, and as one forest plot of all claims."""

from types import SimpleNamespace

import pytest
import smallbook
import toy

from reviewlib.page.markup import badge

FOREST = "# Answers\n\n```{forest}\n```\n"


@pytest.fixture
def front(tmp_path, shelf, published):
    """Build a book of one study and its records, if any; return its front page."""

    def built(study, record=None):
        published(study, record) if record else shelf(study)
        copies = {"toy": smallbook.executed()}
        pages, warnings = smallbook.build(tmp_path, None, copies, top=FOREST)
        assert warnings == ""
        return pages["index"]

    return built


def test_the_card_has_the_answer_and_the_forest_plot_every_primary_claim(front, record):
    page = front(toy.study(question="Is it worth it?", instead="Tune first."), record)
    plot, card = page.split('class="review-cards')
    assert "Is it worth it?" in card and "Tune first." in card and "Scope" not in card
    assert card.index("card-heading") < card.index("answer-sentence")
    assert 'href="../notebooks/toy.html">A toy</a>' in plot and "n = 3 seeds" in plot
    assert plot.count('scope="row"') == 1 and toy.CLAIM.statement in plot
    assert any(
        badge(word) in plot for word in ("inconclusive", "not judged: the net did not learn")
    )


def test_a_chapter_without_records_has_a_card_that_says_so_and_no_row(front):
    page = front(toy.study())
    assert "No answer yet" in page and "reviewlib study toy --preset laptop" in page
    assert "No primary claim has a verdict yet." in page and 'scope="row"' not in page


def test_a_chapter_that_waits_for_records_shows_no_verdict(front, record):
    page = front(toy.study(awaiting="its search is too short"), record)
    assert "No answer yet" in page and "its search is too short" in page
    assert "No primary claim has a verdict yet." in page and "verdict-" not in page


def test_answers_that_cannot_be_computed_leave_the_page(tmp_path, shelf):
    shelf(SimpleNamespace(name="bad"))  # no study
    pages, _ = smallbook.build(tmp_path, None, {"a": smallbook.executed()}, top=FOREST)
    assert pages["index"].count("could not be computed") == 2
