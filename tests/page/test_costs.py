"""What an arm costs: passes relative to the baseline, and new hyperparameters."""

import math
from dataclasses import replace

import pytest
import timed
import toy

from reviewlib.page import costs

OF = toy.study(**toy.CONTROLLED)


def test_what_an_arm_costs_is_relative_to_the_baseline_of_its_condition(controlled):
    runs = controlled.runs
    longer = runs.assign(passes=runs["passes"] * runs["condition"].map({"clean": 1, "noise": 7}))
    cost = costs.passes(OF, replace(controlled, runs=longer))
    assert (cost == 1).all() and list(cost.index) == ["again", "part", "sgd", "slow"]


def test_an_arm_costs_what_it_does_in_the_first_condition_that_it_shares_with_the_baseline(
    controlled,
):
    runs = controlled.runs
    slower = (runs["arm"] == "slow") & (runs["condition"] == "noise")
    longer = runs.assign(passes=runs["passes"].where(~slower, runs["passes"] * 7))
    assert costs.passes(OF, replace(controlled, runs=longer))["slow"] == 1
    turned = replace(OF, conditions=OF.conditions[::-1])
    assert costs.passes(turned, replace(controlled, runs=longer))["slow"] == 7


def test_an_arm_that_takes_twice_the_passes_costs_twice_as_much(controlled):
    runs = controlled.runs
    longer = runs.assign(passes=runs["passes"] * runs["arm"].map({"slow": 2}).fillna(1))
    price = costs.price(OF, replace(controlled, runs=longer)).set_index("arm")
    assert price["forward-backward passes"].to_dict() == {"SGD": "1×", "Half the momentum": "2×"}
    assert price.loc["Half the momentum", "new hyperparameters"] == "damping"
    assert price.loc["SGD", "new hyperparameters"] == "none"


def test_a_trial_that_diverged_early_makes_no_arm_cheaper(controlled):
    runs = controlled.runs
    mine = (runs["arm"] == "slow") & (runs["condition"] == "clean")
    early = runs.assign(passes=runs["passes"].where(~mine, 0.4 * runs["passes"]))
    gone = mine & (runs["seed"] != runs["seed"].max())
    early["passes"] = early["passes"].where(gone | ~mine, runs["passes"])
    early["diverged_at"] = [
        [1, *trials[1:]] if each else trials
        for each, trials in zip(gone, runs["diverged_at"], strict=True)
    ]
    assert costs.passes(OF, replace(controlled, runs=early))["slow"] == 1
    early["diverged_at"] = [
        [1, *trials[1:]] if each else trials
        for each, trials in zip(mine, runs["diverged_at"], strict=True)
    ]
    gone = costs.passes(OF, replace(controlled, runs=early[early["condition"] == "clean"]))
    assert math.isnan(gone["slow"]) and gone["sgd"] == 1  # no run shows what a whole trial costs


def test_seconds_are_those_of_one_trial(controlled):
    price = costs.price(OF, replace(controlled, runs=controlled.runs.assign(seconds=3.6)))
    assert list(price["seconds per trial"]) == ["1.2", "1.2"]  # of three
    assert list(price["trials per seed"]) == ["3", "3"]


@pytest.fixture(scope="module")
def stepped(controlled):
    """A study with a timing, and a record of it."""
    of = timed.study(arms=OF.arms, timings=(replace(timed.STEP, arms=timed.ARMS),))
    return of, replace(controlled, timings=timed.made(of))


def test_a_step_costs_its_time_and_its_memory_in_multiples_of_the_baseline(stepped):
    table = costs.steps(*stepped).set_index("a step, a step")
    assert list(table.index) == ["SGD", "Half the momentum", "SGD again"]
    half = table.loc["Half the momentum"]
    assert half["times SGD's"].startswith("0.50 (0.50 to 0.50)")
    assert half["times SGD's memory"] == "0.50" and table.loc["SGD", "times SGD's"] == "1.00"
    assert table.loc["SGD", "milliseconds"] == "2"


def test_where_steps_are_timed_the_seconds_of_stacks_are_left_out(stepped):
    of, record = stepped
    assert "seconds per trial" not in costs.price(of, record)
    assert "seconds per trial" in costs.price(of, replace(record, timings=None))


def test_the_price_of_a_method_says_what_its_step_costs(stepped):
    of, record = stepped
    (said,) = costs.of_a_step(of, record, of.arm("slow"))
    assert said == "0.5 times the time of a step and 0.5 times its activation memory (a step)"
    assert costs.of_a_step(of, replace(record, timings=None), of.arm("slow")) == []
    assert costs.of_a_step(of, record, of.arm("part")) == []  # it is not timed
