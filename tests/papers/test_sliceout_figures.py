"""SliceOut's own figures and tables say what its records and timings say."""

import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from reviewlib import papers
from reviewlib.evidence import timings
from reviewlib.evidence.store import BOOK
from reviewlib.page.chapter import Chapter
from reviewlib.papers.sliceout import figures
from reviewlib.papers.sliceout.arms import KEEPS, OF_DENSE, OF_NARROW
from reviewlib.papers.sliceout.figures import steps
from reviewlib.papers.sliceout.method import keep_probabilities


@pytest.fixture(scope="module")
def page():
    study = papers.find("sliceout")
    return Chapter(study, study.preset("quick"), "cpu", BOOK)


@pytest.fixture(scope="module")
def table():
    return timings.load("sliceout", "laptop").table


def geometric(table, arm, other, where, metric="step_seconds"):
    """The geometric mean over launches of the ratio of two arms."""
    mine, theirs = (
        table[(table["arm"] == each) & (table["condition"] == where)].set_index("seed")[metric]
        for each in (arm, other)
    )
    return math.exp(np.log(mine / theirs).mean())


def cells(html):
    """A table of HTML, as a frame of texts."""
    head = re.findall("<th>(.*?)</th>", html)
    body = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", html, re.S)]
    return pd.DataFrame([row for row in body if row], columns=head)


def test_the_picture_has_every_form_of_every_net_at_every_keep_rate(page, table):
    drawn = steps._steps(page)
    plt.close(drawn.fig)
    shown = drawn.table.set_index(["net", "step of"])
    assert len(shown) == 5 * len(KEEPS) * len(steps.FORMS) and shown.index.is_unique
    of = shown.loc[("1,024 units, keep 0.5", "SliceOut")]
    assert of["times dense"] == round(geometric(table, "sliceout", "dense", "mlp_1024_50"), 2)
    assert of["95% low"] <= of["times dense"] <= of["95% high"]
    memory = geometric(table, "sliceout", "dense", "mlp_1024_50", "activation_bytes")
    assert of["memory, times dense"] == round(memory, 2)
    halves = drawn.table[drawn.table["net"].str.endswith("0.5")]
    mine = halves[halves["step of"] == "SliceOut"]["times dense"]
    assert f"SliceOut {mine.min():.2g} to {mine.max():.2g}" in drawn.caption
    assert f"SliceOut {mine.min():.2g} to {mine.max():.2g}" in drawn.alt


def test_random_units_are_compared_with_slices_of_the_same_kind(page, table):
    shown = cells(figures.contiguity(page).data).set_index("net")
    assert list(shown.index) == [
        *("this chapter's net", "1,024 units", "2,048 units", "convolution", "feed-forward")
    ]
    leaves = geometric(table, "random_units", "sliceout", "mlp_2048_50")
    plain = geometric(table, "half_random", "half_plain", "mlp_2048_50")
    row = shown.loc["2,048 units"]
    assert row["random units, with leaves: time"].startswith(f"×{leaves:.2f} (")
    assert row["random units, plain: time"].startswith(f"×{plain:.2f} (")
    memory = geometric(table, "half_random", "half_plain", "mlp_2048_50", "activation_bytes")
    assert row["random units, plain: memory"] == f"×{memory:.2f}"


def test_equal_time_is_checked_at_every_keep_rate_and_on_average(page, table):
    shown = cells(figures.equal_time(page).data)
    assert list(shown["keep rate"]) == ["0.25", "0.5", "0.75", "0.9", "all searched"]
    seconds = table.groupby(["condition", "arm"])["step_seconds"].mean()
    half = OF_NARROW[1] * seconds["trained_50", "narrow"] / seconds["trained_50", "sliceout"]
    assert shown.iloc[1, 3] == f"{half:.2f}"
    keeps, rates = np.linspace(0.25, 0.9, 1001), (*KEEPS, 0.9)
    names = [f"trained_{round(100 * keep)}" for keep in rates]
    sliced = np.interp(keeps, rates, [seconds[name, "sliceout"] for name in names]).mean()
    dense = np.mean([seconds[name, "dense"] for name in names])
    assert float(shown.iloc[4, 3]) == pytest.approx(OF_DENSE * dense / sliced, abs=0.006)


@pytest.mark.parametrize(
    ("took", "word"), [(1.0, "yes"), (1.15, "yes"), (1.16, "no"), (0.86, "no")]
)
def test_equal_time_means_within_15_percent_either_way(took, word):
    assert steps._within(took)["within 15%"] == word


def test_single_passes_and_eight_together_are_those_of_the_records(page):
    shown = cells(figures.parts(page).data).set_index("arm")
    runs = page.record.of("sliceout", "main")
    row = shown.loc["SliceOut"]
    assert row["one pass, %"] == f"{100 * runs['single_accuracy'].mean():.1f}"
    assert row["eight passes together, %"] == f"{100 * runs['ensemble_accuracy'].mean():.1f}"
    assert row["the whole net, %"] == f"{100 * runs['accuracy'].mean():.1f}"
    gap = 100 * (runs["accuracy"] - runs["ensemble_accuracy"]).mean()
    assert row["whole - eight, points (95%)"].startswith(f"{gap:+.2f} (")
    assert row["test loss of eight, nats"] == f"{runs['ensemble_nll'].mean():.3f}"


def test_the_keep_rates_are_those_of_the_best_trials(page, table):
    chosen = [each["keep"] for each in page.record.of("sliceout", "main")["settings"]]
    text = figures.chosen_keeps(page).data
    assert f"SliceOut {np.median(chosen):.2f} (" in text
    found = [float(each) for each in re.findall(r"(?:SliceOut|time) (0\.\d\d)(?=[;.])", text)]
    assert len(found) == 3 and found[2] == OF_DENSE
    assert 0.25 < found[1] < found[0] < 1.1
    seconds = table.groupby(["condition", "arm"])["step_seconds"].mean()
    rates, names = (*KEEPS, 0.9), ["trained_25", "trained_50", "trained_75", "trained_90"]
    more = np.interp(rates, KEEPS, OF_NARROW)
    ratios = [seconds[name, "narrow"] / seconds[name, "dense"] for name in names] * more
    keeps = [each["keep"] for each in page.record.of("narrow_at_time", "main")["settings"]]
    assert found[1] == pytest.approx(np.interp(keeps, rates, ratios).mean(), abs=0.006)


def test_the_page_begins_with_both_sides_of_the_bargain(page, table):
    text = figures.in_short(page).data
    half = table[table["condition"] == "trained_50"].groupby("arm")["step_seconds"].mean()
    assert f"takes {half['sliceout'] / half['dense']:.2f} times the time" in text
    for claim in ("half-dense", "dense", "dropout"):
        assert page.says(claim) in text


def test_the_losses_are_the_means_of_the_records(page):
    text = figures.losses(page).data
    for arm, label in (("sliceout", "SliceOut"), ("dense_at_time", "Dense, in SliceOut's time")):
        assert f"{label} {page.record.of(arm, 'main')['nll'].mean():.3f}" in text


def test_the_chances_are_drawn_with_the_largest_gain():
    lines = {"anywhere": keep_probabilities(512, 256, 1), "two": keep_probabilities(512, 256, 256)}
    drawn = figures.chances(lines)
    plt.close(drawn.fig)
    shown = drawn.table.set_index("starts")
    assert shown.loc["anywhere", "largest gain 1/p"] == 257
    assert shown.loc["two", ["least", "mean", "most"]].tolist() == [0.5, 0.5, 0.5]
