"""The reader's own data: a folder of images, CIFAR-10, and a study and a page on them."""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import toy
import yaml
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from reviewlib import (
    chapter,
    cli,
    compare,
    data,
    publish,
    records,
    runs,
    study,
    vision,
)
from reviewlib.data import DataError, cifar, datasets, image_folder

DIGITS = load_digits()


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def photos(folder, count=60, gray=False):
    """Write `count` small images of mixed sizes and formats into each of two class folders."""
    for label, name in enumerate(("cat", "dog & co")):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shape = (8 + i % 5, 8 + i % 7) + (() if gray or i % 3 == 0 else (3,))
            suffix = ("png", "jpg", "bmp")[i % 3]
            Image.fromarray(noise(1000 * label + i, *shape)).save(folder / name / f"{i}.{suffix}")
    return folder


def digits(folder, count=1797):
    """Write scikit-learn's digits as PNG files, a folder per digit."""
    for i, (image, label) in enumerate(zip(DIGITS.images[:count], DIGITS.target, strict=False)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype(np.uint8)).save(place / f"{i}.png")
    return folder


def parts(folder):
    """Return the images of each part as a set of bytes, and the checksum."""
    splits, checksum, _ = image_folder.read(folder)
    return [{image.tobytes() for image in images.numpy()} for images, _ in splits], checksum


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "pets")


# Reading a folder


def test_a_folder_of_mixed_images_becomes_one_data_set(folder):
    found = data.load(str(folder))
    assert (found.name, found.classes) == (str(folder.resolve()), ("cat", "dog & co"))
    train, validation, test = found.development.train, found.development.validation, found.test
    assert train.images.shape[1:] == (3, 28, 28)
    assert len(train) + len(validation) + len(test) == 120
    assert len(train) > len(test) > len(validation)
    assert all(set(split.labels.tolist()) == {0, 1} for split in (train, validation, test))


def test_gray_files_stay_gray(tmp_path):
    splits, _, _ = image_folder.read(photos(tmp_path / "gray", gray=True))
    assert splits[0][0].shape[1:] == (1, 28, 28)


def test_an_image_is_cropped_to_its_middle_and_not_squeezed(folder):
    wide = np.zeros((56, 168), dtype=np.uint8)
    wide[:, 56:112] = 200
    for name in ("cat", "dog & co"):
        Image.fromarray(wide).save(folder / name / "wide.png")
    found = [image for images, _ in image_folder.read(folder)[0] for image in images]
    assert sum(bool((image[:, :, 3:-3] == 200).all()) for image in found) == 2


def test_a_new_file_moves_no_other_and_names_do_not_matter(folder):
    before, checksum = parts(folder)
    (folder / "cat" / "0.png").rename(folder / "cat" / "renamed.png")
    assert parts(folder) == (before, checksum)
    Image.fromarray(noise(7, 9, 9)).save(folder / "cat" / "new.png")
    after, changed = parts(folder)
    assert changed != checksum
    assert all(old <= new for old, new in zip(before, after, strict=True))


def test_copies_of_a_file_stay_in_one_part(folder):
    for file in list((folder / "cat").iterdir()):
        (folder / "dog & co" / f"copy-{file.name}").write_bytes(file.read_bytes())
    found, _ = parts(folder)
    assert not any(found[i] & found[j] for i, j in ((0, 1), (0, 2), (1, 2)))


def test_the_checksum_covers_pixels_labels_and_names(folder):
    found = {image_folder.read(folder)[1]}
    (folder / "cat" / "0.png").rename(folder / "dog & co" / "moved.png")
    found.add(image_folder.read(folder)[1])
    (folder / "cat").rename(folder / "Cat")
    found.add(image_folder.read(folder)[1])
    file = folder / "Cat" / "3.png"
    file.write_bytes((folder / "Cat" / "6.png").read_bytes())
    found.add(image_folder.read(folder)[1])
    assert len(found) == 4


def test_the_checksum_follows_from_what_was_decoded(folder, monkeypatch):
    decoded, before = image_folder._decoded, image_folder.read(folder)[1]

    def inverted(path, label):
        picture = decoded(path, label)
        return replace(picture, pixels=255 - picture.pixels)

    monkeypatch.setattr(image_folder, "_decoded", inverted)
    assert image_folder.read(folder)[1] != before


def test_what_computers_leave_behind_is_ignored(folder):
    before = parts(folder)
    (folder / ".DS_Store").write_text("x")
    (folder / "cat" / "Thumbs.db").write_text("x")
    (folder / "cat" / "._0.png").write_text("x")
    assert parts(folder) == before


def test_turned_photographs_are_put_upright(folder):
    tall = np.zeros((40, 40), dtype=np.uint8)
    tall[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for name in ("cat", "dog & co"):
        Image.fromarray(tall).save(folder / name / "turned.png", exif=exif)
    found = [image for images, _ in image_folder.read(folder)[0] for image in images]
    assert sum(bool((image[:, :13] == 0).all() and (image[:, 15:] == 255).all()) for image in found)


def no_classes(folder):
    for place in list(folder.iterdir()):
        place.rename(folder.parent / place.name)


def one_class(folder):
    (folder / "cat").rename(folder.parent / "cat")


def too_few(folder):
    for file in sorted((folder / "cat").iterdir())[1:]:
        file.unlink()


def bomb(folder):
    Image.new("1", (8000, 8000)).save(folder / "cat" / "bad.png")


def beyond_pillow(folder):
    Image.new("1", (20_000, 10_000)).save(folder / "cat" / "bad.png")


def truncated(folder):
    file = folder / "cat" / "1.jpg"
    (folder / "cat" / "bad.jpg").write_bytes(file.read_bytes()[:-20])


def sixteen_bits(folder):
    Image.fromarray(np.zeros((9, 9), dtype=np.uint16)).save(folder / "cat" / "bad.png")


def script(folder):
    (folder / "cat" / "bad.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


DAMAGES = {
    "no class": (no_classes, "pets must have at least two folders, one per class, but has 0"),
    "one class": (one_class, "pets must have at least two folders.*has 1"),
    "empty class": (lambda f: (f / "empty").mkdir(), "the class folder .*pets/empty is empty"),
    "too few": (too_few, "the class folder .*pets/cat has too few images.*add some"),
    "loose file": (
        lambda f: (f / "readme.txt").write_text("x"),
        "pets/readme.txt must be a folder",
    ),
    "no image": (lambda f: (f / "cat/bad.txt").write_text("x"), "cat/bad.txt cannot be read as an"),
    "truncated": (truncated, "cat/bad.jpg cannot be read as an image.*truncated"),
    "bomb": (bomb, "cat/bad.png cannot be read.*8000 x 8000 are over 50,000,000 pixels"),
    "larger bomb": (beyond_pillow, "cat/bad.png cannot be read.*decompression bomb"),
    "16 bits": (sixteen_bits, "cat/bad.png cannot be read.*not 8 bits a channel"),
    "postscript": (script, "cat/bad.eps cannot be read as an.*cannot identify"),
    "folder below": (lambda f: (f / "cat/more").mkdir(), "cat/more must be an image file"),
    "link to itself": (lambda f: (f / "cat/x").symlink_to(f / "cat/x"), "cat/x must be an image"),
    "link above": (lambda f: (f / "cat/up").symlink_to(f), "cat/up must be an image file"),
    "pipe": (lambda f: os.mkfifo(f / "cat/pipe"), "cat/pipe must be an image file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_with_a_folder_is_said_with_its_name(folder, damage):
    spoil, message = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(DataError, match=message):
        image_folder.read(folder)


def test_a_large_file_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(image_folder, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="cat/0.png cannot be read.*more than 10 bytes"):
        image_folder.read(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere must be a folder with one folder"):
        data.load(f"{tmp_path}/nowhere")


# CIFAR-10


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A folder with an archive in CIFAR-10's format: 20 images a file; REVIEWLIB_DATA names it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for number, name in enumerate(cifar.BATCHES):
            batch = noise(number, 20, 3073)
            batch[:, 0] = np.arange(20) % 10
            member = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            member.size = batch.nbytes
            tar.addfile(member, io.BytesIO(batch.tobytes()))
    content = packed.getvalue()
    monkeypatch.setattr(cifar, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar, "MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(cifar, "VALIDATION", 10)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / cifar.ARCHIVE
    path.write_bytes(content)
    return path


def test_cifar_is_read_from_plain_bytes(archive):
    splits, checksum = cifar.read()
    assert [len(labels) for _, labels in splits] == [90, 10, 20]
    batches = [noise(number, 20, 3073) for number in range(6)]
    assert np.array_equal(splits[0][0][25].numpy().ravel(), batches[1][5, 1:])
    assert splits[1][1].tolist() == [*range(10)]
    assert splits[2][0].shape == (20, 3, 32, 32)
    assert len(checksum) == 64


def test_another_archive_is_not_unpacked(archive, monkeypatch):
    archive.write_bytes(gzip.compress(bytes(1000)))
    monkeypatch.setattr(tarfile, "open", lambda **_: pytest.fail("it was opened"))
    with pytest.raises(DataError, match=f"{archive} is corrupt: its SHA-256 differs"):
        cifar.read()


def test_torchvision_downloads_cifar_where_it_is_missing(archive, tmp_path, monkeypatch):
    content = archive.read_bytes()
    archive.unlink()
    asked = []

    def download_url(url, root, filename, md5):
        asked.append((url, md5))
        Path(root, filename).write_bytes(content)

    tools = SimpleNamespace(
        datasets=SimpleNamespace(utils=SimpleNamespace(download_url=download_url))
    )
    monkeypatch.setattr(vision, "torchvision", lambda: tools)
    assert cifar.read()[1] == cifar.read()[1]
    assert asked == [(cifar.URL, hashlib.md5(content).hexdigest())]
    left = {path.name for path in (tmp_path / "cache/reviewlib/cifar10").iterdir()}
    assert left <= {cifar.ARCHIVE, ".lock"}


def test_a_failed_download_says_where_to_put_cifar(archive, monkeypatch):
    archive.unlink()

    def offline(*_):
        raise OSError("no network")

    tools = SimpleNamespace(datasets=SimpleNamespace(utils=SimpleNamespace(download_url=offline)))
    monkeypatch.setattr(vision, "torchvision", lambda: tools)
    with pytest.raises(DataError, match="download failed: no network. Put cifar-10-binary.tar.gz"):
        cifar.read()


def test_the_real_torchvision_has_the_download_that_is_asked_for():
    assert callable(vision.torchvision().datasets.utils.download_url)


# Presets on other data


def test_sizes_shrink_to_the_data_and_a_preset_tunes_for_itself(folder):
    preset = replace(toy.TINY, train=99, batch_size=5, seeds=2, settings_from="laptop")
    found = data.load(str(folder))
    size = compare.resize(preset, name=str(folder))
    there = len(found.development.train)
    assert size.train == there // 5 * 5 < 99
    assert size.validation == len(found.development.validation) < 40
    assert (size.data, size.side, size.settings_from) == (found.name, 7, None)
    assert compare.resize(preset, name=preset.data) == preset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 50}, "laptop needs at least 200 training images, but there are"),
        ({"seeds": 9}, "laptop needs at least 90 test images, but there are"),
    ],
)
def test_too_small_data_are_told_how_many_are_needed(folder, changes, message):
    preset = replace(toy.TINY, batch_size=5, seeds=2)
    with pytest.raises(DataError, match=message):
        compare.resize(replace(preset, **changes), name=str(folder))


def test_a_side_that_does_not_divide_becomes_the_nearest_that_does(archive):
    split = data.Split(*cifar.read()[0][0])
    assert [data.nearest_side(split, side) for side in (7, 14, 28, 32)] == [8, 16, 32, 32]


def test_no_arm_is_given_fewer_images_than_a_resized_preset_leaves_for_a_batch():
    shares = [arm.share for name in study.found() for arm in study.find(name).arms]
    assert min(shares) * compare.TRAINING_BATCHES >= 1


# A study and a page on other data


@pytest.fixture
def toy_on_digits(tmp_path, monkeypatch, own_cache):
    """The toy study in place of the book's, and 400 digits as PNG files."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    quick = replace(toy.TINY, name="quick", settings_from="laptop")
    huge = replace(toy.TINY, name="gpu", batch_size=500)
    of = toy.study(presets=(quick, toy.TINY, huge))
    monkeypatch.setattr(study, "found", lambda: ["toy"])
    monkeypatch.setattr(study, "find", lambda name: of)
    return digits(tmp_path / "digits", 400)


def run(*words):
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    return done.exit_code, done.output


def test_records_on_other_data_are_kept_apart_and_found_again(toy_on_digits, tmp_path):
    page = chapter.open_chapter("toy", data=str(toy_on_digits))
    with pytest.raises(records.RecordError, match="study toy --data .*digits --preset laptop"):
        page.evidence()
    code, output = run("study", "toy", "--preset", "laptop", "--data", toy_on_digits)
    assert code == 0, output
    (path,) = (tmp_path / "share").rglob("*.json")
    assert path.parts[-6:-3] == ("share", "reviewlib", "records")
    assert path.parts[-3].startswith("digits-") and path.parts[-2:] == ("toy", "laptop.json")
    assert str(path) in output.splitlines()

    page = chapter.open_chapter("toy", data=str(toy_on_digits))
    assert page.record.data["checksum"] == data.load(str(toy_on_digits)).checksum
    assert "**Other data than the book's:**" in page.evidence().data
    assert "Other data than the book&#x27;s: " in page.verdict_table().data
    assert page.verdicts["better"].verdict
    assert [preset.name for preset in page.study.presets] == ["quick", "laptop"]


def test_a_changed_folder_has_no_records_yet(toy_on_digits):
    before = records.folder_on(data.load(str(toy_on_digits)))
    Image.fromarray(noise(5, 8, 8)).save(toy_on_digits / "3" / "new.png")
    datasets._load.cache_clear()
    assert records.folder_on(data.load(str(toy_on_digits))) != before


def test_a_private_book_has_its_own_folder_and_only_chapters_with_evidence(
    toy_on_digits, tmp_path, monkeypatch
):
    root, asked = tmp_path / "book-root", {}
    for folder in ("book", "notebooks"):
        (root / folder).mkdir(parents=True)
    (root / "book" / "index.md").write_text("# A book\n")
    (root / "_config.yml").write_text("sphinx: {config: {language: en}}\n")
    (root / "_toc.yml").write_text("root: book/index\n")
    for chapter_name in ("toy", "other"):
        (root / "notebooks" / f"{chapter_name}.ipynb").write_text("{}")
    monkeypatch.setattr(publish, "build", lambda root, _, **how: asked.update(how, root=root))
    run("study", "toy", "--preset", "laptop", "--data", toy_on_digits)
    publish.build_on(root, str(toy_on_digits), jobs=3, parameters={"seeds": "4"})
    name = data.load(str(toy_on_digits)).name
    assert asked.pop("root").parent == root / "_build" / "private"
    assert asked == {"jobs": 3, "force": True, "parameters": {"seeds": "4", "data": name}}
    (private,) = (root / "_build" / "private").iterdir()
    assert [path.name for path in (private / "notebooks").iterdir()] == ["toy.ipynb"]
    assert (private / "book" / "index.md").exists()
    config = yaml.safe_load((private / "_config.yml").read_text())
    assert config["sphinx"]["config"] == {"language": "en", "other_data": name}


def test_quick_on_other_data_takes_no_settings_from_the_book(toy_on_digits):
    code, output = run("study", "toy", "--preset", "quick", "--data", toy_on_digits)
    assert code == 0, output
    record = records.load("toy", "quick", records.folder_on(data.load(str(toy_on_digits))))
    assert "settings_from" not in record.preset


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("study", "toy", "--preset", "gpu"), "needs at least 2000 training images"),
        (("build",), "has no valid records.*--data"),
    ],
)
def test_what_cannot_be_done_with_the_data_is_one_clear_error(toy_on_digits, words, message):
    code, output = run(*words, "--data", toy_on_digits)
    assert code == 1
    assert "Traceback" not in output
    assert re.search(message, " ".join(output.split()))


@pytest.fixture
def brief_sam(tmp_path, monkeypatch):
    """Return what makes two arms of SAM's quick study its only preset, at 20 steps."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(runs, "fingerprint", lambda *_: {})  # of the book's data, and slow

    def shorten(**sizes):
        of = study.find("sam")
        few = replace(of.preset("quick"), steps=20, arms=("sgd", "sam"), **sizes)
        monkeypatch.setattr(study, "find", lambda name: replace(of, presets=(few,)))

    return shorten


def written(tmp_path):
    (path,) = (tmp_path / "share").rglob("*.json")
    return json.loads(path.read_text())


def test_sam_runs_on_digits(tmp_path, brief_sam, own_cache):
    brief_sam()
    code, output = run("study", "sam", "--data", digits(tmp_path / "digits"))
    assert code == 0, output
    record = written(tmp_path)
    assert record["preset"]["train"] == 1000 and record["preset"]["validation"] < 500
    assert {row["arm"] for row in record["rows"]} == {"sgd", "sam"}
    assert max(row["accuracy"] for row in record["rows"]) > 0.3


def test_sam_runs_on_an_archive_of_cifar(tmp_path, brief_sam, archive):
    brief_sam(batch_size=10, train=80, validation=10, seeds=2)
    code, output = run("study", "sam", "--data", "cifar10")
    assert code == 0, output
    record = written(tmp_path)
    assert (record["data"]["name"], record["preset"]["side"]) == ("cifar10", 16)
    assert len(record["rows"]) == 2 * 2 * 2  # arms, cells, seeds
