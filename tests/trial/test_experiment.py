"""A study at a preset: every arm is tuned, then run on final seeds with the chosen settings."""

from dataclasses import replace

import pytest
import toy
from toy import CLEAN, NOISE, SGD, SLOW

from reviewlib.trial.experiment import count_runs, run
from reviewlib.trial.fingerprints import test_digest as digest_of_test
from reviewlib.trial.search import settings_of

pytestmark = pytest.mark.usefixtures("own_cache")
STUDY = toy.study()


def places(rows):
    return {(row["arm"], row["condition"]) for row in rows}


def test_final_runs_use_the_chosen_settings_and_carry_the_digest_of_their_test():
    seen = []
    out = run(STUDY, toy.TINY, stamp={"commit": "abc"}, progress=seen.append)
    assert len(out.rows) == 4 * toy.TINY.seeds and len(seen) == count_runs(STUDY, toy.TINY)
    assert {row["seed"] for row in out.rows} == set(STUDY.seeds(toy.TINY))
    for row in out.rows:
        chosen = settings_of(out.trials, row["arm"], row["condition"])
        assert row["settings"] == dict(STUDY.arm(row["arm"]).fixed) | chosen
        assert (row["test"], row["commit"]) == (digest_of_test(STUDY, toy.TINY), "abc")
    assert all("test" not in row for row in seen if row["seed"] >= 10**6)
    assert out.fingerprints.keys() == {"sgd", "slow"}
    assert len(out.floor) == 2 * toy.TINY.seeds


def test_an_arm_may_be_run_by_itself_and_a_preset_runs_only_what_it_names():
    out = run(STUDY, toy.TINY, arms=("slow",), with_floor=False)
    assert places(out.rows) == {("slow", "clean"), ("slow", "noise")}
    assert out.fingerprints.keys() == {"slow"} and out.floor.empty
    small = replace(toy.TINY, conditions=(NOISE,), arms=(SGD,))
    out = run(toy.study(presets=(small,)), small, with_floor=False)
    assert places(out.rows) == places(out.trials.to_dict("records")) == {("sgd", "noise")}


def test_final_runs_may_take_the_settings_of_another_preset():
    settings = run(STUDY, replace(toy.TINY, trials=1), with_floor=False).trials
    settings["settings"] = [each | {"lr": 0.03} for each in settings["settings"]]
    out = run(STUDY, toy.TINY, settings=settings, with_floor=False)
    assert {row["settings"]["lr"] for row in out.rows} == {0.03}
    assert len(out.trials) == 4 * toy.TINY.trials


def test_settings_that_lack_an_arm_are_named_before_anything_runs():
    def never(run):
        pytest.fail("trained")

    only = replace(toy.TINY, conditions=(CLEAN,), arms=(SGD,))
    settings = run(STUDY, only, with_floor=False).trials
    study = toy.study(arms=(replace(SGD, train=never), replace(SLOW, train=never)))
    with pytest.raises(ValueError, match="no settings were tuned for arm 'slow' in .* 'clean'"):
        run(study, toy.TINY, settings=settings)
