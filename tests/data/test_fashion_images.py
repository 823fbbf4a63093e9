"""The images of Fashion-MNIST: the shipped subset and the full set."""

import hashlib
import lzma

import pytest
import torch

from reviewlib import data
from reviewlib.data import DataError
from reviewlib.data.fashion import full, subset
from reviewlib.data.fashion.__main__ import contents
from reviewlib.data.fashion.files import FILES

FULL_CHECKSUM = "14410854cf7a289477dcfc7df3f8ec24741e281cdcc425ede0d9a748ca630214"


@pytest.fixture(scope="module")
def small():
    return data.load("fashion-mnist-subset")


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full, "URL", "http://127.0.0.1:9")  # tests download nothing
        patch.setenv("NO_PROXY", "127.0.0.1")
        try:
            return data.load("fashion-mnist")
        except DataError as error:
            if "download failed" not in str(error):
                raise
            pytest.skip("Fashion-MNIST is not on this machine")


def distinct(*splits):
    """The different images of the splits."""
    return {image.tobytes() for split in splits for image in split.images.numpy()}


def test_subset_is_balanced_and_of_the_stated_sizes(small):
    splits = (small.development.train, small.development.validation, small.test)
    assert tuple(len(split) for split in splits) == (4_000, 1_000, 3_000)
    for split in splits:
        assert split.images.shape[1:] == (1, 28, 28)
        assert torch.bincount(split.labels).tolist() == [len(split) // 10] * 10
    parts = [split.images for split in splits] + [split.labels.to(torch.uint8) for split in splits]
    decoded = b"".join(part.numpy().tobytes() for part in parts)
    assert hashlib.sha256(decoded).hexdigest() == small.checksum == subset.CHECKSUM
    assert subset.FILE.stat().st_size <= 4_000_000


def test_subset_splits_share_no_image(small):
    splits = (small.development.train, small.development.validation, small.test)
    assert len(distinct(*splits)) == 8_000


def test_subset_lies_within_the_development_pools(whole, small):
    assert hashlib.sha256(contents(whole.development)).hexdigest() == small.checksum
    assert not distinct(small.development.train, small.test) & distinct(whole.test)


def test_full_set_has_the_fixed_pools(whole):
    train, validation, test = whole.development.train, whole.development.validation, whole.test
    for split, size in ((train, 22_000), (validation, 8_000), (test, 40_000)):
        assert torch.bincount(split.labels).tolist() == [size // 10] * 10
    assert len(distinct(train, validation, test)) == 70_000
    assert train.labels[:5].tolist() == [0, 3, 0, 7, 2]
    assert whole.checksum == FULL_CHECKSUM
    # The test pool begins with the published test file.
    for file, values in ((FILES[2], test.images), (FILES[3], test.labels.to(torch.uint8))):
        digest = hashlib.sha256(file.header + values[:10_000].numpy().tobytes())
        assert digest.hexdigest() == file.sha256


@pytest.mark.parametrize("damage", ["truncated", "garbage", "other", "missing", "longer"])
def test_corrupt_shipped_file_is_detected(damage, tmp_path, monkeypatch):
    size = 8 * 785
    path = tmp_path / "subset.xz"
    if damage != "missing":
        path.write_bytes(
            {
                "truncated": lzma.compress(bytes(size), preset=0)[:-20],
                "garbage": b"garbage",
                "other": lzma.compress(bytes(size), preset=0),
                "longer": lzma.compress(bytes(2 * size), preset=0),
            }[damage]
        )
    monkeypatch.setattr(subset, "FILE", path)
    monkeypatch.setattr(subset, "SIZES", (4, 1, 3))
    with pytest.raises(DataError, match="subset.xz.*Reinstall reviewlib"):
        subset.read()
