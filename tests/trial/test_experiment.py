"""A study at a preset: every arm searches on every final seed, and ablations follow parents."""

from dataclasses import replace

import pytest
import toy
from toy import ARMS, NOISE, SGD, SLOW

from reviewlib.trial import search
from reviewlib.trial.experiment import chosen, count_runs, run
from reviewlib.trial.fingerprints import test_digest as digest_of_test

pytestmark = pytest.mark.usefixtures("own_cache")
STUDY = toy.study()
SEEDS = STUDY.seeds(toy.TINY)
CHILD = replace(SLOW, name="child", role="ablation", search=(), parent="slow", fixed={})
FAMILY = toy.study(arms=(CHILD, *ARMS))  # the child comes first
QUICK = replace(toy.TINY, name="quick", settings_from="laptop", trials=4, tries=4)


def searched(study, preset=toy.TINY, **how):
    return run(study, preset, with_floor=False, **how)


def tried(row):
    """Return the settings of each trial of a run."""
    return [
        dict(zip(row["settings"], values, strict=True))
        for values in zip(*row["settings"].values(), strict=True)
    ]


def places(rows):
    return [(row["arm"], row["condition"], row["seed"]) for row in rows]


def test_every_arm_searches_on_every_seed_and_carries_the_digest_of_its_test():
    seen = []
    out = run(STUDY, toy.TINY, stamp={"commit": "abc"}, progress=seen.append)
    assert places(out.runs) == [
        (arm, where, seed)
        for where in ("clean", "noise")
        for arm in ("sgd", "slow")
        for seed in SEEDS
    ]
    assert len(seen) == len(out.runs) == count_runs(STUDY, toy.TINY)
    for row in out.runs:
        arm = STUDY.arm(row["arm"])
        assert tried(row) == search.trials_of(STUDY, arm, row["seed"], toy.TINY.trials)
        assert row["fixed"] == dict(arm.fixed)
        assert (row["test"], row["commit"]) == (digest_of_test(STUDY, toy.TINY), "abc")
    assert out.fingerprints.keys() == {"sgd", "slow"}
    assert len(out.floor) == 2 * toy.TINY.seeds


def test_an_arm_may_be_run_by_itself_and_a_preset_runs_only_what_it_names():
    out = searched(STUDY, arms=("slow",))
    assert {place[:2] for place in places(out.runs)} == {("slow", "clean"), ("slow", "noise")}
    assert out.fingerprints.keys() == {"slow"} and out.floor.empty
    small = replace(toy.TINY, conditions=(NOISE,), arms=(SGD,))
    out = searched(toy.study(presets=(small,)), small)
    assert {place[:2] for place in places(out.runs)} == {("sgd", "noise")}


def test_a_condition_may_have_sizes_of_its_own():
    sizes = replace(toy.TINY, where={"noise": {"seeds": 2, "trials": 5}})
    out = searched(toy.study(presets=(sizes,)), sizes, arms=("sgd",))
    found = {(row["condition"], row["seed"]): len(row["diverged_at"]) for row in out.runs}
    assert found == {("clean", seed): 3 for seed in SEEDS} | {("noise", s): 5 for s in SEEDS[:2]}
    folds = {row["condition"]: len(row["correct"]) for row in out.runs}
    assert folds["clean"] == folds["noise"] * 2 // 3


# Ablations


def test_an_ablation_searches_around_its_parents_best_settings_seed_by_seed():
    out = searched(FAMILY)
    assert places(out.runs)[:6] == [(arm, "clean", s) for arm in ("child", "sgd") for s in SEEDS]
    best = chosen(out.runs)
    children = [row for row in out.runs if row["arm"] == "child"]
    assert len(children) == 2 * 3
    for row in children:
        theirs = best["slow", row["condition"], row["seed"]]
        assert tried(row) == search.around(theirs)
        assert tried(row)[1] == theirs and len(row["diverged_at"]) == 3
    assert len({str(tried(row)) for row in children}) > 2  # not one for all


def test_a_combination_searches_around_the_middle_of_its_parents_best_settings():
    both = replace(CHILD, name="both", role="combination", parent=(toy.SGD, SLOW))
    assert both.parents == both.parent == ("sgd", "slow")
    of = toy.study(arms=(both, *toy.ARMS))  # a child may stand before its parents
    out = searched(of)
    best = chosen(out.runs)
    children = [row for row in out.runs if row["arm"] == "both"]
    assert len(children) == 2 * 3
    for row in children:
        where = row["condition"], row["seed"]
        theirs = [best["sgd", *where], best["slow", *where]]
        lr = float(f"{(theirs[0]['lr'] * theirs[1]['lr']) ** 0.5:.4g}")
        assert tried(row)[1] == {"lr": lr, "damping": theirs[1]["damping"]}
        assert tried(row) == search.around(search.joined(theirs, of.hyperparameters))


def test_the_arms_of_a_condition_with_a_parent_take_the_settings_that_they_chose_there():
    far = replace(toy.NOISE, name="far", label_noise=0.2, parent="clean")
    conditions = (far, *toy.CONDITIONS)  # a child may stand before its parent
    arms = (*toy.ARMS, replace(CHILD, conditions=("clean", "far")))
    out = searched(toy.study(conditions=conditions, arms=arms))
    best = chosen(out.runs)
    there = [row for row in out.runs if row["condition"] == "far"]
    assert {row["arm"] for row in there} == {"sgd", "slow", "child"}
    for row in there:
        parent = "slow" if row["arm"] == "child" else row["arm"]
        assert tried(row) == search.around(best[parent, "clean", row["seed"]])


def test_an_ablation_run_by_itself_takes_the_settings_that_are_given():
    given = {
        ("slow", where, seed): {"lr": 0.02 + seed % 100 / 100, "damping": 0.5}
        for where in ("clean", "noise")
        for seed in SEEDS
    }
    out = searched(FAMILY, arms=("child",), settings=given)
    assert {place[0] for place in places(out.runs)} == {"child"}
    for row in out.runs:
        assert tried(row) == search.around(given["slow", row["condition"], row["seed"]])


# Settings of another preset


def of_all(study, settings):
    return {
        (arm.name, where.name, seed): settings(arm, seed)
        for where in study.conditions
        for arm in study.arms_in(where)
        for seed in SEEDS
    }


def test_quick_trains_once_at_the_settings_that_another_preset_chose_seed_by_seed():
    given = of_all(FAMILY, lambda arm, seed: {"lr": 0.02 + seed % 100 / 100, "damping": 0.5})
    out = searched(FAMILY, QUICK, settings=given)
    assert {
        (*place,): tried(row) for place, row in zip(places(out.runs), out.runs, strict=True)
    } == {place: [settings] for place, settings in given.items()}


@pytest.mark.parametrize("given", ["nothing", "part"])
def test_without_all_settings_quick_searches_on_its_first_seed_alone(given):
    known = of_all(FAMILY, lambda arm, seed: {"lr": 0.07, "damping": 0.5})
    del known["sgd", "clean", SEEDS[2]]
    asked = []
    out = searched(
        FAMILY, QUICK, settings=known if given == "part" else None, progress=asked.append
    )
    searches, finals = (
        [row for row in asked if (len(row["diverged_at"]) > 1) == more] for more in (True, False)
    )
    assert {row["seed"] for row in searches} == {SEEDS[0]} and len(searches) == 2 * 3
    assert [len(row["diverged_at"]) for row in searches if row["arm"] == "sgd"] == [4, 4]
    assert len(finals) == len(out.runs) == 2 * 3 * 3
    best = chosen(searches)
    for row in out.runs:
        assert tried(row) == [best[row["arm"], row["condition"], SEEDS[0]]]


def test_an_ablation_of_quick_run_by_itself_has_its_parents_settings_given():
    known = of_all(STUDY, lambda arm, seed: {"lr": 0.07, "damping": 0.5})
    asked = []
    out = searched(FAMILY, QUICK, arms=("child",), settings=known, progress=asked.append)
    searches = [row for row in asked if len(row["diverged_at"]) > 1]
    assert [tried(row) for row in searches] == [search.around({"lr": 0.07, "damping": 0.5})] * 2
    assert {place[0] for place in places(out.runs)} == {"child"}
