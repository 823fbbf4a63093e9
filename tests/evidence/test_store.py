"""Records lie in the package or in a folder, come back as they were, and reveal edits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from images import digits

from reviewlib import data, papers, storage
from reviewlib.evidence.record import RecordError, json_rows
from reviewlib.evidence.store import BOOK, Store, on_data, store_on
from reviewlib.evidence.validity import problems

OF = toy.study()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def path(record, store):
    return store.save(record)


def test_saving_and_loading_changes_nothing(record, path, store, tmp_path):
    again = store.load("toy", "laptop")
    assert again.digest() == record.digest()
    for table in ("runs", "rows", "best", "trials", "floor"):
        mine, theirs = (json_rows(getattr(each, table)) for each in (again, record))
        assert mine == theirs
    assert again.fingerprints == record.fingerprints
    assert again.provenance == record.provenance
    assert problems(again, OF, store) == []
    assert path == store.path("toy", "laptop") == tmp_path / "toy" / "laptop.json"


def test_a_record_file_has_a_line_for_every_arm_and_condition(record, path):
    lines = path.read_text().splitlines()
    assert sum(line.startswith('  {"arm":') for line in lines) == 2 * 2
    assert sum(line.startswith("  {") for line in lines) == 2 * 2 + len(record.floor)


def test_the_scores_of_an_arm_lie_in_lists_by_seed_and_trial(record, path):
    group = json.loads(path.read_text())["runs"][3]
    assert (group["arm"], group["condition"]) == ("slow", "noise")
    assert group["seed"] == list(OF.seeds(toy.TINY))
    mine = record.trials[(record.trials["arm"] == "slow") & (record.trials["condition"] == "noise")]
    for seed, scores, settings in zip(
        group["seed"], group["scores"], group["settings"], strict=True
    ):
        of_seed = mine[mine["seed"] == seed].sort_values("trial")
        for metric in ("validation_accuracy", "validation_nll", "accuracy", "nll"):
            assert scores[metric] == of_seed[metric].tolist() and len(scores[metric]) == 3
        assert settings["damping"] == [each["damping"] for each in of_seed["settings"]]


def test_the_settings_on_disk_follow_from_seed_and_name(path):
    for group in json.loads(path.read_text())["runs"]:
        for seed, settings in zip(group["seed"], group["settings"], strict=True):
            for name, values in settings.items():
                (each,) = (each for each in OF.hyperparameters if each.name == name)
                stream = data.stream(seed, "search", name)
                order = torch.randperm(3, generator=stream)
                within = torch.rand(3, generator=stream, dtype=torch.float64)
                u = (order + within) / 3
                u[order == 0], u[order == 2] = 0, 1
                assert values == [each.at(float(position)) for position in u]


def test_a_record_of_14_arms_40_seeds_and_16_trials_is_small(record, store):
    of = record.runs.iloc[0].to_dict()
    draw = np.random.default_rng(0)

    def run(arm, seed):
        metrics = draw.random((5, 16)).round(5)
        return of | {
            "arm": f"arm_{arm}",
            "seed": seed,
            "settings": {
                name: [float(f"{v:.4g}") for v in draw.random(16)] for name in ("lr", "rho", "wd")
            },
            "scores": dict(zip(of["scores"], metrics.tolist(), strict=True)),
            "diverged_at": [None] * 16,
            "best": {"train_accuracy": round(draw.random(), 6)},
            "curve": [[step, round(draw.random(), 4)] for step in range(10, 110, 10)],
            "correct": "f0" * 500 if arm < 5 else None,
        }

    runs = pd.DataFrame([run(arm, seed) for arm in range(14) for seed in range(40)])
    size = store.save(replace(record, runs=runs)).stat().st_size
    assert 500_000 < size <= 1_500_000
    assert store.load("toy", "laptop").runs.equals(runs)


def test_the_books_records_lie_in_the_package_and_those_of_a_folder_in_it(tmp_path):
    of_sam = papers.folder_of("sam") / "records" / "laptop.json"
    assert BOOK.path("sam", "laptop") == Store().path("sam", "laptop") == of_sam
    assert Store(tmp_path).path("sam", "laptop") == tmp_path / "sam" / "laptop.json"
    assert not Store(tmp_path).has("sam", "laptop")
    assert BOOK.has("lottery_tickets", "laptop")
    assert BOOK.load("lottery_tickets", "laptop").study == "lottery_tickets"


def test_two_stores_keep_their_records_apart(record, tmp_path):
    first, second = Store(tmp_path / "one"), Store(tmp_path / "two")
    first.save(record)
    second.save(replace(record, results_version=2))
    assert [s.load("toy", "laptop").results_version for s in (first, second)] == [1, 2]
    second.path("toy", "laptop").unlink()
    assert first.has("toy", "laptop") and not second.has("toy", "laptop")


def test_a_store_has_a_file_that_is_no_record(path, store):
    path.write_text("{")
    assert store.has("toy", "laptop") and not store.has("toy", "gpu")


@pytest.mark.parametrize(
    "where",
    [
        ("test",),
        ("runs", 0, "scores", 1, "accuracy", 2),
        ("runs", 1, "settings", 0, "lr", 1),
        ("runs", 0, "best", 0, "train_accuracy"),
        ("runs", 3, "seconds", 0),
        ("floor", 0, "accuracy"),
        ("fingerprints", "sgd", "clean", "losses", 0),
    ],
)
def test_an_edit_of_what_was_measured_is_detected(path, store, where):
    content = json.loads(path.read_text())
    part = content
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = "0" * 64 if where == ("test",) else part[where[-1]] / 2
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="a number in .*laptop.json was edited"):
        store.load("toy", "laptop")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 4}', "null"])
def test_what_is_no_record_is_named_with_the_way_out(path, store, text):
    path.write_text(text)
    with pytest.raises(RecordError, match="laptop.json.*reviewlib study toy --preset laptop"):
        store.load("toy", "laptop")


def test_a_record_of_another_format_is_refused(path, store):
    path.write_text(path.read_text().replace('"format": 4', '"format": 3'))
    with pytest.raises(RecordError, match="is of another format than 4"):
        store.load("toy", "laptop")


@pytest.mark.parametrize(
    ("store", "command"),
    [
        (Store(), "study toy --preset gpu` to make it anew$"),
        (Store(Path("my folder")), "study toy --preset gpu --out 'my folder'` to make it anew$"),
        (
            Store(Path("folder"), "my pets"),
            "study toy --preset gpu --data 'my pets' --out folder` to make it anew$",
        ),
        (
            Store(storage.data_folder("records", "pets"), "pets"),
            "study toy --preset gpu --data pets` to make it anew$",
        ),
    ],
)
def test_a_missing_record_says_how_to_make_it(store, command):
    with pytest.raises(RecordError, match=f"no records at .*; run `reviewlib {command}"):
        store.load("toy", "gpu")


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(store, tmp_path):
    (tmp_path / "toy").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="records go to .*toy, which must be writable.*--out"):
        store.require_room("toy")


# Other data than the study's own


def test_without_other_data_the_records_are_the_books():
    assert on_data(OF, None) == (OF, BOOK)


def test_records_on_other_data_lie_in_a_folder_named_after_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    name = str(digits(tmp_path / "Some Digits", 400))
    huge = replace(toy.TINY, name="gpu", batch_size=500)
    of, store = on_data(toy.study(presets=(toy.TINY, huge)), name)
    dataset = data.load(name)
    assert [(preset.name, preset.data) for preset in of.presets] == [("laptop", dataset.name)]
    assert store == store_on(dataset) and store.data == dataset.name
    word = f"some-digits-{dataset.checksum[:12]}"
    assert store.folder == tmp_path / "share" / "reviewlib" / "records" / word
