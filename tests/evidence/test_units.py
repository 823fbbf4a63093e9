"""How effects are written, in sentences, tables and figures alike."""

import pytest

from reviewlib.evidence import units


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ((0.01234, "accuracy"), "+1.23 points"),
        ((-0.005, "early_accuracy"), "−0.50 points"),
        ((0.02, "error"), "+2.00 points"),
        ((-0.1234, "nll"), "−0.123 nats"),
        ((0.6931, "nll", "log ratio"), "×2"),
        ((0.6931, "accuracy", "log ratio"), "×2"),
    ],
)
def test_numbers_are_written_one_way(of, text):
    assert units.with_unit(*of) == text
    assert units.effect(*of) == text.removesuffix(" points").removesuffix(" nats")


def test_a_margin_has_no_sign():
    assert units.effect(0.01, "accuracy", signed=False) == "1.00"


@pytest.mark.parametrize(
    ("of", "axis"),
    [
        (("early_accuracy",), (100, "paired difference in test accuracy, points")),
        (("nll",), (1, "paired difference in test nll")),
        (("far_accuracy",), (100, "paired difference in test far accuracy, points")),
        (("nll", "log ratio"), (1, "paired log ratio of test nll")),
    ],
)
def test_an_axis_says_what_is_drawn(of, axis):
    assert units.drawn(*of) == axis


@pytest.mark.parametrize(("level", "text"), [(0.95, "95%"), (1 - 0.05 / 3, "98.3%")])
def test_levels_have_no_needless_zeros(level, text):
    assert units.percent(level) == text
