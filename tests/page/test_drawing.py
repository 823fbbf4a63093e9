"""How figures are shown: one SVG that follows the page, with caption, alt text and numbers."""

import html

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import toy

from reviewlib.evidence.verdicts import judge_all
from reviewlib.page import chosen, curves, drawing, figures, search
from reviewlib.page.drawing import Drawn

OF = toy.study()
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(params=["chosen", "length", "finals", "curves"])
def drawn(request, record):
    if request.param == "curves":
        return curves.along_training(OF, record, "noise", ["sgd", "slow"])
    if request.param == "chosen":
        return chosen.chosen(OF, record)
    if request.param == "length":
        return search.length(OF, record, judge_all(OF, record))
    return figures.finals(OF, record)


def test_a_figure_has_alt_text_a_caption_with_its_origin_and_its_numbers(drawn):
    _, page = drawing.block(drawn, "Preset laptop, n = 3 seeds.")
    assert len(drawn.alt) > 30 and f'alt="{html.escape(drawn.alt)}"' in page
    assert (
        f"<figcaption>{html.escape(drawn.caption)} Preset laptop, n = 3 seeds.</figcaption>" in page
    )
    assert "<summary>The numbers: " in page and "<table" in page


def test_ink_and_grid_follow_the_page_and_nothing_else_is_black(drawn):
    svg = drawing.themed(drawn.fig)
    assert "var(--ink" in svg and "var(--grid" in svg and "prefers-color-scheme: dark" in svg
    assert "fill: #ffffff" not in svg and "stroke: #000000" not in svg


def test_equal_figures_are_equal_to_the_byte(record):
    first, second = (drawing.block(figures.finals(OF, record), "") for _ in range(2))
    assert first == second


def test_a_figure_is_closed_when_it_is_shown(drawn, shown):
    drawing.show(drawn, "Here.")
    assert not plt.fignum_exists(drawn.fig.number)
    (bundle,) = shown()
    assert bundle["text/plain"] == drawn.alt and "Here.</figcaption>" in bundle["text/html"]
    assert bundle["image/svg+xml"].startswith("<svg")


def test_captions_alt_texts_and_labels_are_escaped():
    fig, axes = drawing.panels(1)
    axes[0, 0].set_title(HOSTILE)
    drawn = Drawn(fig, pd.DataFrame({HOSTILE: [HOSTILE]}), HOSTILE, HOSTILE)
    svg, page = drawing.block(drawn, HOSTILE)
    assert "<script" not in svg and "<script" not in page


def test_a_label_with_dollar_signs_is_no_formula():
    with plt.rc_context(drawing.STYLE):
        fig, axes = drawing.panels(1)
        axes[0, 0].set_title(r"$\nonsense{$")
        assert drawing.themed(fig)
