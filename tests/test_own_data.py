"""A study and a page on the reader's own data."""

import json
import re
from dataclasses import replace

import pytest
import torch
import toy
import yaml
from images import cifar_archive, digits, noise, photos
from PIL import Image
from typer.testing import CliRunner

from reviewlib import cli, data, papers
from reviewlib.book import private
from reviewlib.data import DataError, Split, datasets
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import BOOK, store_on
from reviewlib.page.agreement import evidence
from reviewlib.page.chapter import open_chapter
from reviewlib.papers.sam.study import STUDY as SAM
from reviewlib.trial.experiment import chosen
from reviewlib.trial.other_data import TRAINING_BATCHES, resize, shortfall, study_on


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "pets", 200)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    return cifar_archive(tmp_path, monkeypatch)


# Presets on other data


def test_sizes_shrink_to_the_data_in_every_condition(folder):
    more = {"train": 999, "validation": 999, "seeds": 99, "steps": 7}
    preset = replace(toy.TINY, train=999, validation=999, seeds=99, where={"noise": more})
    found = data.load(str(folder))
    size = resize(preset, name=str(folder))
    there = len(found.development.train) / 2
    assert there - 20 < size.train <= there and size.train % 20 == 0
    assert size.validation == len(found.development.validation) // 2
    assert size.seeds == len(found.test) // 50 == 2
    assert size.at("noise") == replace(size, steps=7, where={})
    assert (size.data, size.image_size) == (found.name, 7)
    assert resize(preset, name=preset.data) == preset


def test_a_number_of_seeds_holds_in_every_condition():
    preset = replace(toy.TINY, where={"noise": {"seeds": 20, "steps": 7}, "clean": {"steps": 8}})
    size = resize(preset, 2)
    assert [size.at(name).seeds for name in ("noise", "clean")] == [2, 2]
    assert [size.at(name).steps for name in ("noise", "clean")] == [7, 8]


@pytest.mark.parametrize(
    ("batch", "seeds", "message"),
    [
        (50, None, "laptop needs at least 400 training images, but there are"),
        (5, 9, "laptop needs at least 450 test images, but there are"),
    ],
)
def test_too_small_data_are_told_how_many_are_needed(folder, batch, seeds, message):
    with pytest.raises(DataError, match=message):
        resize(replace(toy.TINY, batch_size=batch), seeds, str(folder))


def of_test_images(count):
    """A data set of so many test images, and more than enough others."""
    splits = [Split(torch.zeros(n, 1, 28, 28).byte(), torch.arange(n) % 2) for n in (800, count)]
    return data.Dataset(
        data.Development("/nowhere", ("a", "b"), "", splits[0], splits[0]), splits[1]
    )


@pytest.mark.parametrize(("images", "seeds"), [(100, 2), (149, 2), (700, 14), (9000, 40)])
def test_a_final_seed_has_at_least_50_test_images(images, seeds, monkeypatch):
    monkeypatch.setattr(data, "load", lambda _: of_test_images(images))
    assert resize(replace(toy.TINY, seeds=60), name="mine").seeds == seeds
    assert resize(toy.TINY, name="mine").seeds == min(seeds, toy.TINY.seeds)


def test_two_final_seeds_are_needed_for_an_interval(monkeypatch):
    monkeypatch.setattr(data, "load", lambda _: of_test_images(99))
    with pytest.raises(DataError, match="at least 100 test images, but there are 99"):
        resize(toy.TINY, name="mine")


def test_too_few_test_images_make_everything_exploratory():
    assert shortfall(of_test_images(500)) == ""
    assert shortfall(of_test_images(499)) == (
        "everything here is exploratory: 499 test images give 9 final seeds of 50, and to judge a "
        "claim takes 10. 1 test image is missing: add about 4 images, as about 30% are for testing."
    )
    assert "380 test images are missing: add about 1,267 images" in shortfall(of_test_images(120))


def test_a_study_on_too_few_test_images_judges_nothing():
    few, enough = (
        study_on(toy.study(awaiting="for the book"), of_test_images(n)) for n in (480, 500)
    )
    assert few.awaiting.startswith("everything here is exploratory") and enough.awaiting == ""


def test_no_arm_is_given_fewer_images_than_a_resized_preset_leaves_for_a_batch():
    arms = [arm for name in papers.found() for arm in papers.find(name).arms]
    assert min(arm.train_fraction for arm in arms) * TRAINING_BATCHES >= 1


# A study and a page on other data


@pytest.fixture
def toy_on_digits(tmp_path, monkeypatch, own_cache, shelf):
    """The toy study in place of the book's, and 400 digits as PNG files."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    quick = replace(toy.TINY, name="quick", settings_from="laptop")
    huge = replace(toy.TINY, name="gpu", batch_size=500)
    shelf(toy.study(presets=(quick, toy.TINY, huge)))
    return digits(tmp_path / "digits", 400)


def run(*words):
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    return done.exit_code, done.output


@pytest.mark.slow  # reads images, runs a study
def test_records_on_other_data_are_kept_apart_and_found_again(toy_on_digits, tmp_path):
    page = open_chapter("toy", data=str(toy_on_digits))
    with pytest.raises(RecordError, match="study toy --data .*digits --preset laptop"):
        _ = page.record
    code, output = run("study", "toy", "--preset", "laptop", "--data", toy_on_digits)
    assert code == 0, output
    (path,) = (tmp_path / "share").rglob("*.json")
    assert path.parts[-6:-3] == ("share", "reviewlib", "records")
    assert path.parts[-3].startswith("digits-") and path.parts[-2:] == ("toy", "laptop.json")
    assert str(path) in output.splitlines()

    page = open_chapter("toy", data=str(toy_on_digits))
    assert page.record.data["checksum"] == data.load(str(toy_on_digits)).checksum
    said = evidence(page.record, [], page.store.data)
    assert said.startswith("**Other data than the book's:**") and "digits" in said
    assert "Other data than the book&#x27;s: " in page.contrasts("better").data
    assert page.verdicts["better"].interval and page.verdicts["better"].verdict is None
    assert page.study.awaiting.startswith("everything here is exploratory")
    assert [preset.name for preset in page.study.presets] == ["quick", "laptop"]


def test_advice_for_records_in_another_folder_names_the_data_too(toy_on_digits, tmp_path):
    place = ("--data", toy_on_digits, "--out", tmp_path / "out")
    code, output = run("study", "toy", "--preset", "laptop", *place, "--verify")
    assert code == 1
    assert f"study toy --preset laptop --data {toy_on_digits} --out {tmp_path}/out` to" in output


def test_a_changed_folder_has_no_records_yet(toy_on_digits):
    before = store_on(data.load(str(toy_on_digits)))
    Image.fromarray(noise(5, 8, 8)).save(toy_on_digits / "3" / "new.png")
    datasets._load.cache_clear()
    assert store_on(data.load(str(toy_on_digits))) != before


def test_a_private_book_has_its_own_folder_and_only_chapters_with_evidence(
    toy_on_digits, tmp_path, monkeypatch
):
    root, asked = tmp_path / "book-root", {}
    for folder in ("book", "notebooks"):
        (root / folder).mkdir(parents=True)
    (root / "book" / "index.md").write_text("# A book\n")
    (root / "_config.yml").write_text("sphinx: {config: {language: en}}\n")
    parts = [["glob: notebooks/*"], ["file: notebooks/other"], ["file: book/status"]]
    toc = {
        "root": "book/index",
        "parts": [{"chapters": list(map(yaml.safe_load, p))} for p in parts],
    }
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    for chapter_name in ("toy", "other"):
        (root / "notebooks" / f"{chapter_name}.ipynb").write_text("{}")
    monkeypatch.setattr(private, "build", lambda root, _, **how: asked.update(how, root=root))
    run("study", "toy", "--preset", "laptop", "--data", toy_on_digits)
    private.build_on(root, str(toy_on_digits), jobs=3, parameters={"seeds": "4"})
    name = data.load(str(toy_on_digits)).name
    assert asked.pop("root").parent == root / "_build" / "private"
    assert asked == {"jobs": 3, "force": True, "parameters": {"seeds": "4", "data": name}}
    (made,) = (root / "_build" / "private").iterdir()
    assert [path.name for path in (made / "notebooks").iterdir()] == ["toy.ipynb"]
    assert (made / "book" / "index.md").exists()
    kept = yaml.safe_load((made / "_toc.yml").read_text())
    assert [part["chapters"] for part in kept["parts"]] == [
        [{"glob": "notebooks/*"}],
        [{"file": "book/status"}],
    ]
    config = yaml.safe_load((made / "_config.yml").read_text())
    assert config["sphinx"]["config"] == {"language": "en", "other_data": name}


def test_a_glob_that_would_find_no_chapter_is_left_out_too():
    parts = [{"chapters": [{"glob": "notebooks/*"}]}, {"chapters": [{"file": "notebooks/all"}]}]
    toc = {"root": "book/index", "parts": parts}
    assert private._only(toc, ["all"]) == {"root": "book/index", "parts": parts[1:]}
    assert private._only(toc, ["all", "one"]) == toc
    assert private._only(toc, ["one"]) == {"root": "book/index", "parts": parts[:1]}
    assert private._only({"root": "book/index"}, ["one"]) == {"root": "book/index"}


def tried(store, preset):
    """Return how many trials each run of a record has, and the settings that it chose."""
    runs = store.load("toy", preset).runs.to_dict("records")
    return {len(run["diverged_at"]) for run in runs}, chosen(runs)


def test_quick_on_other_data_takes_no_settings_from_the_book(toy_on_digits, record):
    BOOK.save(record)
    code, output = run("study", "toy", "--preset", "quick", "--data", toy_on_digits)
    assert code == 0, output
    trials, settings = tried(store_on(data.load(str(toy_on_digits))), "quick")
    books = chosen(record.runs.to_dict("records"))
    first = min(seed for *_, seed in settings)
    assert trials == {1} and any(settings[place] != books[place] for place in settings)
    for (arm, where, _), mine in settings.items():  # one search, on the first seed
        assert mine == settings[arm, where, first]


@pytest.mark.slow  # runs a study twice
def test_quick_on_other_data_takes_settings_from_laptop_records_on_these(toy_on_digits):
    for preset in ("laptop", "quick"):
        code, output = run("study", "toy", "--preset", preset, "--data", toy_on_digits)
        assert code == 0, output
    store = store_on(data.load(str(toy_on_digits)))
    trials, settings = tried(store, "quick")
    assert trials == {1} and settings.items() <= tried(store, "laptop")[1].items()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("study", "toy", "--preset", "gpu"), "needs at least 4000 training images"),
        (("build",), "has no valid records.*--data"),
    ],
)
def test_what_cannot_be_done_with_the_data_is_one_clear_error(toy_on_digits, words, message):
    code, output = run(*words, "--data", toy_on_digits)
    assert code == 1
    assert "Traceback" not in output
    assert re.search(message, " ".join(output.split()))


@pytest.fixture
def brief_sam(tmp_path, shelf, monkeypatch):
    """Return what makes two arms of SAM's quick study its only preset, at 20 steps."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))

    def shorten(**sizes):
        few = replace(SAM.preset("quick"), steps=20, arms=("sgd", "sam"), **sizes)
        shelf(replace(SAM, presets=(few,)))

    return shorten


def written(tmp_path):
    (path,) = (tmp_path / "share").rglob("*.json")
    return json.loads(path.read_text())


@pytest.mark.slow  # trains SAM
def test_sam_runs_on_digits(tmp_path, brief_sam, own_cache):
    brief_sam()
    code, output = run("study", "sam", "--data", digits(tmp_path / "digits"))
    assert code == 0, output
    record = written(tmp_path)
    assert record["preset"]["train"] == 400 and record["preset"]["validation"] < 250
    assert {group["arm"] for group in record["runs"]} == {"sgd", "sam"}
    scores = [score for group in record["runs"] for score in group["scores"]]
    assert max(max(each["accuracy"]) for each in scores) > 0.3


@pytest.mark.slow  # trains SAM
def test_sam_runs_on_an_archive_of_cifar(tmp_path, brief_sam, archive):
    brief_sam(batch_size=10, train=80, validation=10, seeds=2)
    code, output = run("study", "sam", "--data", "cifar10")
    assert code == 0, output
    record = written(tmp_path)
    assert (record["data"]["name"], record["preset"]["image_size"]) == ("cifar10", 16)
    assert len(record["runs"]) == 2 * len(SAM.conditions_of(SAM.preset("quick")))  # by arms
    assert {len(group["seed"]) for group in record["runs"]} == {2}
