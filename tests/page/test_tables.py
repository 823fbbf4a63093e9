"""Tables: arms, contrasts and verdicts, main effects and interaction."""

from dataclasses import replace

import numpy as np
import pytest
import toy

from reviewlib.evidence import stats, verdicts
from reviewlib.evidence.rules import NOT_LEARNED
from reviewlib.page import tables

OF = toy.study(**toy.CONTROLLED)


def test_an_arm_says_what_it_is_tuned_over_or_whose_settings_it_takes(controlled):
    less = replace(toy.SLOW, searches_less="it has no damping")
    part = replace(toy.PART, search=(), parent="sgd")
    damped = replace(toy.AGAIN, name="again", role="ablation", search=("damping",), search_seed=0)
    at_one_rate = replace(toy.PART, search=(), parent="again", conditions=(toy.CLEAN,))
    of = toy.study(arms=(toy.SGD, less, damped, at_one_rate), claims=())
    table = tables.arms(of, controlled).set_index("arm")["tuned over"]
    assert table["SGD, half the data"] == "at the settings of SGD again"  # no rate to vary
    of = toy.study(arms=(toy.SGD, less, toy.AGAIN, part), claims=())
    table = tables.arms(of, controlled).set_index("arm")["tuned over"]
    assert table["SGD"] == "lr"
    assert table["Half the momentum"] == "lr, damping (it has no damping)"
    assert table["SGD, half the data"] == "at the settings of SGD, lr × 0.5, 1, 2"
    both = replace(part, parent=("sgd", "slow"))
    of = toy.study(arms=(toy.SGD, toy.SLOW, toy.AGAIN, both), claims=())
    assert tables.arms(of, controlled)["tuned over"].iloc[-1] == (
        "in the middle between the settings of SGD and Half the momentum, lr × 0.5, 1, 2"
    )


def test_a_verdict_says_which_control_failed_and_how_many_runs_diverged(controlled):
    (out,) = verdicts.judge_all(OF, controlled)
    out = replace(out, verdict="supported", diverged=(1, 6), marks=("a control failed: a_a",))
    (row,) = tables.contrasts(OF, [out]).to_dict("records")
    assert row["verdict"] == "supported (a control failed: a_a; 1 of 6 runs diverged)"


def test_an_ablation_is_compared_at_the_parents_settings(controlled):
    part = replace(toy.PART, search=(), parent="sgd", conditions=(toy.CLEAN,))
    of = toy.study(arms=(*toy.ARMS, part))
    claim = replace(toy.CLAIM, primary=False, contrast=(toy.SGD - part) @ toy.CLEAN)
    (out,) = verdicts.judge_all(OF, controlled)
    (row,) = tables.contrasts(of, [replace(out, claim=claim)]).to_dict("records")
    assert row["claim"] == "The method is better, at the parent's settings."
    label = tables.contrast_label(of, replace(out, claim=claim))
    assert label == "SGD − SGD, half the data · clean labels, at the parent's settings"


def test_what_would_settle_an_open_claim_stands_beside_it(controlled):
    (out,) = verdicts.judge_all(OF, controlled)
    words = "about 70 seeds would settle it"
    out = replace(out, verdict="inconclusive", settling=words)
    (row,) = tables.verdicts(OF, [out]).to_dict("records")
    assert row["could have noticed"] == f"not shown below 5 seeds; {words}"


def test_a_net_that_did_not_learn_is_named_with_its_lead(controlled):
    (out,) = verdicts.judge_all(OF, controlled)
    bad, good = stats.t_interval([-0.01, -0.03]), stats.t_interval([0.1, 0.1])
    leads = {("sgd", "clean"): bad, ("slow", "clean"): good}
    (row,) = tables.verdicts(OF, [replace(out, verdict=NOT_LEARNED, health=leads)]).to_dict(
        "records"
    )
    assert row["verdict"] == NOT_LEARNED
    said = row["could have noticed"]
    assert said.startswith("SGD, clean labels: −2.00 points on logistic regression (")
    assert "Half" not in said


def test_a_study_that_awaits_records_has_no_verdict_words(controlled):
    of = toy.study(**toy.CONTROLLED, awaiting="it is old")
    (out,) = verdicts.judge_all(of, controlled)
    (row,) = tables.verdicts(of, [out]).to_dict("records")
    assert row["verdict"] == "awaiting" and row["could have noticed"] is None
    controls = tables.contrasts(of, verdicts.judge_controls(of, controlled))
    assert set(controls["verdict"]) == {"awaiting"}


def test_main_effects_and_interaction_are_on_error_and_on_its_logarithm(controlled):
    arms = ("sgd", "slow", "part", "slow")
    frame = tables.two_by_two(OF, controlled, arms, "noise")
    error = {name: 1 - controlled.of(name, "noise")["accuracy"].to_numpy() for name in set(arms)}
    first = ((error["sgd"] - error["slow"]) + (error["part"] - error["slow"])) / 2
    assert frame.iloc[0, 0] == "Half the momentum"
    assert frame.iloc[0, 1].startswith(f"{100 * first.mean():+.2f};".replace("-", "−"))
    logs = {name: np.log(value) for name, value in error.items()}
    joint = (logs["sgd"] - logs["slow"] - logs["part"] + logs["slow"]).mean()
    factor = float(frame.iloc[2, 2].split(";")[0].removeprefix("×"))
    assert factor == pytest.approx(np.exp(-joint), rel=0.01)


def test_the_methods_of_a_two_by_two_may_have_names_of_their_own(controlled):
    arms = ("sgd", "slow", "part", "slow")
    frame = tables.two_by_two(OF, controlled, arms, "noise", ["slowness", "part of the data"])
    assert list(frame.iloc[:, 0]) == ["slowness", "part of the data", "interaction"]
