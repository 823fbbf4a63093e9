"""The rules on made-up data whose truth is known: 20,000 studies at once, through the real code."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from searches import Design, scores

from reviewlib.evidence import contrasts, stats, verdicts
from reviewlib.evidence.stats import Interval

STUDIES = 20_000  # a rate of 2.5% is then known to 0.11 points, one of 80% to 0.28 points
M = 0.01
IMAGES = 500
CHANCE = 0.1
SEEDS = [3, 5, 10]
LOSES = Interval(-0.05, -0.06, -0.04, 0.95, 10, 0.01)


def normal(n, effect, seed):
    """Two arms' accuracies (STUDIES, n): seeds differ, and so do the arms within a seed."""
    draw = np.random.default_rng([seed, n])
    fold = draw.normal(0.8, 0.02, (STUDIES, n))
    new, old = fold + draw.normal(0, 0.01, (2, STUDIES, n))
    return new + effect, old


def binomial(n, effect, seed, disagree=0.12):
    """The same from 500 images a fold, at accuracy 0.8 and rounded as records are."""
    draw = np.random.default_rng([seed, n])
    both = 0.8 - (disagree - effect) / 2
    shares = (both, (disagree + effect) / 2, (disagree - effect) / 2, 1 - both - disagree)
    right, only_new, only_old, _ = np.moveaxis(draw.multinomial(IMAGES, shares, (STUDIES, n)), 2, 0)
    return (np.round((right + only) / IMAGES, 6) for only in (only_new, only_old))


def sparse(n, effect, seed):
    """Arms that disagree on ten images a fold."""
    return binomial(n, effect, seed, disagree=0.02)


def diverging(arm, share, seed):
    """Let runs of an arm score chance."""
    return np.where(np.random.default_rng(seed).random(arm.shape) < share, CHANCE, arm)


def intervals(arms, level=0.95):
    """Every study's interval: records, contrast, t interval. Studies are told apart by seed."""
    new, old = arms
    arm = np.repeat([0, 1], new.size)
    rows = pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(
                arm, ["new", "old"]
            ),  # half a million strings are slow
            "condition": pd.Categorical.from_codes(0 * arm, ["clean"]),
            "seed": np.tile(np.arange(new.size), 2),
            "accuracy": np.concatenate([new.ravel(), old.ravel()]),
        }
    )
    values = contrasts.by_seed(rows, ((1, "new", "clean"), (-1, "old", "clean")), "accuracy")
    return made(values.to_numpy().reshape(new.shape), level)


def made(values, level=0.95):
    """Intervals of values (STUDIES, n), one after the other."""
    bounds = (bound.tolist() for bound in stats.t_bounds(values, level))
    for mean, lo, hi, sd in zip(*bounds, strict=True):
        yield Interval(mean, lo, hi, level, values.shape[1], sd)


def rate(decisions):
    return np.mean(list(decisions))


def gains(found):
    """The share of studies that say there is a gain, in the words of the rule."""
    return rate(verdicts.rule_for_gain(i, M) in ("supported", "real but small") for i in found)


def below_margin(found):
    return rate(interval.hi < M for interval in found)


def no_loss(found):
    """The share of studies that say there is no loss; the control is sure to lose."""
    return rate(verdicts.rule_for_no_loss(i, LOSES, M) == "supported" for i in found)


BOUNDARIES = [(gains, 0.0), (below_margin, M), (no_loss, -M)]


def test_many_intervals_at_once_are_those_of_the_code():
    studies = np.concatenate([np.subtract(*sparse(3, 0, seed=1))[:300], np.full((2, 3), 0.1)])
    found = list(made(studies, 0.975))
    assert found == [stats.t_interval(study, 0.975) for study in studies]
    assert any(interval.sd == 0 for interval in found)


# PROTOCOL 10: the boundaries are crossed as often as stated


@pytest.mark.parametrize(("crossed", "effect"), BOUNDARIES)
@pytest.mark.parametrize("data", [normal, binomial])
@pytest.mark.parametrize("n", SEEDS)
def test_a_boundary_is_crossed_as_often_as_stated(data, n, crossed, effect):
    assert 0.022 <= crossed(intervals(data(n, effect, seed=2))) <= 0.028


def test_four_primary_claims_have_no_more_false_gains_together_than_one():
    found = intervals(normal(10, 0.0, seed=3), stats.simultaneous_level(4))
    assert 4 * gains(found) == pytest.approx(0.025, abs=0.005)


@pytest.mark.parametrize(("crossed", "effect"), [(gains, 0.0), (below_margin, M)])
@pytest.mark.parametrize("n", SEEDS)
def test_where_arms_disagree_on_few_images_the_rates_are_nearly_as_stated(n, crossed, effect):
    # The t interval is not exact here: lattice, ties, and skew at an effect.
    assert 0.019 <= crossed(intervals(sparse(n, effect, seed=4))) <= 0.031


# Diverged runs


@pytest.mark.parametrize(
    ("data", "share", "crossed", "effect"),
    [*((normal, 0.02, *boundary) for boundary in BOUNDARIES)]
    + [(binomial, 0.02, gains, 0.0), (normal, 0.3, gains, 0.0)],
)
@pytest.mark.parametrize("n", SEEDS)
def test_diverged_runs_in_both_arms_cross_boundaries_no_more_often_than_stated(
    data, share, n, crossed, effect
):
    new, old = data(n, effect, seed=5)
    arms = diverging(new, share, seed=6), diverging(old, share, seed=7)
    assert crossed(intervals(arms)) <= 0.028


@pytest.mark.parametrize("n", SEEDS)
def test_a_method_that_diverges_has_no_more_false_gains(n):
    new, old = normal(n, 0.0, seed=8)
    assert gains(intervals((diverging(new, 0.02, seed=9), old))) <= 0.028


@pytest.mark.parametrize("loss", [-0.7, 0.7])
@pytest.mark.parametrize("n", SEEDS)
def test_one_diverged_run_settles_nothing(n, loss):
    studies = np.random.default_rng(10).normal(0, 0.01, (500, n))
    studies[:, 0] = loss
    assert {verdicts.rule_for_gain(interval, M) for interval in made(studies)} == {"inconclusive"}


def test_a_divergence_too_rare_to_be_seen_is_not_in_the_interval():
    new, old = normal(10, 0.0, seed=11)
    found = intervals((new, diverging(old, 0.02, seed=12)))
    # In 0.98**10 of the studies no run diverged; most of those miss the mean of all runs.
    truth = 0.02 * (0.8 - CHANCE)
    assert 0.6 <= rate(interval.hi < truth for interval in found) <= 0.98**10


# Power: the stated effects are found as often as stated


@pytest.mark.parametrize(
    ("effect", "margin", "level"), [(0.012, 0.005, 0.95), (0.03, 0.01, 0.9875)]
)
@pytest.mark.parametrize("n", SEEDS)
def test_chance_supported_is_the_share_of_verdicts(n, effect, margin, level):
    found = intervals(normal(n, effect, seed=13), level)
    share = rate(verdicts.rule_for_gain(interval, margin) == "supported" for interval in found)
    sd = 0.01 * math.sqrt(2)
    assert stats.chance_supported(effect, sd, n, level, margin) == pytest.approx(share, abs=0.012)


# Spreads at which the margin, the interval, or both decide.
@pytest.mark.parametrize("margin", [0.001, 0.01, 0.03])
@pytest.mark.parametrize(("n", "level"), [(5, 0.95), (5, 0.9875), (10, 0.9875)])
def test_the_detectable_gain_is_found_four_times_in_five(n, level, margin):
    sd = 0.01 * math.sqrt(2)
    effect = stats.detectable_gain(sd, n, level, margin)
    found = intervals(normal(n, effect, seed=14), level)
    share = rate(verdicts.rule_for_gain(interval, margin) == "supported" for interval in found)
    assert share == pytest.approx(0.8, abs=0.012)


@pytest.mark.parametrize("n", [5, 10])
def test_the_detectable_gain_is_found_in_binomial_data(n):
    # The spread depends on the effect a little, and means come in steps of one image.
    effect = stats.detectable_gain(math.sqrt((0.12 - 0.02**2) / IMAGES), n, 0.95, M)
    found = intervals(binomial(n, effect, seed=15))
    share = rate(verdicts.rule_for_gain(interval, M) == "supported" for interval in found)
    assert share == pytest.approx(0.8, abs=0.02)


def no_loss_with_control(n, effect, sd, control, correlation, seed):
    """The share of "supported" by the rule for no loss, the control's interval drawn as well."""
    draw = np.random.default_rng([seed, n])
    noise, own = draw.normal(size=(2, STUDIES, n))
    mixed = correlation * noise + math.sqrt(1 - correlation**2) * own
    pairs = zip(made(effect + sd * noise), made(control.mean + control.sd * mixed), strict=True)
    return rate(verdicts.rule_for_no_loss(mine, theirs, M) == "supported" for mine, theirs in pairs)


@pytest.mark.parametrize("n", [5, 10])
def test_with_a_sure_control_the_chance_of_no_loss_is_the_share_of_verdicts(n):
    for sd, effect in ((0.004, -0.002), (0.02, 0.01)):
        share = no_loss_with_control(n, effect, sd, LOSES, 0.5, seed=16)
        chance = stats.chance_no_loss(effect, sd, n, 0.95, M, LOSES)
        assert 0.3 < chance < 0.95 and share == pytest.approx(chance, abs=0.012)


@pytest.mark.parametrize("correlation", [-0.95, 0.0, 0.95])
def test_with_a_doubtful_control_it_passes_at_least_as_often(correlation):
    # The control is noticed in about nine of ten studies.
    control = Interval(-0.018, -0.025, -0.011, 0.95, 10, 0.0067)
    noticed = stats.chance_supported(0.008, 0.0067, 10, 0.95, 0.0)
    assert 0.85 < noticed < 0.95
    effect = 0.00126
    least = stats.chance_no_loss(effect, 0.01, 10, 0.95, M, control)
    share = no_loss_with_control(10, effect, 0.01, control, correlation, seed=17)
    assert 0.75 < least < 0.85
    assert least - 0.01 <= share <= noticed + 0.01
    # Two halves that never fail together: the bound is reached.
    if correlation == 0.95:
        assert share == pytest.approx(least, abs=0.012)


# A choice among trials whose validation scores come from one pool that all seeds share

# P(lo > 0) at no effect, level 95%, by the number of seeds and the part of the contested validation
# images that arm and learning rate decide for all seeds alike. The protocol's page says these.
NEW_RATES = {
    (10, 0.0): 0.0265,
    (10, 0.5): 0.0249,
    (10, 1.0): 0.0265,
    (20, 0.0): 0.0238,
    (20, 0.5): 0.0270,
    (20, 1.0): 0.0272,
    (40, 0.0): 0.0238,
    (40, 0.5): 0.0258,
    (40, 1.0): 0.0300,
}
# The same if one search serves all seeds, by the test images: 10,000 in the first version.
ONCE_RATES = {
    (10, 10_000): 0.0930,
    (20, 10_000): 0.1021,
    (40, 10_000): 0.1071,
    (10, 40_000): 0.1669,
    (20, 40_000): 0.1987,
    (40, 40_000): 0.2079,
}
QUICKEST = 10  # seeds


def slow_beyond(cases):
    """Mark the cases with more seeds than the quickest as slow."""
    marks = {True: pytest.mark.slow, False: ()}
    return [pytest.param(*case, marks=marks[case[0] > QUICKEST]) for case in cases]


def within_margin(found):
    """The share of studies that say no loss of the margin occurred, small or none."""
    words = ("supported", "small loss")
    return rate(verdicts.rule_for_no_loss(i, LOSES, M) in words for i in found)


@pytest.mark.parametrize(("n", "shared"), slow_beyond(NEW_RATES))
def test_a_search_for_every_seed_takes_luck_for_a_gain_as_often_as_stated(n, shared):
    found = gains(intervals(scores(Design(n, shared=shared), STUDIES, 1)))
    assert 0.022 <= found <= (0.028 if shared < 1 else 0.031)
    assert found == pytest.approx(NEW_RATES[n, shared], abs=0.003)


@pytest.mark.parametrize(("crossed", "effect"), [(below_margin, M), (within_margin, -M)])
@pytest.mark.parametrize("n", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 40))])
def test_with_a_search_for_every_seed_the_other_boundaries_are_crossed_as_often(n, crossed, effect):
    found = intervals(scores(Design(n, effect=effect), STUDIES, 2))
    assert 0.022 <= crossed(found) <= 0.028


@pytest.mark.parametrize(("n", "test"), ONCE_RATES)
def test_one_search_for_all_seeds_takes_its_luck_for_an_effect(n, test):
    arms = scores(Design(n, test=test, once=True), STUDIES, 1)
    found = gains(intervals(arms))
    assert found == pytest.approx(ONCE_RATES[n, test], abs=0.006)
    # The audit of the first version found 21% of intervals that exclude 0, at the sizes of then.
    excluding = rate(not i.lo <= 0 <= i.hi for i in intervals(arms))
    assert excluding == pytest.approx(0.2, abs=0.02) if test == 10_000 else excluding > 0.3


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 40))])
def test_a_gain_that_is_planted_in_every_trial_is_found_as_often_as_stated(n, shared):
    margin = 0.002
    new, old = scores(Design(n, shared=shared), 2_000, 3)
    sd = math.sqrt(np.mean(stats.t_bounds(new - old, 0.95)[3] ** 2))
    effect = stats.detectable_gain(sd, n, 0.95, margin)
    found = intervals(scores(Design(n, shared=shared, effect=effect), STUDIES, 4))
    share = rate(verdicts.rule_for_gain(interval, margin) == "supported" for interval in found)
    assert share == pytest.approx(0.8, abs=0.015)


def test_the_protocols_page_has_these_rates():
    page = (Path(__file__).parents[2] / "book" / "protocol.md").read_text(encoding="utf8")
    for n in (10, 20, 40):
        rates = [NEW_RATES[n, shared] for shared in (0.0, 0.5, 1.0)]
        rates += [ONCE_RATES[n, test] for test in (10_000, 40_000)]
        assert f"| {n} | {' | '.join(f'{rate:.1%}' for rate in rates)} |\n" in page


def test_the_luck_of_one_search_is_about_that_of_ours():
    # Three searches of SAM's baseline moved it by 0.3 points (sd).
    new, old = scores(Design(20, test=10**8, once=True), 4_000, 5)
    both = np.var((new - old).mean(1)) - 2 * 0.003**2 / 20  # without the luck of 20 nets each
    assert math.sqrt(both / 2) == pytest.approx(0.003, abs=0.0005)
