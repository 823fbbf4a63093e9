"""Tables: what was tried, main effects and interaction."""

from dataclasses import replace

import numpy as np
import pytest
import toy

from reviewlib.page import tables

OF = toy.study(**toy.CONTROLLED)


def test_every_trial_is_listed_the_chosen_ones_marked(controlled):
    table = tables.trials(OF, controlled)
    assert len(table) == len(controlled.trials)
    assert list(table["chosen"] == "yes") == list(controlled.trials["chosen"])
    first = controlled.trials.iloc[0]
    assert table.loc[0, "settings"] == f"lr {first['settings']['lr']:g}"
    assert table.loc[0, "validation accuracy, %"] == pytest.approx(
        100 * first["accuracy"], abs=0.01
    )


def test_chosen_settings_at_an_edge_are_flagged(controlled):
    trials = controlled.trials
    flagged = [["lr"] if arm == "sgd" else [] for arm in trials["arm"]]
    table = tables.settings(OF, replace(controlled, trials=trials.assign(edges=flagged)))
    assert len(table) == trials["chosen"].sum()
    assert dict(zip(table["arm"], table["at an edge"], strict=True)) == {
        "SGD": "lr",
        "Half the momentum": "no",
        "SGD again": "no",
        "SGD, half the data": "no",
    }


def test_main_effects_and_interaction_are_on_error_and_on_its_logarithm(controlled):
    arms = ("sgd", "slow", "part", "slow")
    frame = tables.two_by_two(OF, controlled, arms, "noise")
    error = {name: 1 - controlled.runs(name, "noise")["accuracy"].to_numpy() for name in set(arms)}
    first = ((error["sgd"] - error["slow"]) + (error["part"] - error["slow"])) / 2
    assert frame.iloc[0, 0] == "Half the momentum"
    assert frame.iloc[0, 1].startswith(f"{100 * first.mean():+.2f};".replace("-", "−"))
    logs = {name: np.log(value) for name, value in error.items()}
    joint = (logs["sgd"] - logs["slow"] - logs["part"] + logs["slow"]).mean()
    factor = float(frame.iloc[2, 2].split(";")[0].removeprefix("×"))
    assert factor == pytest.approx(np.exp(-joint), rel=0.01)
