"""CIFAR-10, from an archive and from a server on this machine."""

import gzip
import tarfile

import numpy as np
import pytest
from images import cifar_archive, noise

from reviewlib.data import DataError, cifar


@pytest.fixture
def archive(tmp_path, monkeypatch):
    return cifar_archive(tmp_path, monkeypatch)


def test_cifar_is_read_from_plain_bytes(archive):
    splits, checksum, classes = cifar.read()
    assert [len(split) for split in splits] == [100, 40, 60 + 40]
    assert np.array_equal(splits[2].images[7].numpy().ravel(), noise(5, 40, 3073)[7, 1:])
    assert all(np.ptp(np.bincount(split.labels)) == 0 for split in splits)
    assert splits[2].images.shape == (100, 3, 32, 32)
    assert len(checksum) == 64 and classes[9] == "truck"


def test_the_archive_may_lie_in_its_own_folder(archive):
    below = archive.parent / "cifar10"
    below.mkdir()
    archive.rename(below / archive.name)
    cifar.read()


def test_an_archive_with_another_hash_is_not_unpacked(archive, monkeypatch):
    archive.write_bytes(gzip.compress(bytes(1000)))
    monkeypatch.setattr(tarfile, "open", lambda **_: pytest.fail("it was opened"))
    with pytest.raises(DataError, match=f"{archive} is corrupt: its SHA-256 differs"):
        cifar.read()


def test_a_missing_archive_is_downloaded_once(archive, tmp_path, server, monkeypatch):
    server.files[cifar.ARCHIVE] = archive.read_bytes()
    archive.unlink()
    monkeypatch.setattr(cifar, "URL", f"{server.url}/{cifar.ARCHIVE}")
    assert cifar.read()[1] == cifar.read()[1]
    assert server.asked == [cifar.ARCHIVE]
    assert (tmp_path / "cache/reviewlib/cifar10" / cifar.ARCHIVE).exists()


@pytest.mark.parametrize("sent", [b"the log-in page of a proxy", None])
def test_a_failed_download_says_where_to_put_cifar(archive, server, monkeypatch, sent):
    archive.unlink()
    if sent:
        server.files[cifar.ARCHIVE] = sent
    monkeypatch.setattr(cifar, "URL", f"{server.url}/{cifar.ARCHIVE}")
    with pytest.raises(DataError, match="download failed: .*Put cifar-10-binary.tar.gz from http"):
        cifar.read()
