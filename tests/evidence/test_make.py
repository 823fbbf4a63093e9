"""A record is made, and verified by replaying its fingerprints: only what went stale is rerun."""

import copy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import toy

from reviewlib import sources, train
from reviewlib.evidence.contrasts import fold_size
from reviewlib.evidence.make import make, verify
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import Store
from reviewlib.evidence.validity import problems
from reviewlib.trial import search
from reviewlib.trial.experiment import chosen
from reviewlib.trial.fingerprints import test_digest as digest_of_test

OF = toy.study()
QUICK = replace(toy.TINY, name="quick", settings_from="laptop", trials=2)
BOTH_SIZES = toy.study(presets=(QUICK, toy.TINY))
BOLDER = toy.study(claims=(replace(toy.CLAIM, margin=0.001),))
NOISE_ONLY = replace(toy.SGD, name="late", role="ablation", conditions=(toy.NOISE,))
ELSEWHERE = Store(Path("elsewhere"))  # outside the book nothing needs a registration
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def store(record, tmp_path):
    """The record in a folder, on a machine whose cache is empty."""
    store = Store(tmp_path)
    store.save(record)
    return store


def slower(model, config):
    momentum = config.momentum if config.momentum == 0.9 else 0.3
    return train.sgd(model, replace(config, momentum=momentum))


CHANGED = toy.study(arms=toy.broken(slower))


def nothing_is_trained(row):
    pytest.fail(f"trained {row['arm']}")


def without_times(table):
    return table.drop(columns="seconds").to_dict("records")


# Making


def test_a_test_changed_after_the_final_seeds_cannot_be_stamped_again():
    make(OF, toy.TINY)
    again = make(BOLDER, toy.TINY)
    assert again.test == digest_of_test(OF, toy.TINY)
    assert problems(again, BOLDER, ELSEWHERE)[0].startswith("what defines the test was changed")


def test_runs_that_were_stamped_with_two_tests_stand_for_neither():
    make(OF, toy.TINY, arms=("sgd",))
    mixed = make(BOLDER, toy.TINY)
    assert mixed.test == "mixed"
    for of in (OF, BOLDER):
        assert problems(mixed, of, ELSEWHERE)[0].startswith("what defines the test was changed")


def test_the_record_says_where_its_rows_were_made(record, own_cache):
    assert record.provenance["device"].startswith("CPU")
    make(OF, toy.TINY)
    final = next(path for path in own_cache.rglob("*.json") if '"test"' in path.read_text())
    final.write_text(final.read_text().replace('"device": "CPU', '"device": "GPU'))
    again = make(OF, toy.TINY)
    assert [name[:3] for name in again.provenance["device"].split("; ")] == ["CPU", "GPU"]
    assert not {"device", "commit", "computed", "from_cache"} & set(again.rows.columns)


def moved(record):
    """Return a record whose searches chose the last of their trials."""
    runs = copy.deepcopy(record.runs.to_dict("records"))
    for run in runs:
        run["scores"]["validation_accuracy"] = [0.1, 0.2, 0.3]
    return replace(record, runs=pd.DataFrame(runs))


def settings_of(record):
    """Return the settings that each run's search chose."""
    return chosen(record.runs.to_dict("records"))


def test_settings_come_from_a_larger_preset_seed_by_seed(record, store):
    store.save(moved(record))
    fresh = make(BOTH_SIZES, QUICK, store=store)
    assert settings_of(fresh) == settings_of(moved(record)) != settings_of(record)
    assert {len(run["diverged_at"]) for run in fresh.runs.to_dict("records")} == {1}
    assert fresh.floor.empty  # quick is no evidence
    assert problems(fresh, BOTH_SIZES, store) == []


def test_a_preset_without_a_larger_one_searches_on_its_first_seed(tmp_path):
    empty = Store(tmp_path / "empty")
    fresh = make(BOTH_SIZES, QUICK, store=empty)
    first = OF.seeds(QUICK)[0]
    found = settings_of(fresh)
    for (arm, where, _), settings in found.items():
        tried = search.trials_of(OF, OF.arm(arm), first, QUICK.trials)
        assert settings in tried and settings == found[arm, where, first]
    assert problems(fresh, BOTH_SIZES, empty) == []


def test_what_searched_for_itself_is_stale_once_there_are_settings_to_take_over(record, tmp_path):
    empty, filled = Store(tmp_path / "empty"), Store(tmp_path / "filled")
    filled.save(moved(record))
    fresh = make(BOTH_SIZES, QUICK, store=empty)
    assert problems(fresh, BOTH_SIZES, filled) == ["the search has changed for sgd, slow"]


def test_where_a_source_lacks_settings_a_preset_searches_for_itself(store):
    late = replace(NOISE_ONLY, conditions=())
    of = replace(BOTH_SIZES, arms=(*toy.ARMS, late))
    fresh = make(of, QUICK, store=store)
    assert set(fresh.runs["arm"]) == {"sgd", "slow", "late"}
    assert problems(fresh, of, store) == []


def test_the_correctness_of_images_is_kept_where_a_primary_claim_compares(record):
    kept = record.runs[record.runs["correct"].notna()]
    places = set(zip(kept["arm"], kept["condition"], strict=True))
    assert places == {("sgd", "clean"), ("slow", "clean")}
    assert {len(digits) for digits in kept["correct"]} == {
        fold_size(record.rows, toy.CLAIM.contrast)
    }


# Verifying


def test_nothing_is_trained_where_nothing_is_stale(record, store):
    again, rerun = verify(OF, toy.TINY, store=store, progress=nothing_is_trained)
    assert rerun == [] and again.digest() == record.digest()
    assert again.provenance["commit"] == record.provenance["commit"]
    assert again.provenance["verified"]["source"] == sources.source_hash()


def test_only_the_stale_arm_is_rerun_and_the_rest_is_kept(record, store):
    trained = []
    again, rerun = verify(CHANGED, toy.TINY, store=store, progress=trained.append)
    assert rerun == ["slow"] and {row["arm"] for row in trained} == {"slow"}
    from_scratch = make(CHANGED, toy.TINY)
    assert without_times(again.runs) == without_times(from_scratch.runs)
    before, after = (each.of("sgd").to_dict("records") for each in (record, again))
    assert before == after
    assert again.fingerprints["sgd"] == record.fingerprints["sgd"]
    store.save(again)
    assert problems(store.load("toy", "laptop"), CHANGED, store) == []


def test_an_ablation_is_rerun_with_its_parent(own_cache, tmp_path):
    child = replace(toy.SGD, name="child", role="ablation", search=(), parent="slow")
    before = toy.study(arms=(*toy.ARMS, child))
    store = Store(tmp_path)
    store.save(make(before, toy.TINY))
    after = replace(CHANGED, arms=(*CHANGED.arms, child))
    again, rerun = verify(after, toy.TINY, store=store)
    assert rerun == ["slow", "child"]
    assert problems(again, after, store) == []


def test_an_ablation_that_is_new_takes_the_settings_of_its_stored_parent(record, store):
    child = replace(toy.SGD, name="child", role="ablation", search=(), parent="slow")
    of = toy.study(arms=(*toy.ARMS, child))
    trained = []
    again, rerun = verify(of, toy.TINY, store=store, progress=trained.append)
    assert rerun == ["child"] and {row["arm"] for row in trained} == {"child"}
    assert problems(again, of, store) == []


def test_new_arms_are_run_and_removed_ones_dropped(record, store):
    of = toy.study(arms=(NOISE_ONLY, *toy.ARMS))
    grown, rerun = verify(of, toy.TINY, store=store)
    assert rerun == ["late"]
    assert list(dict.fromkeys(grown.rows["arm"])) == ["sgd", "slow", "late"]
    assert list(grown.fingerprints) == ["late", "sgd", "slow"]
    store.save(grown)
    shrunk, rerun = verify(OF, toy.TINY, store=store)
    assert rerun == [] and shrunk.digest() == record.digest()


def test_a_new_condition_gets_its_floor(record, store):
    third = replace(toy.CLEAN, name="third")
    of = toy.study(claims=(), conditions=(*toy.CONDITIONS, third))
    store.save(replace(record, test=digest_of_test(of, toy.TINY)))
    grown, _ = verify(of, toy.TINY, store=store)
    assert set(grown.floor["condition"]) == {"clean", "noise", "third"}


def test_a_removed_condition_is_rerun_where_settings_came_from_it(record, store):
    small = make(BOTH_SIZES, QUICK, store=store)
    store.save(small)
    of = toy.study(presets=(QUICK, toy.TINY), claims=(), conditions=(toy.NOISE,))
    assert "clean" in set(small.rows["condition"])
    laptop = make(of, toy.TINY)
    store.save(laptop)
    recorded = replace(small, test=digest_of_test(of, QUICK))
    assert problems(recorded, of, store) == ["the code no longer reproduces sgd, slow"]
    store.save(recorded)
    again, _ = verify(of, QUICK, store=store)
    assert set(again.rows["condition"]) == {"noise"}


def test_both_commits_and_devices_are_named_after_a_partial_rerun(record, store):
    made = record.provenance | {"commit": "aaa", "device": "old"}
    store.save(replace(record, provenance=made))
    again, _ = verify(CHANGED, toy.TINY, store=store)
    assert again.provenance["commit"] == ", ".join(sorted({"aaa", record.provenance["commit"]}))
    assert again.provenance["device"].endswith("; old")
    assert again.provenance["cpu_seconds"] == round(sum(again.runs["seconds"]), 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"results_version": 2}, "recorded at results_version 1"),
        ({"claims": (replace(toy.CLAIM, margin=0.02),)}, "what defines the test was changed after"),
        ({"presets": (replace(toy.TINY, steps=5),)}, "sizes were changed"),
    ],
)
def test_what_no_rerun_of_arms_can_repair_is_refused(store, changes, reason):
    of = toy.study(**changes)
    with pytest.raises(RecordError, match=f"cannot be verified: .*{reason}.*make them anew"):
        verify(of, of.presets[0], store=store, progress=nothing_is_trained)


def test_a_record_made_on_a_gpu_is_checked_on_this_cpu(record, store):
    gpu = replace(toy.TINY, name="gpu")
    of = toy.study(presets=(toy.TINY, gpu))
    made = replace(
        record,
        preset=gpu.plain(),
        test=digest_of_test(of, gpu),
        provenance=record.provenance | {"device": "a GPU that is not here"},
    )
    store.save(made)
    again, rerun = verify(of, gpu, store=store)
    assert rerun == [] and again.provenance["device"] == "a GPU that is not here"
    changed = replace(CHANGED, presets=of.presets)
    assert problems(made, changed, ELSEWHERE) == ["the code no longer reproduces slow"]


def test_settings_that_were_tuned_anew_make_the_smaller_preset_stale(record, store):
    small = make(BOTH_SIZES, QUICK, store=store)
    assert problems(small, BOTH_SIZES, store) == []
    noisy = (record.runs["arm"] == "slow") & (record.runs["condition"] == "noise")
    tuned = pd.concat([record.runs[~noisy], moved(record).runs[noisy]], ignore_index=True)
    store.save(replace(record, runs=tuned))
    assert problems(small, BOTH_SIZES, store) == ["the search has changed for slow"]
    store.save(small)
    again, rerun = verify(BOTH_SIZES, QUICK, store=store)
    assert rerun == ["slow"] and settings_of(again) == settings_of(replace(record, runs=tuned))


def test_a_rerun_whose_rows_have_another_stamp_is_not_laundered(record, store):
    # The final seeds of the changed arm have run under another test before.
    make(replace(CHANGED, claims=BOLDER.claims), toy.TINY)
    again, rerun = verify(CHANGED, toy.TINY, store=store)
    assert rerun == ["slow"] and again.test == "mixed"
    assert problems(again, CHANGED, ELSEWHERE)[0].startswith("what defines the test was changed")
