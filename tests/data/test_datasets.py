"""Loading a data set by its name."""

import pytest
import torch
from images import numbered

from reviewlib import data
from reviewlib.data import datasets
from reviewlib.data.fashion import files


@pytest.fixture(scope="module")
def small():
    return data.load("fashion-mnist-subset")


def test_development_data_has_no_test_data(small):
    assert not hasattr(small.development, "test")


def test_load_reads_once(small):
    assert data.load("fashion-mnist-subset", torch.device("cpu")) is small


def test_load_assigns_splits_checksum_and_classes(monkeypatch):
    splits = tuple(map(numbered, (4, 3, 2)))
    found = (splits, "abc", files.CLASSES)
    monkeypatch.setitem(datasets.READERS, "fashion-mnist", lambda: found)
    dataset = datasets._load.__wrapped__("fashion-mnist", "cpu")  # bypasses the cache
    assert (dataset.development.train, dataset.development.validation, dataset.test) == splits
    assert (dataset.name, dataset.checksum) == ("fashion-mnist", "abc")
    assert dataset.identity == ["abc", data.POOLS, 4, 3, 2]
    assert (len(dataset.classes), dataset.classes[9]) == (10, "Ankle boot")


def test_load_moves_every_split_to_the_device(small):
    moved = data.load("fashion-mnist-subset", "meta")
    for split in (moved.development.train, moved.development.validation, moved.test):
        assert split.images.device.type == split.labels.device.type == "meta"
    assert (moved.name, moved.checksum) == (small.name, small.checksum)


def test_load_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="fashion-mnist.*or a folder of images, got 'mnist'"):
        data.load("mnist")
