"""Paired statistics: against scipy and statsmodels, and against simulation."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.weightstats import DescrStatsW

from reviewlib import stats, verdicts
from reviewlib.stats import Interval

CASES = [
    [0.01, 0.02],
    [0.011, 0.004, -0.002, 0.008, 0.013],
    [-3.0, 1.0, 4.0, 1.0, -5.0, 9.0, -2.0, 6.0, 5.0, 3.5],
]
STUDIES = 20_000
MANY = 200_000  # a rate of 2.5% is then known to 0.1 points in three standard errors


# The interval


@pytest.mark.parametrize("values", CASES, ids=len)
@pytest.mark.parametrize("level", [0.8, 0.95, 1 - 0.05 / 3])
def test_t_interval_equals_scipy_and_statsmodels(values, level):
    ours = stats.t_interval(values, level)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (ours.lo, ours.hi) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    third = DescrStatsW(values).tconfint_mean(alpha=1 - level)
    assert (ours.lo, ours.hi) == pytest.approx(third, rel=1e-12)
    assert (ours.mean, ours.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (ours.n, ours.level) == (len(values), level)


@pytest.mark.parametrize("d", [0.0, 0.1, -2.5])
def test_ties_have_the_interval_of_one_point(d):
    assert stats.t_interval([d] * 7) == Interval(d, d, d, 0.95, 7, 0.0)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_t_interval_rejects_fewer_than_two_seeds(values):
    with pytest.raises(ValueError, match=f"needs at least 2 seeds, got {len(values)}"):
        stats.t_interval(values)


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.1, 95])
def test_t_interval_rejects_the_level(level):
    with pytest.raises(ValueError, match=f"level must lie between 0 and 1, got {level}"):
        stats.t_interval([1, 2], level)


@pytest.mark.parametrize(("primaries", "level"), [(0, 0.95), (1, 0.95), (2, 0.975), (4, 0.9875)])
def test_simultaneous_level(primaries, level):
    assert stats.simultaneous_level(primaries) == pytest.approx(level)


# The contrast


def rows(**arms):
    """Records from name=[values], one seed a value, counted from 0."""
    return pd.DataFrame(
        [
            {"arm": arm, "cell": cell, "seed": seed, "accuracy": value}
            for arm, values in arms.items()
            for cell, shift in (("clean", 0.0), ("noise", -0.5))
            for seed, value in enumerate(values)
            for value in [value + shift]
        ]
    )


GAIN = ((1, "new", "clean"), (-1, "old", "clean"))


def test_contrast_pairs_by_seed_whatever_the_order_of_the_rows():
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, 0.5, 0.7])
    for shuffled in (records, records.iloc[::-1], records.sample(frac=1, random_state=0)):
        values = stats.contrast(shuffled, GAIN, "accuracy")
        assert values.index.tolist() == [0, 1, 2]
        assert values.tolist() == pytest.approx([0.3, 0.2, 0.1])


def test_contrast_looks_at_the_declared_cell():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    terms = ((1, "new", "clean"), (-1, "new", "noise"))
    assert stats.contrast(records, terms, "accuracy").tolist() == pytest.approx([0.5, 0.5])


def test_contrast_averages_replicates_first():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    twice = pd.concat([records, rows(new=[0.5]).iloc[:1]])
    assert stats.contrast(twice, GAIN, "accuracy").tolist() == pytest.approx([0.1, 0.2])
    # Of a log ratio too: the logarithm of the mean.
    logs = stats.contrast(twice, GAIN, "accuracy", log=True)
    assert logs.tolist() == pytest.approx([math.log(0.7 / 0.6), math.log(0.7 / 0.5)])


@pytest.mark.parametrize("sign", [1, -1])
def test_contrast_of_logarithms_is_a_log_ratio(sign):
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    values = stats.contrast(records, GAIN, "accuracy", log=True, sign=sign)
    assert values.tolist() == pytest.approx([sign * math.log(1.5), sign * math.log(1.4)])


def test_contrast_turns_round_where_less_is_better():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5])
    values = stats.contrast(records, GAIN, "accuracy", sign=-1.0)
    assert values.tolist() == pytest.approx([-0.3, -0.2])


def test_contrast_of_four_terms_is_an_interaction():
    records = rows(both=[0.9, 0.8], a=[0.7, 0.6], b=[0.8, 0.75], none=[0.5, 0.6])
    terms = tuple(
        (weight, arm, "clean") for weight, arm in ((1, "both"), (-1, "a"), (-1, "b"), (1, "none"))
    )
    assert stats.contrast(records, terms, "accuracy").tolist() == pytest.approx([-0.1, 0.05])


def test_contrast_weighs_its_terms():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.5], mid=[0.8, 0.6])
    terms = ((1, "new", "clean"), (-0.5, "old", "clean"), (-0.5, "mid", "clean"))
    assert stats.contrast(records, terms, "accuracy").tolist() == pytest.approx([0.2, 0.15])


def test_contrast_names_the_unpaired_seeds():
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, 0.5, 0.7])
    holes = ((records["arm"] == "old") & (records["seed"] == 1)) | (
        (records["arm"] == "new") & (records["seed"] == 2)
    )
    with pytest.raises(ValueError, match=r"'old' in 'clean' is unpaired on seeds \[1, 2\]"):
        stats.contrast(records[~holes], GAIN, "accuracy")


def test_contrast_names_the_missing_arm():
    with pytest.raises(ValueError, match="the records have no arm 'old' in cell 'clean'"):
        stats.contrast(rows(new=[0.9, 0.7]), GAIN, "accuracy")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_contrast_names_the_seeds_that_are_not_a_number(value):
    records = rows(new=[0.9, 0.7, 0.8], old=[0.6, value, 0.7])
    message = r"accuracy of arm 'old' in 'clean' is not a number on seeds \[1\]"
    with pytest.raises(ValueError, match=message):
        stats.contrast(records, GAIN, "accuracy")


def test_contrast_does_not_drop_a_replicate_that_is_not_a_number():
    records = pd.concat([rows(new=[0.9, 0.7], old=[0.6, 0.5]), rows(old=[math.nan])])
    with pytest.raises(ValueError, match=r"not a number on seeds \[0\]"):
        stats.contrast(records, GAIN, "accuracy")


def test_contrast_rejects_the_logarithm_of_zero():
    records = rows(new=[0.9, 0.7], old=[0.6, 0.0])
    with pytest.raises(ValueError, match=r"seeds \[1\]"):
        stats.contrast(records, GAIN, "accuracy", log=True)


# Simulation. The real code takes 0.1 ms an interval; the formula below it is checked against it.


def intervals(studies, level):
    """Means and bounds of studies (S, n), all at once."""
    n = studies.shape[1]
    mean, sd = studies.mean(1), studies.std(1, ddof=1)
    half = scipy.stats.t.ppf((1 + level) / 2, n - 1) * sd / math.sqrt(n)
    return mean, mean - half, mean + half


def simulated(n, effect=0.0, sd=1.0, studies=STUDIES, seed=0):
    return np.random.default_rng(seed).normal(effect, sd, (studies, n))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_formula_of_the_simulations_is_the_code(n):
    studies = simulated(n, effect=0.5, studies=200)
    real = [stats.t_interval(study, 0.975) for study in studies]
    assert np.allclose(
        intervals(studies, 0.975), np.array([(i.mean, i.lo, i.hi) for i in real]).T, rtol=1e-12
    )
    mean, lo, _ = intervals(studies, 0.975)
    words = [verdicts.rule_for_gain(interval, 0.6) == "supported" for interval in real]
    assert words == ((lo > 0) & (mean >= 0.6)).tolist()


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize(("effect", "margin", "level"), [(1.2, 0.5, 0.95), (0.6, 0.5, 0.9875)])
@pytest.mark.parametrize("sd", [0.2, 1.0])
def test_chance_supported_is_the_share_of_simulated_studies(n, effect, margin, level, sd):
    mean, lo, _ = intervals(simulated(n, effect, sd, seed=n), level)
    share = ((lo > 0) & (mean >= margin)).mean()
    assert stats.chance_supported(effect, sd, n, level, margin) == pytest.approx(share, abs=0.01)


def test_chance_supported_is_the_share_of_verdicts():
    studies = simulated(5, effect=1.2, studies=2_000, seed=1)
    words = [verdicts.rule_for_gain(stats.t_interval(study), 0.5) for study in studies]
    share = words.count("supported") / len(words)
    # Four standard errors of so few studies.
    assert stats.chance_supported(1.2, 1.0, 5, 0.95, 0.5) == pytest.approx(share, abs=0.045)


def test_no_effect_lies_below_the_interval_as_often_as_stated():
    studies = simulated(10, studies=MANY, seed=2)
    above = intervals(studies, 0.95)[1] > 0
    assert 0.022 <= above.mean() <= 0.028
    # Decision by decision, the code's.
    assert [stats.t_interval(study).lo > 0 for study in studies[:4000]] == above[:4000].tolist()


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_boundaries_are_crossed_as_often_as_stated(n):
    margin, studies = 0.7, simulated(n, studies=MANY, seed=3)
    rates = {
        "gain at no effect": intervals(studies, 0.95)[1] > 0,
        "no gain at the margin": intervals(studies + margin, 0.95)[2] < margin,
        "no loss at the margin": intervals(studies - margin, 0.95)[1] > -margin,
    }
    for name, crossed in rates.items():
        assert 0.022 <= crossed.mean() <= 0.028, name


def test_the_boundary_is_crossed_as_often_as_stated_with_binomial_data():
    draw = np.random.default_rng(6)
    new, old = (draw.binomial(300, 0.85, (STUDIES, 10)) / 300 for _ in range(2))
    assert 0.022 <= (intervals(new - old, 0.95)[1] > 0).mean() <= 0.028


def test_a_diverged_run_makes_no_false_gain_more_likely():
    draw = np.random.default_rng(7)
    new, old = draw.normal(0.85, 0.005, (2, STUDIES, 10))
    for arm in (new, old):
        arm[np.arange(STUDIES), draw.integers(10, size=STUDIES)] = 0.1
    assert (intervals(new - old, 0.95)[1] > 0).mean() <= 0.028


# Detectable effects


@pytest.mark.parametrize("n", [2, 3, 4])
def test_no_detectable_gain_below_five_seeds(n):
    assert stats.detectable_gain(0.01, n, 0.95, 0.01) is None


@pytest.mark.parametrize(
    ("n", "sd", "level"), [(5, 0.0005, 0.95), (5, 0.2, 0.9875), (10, 0.01, 0.975), (10, 0.2, 0.95)]
)
def test_the_detectable_gain_is_found_four_times_in_five(n, sd, level):
    effect = stats.detectable_gain(sd, n, level, 0.01)
    assert stats.chance_supported(effect, sd, n, level, 0.01) == pytest.approx(0.8, abs=1e-6)
    assert effect > 0.01
    mean, lo, _ = intervals(simulated(n, effect, sd, seed=8), level)
    assert ((lo > 0) & (mean >= 0.01)).mean() == pytest.approx(0.8, abs=0.012)


def test_without_spread_the_margin_itself_is_detected():
    assert stats.detectable_gain(0.0, 5, 0.95, 0.01) == 0.01


# Seeds to settle


@pytest.mark.parametrize("level", [0.95, 0.9875])
@pytest.mark.parametrize("mean", [0.004, 0.009, 0.013, -0.002])
def test_seeds_to_settle_is_the_fewest_that_do(mean, level):
    interval = Interval(mean, mean - 0.03, mean + 0.03, level, 5, 0.02)
    n = stats.seeds_to_settle(interval, (0.0, 0.01))
    distance = min(abs(mean), abs(mean - 0.01))
    assert stats.half_width(0.02, n, level) < distance <= stats.half_width(0.02, n - 1, level)


def test_seeds_to_settle_can_be_as_few_as_two():
    assert stats.seeds_to_settle(Interval(5.0, 4.0, 6.0, 0.95, 5, 0.1), (0.0, 1.0)) == 2


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.01 + 1e-9])
def test_nothing_settles_a_mean_on_a_boundary(mean):
    interval = Interval(mean, mean - 0.03, mean + 0.03, 0.95, 5, 0.02)
    assert stats.seeds_to_settle(interval, (0.0, 0.01)) is None


def test_seeds_to_settle_stops_at_ten_thousand():
    last = stats.half_width(0.02, 10_000, 0.95)
    for distance, answer in ((last * (1 + 1e-9), 10_000), (last, None)):
        interval = Interval(distance, -1.0, 1.0, 0.95, 5, 0.02)
        assert stats.seeds_to_settle(interval, (0.0,)) == answer
