"""The rules of the protocol, row by row, and the way from records to a verdict."""

import math

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reviewlib.evidence import stats, verdicts
from reviewlib.evidence.stats import Interval
from reviewlib.evidence.verdicts import rule_for_gain, rule_for_no_loss
from reviewlib.trial.claims import Claim
from reviewlib.trial.contrast import Contrast

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
        # Short of the margin by the records' rounding, and by a little more.
        (0.001, M - 0.9e-6, 0.019, "supported"),
        (0.001, M - 1.2e-6, 0.019, "real but small"),
    ],
)
def test_the_table_for_a_gain(lo, mean, hi, word):
    assert rule_for_gain(Interval(mean, lo, hi, 0.95, 10, 0.01), M) == word


corners = st.sampled_from([-2 * M, -M, 0.0, -0.0, 5e-324, math.nextafter(M, 0), M, 2 * M])
numbers = st.one_of(corners, corners.map(lambda x: -x), st.floats(-0.05, 0.05))
# Deterministic ties: an interval of no width.
bounds_and_mean = st.one_of(
    st.tuples(numbers, numbers, numbers).map(sorted), numbers.map(lambda d: [d, d, d])
)


def only(table):
    """The one word of a table of predicates that holds."""
    holding = [word for word, holds in table.items() if holds]
    assert len(holding) == 1, holding
    return holding[0]


@given(bounds_and_mean)
@settings(max_examples=300, deadline=None)
def test_every_interval_has_exactly_one_verdict_for_a_gain(bounds):
    lo, mean, hi = bounds
    reached = mean >= M * (1 - 1e-4)
    table = {
        "supported": lo > 0 and reached,
        "real but small": lo > 0 and not reached,
        "contradicted": hi < 0,
        "no meaningful gain": lo <= 0 <= hi < M,
        "inconclusive": lo <= 0 and hi >= M,
    }
    assert tuple(table) == verdicts.GAIN_VERDICTS
    assert rule_for_gain(Interval(mean, lo, hi, 0.95, 10, 0.01), M) == only(table)


LOSES, KEEPS = interval(-0.05, -0.02), interval(-0.05, -0.005)


@pytest.mark.parametrize(
    ("lo", "hi", "control", "word"),
    [
        (-0.005, 0.005, LOSES, "supported"),
        (0.005, 0.03, LOSES, "supported"),
        (-0.009, 0.0, LOSES, "supported"),
        (-0.009, -0.005, LOSES, "small loss"),
        (-0.009, -0.005, KEEPS, "inconclusive"),
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


@given(bounds_and_mean, bounds_and_mean)
@example((-0.005, 0.0, 0.005), (-0.05, -0.03, -0.02))
@example((-M, -M, -M), (-0.05, -0.03, -0.02))
@example((0.0, 0.0, 0.0), (-M, -M, -M))
@settings(max_examples=300, deadline=None)
def test_every_pair_of_intervals_has_exactly_one_verdict_for_no_loss(bounds, control):
    (lo, _, hi), noticed = bounds, control[2] < -M
    table = {
        "supported": lo > -M and hi >= 0 and noticed,
        "small loss": lo > -M and hi < 0 and noticed,
        "contradicted": hi < -M,
        "inconclusive": (lo <= -M <= hi) or (lo > -M and not noticed),
    }
    assert tuple(table) == verdicts.NO_LOSS_VERDICTS
    assert rule_for_no_loss(interval(lo, hi), interval(control[0], control[2]), M) == only(table)


# From records to a verdict

OLD = [0.80, 0.81, 0.79, 0.80, 0.82, 0.78]
GAINS = [0.021, 0.019, 0.020, 0.022, 0.018, 0.020]


def records(gains=GAINS, losses=(0.05, 0.051, 0.049, 0.05, 0.052, 0.048)):
    """Six seeds of a baseline, a method and a crippled arm, in two conditions."""
    arms = {
        "old": OLD,
        "new": [a + b for a, b in zip(OLD, gains, strict=True)],
        "weak": [a - b for a, b in zip(OLD, losses, strict=True)],
    }
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "condition": condition,
                "seed": seed,
                "accuracy": value,
                "nll": 1 - value,
                "diverged_at": math.nan,
            }
            for arm, values in arms.items()
            for condition in ("clean", "noise")
            for seed, value in enumerate(values)
        ]
    )


def terms(arm):
    return Contrast(((1, arm, "clean"), (-1, "old", "clean")))


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
    assert verdict.verdict == word
    assert same(verdict.interval, stats.t_interval(gains, 0.95))
    assert same(verdict.control, stats.t_interval([-loss for loss in losses], 0.95))
    known = verdict.interval.sd, 6, 0.95, M, verdict.control
    assert verdict.detectable is None
    assert verdict.if_equal == stats.chance_no_loss(0.0, *known)


def test_no_chance_is_stated_below_five_seeds():
    for n in (4, 5):
        rows = records(LEVEL)
        verdict = verdicts.judge(no_loss(), rows[rows["seed"] < n], 1)
        assert verdict.interval.n == n
        assert (verdict.if_equal is None) == (n == 4)


def test_a_gain_has_no_control():
    verdict = verdicts.judge(claim(), records(), 1)
    assert verdict.control is None and verdict.if_equal is None


WIDE = [0.03, -0.04, 0.02, -0.03, 0.01, -0.01]  # mean -0.0033
LOW = [gain - M for gain in WIDE]  # mean -0.0133
DOUBTFUL = [0.05, -0.02, 0.06, -0.03, 0.04, -0.01]  # mean loss 0.015
NO_LOSER = [0.001, 0.0, 0.002, 0.001, 0.0, 0.002]


@pytest.mark.parametrize(
    ("gains", "losses", "rests_on"),
    [
        (WIDE, [0.05] * 6, ["interval"]),
        (WIDE, DOUBTFUL, ["interval", "control"]),
        (LEVEL, DOUBTFUL, ["control"]),
        # Below the margin, nothing is asked of the control.
        (LOW, DOUBTFUL, ["interval"]),
        (LOW, NO_LOSER, ["interval"]),
    ],
)
def test_judge_says_how_many_seeds_would_settle_no_loss(gains, losses, rests_on):
    verdict = verdicts.judge(no_loss(), records(gains, losses), 1)
    assert verdict.verdict == "inconclusive"
    needed = [stats.seeds_to_settle(getattr(verdict, name), (-M,)) for name in rests_on]
    assert verdict.to_settle == max(needed) > 6


@pytest.mark.parametrize("gains", [WIDE, LEVEL])
@pytest.mark.parametrize("losses", [NO_LOSER, [M] * 6])
def test_no_seeds_make_up_for_a_control_that_does_not_lose(gains, losses):
    verdict = verdicts.judge(no_loss(), records(gains, losses), 1)
    assert verdict.verdict == "inconclusive" and verdict.to_settle is None


def test_ties_on_a_boundary_are_on_it_in_spite_of_rounding():
    # 0.8 + 0.01 - 0.8 is more than 0.01, 0.78 + 0.01 - 0.78 is less.
    assert verdicts.judge(claim(), records([M] * 6), 1).verdict == "supported"
    for step in (-M, M):
        tie = verdicts.judge(no_loss(), records([step] * 6, [0.05] * 6), 1)
        assert (tie.interval.lo, tie.interval.hi) == (step, step)
        assert tie.verdict == ("supported" if step > 0 else "inconclusive")


@pytest.mark.parametrize("losses", [[0.05] * 6, [0.009] * 6])
def test_a_settled_or_exploratory_claim_of_no_loss_names_no_seeds(losses):
    settled = verdicts.judge(no_loss(), records([-0.05, -0.049] * 3, losses), 1)
    assert settled.verdict == "contradicted" and settled.to_settle is None
    explored = verdicts.judge(no_loss(primary=False), records(WIDE, losses), 1)
    assert explored.verdict is None and explored.to_settle is None


def test_an_exploratory_claim_of_no_loss_needs_no_control():
    verdict = verdicts.judge(claim(kind="no loss", primary=False), records(), 1)
    assert verdict.verdict is None and verdict.control is None and verdict.detectable is None
    assert same(verdict.interval, stats.t_interval(GAINS, 0.95))


def test_the_control_is_held_to_the_same_level():
    # The control's interval at 95% lies below the margin, at 98.75% it does not.
    losses = [0.0186, 0.0214, 0.012, 0.028, 0.011, 0.029]
    rows = records(LEVEL, losses)
    assert verdicts.judge(no_loss(), rows, 1).verdict == "supported"
    assert verdicts.judge(no_loss(), rows, 4).verdict == "inconclusive"


def test_judge_counts_the_diverged_runs_of_the_control():
    rows = records(LEVEL)
    rows.loc[(rows["arm"] == "weak") & (rows["condition"] == "clean"), "diverged_at"] = 3.0
    assert verdicts.judge(no_loss(), rows, 1).diverged == (6, 18)


# All claims


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
        (lambda rows: rows["arm"] != "old", "no arm 'old' in condition 'clean'"),
        (lambda rows: (rows["arm"] != "old") | (rows["seed"] != 3), r"unpaired on seeds \[3\]"),
    ],
)
def test_judge_rejects_records_that_do_not_fit(keep, message):
    rows = records()
    with pytest.raises(ValueError, match=message):
        verdicts.judge(claim(), rows[keep(rows)], 1)
