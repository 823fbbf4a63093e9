"""Paired statistics: against scipy and statsmodels, and what they refuse."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from reviewlib.evidence import stats
from reviewlib.evidence.stats import Interval

CASES = [
    [0.01, 0.02],
    [0.011, 0.004, -0.002, 0.008, 0.013],
    [-3.0, 1.0, 4.0, 1.0, -5.0, 9.0, -2.0, 6.0, 5.0, 3.5],
]


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


def test_ties_but_for_rounding_have_the_interval_of_one_point():
    values = [a - b for a, b in ((0.82, 0.8), (0.72, 0.7), (0.32, 0.3))]
    assert len(set(values)) > 1
    tie = stats.t_interval(values)
    assert tie.lo == tie.mean == tie.hi == pytest.approx(0.02) and tie.sd == 0
    assert stats.t_interval([0.02, 0.02, 0.02 + 1e-9]).sd > 0
    # In any unit.
    assert stats.t_interval([1e12 * value for value in values]).sd == 0
    assert stats.t_interval([1e-15, 2e-15]).sd > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_t_interval_rejects_what_is_not_finite(bad):
    with pytest.raises(ValueError, match=rf"needs finite values, got \[{bad}\]"):
        stats.t_interval([0.1, bad, 0.2])


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


# Detectable effects


@pytest.mark.parametrize("n", [2, 3, 4])
def test_no_detectable_gain_below_five_seeds(n):
    assert stats.detectable_gain(0.01, n, 0.95, 0.01) is None


# Normal differences of unit spread in the mean: effects in standard deviations.
@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("level", [0.95, 0.9875])
@pytest.mark.parametrize("effect", [0.0, 0.4, 1.5])
def test_without_a_margin_the_chance_is_that_of_a_one_sided_t_test(n, level, effect):
    power = TTestPower().power(effect, n, (1 - level) / 2, alternative="larger")
    assert stats.chance_supported(2 * effect, 2.0, n, level, 0.0) == pytest.approx(power, abs=4e-5)


def test_a_margin_that_decides_alone_leaves_a_normal_probability():
    # Spread so small that lo > 0 is sure: P(mean >= margin).
    chance = stats.chance_supported(0.011, 0.002, 5, 0.95, 0.01)
    assert chance == pytest.approx(scipy.stats.norm.cdf(0.001 / (0.002 / math.sqrt(5))), abs=1e-6)


@pytest.mark.parametrize(
    ("n", "sd", "level"), [(5, 0.0005, 0.95), (5, 0.2, 0.9875), (10, 0.01, 0.975), (10, 0.2, 0.95)]
)
def test_the_detectable_gain_has_a_chance_of_four_in_five(n, sd, level):
    effect = stats.detectable_gain(sd, n, level, 0.01)
    assert stats.chance_supported(effect, sd, n, level, 0.01) == pytest.approx(0.8, abs=1e-6)
    assert effect > 0.01


def test_without_a_margin_the_detectable_gain_is_that_of_statsmodels():
    theirs = TTestPower().solve_power(nobs=10, alpha=0.025, power=0.8, alternative="larger")
    assert stats.detectable_gain(0.03, 10, 0.95, 1e-9) == pytest.approx(0.03 * theirs, rel=1e-3)


def test_without_spread_the_margin_itself_is_detected():
    assert stats.detectable_gain(0.0, 5, 0.95, 0.01) == 0.01
    assert stats.chance_supported(0.01, 0.0, 5, 0.95, 0.01) == 1
    assert stats.chance_supported(0.009, 0.0, 5, 0.95, 0.01) == 0
    assert stats.chance_supported(0.0, 0.0, 5, 0.95, 0.0) == 0


# No loss

SURE = Interval(-0.05, -0.06, -0.04, 0.95, 10, 0.01)


def control(mean, sd=0.01, n=10):
    return Interval(mean, mean, mean, 0.95, n, sd)


@pytest.mark.parametrize("effect", [-0.01, -0.004, 0.0, 0.02])
def test_with_a_sure_control_and_a_wide_interval_no_loss_is_a_t_test_of_the_margin(effect):
    # so wide that what lies above the margin reaches zero
    power = TTestPower().power((effect + 0.01) / 0.03, 10, 0.0125, alternative="larger")
    chance = stats.chance_no_loss(effect, 0.03, 10, 0.975, 0.01, SURE)
    assert chance == pytest.approx(power, abs=2e-4)


def test_a_doubtful_control_takes_its_doubt_from_the_chance():
    # The control's own spread and seeds: here it is noticed by a t test of four seeds.
    doubt = 1 - TTestPower().power(0.03 / 0.02, 4, 0.025, alternative="larger")
    sure, less = (
        stats.chance_no_loss(0.0, 0.005, 10, 0.95, 0.01, of)
        for of in (SURE, control(-0.04, sd=0.02, n=4))
    )
    assert 0.9 < sure < 1 and 0.2 < doubt < 0.5
    assert less == pytest.approx(sure - doubt, abs=4e-4)


@pytest.mark.parametrize("mean", [-0.01, -0.009, 0.0, 0.05])
def test_without_a_control_that_loses_no_loss_is_hardly_ever_supported(mean):
    for sd in (0.0, 0.005):
        assert stats.chance_no_loss(0.0, 0.005, 10, 0.95, 0.01, control(mean, sd)) < 0.03


def test_a_chance_is_never_negative():
    assert stats.chance_no_loss(-0.03, 0.005, 10, 0.95, 0.01, control(0.0)) == 0


def test_a_narrow_interval_tells_a_small_loss_from_none():
    power = TTestPower().power(-0.002 / 0.001, 10, 0.975, alternative="larger")
    chance = stats.chance_no_loss(-0.002, 0.001, 10, 0.95, 0.1, SURE)  # the rule is hi >= 0
    assert chance == pytest.approx(power, abs=1e-3)


def test_without_spread_no_loss_begins_at_zero():
    assert stats.chance_no_loss(0.0, 0.0, 10, 0.95, 0.01, SURE) == pytest.approx(1, abs=1e-3)
    assert stats.chance_no_loss(-0.0001, 0.0, 10, 0.95, 0.01, SURE) == 0


# Seeds to settle


def settled(sd, n, level=0.95):
    return Interval(0.004, 0.004 - 0.03, 0.004 + 0.03, level, n, sd)


@pytest.mark.parametrize("level", [0.95, 0.9875])
@pytest.mark.parametrize(("images", "pool"), [(math.nan, 40_000), (0.1, 40_000), (math.nan, None)])
def test_seeds_to_settle_is_the_fewest_whose_half_width_is_below_half_the_margin(
    level, images, pool
):
    found = stats.seeds_to_settle(settled(0.02, 20, level), 0.01, images, pool)
    known = 0.0 if math.isnan(images) else images

    def half(n):
        of_images, of_seed = known / 40_000, 0.02**2 - known / 2_000
        return scipy.stats.t.ppf((1 + level) / 2, n - 1) * math.sqrt(of_images + of_seed / n)

    assert half(found) < 0.005 <= half(found - 1)
    assert found > 20


def test_a_half_width_of_just_half_the_margin_does_not_settle():
    margin = 2 * stats.half_width(0.02, 50, 0.95)
    assert stats.seeds_to_settle(settled(0.02, 5), margin) == 51


def test_seeds_to_settle_can_be_as_few_as_two():
    assert stats.seeds_to_settle(settled(0.01, 5), 1.0) == 2
    assert stats.seeds_to_settle(settled(0.0, 5), 0.01) == 2


def test_the_images_limit_what_more_seeds_can_do():
    # All of the variance is that of the images: ten times as many seeds see the same images.
    images = 0.02**2 * 2_000
    assert stats.half_width(0.02, 20, 0.95) > 0.005
    assert stats.seeds_to_settle(settled(0.02, 20), 0.01, images, 40_000) is None
    limit = stats.half_width(math.sqrt(images * 800 / 40_000), 800, 0.95)
    for half, answer in ((limit * (1 + 1e-9), 800), (limit, None)):
        assert stats.seeds_to_settle(settled(0.02, 20), 2 * half, images, 40_000) == answer


def test_images_that_vary_more_than_the_seeds_do_leave_nothing_to_the_seed():
    images = 0.05**2 * 2_000  # an estimate larger than the variance between seeds
    found = stats.seeds_to_settle(settled(0.02, 20), 0.05, images, 40_000)
    bound = math.sqrt(images / 40_000)
    t = scipy.stats.t.ppf(0.975, [found - 1, found - 2])
    assert t[0] * bound < 0.025 <= t[1] * bound


@pytest.mark.parametrize(("pool", "last"), [(40_000, 800), (None, 10_000)])
def test_seeds_to_settle_stops_at_folds_of_50_images_or_at_ten_thousand(pool, last):
    limit = 2 * stats.half_width(0.02, last, 0.95)
    for margin, answer in ((limit * (1 + 1e-9), last), (limit, None)):
        assert stats.seeds_to_settle(settled(0.02, 5), margin, pool=pool) == answer


def test_a_pool_too_small_for_two_folds_settles_nothing():
    assert stats.seeds_to_settle(settled(0.02, 5), 10.0, pool=99) is None
