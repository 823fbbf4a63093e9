"""Finished runs are never lost, mixed up or used after the code has changed."""

import json
from dataclasses import replace

import pytest
import toy
from toy import CLEAN, SGD

from reviewlib import data, storage, train
from reviewlib.trial.cache import ORIGIN, map_runs
from reviewlib.trial.runs import Run

pytestmark = pytest.mark.usefixtures("own_cache")

STUDY = toy.study()
SEEDS = STUDY.seeds(toy.TINY)
RUN = Run(SGD, CLEAN, SEEDS[0], toy.TINY, ({"lr": 0.05},))
THREE = [replace(RUN, seed=seed) for seed in SEEDS]


def timeless(row):
    return {key: value for key, value in row.items() if key not in ("seconds", *ORIGIN)}


def test_finished_runs_come_from_the_cache_with_the_stamp_they_were_made_with():
    seen = []
    first = map_runs(STUDY, THREE, stamp={"test": "abc"}, progress=seen.append)
    again = map_runs(STUDY, THREE, stamp={"test": "other"}, progress=seen.append)
    assert [row["from_cache"] for row in seen] == [False] * 3 + [True] * 3
    assert [row["seed"] for row in first] == list(SEEDS)
    assert [timeless(row) for row in first] == [timeless(row) for row in again]
    assert {row["test"] for row in again} == {"abc"}
    assert [row["computed"] for row in again] == [row["computed"] for row in first]


def test_a_cached_run_of_changed_code_is_not_used_again():
    def slower(model, config):
        return train.sgd(model, replace(config, momentum=0.8))

    (before,) = map_runs(STUDY, [RUN])
    arms = toy.broken(slower)
    (after,) = map_runs(toy.study(arms=arms), [replace(RUN, arm=arms[0])])
    (again,) = map_runs(STUDY, [RUN])
    assert not after["from_cache"] and after["scores"] != before["scores"]
    assert again["from_cache"] and timeless(again) == timeless(before)


def test_a_cached_run_on_other_splits_is_not_used_again(monkeypatch):
    map_runs(STUDY, [RUN])
    elsewhere = property(lambda dataset: [dataset.checksum, 50, 10, 10])
    monkeypatch.setattr(data.Dataset, "identity", elsewhere)
    (row,) = map_runs(STUDY, [RUN])
    assert not row["from_cache"]


def test_conditions_that_differ_in_name_alone_are_not_mixed_up():
    def net(run):
        width = 4 if run.condition.name == "clean" else 32
        return train.models.mlp(run.sample.train, run.sample.classes, width)

    of = toy.study(net=net, conditions=(CLEAN, replace(CLEAN, name="wide")), claims=())
    runs = [replace(RUN, condition=where) for where in of.conditions]
    first, again = map_runs(of, runs), map_runs(of, runs)
    assert [row["condition"] for row in again] == ["clean", "wide"]
    assert [timeless(row) for row in first] == [timeless(row) for row in again]


def test_given_fingerprints_are_not_replayed():
    (one,) = map_runs(STUDY, [RUN], fingerprints={"sgd": {"clean": {}}})
    (other,) = map_runs(STUDY, [RUN], fingerprints={"sgd": {"clean": {"losses": [1.0]}}})
    (again,) = map_runs(STUDY, [RUN], fingerprints={"sgd": {"clean": {}}})
    assert [row["from_cache"] for row in (one, other, again)] == [False, False, True]


def test_an_interrupted_batch_repeats_only_the_stack_in_flight():
    sizes = replace(toy.TINY, seeds=6)
    six = [replace(RUN, seed=seed, preset=sizes) for seed in STUDY.seeds(sizes)]
    four, two = [run.seed for run in six[:4]], [run.seed for run in six[4:]]  # two stacks
    kept = []

    def interrupting(row):
        kept.append(row["seed"])
        if len(kept) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_runs(STUDY, six, progress=interrupting)
    assert kept == four
    rows = map_runs(STUDY, six)
    assert [row["seed"] for row in rows if not row["from_cache"]] == two
    assert [row["seed"] for row in rows] == four + two


@pytest.mark.slow  # starts two processes that import torch
def test_two_processes_give_the_same_rows_in_the_same_order(monkeypatch, tmp_path):
    here = map_runs(STUDY, THREE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    there = map_runs(STUDY, THREE, engine="processes", jobs=2)
    assert not any(row["from_cache"] for row in there)
    assert [timeless(row) for row in here] == [timeless(row) for row in there]


GARBAGE = {
    "nothing": b"",
    "an open brace": b"{",
    "a list": b"[]",
    "a row without its scores": b'{"seed": 0}',
    "null": b"null",
    "binary": b"\xff\xfe\x00garbage",
    "zeros, as after a power cut": bytes(500),
    "a number": b"5",
    "a text": b'"seed accuracy"',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("what", [*GARBAGE, "half", "folder"])
def test_a_corrupt_entry_is_deleted_with_a_warning_and_run_again(own_cache, what):
    two = [replace(run, condition=toy.NOISE) for run in THREE[:2]]  # each a stack of its own
    rows = map_runs(STUDY, two)
    path = min((own_cache / "reviewlib" / "runs").rglob("*.json"))
    whole = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
        (path / "file").touch()
    else:
        path.write_bytes(GARBAGE.get(what, whole[: len(whole) // 2]))
    with pytest.warns(UserWarning, match=f"{path.name} is no finished run.*it is run again"):
        again = map_runs(STUDY, two)
    assert sorted(row["from_cache"] for row in again) == [False, True]
    assert [timeless(row) for row in again] == [timeless(row) for row in rows]
    assert json.loads(path.read_bytes())["arm"] == "sgd"
    assert all(row["from_cache"] for row in map_runs(STUDY, two))


def test_a_cache_that_cannot_be_written_is_named_before_anything_trains(own_cache):
    def never(run):
        pytest.fail("trained")

    (own_cache / "reviewlib").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="writable and have room.*XDG_CACHE_HOME"):
        map_runs(STUDY, [replace(RUN, arm=replace(SGD, train=never))])


def test_a_file_is_written_atomically(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    storage.write(path, "old")
    monkeypatch.setattr(storage.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        storage.write(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
