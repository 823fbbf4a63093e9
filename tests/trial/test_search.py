"""Every arm gets the same trials from one sequence, and tuning never sees a test image."""

import math
from dataclasses import replace

import pytest
import toy
from toy import AGAIN, ARMS, CLEAN, NOISE, SGD, SLOW

from reviewlib.trial import search
from reviewlib.trial.arms import Arm
from reviewlib.trial.experiment import count_runs

STUDY = toy.study()
TWICE = replace(toy.TINY, tuning_seeds=2)


def tuned(study=STUDY, preset=TWICE, score=lambda run: 0.5, diverged=lambda run: None):
    """Return the table of all arms' trials, and the runs asked for; `score` stands in for them."""
    asked = []

    def run_all(runs):
        asked.extend(runs)
        return [
            {
                "accuracy": score(run),
                "diverged_at": diverged(run),
                "seconds": 0.25,
                "seed": run.seed,
            }
            for run in runs
        ]

    places = [(arm, where) for where in study.conditions for arm in study.arms_in(where)]
    return search.tune(study, places, preset, run_all), asked


def test_every_arm_gets_the_same_trials_on_the_same_tuning_seeds():
    _, asked = tuned()
    seeds = {}
    for run in asked:
        seeds.setdefault((run.arm.name, run.condition.name), []).append(run.seed)
    first = search.FIRST_TUNING_SEED
    assert len(seeds) == 4
    assert all(each == [first, first + 1] * TWICE.trials for each in seeds.values())


def test_tuning_uses_no_final_seed_and_no_test_fold():
    _, asked = tuned()
    final = max(toy.study(results_version=99).seeds(replace(toy.TINY, seeds=100)))
    assert min(run.seed for run in asked) >= search.FIRST_TUNING_SEED > final
    assert {(run.phase, run.fold) for run in asked} == {("tuning", None)}


def test_arms_read_their_own_hyperparameters_from_one_sequence():
    sgd, slow = (search.trials_of(STUDY, arm, 4) for arm in ARMS)
    assert [dict(trial)["lr"] for trial in sgd] == [dict(trial)["lr"] for trial in slow]
    assert [dict(trial).keys() for trial in (sgd[0], slow[0])] == [{"lr"}, {"lr", "damping"}]


def test_the_sequence_stays_in_range_fills_it_and_starts_in_the_middle():
    points = search.sequence(STUDY, 16)
    lrs = sorted(point["lr"] for point in points)
    assert len(points) == 16
    assert points[0] == {"lr": pytest.approx(math.sqrt(0.001), rel=1e-3), "damping": 0.5}
    assert 0.01 <= lrs[0] < 0.0135 and 0.075 < lrs[-1] <= 0.1
    assert points == search.sequence(STUDY, 16)


@pytest.mark.parametrize("search_seed", [0, 1])
def test_more_trials_start_with_the_same_points(search_seed):
    points = search.sequence(STUDY, 16, search_seed)
    for trials in (1, 2, 7, 8):
        assert search.sequence(STUDY, trials, search_seed) == points[:trials]


def test_a_control_has_other_search_points_in_the_same_ranges():
    own, shared = (set(search.trials_of(STUDY, arm, 9)) for arm in (AGAIN, SGD))
    assert len(own) == len(shared) == 9 and not own & shared
    assert all(0.01 <= dict(settings)["lr"] <= 0.1 for settings in own)


def test_the_best_mean_over_tuning_seeds_is_chosen_for_each_condition():
    wanted = {("clean", "sgd"): 2, ("clean", "slow"): 0, ("noise", "sgd"): 1, ("noise", "slow"): 2}

    def score(run):
        trial = search.trials_of(STUDY, run.arm, 3).index(run.settings)
        lucky = run.seed == search.FIRST_TUNING_SEED
        best = trial == wanted[run.condition.name, run.arm.name]
        return 0.7 if best else 0.8 if lucky else 0.2  # one seed alone would choose another

    trials, _ = tuned(score=score)
    chosen = trials[trials["chosen"]].to_dict("records")
    assert {(row["condition"], row["arm"]): row["trial"] for row in chosen} == wanted
    assert {row["accuracy"] for row in chosen} == {0.7}
    other = trials[~trials["chosen"]].iloc[0]
    assert (other["accuracies"], other["accuracy"]) == ([0.8, 0.2], 0.5)
    expected = dict(search.trials_of(STUDY, SLOW, 3)[2])
    assert search.settings_of(trials, "slow", "noise") == expected


def test_the_first_of_equally_good_trials_is_chosen():
    trials, _ = tuned()
    assert trials[trials["chosen"]]["trial"].tolist() == [0] * 4


def test_diverged_runs_and_seconds_are_counted_for_each_trial():
    trials, _ = tuned(diverged=lambda run: 3 if run.arm is SGD else None)
    assert set(trials[trials["arm"] == "sgd"]["diverged"]) == {2}
    assert set(trials[trials["arm"] == "slow"]["diverged"]) == {0}
    assert set(trials["seconds"]) == {0.5}


def test_settings_that_were_not_tuned_are_an_error():
    trials, _ = tuned()
    with pytest.raises(ValueError, match="no settings were tuned for arm 'sgd' in .* 'wide'"):
        search.settings_of(trials, "sgd", "wide")


def test_an_arm_is_tuned_only_in_the_conditions_that_it_is_run_in():
    late = replace(SGD, name="late", role="ablation", conditions=(NOISE,))
    trials, _ = tuned(toy.study(arms=(*ARMS, late)))
    assert set(trials[trials["arm"] == "late"]["condition"]) == {"noise"}
    assert set(trials[trials["arm"] == "sgd"]["condition"]) == {"clean", "noise"}


@pytest.mark.parametrize(("value", "edge"), [(0.0101, ["lr"]), (0.03, []), (0.099, ["lr"])])
def test_an_optimum_at_the_edge_of_its_range_is_flagged(value, edge):
    assert search.at_edge(STUDY, {"lr": value}) == edge


def test_edges_are_listed_for_the_chosen_trial_only():
    trials, _ = tuned(score=lambda run: dict(run.settings)["lr"], preset=replace(TWICE, trials=16))
    for row in trials.to_dict("records"):
        assert row["chosen"] == ("lr" in row["edges"])


def test_an_arm_that_searches_nothing_has_one_trial():
    held = Arm(
        "held",
        "Held",
        role="untuned",
        search=(),
        note="nothing tuned",
        train=toy.trained,
        fixed={"lr": 0.05},
    )
    study = toy.study(arms=(*ARMS, held))
    trials, asked = tuned(study)
    assert len(trials[trials["arm"] == "held"]) == 2
    assert len([run for run in asked if run.arm is held]) == 2 * TWICE.tuning_seeds
    more = count_runs(study, TWICE) - count_runs(STUDY, TWICE)
    assert more == 2 * (TWICE.tuning_seeds + TWICE.seeds)


def test_the_runs_of_a_preset_are_counted_before_they_are_made():
    assert count_runs(STUDY, TWICE) == 4 * (TWICE.trials * 2 + TWICE.seeds)
    assert count_runs(STUDY, replace(TWICE, conditions=(CLEAN,), arms=(SGD,))) == 3 * 2 + 3
