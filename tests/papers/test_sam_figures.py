"""SAM's own pictures: sharpness ranked across and within arms, and paths over contours."""

import matplotlib.pyplot as plt
import pytest
import toy
from scipy.stats import spearmanr

from reviewlib.page.chapter import Chapter
from reviewlib.papers.sam import figures


@pytest.fixture
def page(own_cache):
    """A page of the toy study with a measure of sharpness, on a run of its own."""
    return Chapter(toy.study(**toy.CONTROLLED), toy.TINY, "cpu")


def test_sharpness_is_ranked_across_and_within_arms(page, shown):
    text = figures.show_sharpness(page, "noise").data
    rows = page.record.rows
    rows = rows[rows["condition"] == "noise"].assign(error=100 * (1 - rows["accuracy"]))
    table = figures.ranked(rows)
    assert list(table["no."]) == [1, 2, 3] and table["top eigenvalue"].is_monotonic_increasing
    mine = page.record.of("sgd", "noise")
    row = table[table["arm"] == "sgd"].iloc[0]
    by_hand = spearmanr(mine["top_eigenvalue"], 1 - mine["accuracy"]).statistic
    assert row["rank correlation over seeds"] == pytest.approx(by_hand, abs=1e-3)
    assert row["test error, %"] == pytest.approx(100 * (1 - mine["accuracy"].mean()), abs=1e-3)
    across = spearmanr(table["top eigenvalue"], table["test error, %"]).statistic
    assert f"is {across:+.2f} across the 3 arms".replace("-0", "−0") in text
    assert "Exploratory" in text
    (bundle,) = shown()
    assert f"{page.stamp}</figcaption>" in bundle["text/html"]
    assert "Half the momentum" in bundle["text/plain"] and "wrong labels" in bundle["text/html"]


def test_the_picture_of_contours_says_where_each_path_leads():
    paths = {"a step": [(0, 0), (1, 0.5)], "a walk": [(0, 0), (0.5, 0.5), (1, 1)]}
    drawn = figures.contours(lambda w: w[0] ** 2, paths, (0, 1, 0, 1))
    assert len(drawn.table) == 5
    assert "a step from (0.00, 0.00) to (1.00, 0.50); a walk from (0.00, 0.00)" in drawn.alt
    plt.close(drawn.fig)
