"""What an arm costs: passes relative to the baseline, and new hyperparameters."""

from dataclasses import replace

import toy

from reviewlib.page import costs

OF = toy.study(**toy.CONTROLLED)


def test_what_an_arm_costs_is_relative_to_the_baseline_of_its_condition(controlled):
    rows = controlled.rows
    longer = rows.assign(passes=rows["passes"] * rows["condition"].map({"clean": 1, "noise": 7}))
    cost = costs.passes(OF, replace(controlled, rows=longer))
    assert (cost == 1).all() and list(cost.index) == ["again", "part", "sgd", "slow"]


def test_an_arm_that_takes_twice_the_passes_costs_twice_as_much(controlled):
    rows = controlled.rows
    longer = rows.assign(passes=rows["passes"] * rows["arm"].map({"slow": 2}).fillna(1))
    price = costs.price(OF, replace(controlled, rows=longer)).set_index("arm")
    assert price["forward-backward passes"].to_dict() == {"SGD": "1×", "Half the momentum": "2×"}
    assert price.loc["Half the momentum", "new hyperparameters"] == "damping"
    assert price.loc["SGD", "new hyperparameters"] == "none"
