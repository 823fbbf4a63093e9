"""Records lie in the package or in a folder, come back as they were, and reveal edits."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import toy
from images import digits

from reviewlib import data, papers, storage
from reviewlib.evidence.record import RecordError
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
    assert again.fingerprints == record.fingerprints
    assert again.provenance == record.provenance
    assert problems(again, OF, store) == []
    assert path == store.path("toy", "laptop") == tmp_path / "toy" / "laptop.json"


def test_a_record_file_has_a_line_for_every_row(record, path):
    rows = sum(len(table) for table in (record.trials, record.rows, record.floor))
    lines = path.read_text().splitlines()
    assert sum(line.startswith('  {"arm": ') for line in lines) == rows - len(record.floor)
    assert sum(line.startswith("  {") for line in lines) == rows


def test_the_books_records_lie_in_the_package_and_those_of_a_folder_in_it(tmp_path):
    of_sam = papers.folder_of("sam") / "records" / "laptop.json"
    assert BOOK.path("sam", "laptop") == Store().path("sam", "laptop") == of_sam
    assert Store(tmp_path).path("sam", "laptop") == tmp_path / "sam" / "laptop.json"
    assert BOOK.has("sam", "laptop") and not Store(tmp_path).has("sam", "laptop")
    assert BOOK.load("sam", "laptop").study == "sam"


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
        ("rows", 0, "accuracy"),
        ("trials", 0, "accuracy"),
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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 3}', "null"])
def test_what_is_no_record_is_named_with_the_way_out(path, store, text):
    path.write_text(text)
    with pytest.raises(RecordError, match="laptop.json.*reviewlib study toy --preset laptop"):
        store.load("toy", "laptop")


def test_a_record_of_another_format_is_refused(path, store):
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(RecordError, match="is of another format than 3"):
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
