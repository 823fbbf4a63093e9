"""The rules of the protocol, row by row, and the way from records to a verdict."""

import math

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reviewlib import stats, verdicts
from reviewlib.stats import Interval
from reviewlib.study import Claim
from reviewlib.verdicts import rule_for_gain, rule_for_no_loss

M = 0.01


def interval(lo, hi, mean=None):
    return Interval((lo + hi) / 2 if mean is None else mean, lo, hi, 0.95, 10, 0.01)


@pytest.mark.parametrize(
    ("lo", "mean", "hi", "word"),
    [
        (0.001, 0.02, 0.03, "supported"),
        (0.001, M, 0.019, "supported"),
        (0.02, 0.03, 0.04, "supported"),
        (0.001, 0.009, 0.017, "real but small"),
        (0.001, 0.002, 0.003, "real but small"),
        (-0.03, -0.02, -0.001, "contradicted"),
        (-0.004, 0.002, 0.009, "no meaningful gain"),
        (0.0, 0.004, 0.008, "no meaningful gain"),
        (-0.008, -0.004, 0.0, "no meaningful gain"),
        (0.0, 0.0, 0.0, "no meaningful gain"),
        (-0.01, 0.0, M, "inconclusive"),
        (0.0, 0.02, 0.04, "inconclusive"),
        (-0.04, -0.01, 0.02, "inconclusive"),
        (M, M, M, "supported"),
    ],
)
def test_the_table_for_a_gain(lo, mean, hi, word):
    assert rule_for_gain(Interval(mean, lo, hi, 0.95, 10, 0.01), M) == word


corners = st.sampled_from([-2 * M, -M, 0.0, -0.0, 5e-324, math.nextafter(M, 0), M, 2 * M])
numbers = st.one_of(corners, st.floats(-0.05, 0.05))


@given(st.tuples(numbers, numbers, numbers).map(sorted))
@settings(max_examples=150, deadline=None)
def test_every_interval_has_exactly_one_verdict_for_a_gain(bounds):
    lo, mean, hi = bounds
    table = {
        "supported": lo > 0 and mean >= M,
        "real but small": lo > 0 and mean < M,
        "contradicted": hi < 0,
        "no meaningful gain": lo <= 0 <= hi < M,
        "inconclusive": lo <= 0 and hi >= M,
    }
    assert tuple(table) == verdicts.GAIN_VERDICTS
    holding = [word for word, holds in table.items() if holds]
    assert [rule_for_gain(Interval(mean, lo, hi, 0.95, 10, 0.01), M)] == holding


LOSES, KEEPS = interval(-0.05, -0.02), interval(-0.05, -0.005)


@pytest.mark.parametrize(
    ("lo", "hi", "control", "word"),
    [
        (-0.005, 0.005, LOSES, "supported"),
        (0.005, 0.03, LOSES, "supported"),
        (-0.009, -0.005, LOSES, "supported"),
        (-0.005, 0.005, KEEPS, "inconclusive"),
        (-0.005, 0.005, interval(-0.03, -M), "inconclusive"),
        (-0.005, 0.005, interval(0.02, 0.05), "inconclusive"),
        (-M, 0.005, LOSES, "inconclusive"),
        (-0.02, 0.005, LOSES, "inconclusive"),
        (-0.02, -M, LOSES, "inconclusive"),
        (-0.03, -0.02, LOSES, "contradicted"),
        (-0.03, -0.02, KEEPS, "contradicted"),
    ],
)
def test_the_rule_for_no_loss(lo, hi, control, word):
    assert rule_for_no_loss(interval(lo, hi), control, M) == word


@given(st.tuples(numbers, numbers).map(sorted), st.tuples(numbers, numbers).map(sorted))
@example((-0.005, 0.005), (-0.05, -0.02))
@settings(max_examples=100, deadline=None)
def test_no_loss_is_supported_only_where_the_control_loses(bounds, control):
    word = rule_for_no_loss(interval(*bounds), interval(*control), M)
    assert (word == "supported") == (bounds[0] > -M and control[1] < -M)
    assert (word == "contradicted") == (bounds[1] < -M)
    assert word in ("supported", "contradicted", "inconclusive")


# From records to a verdict

OLD = [0.80, 0.81, 0.79, 0.80, 0.82, 0.78]
GAINS = [0.021, 0.019, 0.020, 0.022, 0.018, 0.020]


def records(gains=GAINS, losses=(0.05, 0.051, 0.049, 0.05, 0.052, 0.048)):
    """Six seeds of a baseline, a method and a crippled arm, in two cells."""
    arms = {
        "old": OLD,
        "new": [a + b for a, b in zip(OLD, gains, strict=True)],
        "weak": [a - b for a, b in zip(OLD, losses, strict=True)],
    }
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "cell": cell,
                "seed": seed,
                "accuracy": value,
                "nll": 1 - value,
                "diverged_at": math.nan,
            }
            for arm, values in arms.items()
            for cell in ("clean", "noise")
            for seed, value in enumerate(values)
        ]
    )


def terms(arm):
    return ((1, arm, "clean"), (-1, "old", "clean"))


def claim(**fields):
    return Claim(
        **{
            "name": "better",
            "statement": "It is better.",
            "where": "Table 1",
            "kind": "gain",
            "primary": True,
            "contrast": terms("new"),
            "margin": M,
        }
        | fields
    )


def no_loss(**fields):
    return claim(kind="no loss", control=terms("weak"), **fields)


def same(first, second):
    bounds = [(i.mean, i.lo, i.hi, i.level, i.n, i.sd) for i in (first, second)]
    return bounds[0] == pytest.approx(bounds[1], rel=1e-9)


def test_judge_a_gain():
    verdict = verdicts.judge(claim(), records(), primaries=1)
    assert verdict.verdict == "supported" and verdict.claim == claim()
    assert same(verdict.interval, stats.t_interval(GAINS, 0.95))
    assert verdict.values.tolist() == pytest.approx(GAINS)
    assert verdict.values.index.tolist() == list(range(6))
    expected = stats.detectable_gain(verdict.interval.sd, 6, 0.95, M)
    assert verdict.detectable == pytest.approx(expected)
    assert verdict.to_settle is None and verdict.diverged == (0, 12)


@pytest.mark.parametrize(
    ("gain", "spread", "word"),
    [
        (0.02, 0.001, "supported"),
        (0.005, 0.001, "real but small"),
        (-0.005, 0.001, "contradicted"),
        (0.0001, 0.001, "no meaningful gain"),
        (0.004, 0.02, "inconclusive"),
    ],
)
def test_judge_reaches_every_verdict(gain, spread, word):
    gains = [gain + spread * step for step in (-1, 1, -0.5, 0.5, -0.2, 0.2)]
    verdict = verdicts.judge(claim(), records(gains), 1)
    assert verdict.verdict == word
    assert (verdict.to_settle is not None) == (word == "inconclusive")
    if word == "inconclusive":
        assert verdict.to_settle == stats.seeds_to_settle(verdict.interval, (0.0, M)) > 6


@pytest.mark.parametrize(
    ("better", "word", "sign"), [("lower", "supported", 1), ("higher", "contradicted", -1)]
)
def test_judge_turns_the_contrast_to_favor_the_claim(better, word, sign):
    verdict = verdicts.judge(claim(metric="nll", better=better), records(), 1)
    assert verdict.verdict == word
    assert verdict.values.tolist() == pytest.approx([sign * gain for gain in GAINS])


def test_judge_on_a_log_ratio():
    verdict = verdicts.judge(claim(scale="log ratio"), records(), 1)
    ratios = [math.log((a + b) / a) for a, b in zip(OLD, GAINS, strict=True)]
    assert verdict.values.tolist() == pytest.approx(ratios)


@pytest.mark.parametrize(("primaries", "level"), [(1, 0.95), (2, 0.975), (4, 0.9875)])
def test_primary_claims_share_their_level(primaries, level):
    gains = [0.03, -0.02, 0.01, 0.02, -0.01, 0.0]  # so wide that the level decides what is detected
    verdict = verdicts.judge(claim(), records(gains), primaries)
    assert same(verdict.interval, stats.t_interval(gains, level))
    expected = stats.detectable_gain(verdict.interval.sd, 6, level, M)
    assert verdict.detectable == pytest.approx(expected)


@pytest.mark.parametrize("gains", [GAINS, [0.03, -0.02, 0.01, 0.02, -0.01, 0.0]])
def test_an_exploratory_claim_has_an_interval_and_no_verdict(gains):
    verdict = verdicts.judge(claim(primary=False), records(gains), primaries=3)
    assert verdict.verdict is None and verdict.to_settle is None
    assert same(verdict.interval, stats.t_interval(gains, 0.95))


def test_a_claim_out_of_scope_needs_no_records():
    beyond = Claim("big", "It scales.", "Table 9", "out of scope", why="needs ImageNet")
    verdict = verdicts.judge(beyond, pd.DataFrame(), 1)
    assert verdict.verdict == "out of scope" and verdict.interval is None


def test_judge_counts_the_diverged_runs_of_the_contrast():
    rows = records()
    rows.loc[(rows["arm"] == "new") & rows["seed"].isin([1, 4]), "diverged_at"] = 17.0
    assert verdicts.judge(claim(), rows, 1).diverged == (2, 12)
    assert verdicts.judge(claim(contrast=terms("weak")), rows, 1).diverged == (0, 12)


LEVEL = [0.001, -0.001, 0.0, 0.002, -0.002, 0.0]


@pytest.mark.parametrize(
    ("gains", "losses", "word"),
    [
        (LEVEL, [0.05, 0.051, 0.049, 0.05, 0.052, 0.048], "supported"),
        (LEVEL, [0.001, 0.0, 0.002, 0.001, 0.0, 0.002], "inconclusive"),
        ([-0.05, -0.049, -0.05, -0.051, -0.05, -0.05], [0.05] * 6, "contradicted"),
        ([0.03, -0.04, 0.02, -0.03, 0.01, -0.01], [0.05] * 6, "inconclusive"),
    ],
)
def test_judge_no_loss_against_its_control(gains, losses, word):
    verdict = verdicts.judge(no_loss(), records(gains, losses), 1)
    assert verdict.verdict == word and verdict.detectable is None


def test_judge_says_how_many_seeds_would_settle_no_loss():
    gains = [0.03, -0.04, 0.02, -0.03, 0.01, -0.01]
    verdict = verdicts.judge(no_loss(), records(gains), 1)
    assert verdict.to_settle == stats.seeds_to_settle(verdict.interval, (-M,)) > 6


def test_the_control_is_held_to_the_same_level():
    # The control's interval at 95% lies below the margin, at 98.75% it does not.
    losses = [0.0186, 0.0214, 0.012, 0.028, 0.011, 0.029]
    rows = records(LEVEL, losses)
    assert verdicts.judge(no_loss(), rows, 1).verdict == "supported"
    assert verdicts.judge(no_loss(), rows, 4).verdict == "inconclusive"


def test_judge_counts_the_diverged_runs_of_the_control():
    rows = records(LEVEL)
    rows.loc[(rows["arm"] == "weak") & (rows["cell"] == "clean"), "diverged_at"] = 3.0
    assert verdicts.judge(no_loss(), rows, 1).diverged == (6, 18)


def test_no_seeds_are_named_where_only_the_control_is_missing():
    rows = records(LEVEL, [0.001, 0.0, 0.002, 0.001, 0.0, 0.002])
    verdict = verdicts.judge(no_loss(), rows, 1)
    assert verdict.verdict == "inconclusive"
    assert verdict.to_settle is None or verdict.to_settle > 6


def test_judge_all_counts_the_primaries_and_keeps_the_order():
    class Declared:
        claims = (claim(), claim(name="also", primary=False), claim(name="third"))
        primary = (claims[0], claims[2])

    judged = verdicts.judge_all(Declared, records())
    assert [verdict.claim.name for verdict in judged] == ["better", "also", "third"]
    assert [verdict.interval.level for verdict in judged] == [0.975, 0.95, 0.975]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda rows: rows["arm"] != "old", "no arm 'old' in cell 'clean'"),
        (lambda rows: (rows["arm"] != "old") | (rows["seed"] != 3), r"unpaired on seeds \[3\]"),
    ],
)
def test_judge_rejects_records_that_do_not_fit(keep, message):
    rows = records()
    with pytest.raises(ValueError, match=message):
        verdicts.judge(claim(), rows[keep(rows)], 1)
