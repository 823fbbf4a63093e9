"""One run is a pure function of its arguments, and finished runs are never lost or mixed up."""

import json
from dataclasses import replace

import pytest
import torch
import toy

from reviewlib import data, runs
from reviewlib.runs import Run
from reviewlib.study import Cell

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
    first, second = runs.perform(OF, RUN), runs.perform(OF, RUN)
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
    row = runs.perform(OF, replace(RUN, settings=(("lr", 1e30),)))
    assert row["accuracy"] == row["early_accuracy"] == 0.1
    assert row["diverged_at"] is not None


DIFFERENT = {
    "arm": replace(RUN, arm=OF.arms[1]),
    "steps of the arm": replace(RUN, arm=replace(OF.arms[0], times=2)),
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
    renamed = replace(RUN, cell=Cell(CLEAN.name, "another label"))
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
    def nesterov(model, config):
        return torch.optim.SGD(model.parameters(), lr=config.lr, momentum=0.9, nesterov=True)

    (before,) = runs.map_runs(OF, [RUN])
    (after,) = runs.map_runs(toy.study(run=toy.broken(nesterov)), [RUN])
    (again,) = runs.map_runs(OF, [RUN])
    assert not after["from_cache"] and after["nll"] != before["nll"]
    assert again["from_cache"] and timeless(again) == timeless(before)


def test_an_interrupted_batch_repeats_only_what_was_in_flight(monkeypatch):
    performed, perform = [], runs.perform

    def dying(of, run, *rest):
        if len(performed) == 2:
            raise KeyboardInterrupt
        performed.append(run.seed)
        return perform(of, run, *rest)

    monkeypatch.setattr(runs, "perform", dying)
    with pytest.raises(KeyboardInterrupt):
        runs.map_runs(OF, batch())
    performed.clear()
    rows = runs.map_runs(OF, batch())
    assert performed == [2]
    assert [row["seed"] for row in rows] == [0, 1, 2]


def test_two_processes_give_the_same_rows_in_the_same_order(own_cache, monkeypatch, tmp_path):
    here = runs.map_runs(OF, batch())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    there = runs.map_runs(OF, batch(), jobs=2)
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
    with pytest.raises(OSError, match="must be writable and have room.*XDG_CACHE_HOME"):
        runs.map_runs(OF, [RUN])


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    runs.write_atomically(path, "old")
    monkeypatch.setattr(runs.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        runs.write_atomically(path, "new")
    assert path.read_text() == "old"
