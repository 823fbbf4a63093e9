"""The rules of the protocol, row by row, and the way from records to a verdict."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import toy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reviewlib.evidence import contrasts, history, results, stats, verdicts
from reviewlib.evidence.rules import (
    GAIN_VERDICTS,
    NO_LOSS_VERDICTS,
    NOT_LEARNED,
    rule_for_gain,
    rule_for_no_loss,
)
from reviewlib.evidence.stats import Interval
from reviewlib.trial.claims import Claim
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.shades import digits

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
    assert tuple(table) == GAIN_VERDICTS
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
    assert tuple(table) == NO_LOSS_VERDICTS
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
    return table(arms)


def table(arms):
    """Rows of arms with one accuracy a seed, in two conditions."""
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


def terms(arm, where="clean"):
    return Contrast(((1, arm, where), (-1, "old", where)))


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


ARMS = (
    replace(toy.SGD, name="old"),
    replace(toy.SLOW, name="new"),
    replace(toy.SLOW, name="weak", role="untuned"),
)
NO_FLOOR = pd.DataFrame(columns=["condition", "seed", "accuracy"])


def study(*claims, primaries=1, arms=ARMS):
    """A study with these claims, and others until it has that many primary ones."""
    others = (claim(name=f"other {place}") for place in range(primaries))
    missing = primaries - sum(each.primary for each in claims)
    return toy.study(arms=arms, claims=(*claims, *list(others)[: max(missing, 0)]))


def record(rows, floor=NO_FLOOR, best=None, **made):
    return SimpleNamespace(rows=rows, floor=floor, best=best, provenance=made)


def judge(asked, rows, primaries=1, arms=ARMS, **tables):
    return verdicts.judge(
        study(asked, primaries=primaries, arms=arms), record(rows, **tables), asked
    )


def same(first, second):
    bounds = [(i.mean, i.lo, i.hi, i.level, i.n, i.sd) for i in (first, second)]
    return bounds[0] == pytest.approx(bounds[1], rel=1e-9)


def test_judge_a_gain():
    verdict = judge(claim(), records(), primaries=1)
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
    verdict = judge(claim(), records(gains), 1)
    assert verdict.verdict == word
    assert (verdict.to_settle is not None) == (word == "inconclusive")
    assert bool(verdict.settling) == (word == "inconclusive")
    if word == "inconclusive":
        assert verdict.to_settle == stats.seeds_to_settle(verdict.interval, M) > 6
        assert verdict.settling == f"about {verdict.to_settle} seeds would settle it"


@pytest.mark.parametrize(
    ("better", "word", "sign"), [("lower", "supported", 1), ("higher", "contradicted", -1)]
)
def test_judge_turns_the_contrast_to_favor_the_claim(better, word, sign):
    verdict = judge(claim(metric="nll", better=better), records(), 1)
    assert verdict.verdict == word
    assert verdict.values.tolist() == pytest.approx([sign * gain for gain in GAINS])


def test_judge_on_a_log_ratio():
    verdict = judge(claim(scale="log ratio"), records(), 1)
    ratios = [math.log((a + b) / a) for a, b in zip(OLD, GAINS, strict=True)]
    assert verdict.values.tolist() == pytest.approx(ratios)


@pytest.mark.parametrize(("primaries", "level"), [(1, 0.95), (2, 0.975), (4, 0.9875)])
def test_primary_claims_share_their_level(primaries, level):
    gains = [0.03, -0.02, 0.01, 0.02, -0.01, 0.0]  # so wide that the level decides what is detected
    verdict = judge(claim(), records(gains), primaries)
    assert same(verdict.interval, stats.t_interval(gains, level))
    expected = stats.detectable_gain(verdict.interval.sd, 6, level, M)
    assert verdict.detectable == pytest.approx(expected)


@pytest.mark.parametrize("gains", [GAINS, [0.03, -0.02, 0.01, 0.02, -0.01, 0.0]])
def test_an_exploratory_claim_has_an_interval_and_no_verdict(gains):
    verdict = judge(claim(primary=False), records(gains), primaries=3)
    assert verdict.verdict is None and verdict.to_settle is None
    assert same(verdict.interval, stats.t_interval(gains, 0.95))


def test_a_claim_out_of_scope_needs_no_records():
    beyond = Claim("big", "It scales.", "Table 9", "out of scope", why="needs ImageNet")
    verdict = judge(beyond, pd.DataFrame(), 1)
    assert verdict.verdict == "out of scope" and verdict.interval is None


def test_judge_counts_the_diverged_runs_of_the_contrast():
    rows = records()
    rows.loc[(rows["arm"] == "new") & rows["seed"].isin([1, 4]), "diverged_at"] = 17.0
    assert judge(claim(), rows, 1).diverged == (2, 12)
    assert judge(claim(contrast=terms("weak")), rows, 1).diverged == (0, 12)


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
    verdict = judge(no_loss(), records(gains, losses), 1)
    assert verdict.verdict == word
    assert same(verdict.interval, stats.t_interval(gains, 0.95))
    assert same(verdict.control, stats.t_interval([-loss for loss in losses], 0.95))
    known = verdict.interval.sd, 6, 0.95, M, verdict.control
    assert verdict.detectable is None
    assert verdict.if_equal == stats.chance_no_loss(0.0, *known)


def test_no_chance_is_stated_below_five_seeds():
    for n in (4, 5):
        rows = records(LEVEL)
        verdict = judge(no_loss(), rows[rows["seed"] < n], 1)
        assert verdict.interval.n == n
        assert (verdict.if_equal is None) == (n == 4)


def test_a_gain_has_no_control():
    verdict = judge(claim(), records(), 1)
    assert verdict.control is None and verdict.if_equal is None


WIDE = [0.03, -0.04, 0.02, -0.03, 0.01, -0.01]  # mean -0.0033
LOW = [gain - M for gain in WIDE]  # mean -0.0133
DOUBTFUL = [0.05, -0.02, 0.06, -0.03, 0.04, -0.01]  # mean loss 0.015
NO_LOSER = [0.001, 0.0, 0.002, 0.001, 0.0, 0.002]


@pytest.mark.parametrize("losses", [[0.05] * 6, DOUBTFUL, NO_LOSER])
@pytest.mark.parametrize("gains", [WIDE, LOW])
def test_judge_says_how_many_seeds_would_settle_no_loss(gains, losses):
    verdict = judge(no_loss(), records(gains, losses))
    assert verdict.verdict == "inconclusive"
    assert verdict.to_settle == stats.seeds_to_settle(verdict.interval, M) > 6


@pytest.mark.parametrize("losses", [DOUBTFUL, NO_LOSER, [M] * 6])
def test_no_seeds_make_up_for_a_control_that_does_not_lose(losses):
    verdict = judge(no_loss(), records(LEVEL, losses))
    assert verdict.verdict == "inconclusive" and verdict.to_settle is None
    assert verdict.settling == "its control must show a loss first"


def test_a_loss_on_the_margin_is_not_settled_by_more_seeds():
    verdict = judge(no_loss(), records([step - M for step in LEVEL], [0.05] * 6))
    assert verdict.verdict == "inconclusive" and verdict.to_settle is None
    assert "too close to the margin" in verdict.settling


def with_images(rows, arms, images=400):
    """Rows that keep the correctness of the images, drawn as often as the arms' accuracy says."""
    draw = np.random.default_rng(0)
    kept = [
        digits(draw.random(images) < row["accuracy"]) if row["arm"] in arms else None
        for _, row in rows.iterrows()
    ]
    return rows.assign(correct=kept)


def test_images_of_one_pool_may_leave_a_claim_unsettled():
    # Two arms of 0.8 that disagree at random: 0.32 of variance an image, 2,400 images in all, so a
    # half-width of 2.3 points remains with any number of seeds.
    rows = with_images(records(WIDE), ("old", "new"))
    images = contrasts.images_variance(rows, terms("new"))
    assert images == pytest.approx(0.32, rel=0.1)
    verdict = judge(claim(), rows)
    assert verdict.verdict == "inconclusive" and verdict.to_settle is None
    assert verdict.settling == "this test pool cannot settle it"
    assert judge(claim(metric="error", better="lower"), rows).to_settle is None
    # Half a margin of 10 points is more than the images leave.
    rows = with_images(records([4 * gain + 0.04 for gain in WIDE]), ("old", "new"))
    images = contrasts.images_variance(rows, terms("new"))
    verdict = judge(claim(margin=0.1), rows)
    assert verdict.to_settle == stats.seeds_to_settle(verdict.interval, 0.1, images, 2_400) > 6
    assert verdict.to_settle > stats.seeds_to_settle(verdict.interval, 0.1, pool=2_400)


@pytest.mark.parametrize(
    ("fields", "arms"),
    [
        ({"metric": "nll"}, ("old", "new")),
        ({"scale": "log ratio"}, ("old", "new")),
        ({}, ("old",)),  # the other arm's are not kept
    ],
)
def test_without_the_images_variance_the_pool_still_limits_the_folds(fields, arms):
    # 3,600 images: at most 72 seeds of 50 images each.
    rows = with_images(records([4 * gain for gain in WIDE]), arms, images=600)
    for margin in (0.1, 0.06, 0.03):
        verdict = judge(claim(margin=margin, **fields), rows)
        expected = stats.seeds_to_settle(verdict.interval, margin, math.nan, 3_600)
        assert verdict.verdict == "inconclusive" and verdict.to_settle == expected
    assert expected is None


def test_ties_on_a_boundary_are_on_it_in_spite_of_rounding():
    # 0.8 + 0.01 - 0.8 is more than 0.01, 0.78 + 0.01 - 0.78 is less.
    assert judge(claim(), records([M] * 6), 1).verdict == "supported"
    for step in (-M, M):
        tie = judge(no_loss(), records([step] * 6, [0.05] * 6), 1)
        assert (tie.interval.lo, tie.interval.hi) == (step, step)
        assert tie.verdict == ("supported" if step > 0 else "inconclusive")


@pytest.mark.parametrize("losses", [[0.05] * 6, [0.009] * 6])
def test_a_settled_or_exploratory_claim_of_no_loss_names_no_seeds(losses):
    settled = judge(no_loss(), records([-0.05, -0.049] * 3, losses), 1)
    assert settled.verdict == "contradicted" and settled.to_settle is None
    explored = judge(no_loss(primary=False), records(WIDE, losses), 1)
    assert explored.verdict is None and explored.to_settle is None


def test_an_exploratory_claim_of_no_loss_needs_no_control():
    verdict = judge(claim(kind="no loss", primary=False), records(), 1)
    assert verdict.verdict is None and verdict.control is None and verdict.detectable is None
    assert same(verdict.interval, stats.t_interval(GAINS, 0.95))


def test_the_control_is_held_to_the_same_level():
    # The control's interval at 95% lies below the margin, at 98.75% it does not.
    losses = [0.0186, 0.0214, 0.012, 0.028, 0.011, 0.029]
    rows = records(LEVEL, losses)
    assert judge(no_loss(), rows, 1).verdict == "supported"
    assert judge(no_loss(), rows, 4).verdict == "inconclusive"


def test_judge_counts_the_diverged_runs_of_the_control():
    rows = records(LEVEL)
    rows.loc[(rows["arm"] == "weak") & (rows["condition"] == "clean"), "diverged_at"] = 3.0
    assert judge(no_loss(), rows, 1).diverged == (6, 18)


# Nets that did not learn


def floor(lead, arm="old", where=("clean", "noise")):
    """Logistic regression that lies as far below an arm, which has no other spread."""
    rows = records([0.02] * 6)
    rows = rows[(rows["arm"] == arm) & rows["condition"].isin(where)]
    jitter = np.resize([0.001, -0.001], len(rows))
    return rows.assign(accuracy=rows["accuracy"] - lead + jitter).drop(columns=["arm", "nll"])


def test_health_is_the_lead_of_each_compared_arm_over_logistic_regression():
    of = study(claim())
    leads = verdicts.health(of, record(records([0.02] * 6), floor(0.03)), claim())
    assert set(leads) == {("old", "clean"), ("new", "clean")}
    leads = {arm: lead for (arm, _), lead in leads.items()}
    steps = np.array([0.001, -0.001] * 3)
    assert same(leads["old"], stats.t_interval(0.03 - steps, 0.95))
    assert same(leads["new"], stats.t_interval(0.05 - steps, 0.95))


@pytest.mark.parametrize(("lead", "learned"), [(0.002, True), (0.0009, False), (-0.05, False)])
def test_a_primary_claim_is_judged_if_the_intervals_of_all_its_arms_lie_above_zero(lead, learned):
    # The method leads by two points more, so only the baseline decides.
    verdict = judge(claim(), records([0.02] * 6), floor=floor(lead))
    assert verdict.verdict == ("supported" if learned else "not judged: the net did not learn")
    assert verdict.verdict in verdicts.VERDICTS
    assert (verdict.health["old", "clean"].lo > 0) == learned
    assert verdict.interval.mean == pytest.approx(0.02) and verdict.to_settle is None


def test_nothing_is_to_settle_where_the_nets_did_not_learn():
    verdict = judge(claim(), records(WIDE), floor=floor(-0.05))
    assert verdict.verdict == NOT_LEARNED and verdict.to_settle is None and not verdict.settling


def test_an_arm_that_may_fail_does_not_have_to_learn():
    asked = claim(contrast=terms("new") - terms("weak"))
    rows = records([0.02] * 6, [0.5] * 6)
    assert judge(asked, rows, floor=floor(0.03)).verdict == NOT_LEARNED
    may = (*ARMS[:2], replace(ARMS[2], may_fail=True))
    verdict = judge(asked, rows, arms=may, floor=floor(0.03))
    assert verdict.verdict == "supported" and verdict.health["weak", "clean"].hi < 0


def test_the_control_of_no_loss_does_not_have_to_learn():
    # It has to lose.
    rows = records(LEVEL, [0.5] * 6)
    assert judge(no_loss(), rows, floor=floor(0.03)).verdict == "supported"


def test_an_exploratory_claim_is_not_asked_for_its_health():
    verdict = judge(claim(primary=False), records(), floor=floor(-0.05))
    assert verdict.verdict is None and not verdict.health


@pytest.mark.parametrize(
    ("leads", "message"),
    [
        (floor(0.03, where=("noise",)), "no arm 'logistic regression' in condition 'clean'"),
        (floor(0.03).iloc[1:], r"unpaired on seeds \[0\]"),
    ],
)
def test_logistic_regression_is_needed_wherever_the_arms_are_compared(leads, message):
    with pytest.raises(ValueError, match=message):
        judge(claim(), records(), floor=leads)


# Ablations


def test_an_ablation_is_judged_at_the_best_settings_of_all():
    child = (*ARMS[:2], replace(ARMS[2], role="ablation", search=(), parent="new"))
    rows, best = records([0.02] * 6, [0.03] * 6), records([0.001] * 6, [0.05] * 6)
    ablation = claim(name="part", primary=False, contrast=terms("new") - terms("weak"))
    of, tables = study(ablation, claim(), arms=child), record(rows, best=best)
    judged = {out.claim.name: out.interval.mean for out in verdicts.judge_all(of, tables)}
    assert judged == {"part": pytest.approx(0.051), "better": pytest.approx(0.02)}
    # So is an arm in a condition that takes its settings from another one.
    # A control with a parent is judged there, and its claim by what it compares itself.
    leans = no_loss()
    out = verdicts.judge(study(leans, arms=child), tables, leans)
    assert out.interval.mean == pytest.approx(0.02)
    assert out.control.mean == pytest.approx(-0.05)


def test_a_claim_in_a_condition_with_a_parent_is_judged_there_too():
    far = replace(toy.NOISE, name="far", parent="noise")
    same = claim(name="part", primary=False, contrast=(toy.SLOW - toy.SGD) @ far)
    of = toy.study(conditions=(*toy.CONDITIONS, far), claims=(toy.CLAIM, same))
    assert results.at_parents_settings(of, same.contrast)
    assert not results.at_parents_settings(of, toy.CLAIM.contrast)


# Controls

AGAIN = replace(ARMS[0], name="again", role="control", search_seed=1)
PART = replace(ARMS[0], name="part", role="control", train_fraction=0.25)
CONTROLLED = (*ARMS, AGAIN, PART)
# Means of six values that lie between the half-widths at 95% and at 99.9%, and beyond.
STEPS = np.array([0.01, -0.01] * 3)


def controlled(again=STEPS, part=0.05 + STEPS, gains=None, where="clean"):
    """Records with both controls, changed in one condition."""
    rows = records(0.02 + 2 * STEPS if gains is None else gains)
    for name, clean, change in (("again", STEPS, again), ("part", 0.05 + STEPS, part)):
        arm = table({name: np.array(OLD) - clean})
        changed = arm["condition"] == where
        arm.loc[changed, "accuracy"] = np.array(OLD) - change
        rows = pd.concat([rows, arm])
    return rows


def said(rows, *claims):
    of = study(*(claims or [claim()]), arms=CONTROLLED)
    return {out.claim.name: out for out in verdicts.judge_controls(of, record(rows))}


def words(rows, *claims):
    return {name: out.verdict for name, out in said(rows, *claims).items()}


PASSED = dict.fromkeys(["a_a-clean", "a_a-noise", "positive-clean", "positive-noise"], "passed")


@pytest.mark.parametrize(
    ("shift", "word"),
    [(0.0, "passed"), (0.012, "passed"), (-0.012, "passed"), (0.04, "failed"), (-0.04, "failed")],
)
def test_an_a_a_control_is_judged_at_999_in_a_thousand(shift, word):
    assert words(controlled(again=shift + STEPS)) == PASSED | {"a_a-clean": word}
    out = said(controlled(again=shift + STEPS))["a_a-clean"]
    assert same(out.interval, stats.t_interval(shift + STEPS, 0.999))
    at_95 = stats.t_interval(shift + STEPS, 0.95)
    assert (at_95.lo <= 0 <= at_95.hi) == (shift == 0)


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (0.05 + STEPS, "passed"),
        (0.012 + STEPS, "passed"),
        (0.005 + STEPS, "failed"),
        (-STEPS, "failed"),
    ],
)
def test_a_positive_control_must_be_found_at_95(part, word):
    assert words(controlled(part=part)) == PASSED | {"positive-clean": word}


@pytest.mark.parametrize(("width", "word"), [(1.9, "passed"), (2.1, "cannot tell")])
def test_an_a_a_control_wider_than_every_primary_of_its_condition_cannot_tell(width, word):
    # The primaries share a level of 97.5%; the widest of them spreads twice as far as STEPS.
    narrow = claim(name="narrow", contrast=terms("part"), better="lower")
    rows = controlled(again=width * STEPS)
    assert words(rows, claim(), narrow) == PASSED | {"a_a-clean": word}
    assert words(rows, narrow)["a_a-clean"] == "cannot tell"
    # Without a primary in the condition there is nothing to compare.
    assert words(controlled(again=9 * STEPS, where="noise"), claim()) == PASSED


def test_an_a_a_control_that_is_wide_and_excludes_zero_failed():
    assert words(controlled(again=0.2 + 3 * STEPS))["a_a-clean"] == "failed"


def test_an_a_a_control_is_judged_on_every_measure_of_the_primaries_of_its_condition():
    # On the log scale everything here is wider by a quarter; a difference must not judge it.
    ratio = claim(scale="log ratio")
    assert words(controlled(again=1.9 * STEPS), ratio)["a_a-clean-accuracy"] == "passed"
    assert words(controlled(again=2.2 * STEPS), ratio)["a_a-clean-accuracy"] == "cannot tell"
    pair = claim(), claim(name="ratio", scale="log ratio")
    both = words(controlled(again=1.9 * STEPS), *pair)
    assert [name for name in both if "a_a-clean" in name] == ["a_a-clean", "a_a-clean-accuracy"]


def test_an_a_a_control_is_not_excused_by_a_wider_claim_of_another_measure():
    rows = controlled(again=2.2 * STEPS).reset_index(drop=True)
    rows["nll"] = np.where(rows["arm"] == "new", rows["accuracy"] * 9, 1.0)
    wider = claim(name="loss", metric="nll", better="lower")
    assert words(rows, claim(), wider)["a_a-clean"] == "cannot tell"
    assert words(rows, claim(), wider)["a_a-clean-nll"] == "passed"


def test_controls_that_were_not_run_are_left_out():
    rows = controlled()
    assert set(words(rows[rows["arm"] != "again"])) == {"positive-clean", "positive-noise"}


@pytest.mark.parametrize(
    ("changed", "mark"),
    [({"again": 0.04 + STEPS}, "a_a"), ({"part": STEPS}, "positive"), ({"again": 9 * STEPS}, "")],
)
def test_a_failed_control_marks_the_primaries_of_its_condition(changed, mark):
    noisy = claim(name="noisy", contrast=terms("new", "noise"))
    both = claim(name="both", contrast=terms("new") - terms("new", "noise"))
    explored = claim(name="explored", primary=False)
    of = study(claim(), noisy, both, explored, arms=CONTROLLED)
    outs = verdicts.judge_all(of, record(controlled(**changed, gains=0.1 + 2 * STEPS)))
    marks = {out.claim.name: out.marks for out in outs}
    expected = (f"a control failed: {mark}-clean",) if mark else ()
    assert marks == {"better": expected, "noisy": (), "both": expected, "explored": ()}
    assert outs[0].verdict == "supported"  # a mark takes no verdict away


def test_no_new_version_clears_a_failed_control(shelf):
    of = study(claim(), claim(name="noisy", contrast=terms("new", "noise")), arms=CONTROLLED)
    shelf(of)
    failed = {"preset": "laptop", "results_version": 1, "claim": "a_a-clean", "verdict": "failed"}
    effect = {"mean": 0.1, "lo": 0.05, "hi": 0.2, "n": 6, "registration": 1}
    history.append("toy", [failed | effect], "2026-11-26", "c0ffee", "the first version")
    rows = controlled()
    mark = ("a control failed in version 1: a_a-clean",)
    assert [out.marks for out in verdicts.judge_all(of, record(rows, registration=2))] == [mark, ()]
    for made in ({"registration": 1}, {}):  # its own version, and a reader's own records
        assert [out.marks for out in verdicts.judge_all(of, record(rows, **made))] == [(), ()]


def test_the_calibration_counts_a_a_intervals_that_exclude_zero_at_95():
    outs = [
        *said(controlled(again=0.012 + STEPS)).values(),  # excludes 0 at 95%, not at 99.9%
        *said(controlled(again=0.04 + STEPS)).values(),
        *said(controlled()).values(),
    ]
    assert verdicts.calibration(outs) == (2, 6, pytest.approx(0.3))
    assert verdicts.calibration([]) == (0, 0, 0)


def test_what_cannot_vary_says_nothing_of_the_calibration():
    (out, *_) = (out for out in said(controlled()).values() if out.claim.name.startswith("a_a"))
    constant = replace(out, values=out.values * 0)
    assert verdicts.calibration([out, constant]).total == 1


# All claims


def test_judge_all_counts_the_primaries_and_keeps_the_order():
    of = study(claim(), claim(name="also", primary=False), claim(name="third"))
    judged = verdicts.judge_all(of, record(records()))
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
        judge(claim(), rows[keep(rows)], 1)
