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
    images = [{image.tobytes() for image in split.images.numpy()} for split in splits]
    assert len(set.union(*images)) == sum(map(len, images))


def test_subset_lies_within_the_full_splits(whole, small):
    assert hashlib.sha256(contents(whole)).hexdigest() == small.checksum


def test_full_set_has_the_fixed_splits(whole):
    train, validation = whole.development.train, whole.development.validation
    assert (len(train), len(validation), len(whole.test)) == (54_000, 6_000, 10_000)
    # Published first labels of the two files.
    assert train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert whole.test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    assert whole.checksum == FULL_CHECKSUM
    # Put together again, the splits are the published files.
    in_files = ((train, validation), (train, validation), (whole.test,), (whole.test,))
    for file, splits in zip(FILES, in_files, strict=True):
        digest = hashlib.sha256(file.header)
        for split in splits:
            values = split.images if len(file.shape) == 3 else split.labels.to(torch.uint8)
            digest.update(values.numpy())
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
