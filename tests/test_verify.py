"""A record is verified by replaying its fingerprints; what went stale is rerun and nothing else."""

from dataclasses import replace

import pytest
import toy

from reviewlib import compare, provenance, records, runs, sources, train
from reviewlib.records import RecordError

OF = toy.study()
TIMES = ["seconds"]
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def stored(record, tmp_path):
    """The record in a folder, on a machine whose cache is empty."""
    records.save(record, tmp_path)
    return tmp_path


def slower(model, config):
    if config.momentum == 0.9:
        return train.sgd(model, config)
    return train.sgd(model, replace(config, momentum=0.3))


CHANGED = toy.study(run=toy.broken(slower))


def test_nothing_is_trained_where_nothing_is_stale(record, stored, monkeypatch):
    monkeypatch.setattr(runs, "perform", lambda *_: pytest.fail("trained"))
    again, rerun = compare.verify(OF, toy.TINY, folder=stored)
    assert rerun == [] and again.digest() == record.digest()
    assert again.provenance["commit"] == record.provenance["commit"]
    assert again.provenance["verified"]["source"] == sources.source_hash()


def test_only_the_stale_arm_is_rerun_and_the_rest_is_kept(record, stored, monkeypatch):
    performed, perform = [], runs.perform
    monkeypatch.setattr(
        runs,
        "perform",
        lambda of, stack, *rest: performed.extend(stack) or perform(of, stack, *rest),
    )
    again, rerun = compare.verify(CHANGED, toy.TINY, folder=stored)
    assert rerun == ["slow"] and {run.arm.name for run in performed} == {"slow"}
    from_scratch = compare.run_study(CHANGED, toy.TINY)
    for table in ("trials", "rows"):
        mine, theirs = (
            getattr(each, table).drop(columns=TIMES).to_dict("records")
            for each in (again, from_scratch)
        )
        assert mine == theirs
    before, after = (
        each.rows[each.rows["arm"] == "sgd"].to_dict("records") for each in (record, again)
    )
    assert before == after
    assert again.fingerprints["sgd"] == record.fingerprints["sgd"]
    records.save(again, stored)
    assert records.faults(records.load("toy", "laptop", stored), CHANGED) == []


def test_new_arms_are_run_and_removed_ones_dropped(record, stored):
    late = replace(toy.ARMS[0], name="late", role="ablation", cells=("noise",))
    of = toy.study(arms=(late, *toy.ARMS))
    grown, rerun = compare.verify(of, toy.TINY, folder=stored)
    assert rerun == ["late"]
    assert list(dict.fromkeys(grown.rows["arm"])) == ["sgd", "slow", "late"]
    assert list(grown.fingerprints) == ["late", "sgd", "slow"]
    records.save(grown, stored)
    shrunk, rerun = compare.verify(OF, toy.TINY, folder=stored)
    assert rerun == [] and shrunk.digest() == record.digest()


def test_both_commits_and_devices_are_named_after_a_partial_rerun(record, stored, monkeypatch):
    old = replace(record, provenance=record.provenance | {"commit": "aaa", "device": "old"})
    records.save(old, stored)
    monkeypatch.setattr(provenance, "commit", lambda: "bbb")
    again, _ = compare.verify(CHANGED, toy.TINY, folder=stored)
    assert again.provenance["commit"] == "aaa, bbb"
    assert again.provenance["device"].endswith("; old")
    seconds = sum(again.trials["seconds"]) + sum(again.rows["seconds"])
    assert again.provenance["cpu_seconds"] == pytest.approx(seconds, abs=0.06)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"numerics": 2}, "recorded at numerics 1"),
        ({"claims": (replace(toy.CLAIM, margin=0.02),)}, "what defines the test was changed after"),
        ({"presets": (replace(toy.TINY, steps=5),)}, "sizes were changed"),
    ],
)
def test_what_no_rerun_of_arms_can_repair_is_refused(stored, monkeypatch, changes, reason):
    monkeypatch.setattr(runs, "perform", lambda *_: pytest.fail("trained"))
    of = toy.study(**changes)
    with pytest.raises(RecordError, match=f"cannot be verified: .*{reason}.*make them anew"):
        compare.verify(of, of.presets[0], folder=stored)


def test_a_record_made_on_a_gpu_is_checked_on_this_cpu(record, tmp_path):
    gpu = replace(toy.TINY, name="gpu")
    of = toy.study(presets=(toy.TINY, gpu))
    made = replace(
        record,
        preset=gpu.plain(),
        test=runs.test_digest(of, gpu),
        provenance=record.provenance | {"device": "a GPU that is not here"},
    )
    records.save(made, tmp_path)
    again, rerun = compare.verify(of, gpu, folder=tmp_path)
    assert rerun == [] and again.provenance["device"] == "a GPU that is not here"
    changed = replace(CHANGED, presets=of.presets)
    assert records.faults(made, changed) == ["the code no longer reproduces slow"]


def test_settings_that_were_tuned_anew_make_the_smaller_preset_stale(record, tmp_path):
    quick = replace(toy.TINY, name="quick", settings_from="laptop", trials=2)
    of = toy.study(presets=(quick, toy.TINY))
    records.save(record, tmp_path)
    small = compare.run_study(of, quick, folder=tmp_path)
    assert records.faults(small, of, tmp_path) == []
    trials = record.trials.copy()
    mine = (trials["arm"] == "slow") & (trials["cell"] == "noise")
    trials.loc[mine, "chosen"] = trials.loc[mine, "chosen"].to_numpy()[[1, 2, 0]]
    records.save(replace(record, trials=trials), tmp_path)
    assert records.faults(small, of, tmp_path) == ["the settings were tuned anew since: slow"]


def test_a_rerun_whose_rows_have_another_stamp_is_not_laundered(record, stored, monkeypatch):
    run_study = compare.run_study

    def stamped_otherwise(*args, **how):
        return replace(run_study(*args, **how), test="mixed")

    monkeypatch.setattr(compare, "run_study", stamped_otherwise)
    again, rerun = compare.verify(CHANGED, toy.TINY, folder=stored)
    assert rerun == ["slow"] and again.test == "mixed"
    assert records.faults(again, CHANGED)[0].startswith("what defines the test was changed")


def test_settings_that_a_source_lacks_are_missed_before_anything_runs(
    record, tmp_path, monkeypatch
):
    quick = replace(toy.TINY, name="quick", settings_from="laptop", trials=2)
    records.save(record, tmp_path)
    late = replace(toy.ARMS[0], name="late", role="ablation")
    of = toy.study(presets=(quick, toy.TINY), arms=(*toy.ARMS, late))
    monkeypatch.setattr(runs, "perform", lambda *_: pytest.fail("trained"))
    with pytest.raises(ValueError, match="no settings were tuned for arm 'late' in cell 'clean'"):
        compare.run_study(of, quick, folder=tmp_path)
