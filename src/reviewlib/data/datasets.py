"""Data sets by name, each divided into what tuning may see and the test data."""

import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from reviewlib.data import cifar, image_folder
from reviewlib.data.errors import DataError
from reviewlib.data.fashion import full, subset
from reviewlib.data.pools import POOLS
from reviewlib.data.split import Split

# Each returns the splits, the checksum and the class names.
READERS = {"fashion-mnist": full.read, "fashion-mnist-subset": subset.read, "cifar10": cifar.read}
NAMES = tuple(READERS)
TEST_FILE = 10_000  # images in the test files of Fashion-MNIST and of CIFAR-10


@dataclass(frozen=True, eq=False)
class Development:
    """The part of a data set that tuning may see; the type has no field for test data.

    The checksum is the SHA-256, in hex, over the uncompressed contents of the whole data set (for a
    folder of images: over pixels, labels and class names).
    """

    name: str
    classes: tuple[str, ...]
    checksum: str
    train: Split
    validation: Split


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set: what tuning may see, and the test data."""

    development: Development
    test: Split

    @property
    def name(self) -> str:
        """Name that `load` accepts."""
        return self.development.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return self.development.classes

    @property
    def checksum(self) -> str:
        """SHA-256, in hex, over the contents (see `Development`)."""
        return self.development.checksum

    @property
    def identity(self) -> list[Any]:
        """The checksum, and how and into what sizes the pools are cut: what a result depends on."""
        splits = (self.development.train, self.development.validation, self.test)
        return [self.checksum, POOLS, *(len(split.labels) for split in splits)]


def load(name: str = "fashion-mnist", device: str | torch.device = "cpu") -> Dataset:
    """Return a data set with its fixed splits.

    It is read once per process and device, and all callers share it: do not modify it.

    Args:
        name: one of NAMES, or the path of a folder of images (see `image_folder`).
        device: the device of its tensors.

    Raises:
        ValueError: there is no data set of this name.
        DataError: its files are missing, incomplete or corrupt.
    """
    if name not in NAMES:
        if not str(name).strip() or (os.sep not in str(name) and not Path(name).is_dir()):
            raise ValueError(
                f"data must be one of {', '.join(NAMES)}, or a folder of images, got {name!r}"
            )
        try:
            name = str(Path(name).expanduser().resolve())
        except RuntimeError as error:
            raise DataError(f"{name} names the home folder of nobody: {error}") from error
    return _load(name, str(device))


def pool_sizes(name: str) -> tuple[int, int, int]:
    """Return the number of images in a data set's training, validation and test pool.

    It downloads nothing; a folder of images is read.

    Raises:
        ValueError: there is no data set of this name.
        DataError: the folder cannot be read.
    """
    if name == "fashion-mnist-subset":
        return subset.SIZES
    if name in NAMES:
        training, validation, rest = {"fashion-mnist": full, "cifar10": cifar}[name].SIZES
        return training, validation, rest + TEST_FILE
    found = load(name)
    development = found.development
    return len(development.train), len(development.validation), len(found.test)


@lru_cache
def _load(name: str, device: str) -> Dataset:
    if device == "cpu":
        read = READERS.get(name) or partial(image_folder.read, Path(name))
        (train, validation, test), checksum, classes = read()
        return Dataset(Development(name, classes, checksum, train, validation), test)
    dataset = _load(name, "cpu")
    part = dataset.development
    moved = replace(part, train=part.train.to(device), validation=part.validation.to(device))
    return Dataset(moved, dataset.test.to(device))
