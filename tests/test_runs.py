"""One run is a pure function of its arguments, and finished runs are never lost or mixed up."""

import json
from dataclasses import replace

import pytest
import torch
import toy

from reviewlib import data, runs, storage, train
from reviewlib.runs import Run

pytestmark = pytest.mark.usefixtures("own_cache")

OF = toy.study()
CLEAN, NOISE = OF.cells
SETTINGS = (("lr", 0.05),)
RUN = Run(OF.arms[0], CLEAN, SETTINGS, 0, toy.TINY, "final", (0, 3))
TIMES = ("seconds", "computed", "from_cache")
PRINT = {"clean": {"losses": [2.3], "scores": [0.1]}}


def timeless(row):
    return {key: value for key, value in row.items() if key not in TIMES}


def test_a_run_twice_is_the_same_run():
    (first,), (second,) = runs.perform(OF, [RUN]), runs.perform(OF, [RUN])
    assert timeless(first) == timeless(second)
    assert first["passes"] == toy.TINY.steps * toy.TINY.batch_size


def test_arms_share_images_noise_and_order_by_seed():
    development = data.load(toy.TINY.data).development
    one, two = (runs.draw(development, toy.TINY, NOISE, 5) for _ in range(2))
    clean = runs.draw(development, toy.TINY, CLEAN, 5)
    other = runs.draw(development, toy.TINY, NOISE, 6)
    assert torch.equal(one.train.images, two.train.images)
    assert torch.equal(one.train.labels, two.train.labels)
    assert torch.equal(one.train.images, clean.train.images)
    assert (one.train.labels != clean.train.labels).sum() == round(0.4 * toy.TINY.train)
    assert (one.validation.labels != clean.validation.labels).sum() == round(
        0.4 * toy.TINY.validation
    )
    assert not torch.equal(one.train.images, other.train.images)
    assert one.train.images.shape[1:] == (1, 7, 7)


def test_a_diverged_run_scores_chance_and_says_when():
    (row,) = runs.perform(OF, [replace(RUN, settings=(("lr", 1e30),))])
    assert row["accuracy"] == row["early_accuracy"] == 0.1
    assert row["diverged_at"] is not None


DIFFERENT = {
    "arm": replace(RUN, arm=OF.arms[1]),
    "steps of the arm": replace(RUN, arm=replace(OF.arms[0], times=2)),
    "images of the arm": replace(RUN, arm=replace(OF.arms[0], share=0.5)),
    "streams of the arm": replace(RUN, arm=replace(OF.arms[0], search=1)),
    "stack of the cell": replace(RUN, cell=replace(CLEAN, stack=2)),
    "setting of the cell": replace(RUN, cell=replace(CLEAN, fixed={"momentum": 0.5})),
    "fixed setting": replace(RUN, arm=replace(OF.arms[0], fixed={"momentum": 0.5})),
    "setting": replace(RUN, settings=(("lr", 0.06),)),
    "noise": replace(RUN, cell=replace(CLEAN, label_noise=0.1)),
    "seed": replace(RUN, seed=1),
    "fold": replace(RUN, fold=(1, 3)),
    "phase": replace(RUN, phase="tuning", fold=None),
    "size": replace(RUN, preset=replace(toy.TINY, train=61)),
    "side": replace(RUN, preset=replace(toy.TINY, side=14)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_a_run_means_decides_its_key(what):
    assert DIFFERENT[what].key(OF, "data", PRINT) != RUN.key(OF, "data", PRINT)


def test_data_and_numerics_decide_the_key_too():
    key = RUN.key(OF, "data", PRINT)
    assert key != RUN.key(OF, "other data", PRINT)
    assert key != RUN.key(toy.study(numerics=2), "data", PRINT)


def test_what_a_run_does_not_depend_on_leaves_its_key_alone():
    relabeled = replace(RUN, arm=replace(OF.arms[0], label="x", note="y"))
    renamed = replace(RUN, cell=replace(CLEAN, label="another label"))
    more = replace(RUN, preset=replace(toy.TINY, trials=99, tuning_seeds=9, seeds=9))
    assert {r.key(OF, "data", PRINT) for r in (relabeled, renamed, more)} == {
        RUN.key(OF, "data", PRINT)
    }


def batch():
    return [replace(RUN, seed=seed, fold=(seed, 3)) for seed in range(3)]


def test_finished_runs_come_from_the_cache():
    seen = []
    first = runs.map_runs(OF, batch(), stamp={"claims": "abc"}, progress=seen.append)
    again = runs.map_runs(OF, batch(), stamp={"claims": "other"}, progress=seen.append)
    assert [row["from_cache"] for row in seen] == [False] * 3 + [True] * 3
    assert [timeless(row) for row in first] == [timeless(row) for row in again]
    assert {row["claims"] for row in again} == {"abc"}


def test_a_cached_run_of_changed_code_is_not_used_again():
    def slower(model, config):
        return train.sgd(model, replace(config, momentum=0.8))

    (before,) = runs.map_runs(OF, [RUN])
    (after,) = runs.map_runs(toy.study(run=toy.broken(slower)), [RUN])
    (again,) = runs.map_runs(OF, [RUN])
    assert not after["from_cache"] and after["nll"] != before["nll"]
    assert again["from_cache"] and timeless(again) == timeless(before)


def test_an_interrupted_batch_repeats_only_the_stack_in_flight(monkeypatch):
    performed, perform = [], runs.perform
    six = [replace(RUN, seed=seed, fold=(seed, 6)) for seed in range(6)]  # stacks of 4 and 2

    def dying(of, together, *rest):
        if performed:
            raise KeyboardInterrupt
        performed.extend(run.seed for run in together)
        return perform(of, together, *rest)

    monkeypatch.setattr(runs, "perform", dying)
    with pytest.raises(KeyboardInterrupt):
        runs.map_runs(OF, six)
    assert performed == [0, 1, 2, 3]
    performed.clear()
    rows = runs.map_runs(OF, six)
    assert performed == [4, 5]
    assert [row["seed"] for row in rows] == [0, 1, 2, 3, 4, 5]


def test_stacks_are_composed_by_the_study():
    six = [replace(RUN, seed=seed) for seed in range(6)]
    noisy = [replace(run, cell=NOISE) for run in six[:2]]  # a cell without stacks
    drawing = [replace(run, arm=replace(RUN.arm, name="x", draws=True)) for run in six[:2]]
    other = [replace(run, arm=OF.arms[1]) for run in six[:3]]
    assert runs.stacks(six + noisy + drawing + other) == (
        [[0, 1, 2, 3], [4, 5], [6], [7], [8], [9], [10, 11, 12]]
    )


@pytest.mark.parametrize("arm", OF.arms)
def test_the_rows_do_not_tell_how_runs_were_stacked(arm):
    settings = [
        (("lr", 0.02 * (1 + i)), *((knob, 0.3 * i) for knob in arm.knobs[1:])) for i in (0, 1, 2)
    ]
    three = [replace(RUN, arm=arm, seed=i, settings=settings[i], fold=(i, 3)) for i in (0, 1, 2)]
    alone = [runs.perform(OF, [run])[0] for run in three]
    together = runs.perform(OF, three)
    for one, other in zip(alone, together, strict=True):
        assert one["nll"] == pytest.approx(other["nll"], abs=1e-5)
        ignored = (*TIMES, "nll", "early_nll")
        assert {k: v for k, v in one.items() if k not in ignored} == {
            k: v for k, v in other.items() if k not in ignored
        }


def test_an_arm_with_a_share_gets_the_first_of_the_same_images():
    development = data.load(toy.TINY.data).development
    whole = runs.draw(development, toy.TINY, NOISE, 5)
    half = runs.draw(development, toy.TINY, NOISE, 5, share=0.5)
    assert torch.equal(half.train.images, whole.train.images[:30])
    assert torch.equal(half.train.labels, whole.train.labels[:30])
    assert torch.equal(half.validation.labels, whole.validation.labels)


def test_an_arm_with_a_search_of_its_own_starts_elsewhere_on_the_same_images():
    again = replace(RUN, arm=replace(RUN.arm, search=1))
    development = data.load(toy.TINY.data).development
    (_, _, one), (_, _, other) = (runs.trained(OF, [run], development)[0] for run in (RUN, again))
    assert torch.equal(one.train.images, other.train.images)
    sample = runs.draw(development, toy.TINY, CLEAN, 0)
    first, second = (run.start(OF, sample).model[2].weight for run in (RUN, again))
    assert not torch.equal(first, second)


def test_tuning_is_handed_no_test_data(monkeypatch):
    monkeypatch.setattr(data, "fold", lambda *_: pytest.fail("reached for test images"))
    runs.perform(OF, [replace(RUN, phase="tuning", fold=None)])
    with pytest.raises(pytest.fail.Exception):
        runs.perform(OF, [RUN])


def test_a_final_model_is_inspected_with_its_own_training_images():
    def inspect(model, sample):
        return {"seen": float(len(sample.train))}

    of = toy.study(inspect=inspect)
    (final,) = runs.perform(of, [RUN])
    (trial,) = runs.perform(of, [replace(RUN, phase="tuning", fold=None)])
    assert final["seen"] == toy.TINY.train and "seen" not in trial


def test_two_processes_give_the_same_rows_in_the_same_order(own_cache, monkeypatch, tmp_path):
    here = runs.map_runs(OF, batch())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    there = runs.map_runs(OF, batch(), engine="processes", jobs=2)
    assert [timeless(row) for row in here] == [timeless(row) for row in there]


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"seed": 0}', "null"])
def test_a_corrupt_cache_entry_is_dropped_with_a_warning_and_redone(own_cache, garbage):
    (fresh,) = runs.map_runs(OF, [RUN])
    (path,) = own_cache.rglob("*.json")
    path.write_text(garbage)
    with pytest.warns(UserWarning, match="is no finished run"):
        (again,) = runs.map_runs(OF, [RUN])
    assert timeless(again) == timeless(fresh) and not again["from_cache"]
    assert json.loads(path.read_text())["seed"] == 0


def test_a_cache_that_cannot_be_written_is_named_before_anything_trains(own_cache, monkeypatch):
    monkeypatch.setattr(runs, "perform", lambda *_: pytest.fail("trained"))
    (own_cache / "reviewlib").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="writable and have room.*XDG_CACHE_HOME"):
        runs.map_runs(OF, [RUN])


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    storage.write(path, "old")
    monkeypatch.setattr(storage.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        storage.write(path, "new")
    assert path.read_text() == "old"


def test_a_papers_fingerprint_is_replayed_once_a_state_of_the_source(monkeypatch, own_cache):
    replayed = []
    monkeypatch.setattr(runs, "replay", lambda of, arm: replayed.append(arm.name) or dict(PRINT))
    monkeypatch.setattr(runs, "found", lambda: ["toy"])
    monkeypatch.setattr(runs, "find", lambda name: OF)
    arm, other = OF.arms
    assert runs.fingerprint(OF, arm) == runs.fingerprint(OF, arm) == PRINT
    assert replayed == [arm.name]
    runs.fingerprint(OF, other)
    runs.fingerprint(toy.study(numerics=2), arm)  # of that name, and another study
    assert replayed == [arm.name, other.name, arm.name]
    monkeypatch.setattr(runs.sources, "source_hash", lambda: "edited")
    runs.fingerprint(OF, arm)
    assert replayed == [arm.name, other.name, arm.name, arm.name]
    for path in (own_cache / "reviewlib" / "fingerprints").iterdir():
        path.write_text("{")
    assert runs.fingerprint(OF, arm) == PRINT
    assert len(replayed) == 5
