"""The algebra of contrasts: arms are added, weighted and placed in conditions."""

from dataclasses import replace

import pytest
import toy
from toy import CLEAN, NOISE, SGD, SLOW

from reviewlib.trial.claims import NOTHING
from reviewlib.trial.contrast import Contrast, two_by_two

A, B, NONE, BOTH = (replace(SGD, name=name) for name in ("a", "b", "none", "both"))


def weights(contrast):
    """The weight of each arm and condition, summed over the terms."""
    total = {}
    for weight, arm, condition in contrast:
        total[arm, condition] = total.get((arm, condition), 0) + weight
    return {where: weight for where, weight in total.items() if weight}


@pytest.mark.parametrize(
    ("contrast", "expected"),
    [
        ((SLOW - SGD) @ CLEAN, {("slow", "clean"): 1, ("sgd", "clean"): -1}),
        (SLOW @ NOISE - SLOW @ CLEAN, {("slow", "noise"): 1, ("slow", "clean"): -1}),
        (0.5 * (A + B) @ CLEAN, {("a", "clean"): 0.5, ("b", "clean"): 0.5}),
        (
            ((A - B) - (SLOW - SGD)) @ CLEAN,
            {("a", "clean"): 1, ("b", "clean"): -1, ("slow", "clean"): -1, ("sgd", "clean"): 1},
        ),
        (2 * (A - B) @ CLEAN - (A - B) @ CLEAN, {("a", "clean"): 1, ("b", "clean"): -1}),
        ((A - A) @ CLEAN, {}),
        (A - B, {("a", None): 1, ("b", None): -1}),
    ],
    ids=["arms", "conditions", "mean", "of differences", "weighted", "nothing", "nowhere"],
)
def test_contrasts_add_subtract_and_take_weights(contrast, expected):
    assert weights(contrast) == expected


def test_a_condition_may_be_given_by_name():
    assert (SLOW - SGD) @ "clean" == (SLOW - SGD) @ CLEAN


def test_a_contrast_keeps_its_terms_in_order():
    contrast = (SLOW - SGD) @ CLEAN
    assert list(contrast) == [(1, "slow", "clean"), (-1, "sgd", "clean")]
    assert len(contrast) == 2 and contrast == Contrast(tuple(contrast))
    assert contrast != (SGD - SLOW) @ CLEAN
    assert not NOTHING and contrast


@pytest.mark.parametrize("placed", [SGD @ CLEAN, SLOW - SGD @ CLEAN])
def test_a_term_has_one_condition(placed):
    with pytest.raises(ValueError, match="a term must have one condition, and has clean already"):
        placed @ NOISE


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        (NOTHING, r"^it needs a contrast whose weights sum to 0, got \(\)"),
        (SLOW @ CLEAN, "weights sum to 0, got .*slow"),
        ((SLOW - 0.5 * SGD) @ CLEAN, "weights sum to 0"),
        (SLOW - SGD, r"^it compares slow in no condition: write \(slow - ...\) @ CONDITION"),
        (SLOW @ CLEAN - SGD, "compares sgd in no condition"),
    ],
)
def test_a_contrast_that_compares_nothing_is_rejected(contrast, message):
    with pytest.raises(ValueError, match=message):
        contrast.require_comparison("it")
    with pytest.raises(ValueError, match="claim better "):
        replace(toy.CLAIM, contrast=contrast)


def test_weights_may_sum_to_0_up_to_rounding():
    assert 0.1 + 0.2 - 0.3 != 0
    ((0.1 * A + 0.2 * B - 0.3 * NONE) @ CLEAN).require_comparison("it")


ACCURACY = {"none": 0.5, "a": 0.7, "b": 0.8, "both": 0.9}


@pytest.mark.parametrize(
    ("name", "value"), [("first", 0.15), ("second", 0.25), ("interaction", -0.1)]
)
def test_a_two_by_two_has_main_effects_and_an_interaction(name, value):
    contrast = two_by_two(NONE, A, B, BOTH, NOISE)[name]
    contrast.require_comparison(name)
    assert {condition for *_, condition in contrast} == {"noise"}
    assert sum(weight * ACCURACY[arm] for weight, arm, _ in contrast) == pytest.approx(value)


def test_an_interaction_has_weights_of_one():
    assert weights(two_by_two(NONE, A, B, BOTH, CLEAN)["interaction"]) == {
        ("both", "clean"): 1,
        ("b", "clean"): -1,
        ("a", "clean"): -1,
        ("none", "clean"): 1,
    }
