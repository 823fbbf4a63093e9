"""A search for every seed: its points, and what one search is worth on average."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import toy
from toy import AGAIN, ARMS, NOISE, SGD, SLOW

from reviewlib.trial import search
from reviewlib.trial.arms import Arm, Hyperparameter
from reviewlib.trial.experiment import count_runs

STUDY = toy.study()
LR, DAMPING = STUDY.hyperparameters
SEED = 100_000


# The points


@pytest.mark.parametrize("trials", [2, 3, 8, 16])
@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_every_stratum_has_one_point_and_the_outer_points_are_the_ends(trials, seed):
    found = search.positions("lr", seed, trials)
    assert sorted(min(int(u * trials), trials - 1) for u in found) == list(range(trials))
    assert min(found) == 0 and max(found) == 1
    assert found == search.positions("lr", seed, trials)


def test_a_point_lies_anywhere_in_its_stratum_and_the_strata_in_any_order():
    many = np.array([search.positions("lr", seed, 8) for seed in range(200)])
    inner = many[(many >= 1 / 8) & (many < 7 / 8)]
    shares = inner * 8 % 1
    assert 0 <= shares.min() < 0.02 and 0.98 < shares.max() < 1
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    first = np.floor(np.minimum(many[:, 0] * 8, 7))
    assert set(first) == set(range(8))


def test_a_single_trial_lies_in_the_middle():
    assert search.positions("lr", SEED, 1) == [0.5]
    assert search.points([DAMPING], SEED, 1) == [{"damping": 0.5}]


def test_values_are_those_of_the_positions_on_the_hyperparameters_own_scale():
    values = [point["lr"] for point in search.points([LR], SEED, 16)]
    assert values == [LR.at(u) for u in search.positions("lr", SEED, 16)]
    assert (min(values), max(values)) == (LR.low, LR.high)


def test_arms_share_the_points_of_the_hyperparameters_that_they_share():
    sgd, slow = (search.trials_of(STUDY, arm, SEED, 16) for arm in ARMS)
    assert [trial["lr"] for trial in sgd] == [trial["lr"] for trial in slow]
    assert [trial.keys() for trial in (sgd[0], slow[0])] == [{"lr"}, {"lr", "damping"}]
    order = np.argsort([[trial[name] for trial in slow] for name in ("lr", "damping")])
    assert order[0].tolist() != order[1].tolist()  # one does not follow the other


def test_a_new_hyperparameter_moves_no_other():
    rho = Hyperparameter("rho", 0.1, 1.0)
    before = search.points([LR, DAMPING], SEED, 16)
    after = search.points([rho, LR, DAMPING], SEED, 16)
    assert [{name: trial[name] for name in ("lr", "damping")} for trial in after] == before


def test_seeds_and_versions_search_other_points():
    found = [search.points([LR], seed, 8) for seed in (*range(SEED, SEED + 3), 2 * SEED)]
    inner = [{point["lr"] for point in points} - {LR.low, LR.high} for points in found]
    assert not any(one & other for one, other in itertools.combinations(inner, 2))


def test_the_a_a_control_searches_other_points_of_the_same_ranges():
    own, shared = (
        {trial["lr"] for trial in search.trials_of(STUDY, arm, SEED, 9)} for arm in (AGAIN, SGD)
    )
    assert own & shared == {LR.low, LR.high} and len(own) == len(shared) == 9
    assert search.own_seed(SGD, SEED) == SEED != search.own_seed(AGAIN, SEED)
    last = max(toy.study(results_version=999).seeds(replace(toy.TINY, seeds=1000)))
    assert search.own_seed(AGAIN, 0) > last  # no final seed has the same streams


def test_an_arm_that_searches_nothing_has_one_trial():
    held = Arm("held", "Held", role="untuned", search=(), note="", train=toy.trained)
    assert search.trials_of(STUDY, held, SEED, 16) == [{}]


def test_an_ablation_tries_its_parents_settings_at_half_once_and_twice_the_learning_rate():
    assert search.around({"lr": 0.03333, "damping": 0.25}) == [
        {"lr": 0.01666, "damping": 0.25},
        {"lr": 0.03333, "damping": 0.25},
        {"lr": 0.06666, "damping": 0.25},
    ]
    assert search.around({"damping": 0.25}) == [{"damping": 0.25}]


def test_a_combination_tries_the_middle_of_its_parents_settings_on_their_own_scales():
    ranges = (
        Hyperparameter("lr", 0.001, 1.0),
        Hyperparameter("keep", 0.0, 1.0, log=False),
        Hyperparameter("rho", 0.01, 1.0),
        Hyperparameter("unused", 0.01, 1.0),
    )
    one, other = {"lr": 0.01, "keep": 0.2}, {"lr": 0.04, "keep": 0.6, "rho": 0.5}
    assert search.joined([one, other], ranges) == {"lr": 0.02, "keep": 0.4, "rho": 0.5}
    assert search.joined([other, one], ranges) == search.joined([one, other], ranges)
    three = search.joined([one, other, {"lr": 0.09}], ranges)
    assert three["lr"] == float(f"{(0.01 * 0.04 * 0.09) ** (1 / 3):.4g}")
    assert search.joined([one], ()) == one


def test_the_runs_of_a_preset_are_counted_before_they_are_made():
    assert count_runs(STUDY, toy.TINY) == 4 * toy.TINY.seeds
    fewer = replace(toy.TINY, where={"noise": {"seeds": 2}})
    assert count_runs(STUDY, fewer) == 2 * toy.TINY.seeds + 2 * 2
    assert count_runs(STUDY, replace(toy.TINY, conditions=(NOISE,), arms=(SLOW,))) == 3


def test_values_at_the_ends_of_a_range_are_counted():
    chosen = [0.01, 0.01, 0.05, 0.1]
    assert search.at_ends(chosen, LR) == {"low": 2, "high": 1}
    assert search.at_ends([0.0101, 0.0999], LR) == {"low": 0, "high": 0}


# The best of k tries


def enumerated(scores, accuracy, nll, tries):
    """Return the expected score of the best of k tries, one choice of trials after the other."""
    choices = list(itertools.combinations(range(len(scores)), tries))
    best = [min(choice, key=lambda i: (-accuracy[i], nll[i], i)) for choice in choices]
    return sum(scores[i] for i in best) / len(choices)


def drawn(trials, draw):
    """Return test scores, validation accuracies of few values, and validation losses of fewer."""
    return (
        [draw.random() for _ in range(trials)],
        [draw.choice([0.5, 0.75, 0.8]) for _ in range(trials)],
        [draw.choice([0.6, 0.9]) for _ in range(trials)],
    )


@pytest.mark.parametrize(
    ("trials", "tries"), [(1, 1), (3, 2), (4, 4), (5, 1), (8, 4), (9, 3), (12, 8)]
)
def test_the_best_of_k_tries_is_that_of_all_choices_enumerated(trials, tries):
    for number in range(5):
        scores, accuracy, nll = drawn(trials, random.Random(number))
        found = search.expected(scores, search.ranking(accuracy, nll), tries)
        assert found == pytest.approx(enumerated(scores, accuracy, nll, tries), abs=1e-12)


def test_as_many_tries_as_trials_give_the_best_of_all_and_one_try_the_mean():
    scores, accuracy, nll = drawn(6, random.Random(1))
    order = search.ranking(accuracy, nll)
    assert search.expected(scores, order, 6) == scores[order[0]]
    assert search.expected(scores, order, 1) == pytest.approx(np.mean(scores))
    assert search.expected(scores, order, 99) == scores[order[0]]


def test_equal_accuracies_are_ranked_by_loss_and_then_the_earlier_trial():
    assert search.ranking([0.5, 0.9, 0.9, 0.9], [0.1, 0.3, 0.2, 0.2]).tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize("trials", [1, 2, 3, 8, 16])
def test_the_weights_of_the_ranks_sum_to_1_and_fall(trials):
    for tries in range(1, trials + 1):
        weights = search.weights(trials, tries)
        assert weights.sum() == pytest.approx(1, abs=1e-14)
        assert (np.diff(weights) <= 0).all()
        assert np.count_nonzero(weights) == trials - tries + 1
    assert search.weights(16, 8)[0] == 0.5
    assert search.weights(16, 8)[1] == math.comb(14, 7) / math.comb(16, 8)


def test_a_score_that_never_counts_may_be_missing():
    assert search.expected([0.7, None, 0.9], [2, 0, 1], 2) == pytest.approx(0.9 * 2 / 3 + 0.7 / 3)
    assert math.isnan(search.expected([0.7, None, 0.9], [2, 0, 1], 1))
