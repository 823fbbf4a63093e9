"""The contrast against the length of the search, with its interval at every length."""

from dataclasses import replace

import pytest
import toy

from reviewlib.evidence import contrasts, stats, verdicts
from reviewlib.page import search

OF = toy.study(**toy.CONTROLLED)


@pytest.fixture
def outs(controlled):
    return verdicts.judge_all(OF, controlled)


def test_it_has_the_contrast_at_every_number_of_tries(controlled, outs):
    found = search.by_tries(controlled, outs[0].claim)
    assert list(found) == [1, 2, 3]
    for tries, interval in found.items():
        rows = controlled.after(tries)
        values = contrasts.by_seed(rows, outs[0].claim.contrast, "accuracy")
        assert interval == stats.t_interval(values)
    assert found[toy.TINY.tries].mean == outs[0].interval.mean


def test_the_line_the_margin_and_the_judged_length_are_drawn(controlled, outs):
    drawn = search.length(OF, controlled, outs)
    (axis,) = drawn.fig.axes
    line, zero, margin, judged = axis.lines
    assert list(line.get_xdata()) == [1, 2, 3]
    assert line.get_ydata()[1] == pytest.approx(100 * outs[0].interval.mean)
    assert set(zero.get_ydata()) == {0} and set(margin.get_ydata()) == {1.0}
    assert set(judged.get_xdata()) == {2}
    assert list(drawn.table["tries"]) == [1, 2, 3] and "95% interval" in drawn.caption
    assert ", judged at 2" in drawn.alt and "1 try " in drawn.alt


def test_the_margin_of_no_loss_lies_below_zero(controlled, outs):
    claim = replace(toy.CLAIM, kind="no loss", control=toy.CLAIM.contrast)
    drawn = search.length(OF, controlled, [replace(outs[0], claim=claim)])
    assert set(drawn.fig.axes[0].lines[2].get_ydata()) == {-1.0}


def test_an_effect_that_is_far_larger_than_the_margin_has_a_logarithmic_axis(controlled, outs):
    for margin, scale in ((0.5, "linear"), (1e-4, "symlog")):
        claim = replace(toy.CLAIM, margin=margin)
        (axis,) = search.length(OF, controlled, [replace(outs[0], claim=claim)]).fig.axes
        assert axis.get_yscale() == scale
        assert ("log beyond" in axis.get_ylabel()) == (scale == "symlog")


def test_claims_without_a_search_of_their_own_are_left_out(controlled, outs):
    part = replace(toy.PART, search=(), parent="sgd", conditions=(toy.NOISE,))
    of = toy.study(arms=(*toy.ARMS, part))
    ablation = replace(toy.CLAIM, primary=False, contrast=(toy.SGD - part) @ toy.NOISE)
    assert search.length(of, controlled, [replace(outs[0], claim=ablation)]) is None
    single = controlled.runs.assign(diverged_at=[[None]] * len(controlled.runs))
    assert search.length(OF, replace(controlled, runs=single), outs) is None
