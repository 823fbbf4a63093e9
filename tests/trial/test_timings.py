"""Timings: which steps are timed, at which settings, and which claims may rest on them."""

from dataclasses import replace
from functools import partial

import pytest
import timed
import toy
from timed import FASTER, SETTINGS

from reviewlib.train import Solution
from reviewlib.trial.declare import training
from reviewlib.trial.fingerprints import test_digest as digest_of_test
from reviewlib.trial.timings import launch, launches, training_of

STEP = replace(timed.STEP, arms=toy.ARMS)
CLAIMS = toy.CLAIM, FASTER


def study(**changes):
    usual = {"arms": toy.ARMS, "timings": (STEP,), "claims": CLAIMS}
    return timed.study(**usual | changes)


def test_a_launch_has_a_row_for_every_arm_of_every_timing():
    large = replace(STEP, name="large", batch_size=40, arms=("slow",))
    rows = launch(study(timings=(STEP, large)), "cpu", 3, rounds=1)
    assert [(row["arm"], row["condition"]) for row in rows] == [
        ("sgd", "step"),
        ("slow", "step"),
        ("slow", "large"),
    ]
    assert all(row["seed"] == 3 and row["peak_bytes"] is None for row in rows)
    assert all(0 < row["step_seconds"] < 1 for row in rows)
    assert rows[2]["activation_bytes"] == 4 * rows[1]["activation_bytes"] > 0


def test_an_arm_is_timed_at_the_settings_of_the_timing_even_those_that_it_fixes():
    of = study(timings=(replace(STEP, fixed=SETTINGS | {"momentum": 0.1}),))
    training = training_of(of, of.arm("slow"), of.timings[0], "cpu")
    assert training.config.momentum == 0.1
    assert training.config.lr == 0.1 / 1.5
    assert (training.config.batch_size, len(training.train)) == (10, 10)
    assert training_of(study(), toy.SLOW, STEP, "cpu").config.momentum == 0.45


def solved(run):
    yield Solution(lambda: run.net())


def test_an_arm_without_a_training_cannot_be_timed():
    of = study(arms=(toy.SGD, replace(toy.SLOW, train=solved)))
    with pytest.raises(ValueError, match="arm slow is timed, so it must yield a training first"):
        launch(of, "cpu", 0)


def test_too_few_launches_are_refused_before_any_starts():
    with pytest.raises(ValueError, match="at least 5 launches, got 4"):
        next(launches(study(), "cpu", 4))
    with pytest.raises(ValueError, match="toy times nothing"):
        next(launches(toy.study(), "cpu", 5))


@pytest.mark.slow  # five processes that import torch
def test_every_launch_is_a_process_of_its_own():
    found = list(launches(study(), "cpu", 5))
    assert [{row["seed"] for row in rows} for rows in found] == [{0}, {1}, {2}, {3}, {4}]
    bytes_of = [[row["activation_bytes"] for row in rows] for rows in found]
    assert all(one == bytes_of[0] for one in bytes_of)


def test_a_timing_of_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="timing step names arms that toy has not: \\['fast'\\]"):
        study(timings=(replace(STEP, arms=("sgd", "slow", "fast")),))


def test_a_claim_on_a_timing_must_compare_arms_that_it_times():
    with pytest.raises(ValueError, match="compares slow in step, which the study does not run"):
        study(timings=(replace(STEP, arms=("sgd",)),))


def test_a_claim_rests_on_timed_steps_or_on_trained_nets_not_on_both():
    mixed = replace(FASTER, contrast=toy.SLOW @ STEP - toy.SGD @ toy.CLEAN)
    with pytest.raises(ValueError, match="compares timed steps with trained nets"):
        study(claims=(mixed,))


def test_a_timing_has_nothing_that_only_trained_nets_have():
    with pytest.raises(ValueError, match="timing step trains no nets: leave out label_noise"):
        replace(STEP, label_noise=0.4)
    with pytest.raises(ValueError, match="leave out stack, parent"):
        replace(STEP, stack=8, parent="clean")


def test_a_timing_and_a_condition_must_not_share_a_name():
    with pytest.raises(ValueError, match="condition names must differ"):
        study(timings=(replace(STEP, name="clean"),))


def test_the_baseline_is_compared_with_itself_in_a_timing_by_the_measures_of_its_primaries():
    arms = (*toy.ARMS, toy.AGAIN)
    where = replace(STEP, arms=arms)
    names = [claim.name for claim in study(arms=arms, timings=(where,)).controls]
    assert names == ["a_a-clean", "a_a-step-step_seconds"]
    exploratory = study(
        arms=arms, timings=(where,), claims=(toy.CLAIM, replace(FASTER, primary=False))
    )
    assert [claim.name for claim in exploratory.controls] == ["a_a-clean"]


def test_what_a_primary_claim_times_is_part_of_the_test():
    def digest(**changes):
        of = study(**changes)
        return digest_of_test(of, of.presets[0])

    assert digest() == digest(timings=(replace(STEP, label="in other words"),))
    assert digest() != digest(timings=(replace(STEP, batch_size=20),))
    assert digest() != digest(timings=(replace(STEP, fixed=SETTINGS | {"lr": 0.2}),))
    further = replace(STEP, name="further")
    assert digest() == digest(timings=(STEP, further))  # no primary claim rests on it


def test_a_timing_that_no_primary_claim_names_changes_no_test():
    plain = toy.study()
    exploratory = study(claims=(toy.CLAIM, replace(FASTER, primary=False)))
    assert digest_of_test(plain, plain.presets[0]) == digest_of_test(
        exploratory, exploratory.presets[0]
    )


def test_a_claim_on_steps_is_worded_with_the_label_of_its_timing():
    (claim,) = study(claims=(replace(FASTER, statement="", primary=False),)).claims
    assert claim.statement == "Half the momentum against SGD, a step, by step seconds."


def test_settings_of_a_timing_are_settings_of_the_study():
    def wide(run):
        yield training(run, lr=run.get("wide", 0.0) or run["lr"])

    arms = (toy.SGD, replace(toy.SLOW, train=partial(wide)))
    of = study(arms=arms, timings=(replace(STEP, fixed=SETTINGS | {"wide": 0.3}),))
    assert training_of(of, of.arm("slow"), of.timings[0], "cpu").config.lr == 0.3
    assert "wide" in of.settings


@pytest.mark.parametrize(
    ("claim", "needs"),
    [
        (replace(FASTER, metric="accuracy"), "a condition for its metric accuracy"),
        (
            replace(toy.CLAIM, name="wrong", metric="activation_bytes"),
            "a timing for its metric activation_bytes",
        ),
    ],
)
def test_the_metric_of_a_claim_belongs_to_where_it_compares(claim, needs):
    with pytest.raises(ValueError, match=f"claim {claim.name} needs {needs}"):
        study(claims=(claim,))
