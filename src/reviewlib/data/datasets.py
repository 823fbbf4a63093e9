"""Whole data sets as tensors on the device, with fixed splits, and the named random streams."""

import hashlib
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from reviewlib.data import cifar, image_folder
from reviewlib.data.fashion import files

NAMES = ("fashion-mnist", "fashion-mnist-subset", "cifar10")
STREAMS = ("subset", "noise", "init", "order", "method")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

FOLD_SEED = (
    1708_07747  # fixes the test folds for good; any number does, this is the paper's on arXiv
)

DataError = files.DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W), uint8, with their labels (N,), int64.

    Raises:
        ValueError: a shape or a type is another.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check shapes and types where they enter."""
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 of shape (N, C, H, W), got {self.images.dtype} of shape "
                f"{tuple(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be int64 of shape ({len(self.images)},), got {self.labels.dtype} of "
                f"shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def take(self, index: Tensor | Sequence[int]) -> "Split":
        """Return the images at these positions, or where a mask (N,) is true, as a copy."""
        index = torch.as_tensor(index, device=self.images.device)
        return Split(self.images[index], self.labels[index])

    def pixels(self) -> Tensor:
        """Images as float32 in [0, 1], of shape (N, C, H, W)."""
        return self.images.float().div_(255)

    def to(self, device: str | torch.device) -> "Split":
        """Return the split on this device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Development:
    """All that tuning may see of a data set: it has no test data, by type.

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


def load(name: str = "fashion-mnist", device: str | torch.device = "cpu") -> Dataset:
    """Return a data set with its fixed splits, read once a process and device: do not write to it.

    Args:
        name: one of NAMES, or the path of a folder of images (see `image_folder`).
        device: where its tensors are.

    Raises:
        ValueError: there is no data set of this name.
        DataError: its files are missing, incomplete or corrupt.
    """
    if name not in NAMES:
        if os.sep not in str(name) and not Path(name).is_dir():
            raise ValueError(
                f"data must be one of {', '.join(NAMES)}, or a folder of images, got {name!r}"
            )
        name = str(Path(name).expanduser().resolve())
    return _load(name, str(device))


@lru_cache
def _load(name: str, device: str) -> Dataset:
    if device == "cpu":
        splits, checksum, classes = _read(name)
        train, validation, test = (Split(images, labels) for images, labels in splits)
        return Dataset(Development(name, classes, checksum, train, validation), test)
    dataset = _load(name, "cpu")
    development = dataset.development
    return Dataset(
        Development(
            name,
            development.classes,
            development.checksum,
            development.train.to(device),
            development.validation.to(device),
        ),
        dataset.test.to(device),
    )


def _read(name: str) -> tuple[files.Splits, str, tuple[str, ...]]:
    """Return the splits, the checksum and the class names of a data set."""
    match name:
        case "fashion-mnist":
            return *files.full(), CLASSES
        case "fashion-mnist-subset":
            return *files.subset(), CLASSES
        case "cifar10":
            return *cifar.read(), cifar.CLASSES
        case _:
            return image_folder.read(Path(name))


def stream_seed(seed: int, name: str) -> int:
    """Return the 63-bit seed of a named random stream.

    Args:
        seed: the seed of the run, any integer.
        name: one of STREAMS. Arms may share some streams and not others.

    Raises:
        ValueError: there is no stream of this name.
    """
    if name not in STREAMS:
        raise ValueError(f"a stream must be one of {', '.join(STREAMS)}, got {name!r}")
    digest = hashlib.sha256(f"{name}:{operator.index(seed)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str) -> torch.Generator:
    """Return a CPU generator at the start of a named random stream (see `stream_seed`)."""
    return torch.Generator().manual_seed(stream_seed(seed, name))


def subset(split: Split, size: int, generator: torch.Generator) -> Split:
    """Return `size` images drawn without replacement.

    Raises:
        ValueError: the size is negative or larger than the split.
    """
    if not 0 <= size <= len(split):
        raise ValueError(f"size must be between 0 and {len(split)}, got {size}")
    return split.take(torch.randperm(len(split), generator=generator)[:size])


def fold(split: Split, index: int, folds: int) -> Split:
    """Return one of `folds` disjoint random folds of equal size, the same ones at every call.

    Up to `folds - 1` images are in no fold, so that all folds have the same size.

    Raises:
        ValueError: there is no such fold, or there are more folds than images.
    """
    if not 1 <= folds <= len(split):
        raise ValueError(f"folds must be between 1 and {len(split)}, got {folds}")
    if not 0 <= index < folds:
        raise ValueError(f"the index of a fold must be between 0 and {folds - 1}, got {index}")
    size = len(split) // folds
    permutation = torch.randperm(len(split), generator=torch.Generator().manual_seed(FOLD_SEED))
    return split.take(permutation[index * size : (index + 1) * size])


def shrink(split: Split, side: int) -> Split:
    """Return the images averaged down to (N, C, side, side), rounded to whole gray levels.

    Raises:
        ValueError: the images' sides are not a multiple of `side`.
    """
    height, width = split.images.shape[2:]
    if (height, width) == (side, side):
        return split
    if side < 1 or height % side or width % side:
        raise ValueError(f"side must divide the images' {height} x {width} pixels, got {side}")
    small = F.avg_pool2d(split.images.float(), (height // side, width // side))
    return Split(small.round().to(torch.uint8), split.labels)


def nearest_side(split: Split, side: int) -> int:
    """Return the side nearest to this one that `shrink` can average square images down to."""
    whole = split.images.shape[-1]
    return min((n for n in range(1, whole + 1) if whole % n == 0), key=lambda n: abs(n - side))


def flip_labels(
    labels: Tensor, fraction: float, classes: int, generator: torch.Generator
) -> Tensor:
    """Return labels (N,) of which exactly round(fraction * N) are replaced by a different class.

    The new class is uniform over the others. From the same generator state, a larger fraction
    makes the flips of a smaller one and more.

    Args:
        labels: int64, in [0, classes); not written to.
        fraction: in [0, 1].
        classes: number of classes, at least 2.
        generator: on the CPU.

    Raises:
        ValueError: the fraction, the number of classes or a label is out of range.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}")
    if classes < 2:
        raise ValueError(f"a label needs at least 2 classes to be flipped, got {classes}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels must be in [0, {classes}), got {int(labels.min())} to {int(labels.max())}"
        )
    count = round(fraction * len(labels))
    chosen = torch.randperm(len(labels), generator=generator)[:count].to(labels.device)
    # One offset per label, used or not: flips of different fractions stay nested in later calls.
    offsets = torch.randint(1, classes, (len(labels),), generator=generator)[:count]
    flipped = labels.clone()
    flipped[chosen] = (labels[chosen] + offsets.to(labels.device)) % classes
    return flipped
