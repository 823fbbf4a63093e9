"""Every figure has its numbers, a caption and alternative text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy

from reviewlib.evidence import units, verdicts
from reviewlib.page import figures

OF = toy.study(**toy.CONTROLLED)
METRICS = {
    "accuracy": {},
    "error": {"metric": "error", "better": "lower"},
    "nats": {"metric": "nll", "better": "lower", "margin": 0.05},
    "factor": {"metric": "nll", "better": "lower", "scale": "log ratio", "margin": 0.1},
}


def test_arms_are_shown_in_the_conditions_they_are_run_in(controlled):
    drawn = figures.finals(OF, controlled)
    shown_in = drawn.table.groupby("arm")["condition"].agg(set).to_dict()
    both = {"clean labels", "wrong labels"}
    assert shown_in == {
        "SGD": both,
        "Half the momentum": both,
        "SGD again": {"clean labels"},
        "SGD, half the data": {"wrong labels"},
    }
    assert [axis.get_title("left") for axis in drawn.fig.axes] == ["clean labels", "wrong labels"]


def test_the_finals_figure_states_the_means_of_its_table(controlled):
    drawn = figures.finals(OF, controlled)
    mean = round(100 * controlled.of("sgd", "noise")["accuracy"].mean(), 2)
    row = drawn.table.set_index(["condition", "arm"]).loc["wrong labels", "SGD"]
    assert row["mean, %"] == mean and row["n"] == 3
    assert f"wrong labels, SGD {mean}" in drawn.alt and "logistic regression" in drawn.caption


def test_without_a_floor_no_line_stands_for_logistic_regression(controlled):
    for floor, legends in ((controlled.floor, 1), (pd.DataFrame(), 0)):
        drawn = figures.finals(OF, replace(controlled, floor=floor))
        assert sum(axis.get_legend() is not None for axis in drawn.fig.axes) == legends


@pytest.mark.parametrize(
    ("names", "panels"),
    [
        (["accuracy"], ["paired difference in test accuracy, points"]),
        (["nats", "nats"], ["paired difference in test nll"]),
        (
            ["accuracy", "nats", "factor"],
            [
                "paired difference in test accuracy, points",
                "paired difference in test nll",
                "paired log ratio of test nll",
            ],
        ),
        (
            ["error", "factor", "error"],
            ["paired difference in test error, points", "paired log ratio of test nll"],
        ),
    ],
)
def test_claims_of_different_units_are_drawn_in_panels_of_their_own(controlled, names, panels):
    outs = [verdicts.judge(OF, controlled, replace(toy.CLAIM, **METRICS[name])) for name in names]
    drawn = figures.contrasts(OF, outs)
    assert [axis.get_xlabel() for axis in drawn.fig.axes] == panels
    assert len(drawn.table) == len(names)
    for axis in drawn.fig.axes:
        scaled = [
            (factor, out)
            for out in outs
            for factor, label in [units.drawn(*out.claim.measure)]
            if label == axis.get_xlabel()
        ]
        assert len(axis.texts) == len(scaled)  # the labels of its claims
        means = [dots.get_offsets()[0][0] for dots in axis.collections[1::2]]
        assert means == pytest.approx([factor * out.interval.mean for factor, out in scaled])


# Small images

PICTURES = {f"round {i}": np.full((3, 2), float(i)) for i in range(5)}
PICTURES["round 4"][0, 0] = 0


def test_the_caption_says_which_claims_have_which_interval(controlled):
    first, second = (replace(toy.CLAIM, name=name) for name in ("first", "second"))
    explored = replace(toy.CLAIM, name="explored", primary=False)
    of = toy.study(**toy.CONTROLLED | {"claims": (first, second, explored)})
    outs = verdicts.judge_all(of, controlled)
    both = "its interval (95% for exploratory ones, 97.5% for primary claims);"
    assert both in figures.contrasts(of, outs).caption
    alone = figures.contrasts(of, outs[2:]).caption
    assert "its interval (95%);" in alone and "no loss" not in alone
    kept = replace(explored, kind="no loss", control=toy.CLAIM.contrast)
    loss = verdicts.judge(of, controlled, kept)
    assert "of no loss left of zero" in figures.contrasts(of, [loss]).caption


def test_images_stand_side_by_side_on_one_scale():
    drawn = figures.images(PICTURES, "connections", "Masks.")
    images = [image for axis in drawn.fig.axes for image in axis.images]
    assert [image.get_clim() for image in images] == [(0, 4)] * 5
    titles = [axis.get_title("left") for axis in drawn.fig.axes if axis.images]
    assert titles == list(PICTURES)
    assert np.array_equal(images[4].get_array(), PICTURES["round 4"])
    assert drawn.table.to_dict("records")[4] == {
        "image": "round 4",
        "mean": 3.333,
        "least": 0,
        "most": 4,
        "at 0": 0.167,
    }


def test_images_say_in_words_what_they_show():
    drawn = figures.images(PICTURES, "connections", "Masks.")
    assert drawn.alt.startswith("Small images of connections: round 0 from 0 to 0; ")
    assert "round 4 from 0 to 4" in drawn.alt and drawn.caption == "Masks."
