"""WeightNet's own figures and tables say what its records and timings say."""

import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reviewlib import papers
from reviewlib.evidence import timings
from reviewlib.evidence.store import BOOK
from reviewlib.page.chapter import Chapter
from reviewlib.papers.weightnet import figures
from reviewlib.papers.weightnet.arms import MORE_STEPS


@pytest.fixture(scope="module")
def page():
    study = papers.find("weightnet")
    return Chapter(study, study.preset("quick"), "cpu", BOOK)


@pytest.fixture(scope="module")
def table():
    return timings.load("weightnet", "laptop").table


def times(table, arm, other="static", where="step"):
    """The geometric mean over launches of the ratio of two arms' steps."""
    mine, theirs = (
        table[(table["arm"] == each) & (table["condition"] == where)]
        .set_index("seed")["step_seconds"]
        .sort_index()
        for each in (arm, other)
    )
    return math.exp(np.log(mine / theirs).mean())


def lead(page, arm, other, where="main"):
    """By how many points one arm's accuracy leads another's, seed by seed."""
    mine, theirs = (
        page.record.of(each, where).set_index("seed")["accuracy"].sort_index()
        for each in (arm, other)
    )
    return 100 * (mine - theirs)


def points(value):
    return f"{value:+.2f}".replace("-", "−")


def cells(html):
    """A table of HTML, as a frame of texts."""
    head = re.findall("<th>(.*?)</th>", html)
    body = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", html, re.S)]
    return pd.DataFrame([row for row in body if row], columns=head)


@pytest.fixture(scope="module")
def drawn(page):
    drawn = figures._costs(page)
    yield drawn
    plt.close(drawn.fig)


def test_the_picture_has_every_family_at_its_error_and_its_time(drawn, page, table):
    shown = drawn.table.set_index("net")
    assert len(shown) == 9 and shown.index.is_unique
    for label, arm in (("WeightNet 1x", "weightnet"), ("CondConv, 4 experts", "condconv")):
        row, error = shown.loc[label], -lead(page, arm, "static")
        assert row["error, points"] == points(error.mean())
        half = stats.t.ppf(0.975, len(error) - 1) * stats.sem(error)
        assert row["95%"] == f"{points(error.mean() - half)} to {points(error.mean() + half)}"
        assert row["time"] == f"{times(table, arm):.2f}×"
    static = shown.loc["Static"]
    assert (static["error, points"], static["parameters"], static["time"]) == (
        *("+0.00", "1.00×", "1.00×"),
    )


def test_parameters_and_operations_are_counted_by_hand(drawn):
    shown = drawn.table.set_index("net")
    weights = 9 * (8 + 8 * 16 + 16 * 32)
    static = weights + 2 * (8 + 16 + 32) + 4 * 32 * 10 + 10  # BatchNorm, classifier
    gates = (8 + 1) * 16 + (16 + 1) * 32 + (16 + 1) * 16 + (16 + 1) * 64
    assert shown.loc["WeightNet 1x", "parameters"] == f"{(static + gates) / static:.2f}×"
    done = 9 * (49 * 8 + 49 * 8 * 16 + 16 * 16 * 32) + 4 * 32 * 10
    wide = 9 * (49 * 12 + 49 * 12 * 24 + 16 * 24 * 48) + 4 * 48 * 10
    assert shown.loc["Static, WeightNet's time", "operations"] == f"{wide / done:.2f}×"
    squeezed = (16 + 16) * 16 + (32 + 32) * 16
    se = shown.loc["Squeeze-and-excite", "operations"]
    assert se == f"{(done + squeezed) / done:.2f}×"


def test_the_caption_and_the_alt_text_say_error_and_time(drawn, page, table):
    error, wide = (-lead(page, arm, "static").mean() for arm in ("weightnet", "static_time"))
    said = f"by {points(error)} points of error for {times(table, 'weightnet'):.2f} times its time"
    other = f"by {points(wide)} for {times(table, 'static_time'):.2f} times"
    for text in (drawn.caption, drawn.alt):
        assert said in text and other in text


def test_equal_time_is_within_its_bound_and_says_so(page, table):
    shown = cells(figures.equal_time(page).data)
    wide, longer = shown.to_dict("records")
    took = times(table, "static_time", "weightnet")
    assert wide["its time, of WeightNet's"].startswith(f"{took:.2f} (")
    assert longer["its time, of WeightNet's"].startswith(
        f"{MORE_STEPS * times(table, 'static', 'weightnet'):.2f} ("
    )
    assert [row["within 15%"] for row in (wide, longer)] == ["yes", "yes"]


def test_steps_are_compared_in_both_nets(page, table):
    shown = cells(figures.larger(page).data).set_index("a step, in static ones")
    assert len(shown) == 5
    for heading, where in (
        ("this chapter's net", "step"),
        ("four times as wide, 28 x 28 pixels", "large_step"),
    ):
        assert shown.loc["CondConv, 4 experts", heading].startswith(
            f"×{times(table, 'condconv', where=where):.2f} ("
        )


def test_what_gates_are_worth_is_a_difference_within_a_net(page):
    shown = cells(figures.gates(page).data)
    assert len(shown) == 7
    rows = page.record.of("weightnet", "pair")
    lost = 100 * (rows["accuracy"] - rows["mean_gates_accuracy"])
    (mine,) = shown[
        (shown["arm"] == "WeightNet 1x") & (shown["task"] == "one of two images")
    ].to_dict("records")
    assert lost.mean() > 0 and mine["lost, points (95%)"].startswith(f"{points(lost.mean())} (")
    assert mine["sd of a gate over images"] == f"{rows['gate_sd'].mean():.3f}"


def test_every_trial_stands_at_its_learning_rate(page, shown):
    figures.show_rates(page)
    (bundle,) = shown()
    table = cells(bundle["text/html"])
    static = table[table["line"] == "Static"]
    assert len(static) == 8 and set(static["n"]) == {"20"}
    trials = page.record.trials
    mine = trials[(trials["arm"] == "static") & (trials["condition"] == "main")]
    lowest = mine[[s["lr"] < 0.03 * (1 / 0.03) ** (1 / 8) for s in mine["settings"]]]
    assert len(lowest) == 20
    assert float(static["learning rate"].iloc[0]) == pytest.approx(
        0.03 * (1 / 0.03) ** (1 / 16), 0.01
    )
    assert float(static["test error, %, mean"].iloc[0]) == pytest.approx(
        100 * (1 - lowest["accuracy"].mean()), abs=0.006
    )


def test_the_short_answer_names_the_operations_and_the_time(page, table):
    text = figures.in_short(page).data
    assert f"takes {times(table, 'weightnet'):.2f} times as long" in text
    for name in ("equal-flops", "wider", "placebo"):
        assert page.says(name) in text
