"""The checklist is computed: every rule that code can check is met, not met or does not apply."""

from dataclasses import replace

import numpy as np
import pytest
import toy

from reviewlib.evidence.checklist import checklist
from reviewlib.evidence.make import make
from reviewlib.evidence.store import Store
from reviewlib.trial.claims import NOTHING
from reviewlib.trial.fingerprints import test_digest as digest_of_test

OF = toy.study()
GPU = replace(toy.TINY, name="gpu")
TWO_SIZES = toy.study(presets=(toy.TINY, GPU))
IN_NOISE = toy.study(claims=(replace(toy.CLAIM, contrast=(toy.SLOW - toy.SGD) @ toy.NOISE),))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def rules(store):
    """Return what gives each rule's answer, by the rule."""

    def ask(record, of=OF):
        frame = checklist(of, record, store)
        return dict(zip(frame["rule of the protocol"], frame["here"], strict=True))

    return ask


def test_the_checklist_says_what_is_met(record, rules):
    answers = rules(record)
    answers.pop("2. A healthy baseline")  # of four steps of training: see below
    assert answers == {
        "1. Claims before results": "met",
        "2. Every core arm": "met",
        "3. Test data out of reach": "met",
        "4. Equal tuning": "not met",  # three trials are fewer than eight
        "5. Cost counted and measured": "not met",  # no memory on a CPU
        "6. Paired seeds": "not met",  # three seeds are fewer than ten
        "7. Every run recorded": "met",
        "8. Intervals": "met",
        "9. Verdicts computed": "met",
        "10. Controls on ourselves": "not met",
        "11. Combination": "not met",
        "11. Shift": "does not apply",
        "11. Scale": "not met",
    }


@pytest.mark.parametrize(("lead", "word"), [(0.02, "met"), (0.0099, "not met")])
def test_a_baseline_that_logistic_regression_nearly_matches_is_not_healthy(
    record, rules, lead, word
):
    floor = record.runs("sgd")[["condition", "seed", "accuracy"]]
    floor = floor.assign(accuracy=floor["accuracy"] - lead)
    assert rules(replace(record, floor=floor))["2. A healthy baseline"] == word


def without_a_noisy_seed(rows):
    return rows[(rows["condition"] == "clean") | (rows["seed"] != rows["seed"].max())]


@pytest.mark.parametrize(
    ("rule", "rows", "of"),
    [
        ("1. Claims before results", lambda rows: rows, toy.study(claims=())),
        ("3. Test data out of reach", lambda rows: rows.assign(seed=rows["seed"] + 1), OF),
        ("7. Every run recorded", lambda rows: rows.iloc[1:], toy.study(claims=())),
        ("8. Intervals", without_a_noisy_seed, IN_NOISE),
    ],
)
def test_what_does_not_hold_is_not_met(record, rules, rule, rows, of):
    assert rules(record)[rule] == "met"
    assert rules(replace(record, rows=rows(record.rows)), of)[rule] == "not met"


def test_a_primary_claim_without_a_verdict_is_not_met(record, rules):
    lost = replace(toy.CLAIM, kind="no loss", control=toy.CLAIM.contrast)
    object.__setattr__(lost, "control", NOTHING)  # which no claim can be declared with
    of = toy.study()
    object.__setattr__(of, "claims", (lost,))
    assert rules(record, of)["9. Verdicts computed"] == "not met"


@pytest.mark.parametrize(
    ("again", "part", "word"),
    [
        ((0, 0, 0), (-0.2, -0.3, -0.2), "met"),
        ((0.1, -0.1, 0), (-0.2, -0.3, -0.2), "met"),
        ((-0.1, -0.11, -0.1), (-0.2, -0.3, -0.2), "not met"),
        ((0.1, 0.11, 0.1), (-0.2, -0.3, -0.2), "not met"),
        ((0, 0, 0), (-0.2, 0.3, -0.2), "not met"),
    ],
    ids=["tie", "luck", "A/A loses", "A/A gains", "no loss found"],
)
def test_controls_that_come_out_wrong_do_not_meet_their_rule(rules, own_cache, again, part, word):
    of = toy.study(**toy.CONTROLLED)
    record = make(of, toy.TINY)
    changed = record.rows.set_index(["arm", "condition"])
    for arm, condition, change in (("again", "clean", again), ("part", "noise", part)):
        changed.loc[(arm, condition), "accuracy"] = changed.loc[
            ("sgd", condition), "accuracy"
        ].to_numpy() + np.array(change)
    changed = replace(record, rows=changed.reset_index())
    assert rules(changed, of)["10. Controls on ourselves"] == word


OFF = {"kind": "out of scope", "primary": False, "why": "needs ImageNet-C"}


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ([{}], "does not apply"),
        ([{}, {"shifted": True, **OFF}], "not met"),
        ([{"shifted": True}], "met"),
        ([{"shifted": True}, {"shifted": True, **OFF}], "met"),
    ],
)
def test_what_is_claimed_of_another_distribution_must_be_tested_there(record, rules, claims, word):
    declared = (
        replace(toy.CLAIM, name=f"claim {place}", **changes) for place, changes in enumerate(claims)
    )
    assert rules(record, toy.study(claims=tuple(declared)))["11. Shift"] == word


def test_a_second_valid_size_meets_the_rule_on_scale(record, rules, store):
    larger = replace(record, preset=GPU.plain(), test=digest_of_test(TWO_SIZES, GPU))
    store.save(larger)
    assert rules(record, TWO_SIZES)["11. Scale"] == "met"
    store.save(replace(larger, results_version=7))
    assert rules(record, TWO_SIZES)["11. Scale"] == "not met"
    store.path("toy", "gpu").write_text("{")
    assert rules(record, TWO_SIZES)["11. Scale"] == "not met"
