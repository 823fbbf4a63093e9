"""A folder of the reader's own images."""

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
from images import noise, photos
from PIL import Image

from reviewlib import data
from reviewlib.data import DataError, image_folder


def parts(folder):
    """Return the images of each part as a set of bytes, and the checksum."""
    splits, checksum, _ = image_folder.read(folder)
    return [{image.tobytes() for image in split.images.numpy()} for split in splits], checksum


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "pets")


def test_a_folder_of_mixed_images_becomes_one_data_set(folder):
    found = data.load(str(folder))
    assert (found.name, found.classes) == (str(folder.resolve()), ("cat", "dog & co"))
    train, validation, test = found.development.train, found.development.validation, found.test
    assert train.images.shape[1:] == (3, 28, 28)
    assert len(train) + len(validation) + len(test) == 120
    assert len(train) > max(len(test), len(validation))
    assert all(set(split.labels.tolist()) == {0, 1} for split in (train, validation, test))


def test_half_of_the_images_train_and_three_in_ten_test():
    keys = [hashlib.sha256(bytes([i // 100, i % 100])).digest() for i in range(10_000)]
    parts = [image_folder.Picture(key, np.empty(0), gray=True, label=0).part for key in keys]
    shares = np.bincount(parts) / 10_000
    assert shares == pytest.approx([0.5, 0.2, 0.3], abs=0.02)  # four standard deviations


def test_gray_files_stay_gray(tmp_path):
    splits, _, _ = image_folder.read(photos(tmp_path / "gray", gray=True))
    assert splits[0].images.shape[1:] == (1, 28, 28)


def test_an_image_is_cropped_to_its_middle_and_not_squeezed(folder):
    wide = np.zeros((56, 168), dtype=np.uint8)
    wide[:, 56:112] = 200
    for name in ("cat", "dog & co"):
        Image.fromarray(wide).save(folder / name / "wide.png")
    found = [image for split in image_folder.read(folder)[0] for image in split.images]
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


def test_the_checksum_covers_the_decoded_pixels(folder, monkeypatch):
    decoded, before = image_folder._decoded, image_folder.read(folder)[1]

    def inverted(path, label):
        picture = decoded(path, label)
        return replace(picture, pixels=255 - picture.pixels)

    monkeypatch.setattr(image_folder, "_decoded", inverted)
    assert image_folder.read(folder)[1] != before


def test_hidden_and_system_files_are_ignored(folder):
    before = parts(folder)
    (folder / ".DS_Store").write_text("x")
    (folder / "cat" / "Thumbs.db").write_text("x")
    (folder / "cat" / "._0.png").write_text("x")
    assert parts(folder) == before


def test_rotated_photographs_are_put_upright(folder):
    tall = np.zeros((40, 40), dtype=np.uint8)
    tall[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for name in ("cat", "dog & co"):
        Image.fromarray(tall).save(folder / name / "turned.png", exif=exif)
    found = [image for split in image_folder.read(folder)[0] for image in split.images]
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
    "postscript": (script, "cat/bad.eps cannot be read as an.*no such format"),
    "folder below": (lambda f: (f / "cat/more").mkdir(), "cat/more must be an image file"),
    "link to itself": (lambda f: (f / "cat/x").symlink_to(f / "cat/x"), "cat/x must be an image"),
    "link above": (lambda f: (f / "cat/up").symlink_to(f), "cat/up must be an image file"),
    "pipe": (lambda f: os.mkfifo(f / "cat/pipe"), "cat/pipe must be an image file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_error_names_the_bad_folder_or_file(folder, damage):
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


@pytest.mark.parametrize(
    "name", ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"]
)
def test_folders_that_systems_leave_behind_are_no_classes(tmp_path, name):
    photos(tmp_path / "images")
    expected = image_folder.read(tmp_path / "images")
    for place in (tmp_path / "images" / name, tmp_path / "images" / "cat" / name):
        place.mkdir()
        (place / "0.png").write_bytes(b"no image")
    _, checksum, classes = image_folder.read(tmp_path / "images")
    assert (checksum, classes) == expected[1:]


def test_a_folder_that_is_already_split_gets_told_how_to_join_it(tmp_path):
    for part in ("train", "test"):
        photos(tmp_path / part)
    with pytest.raises(DataError, match="put all images of a class into one folder"):
        image_folder.read(tmp_path)


def test_no_advice_is_to_remove_what_somebody_may_need(tmp_path):
    photos(tmp_path)
    (tmp_path / "CITATION.cff").touch()
    with pytest.raises(DataError, match="CITATION.cff .* move it elsewhere") as error:
        image_folder.read(tmp_path)
    assert "remove it" not in str(error.value)


def test_a_format_that_is_not_known_is_named_by_its_file_and_not_by_bytes_in_memory(tmp_path):
    photos(tmp_path)
    (tmp_path / "cat" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(DataError, match="photo.heic cannot be read .*: no such format") as error:
        image_folder.read(tmp_path)
    assert "BytesIO" not in str(error.value)
