"""Whole data sets as tensors on the device, with fixed splits, and the named random streams."""

import gzip
import hashlib
import lzma
import math
import operator
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import platformdirs
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from reviewlib import vision

NAMES = ("fashion-mnist", "fashion-mnist-subset")
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

TRAIN = 54_000  # the first 54,000 of the training file train, its last 6,000 validate
FOLD_SEED = (
    1708_07747  # fixes the test folds for good; any number does, this is the paper's on arXiv
)

SUBSET_FILE = Path(__file__).parent / "fashion" / "subset.xz"
SUBSET_SIZES = (4_000, 1_000, 3_000)  # train, validation, test
SUBSET_CHECKSUM = "a190a4afee4ffa1831b6725d95c69d3b1797b9b2293c41b8c5164e40afb4f34f"

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
WAYS = (
    "Fashion-MNIST is looked for in (1) the folder that the environment variable REVIEWLIB_DATA "
    "names, with the four idx files, .gz or not; (2) the user's cache, {cache}; (3) the "
    "Debian/Ubuntu package: apt install dataset-fashion-mnist; (4) torchvision's download: pip "
    "install torchvision, and be online. The data set fashion-mnist-subset needs none of them"
)


@dataclass(frozen=True)
class IdxFile:
    """One file of Fashion-MNIST: its name, its shape, and the SHA-256 of its plain contents."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """The idx header: unsigned bytes (8), the number of dimensions, the dimensions."""
        return struct.pack(f">4B{len(self.shape)}I", 0, 0, 8, len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return len(self.header) + math.prod(self.shape)


FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


class DataError(RuntimeError):
    """A data set is missing, incomplete or corrupt; the message names the file and the ways out."""


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

    The checksum is the SHA-256, in hex, over the uncompressed contents of the whole data set.
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
        """SHA-256, in hex, over the uncompressed contents."""
        return self.development.checksum


def load(name: str = "fashion-mnist", device: str | torch.device = "cpu") -> Dataset:
    """Return a data set with its fixed splits, read once a process and device: do not write to it.

    Raises:
        ValueError: there is no data set of this name.
        DataError: its files are missing, incomplete or corrupt.
    """
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, got {name!r}")
    return _load(name, str(device))


@lru_cache
def _load(name: str, device: str) -> Dataset:
    if device == "cpu":
        return _full() if name == "fashion-mnist" else _subset()
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


def _full() -> Dataset:
    contents = _read_folder(_folder())
    arrays = [
        torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(file.header)).view(
            file.shape
        )
        for file, content in zip(FILES, contents, strict=True)
    ]
    images, labels, test_images, test_labels = arrays
    train = Split(images.unsqueeze(1), labels.long())
    development = Development(
        "fashion-mnist",
        CLASSES,
        _sha256(*contents),
        Split(train.images[:TRAIN], train.labels[:TRAIN]),
        Split(train.images[TRAIN:], train.labels[TRAIN:]),
    )
    return Dataset(development, Split(test_images.unsqueeze(1), test_labels.long()))


def _subset() -> Dataset:
    """Read the shipped subset: all images, then all labels, each train, validation, test."""
    count = sum(SUBSET_SIZES)
    size = count * (28 * 28 + 1)
    content = _read(SUBSET_FILE, lzma.open, size, "Reinstall reviewlib")
    if _sha256(content) != SUBSET_CHECKSUM:
        raise DataError(f"{SUBSET_FILE} is corrupt: its SHA-256 differs. Reinstall reviewlib")
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    images = values[:-count].view(count, 1, 28, 28).split(SUBSET_SIZES)
    labels = values[-count:].long().split(SUBSET_SIZES)
    train, validation, test = map(Split, images, labels)
    development = Development("fashion-mnist-subset", CLASSES, SUBSET_CHECKSUM, train, validation)
    return Dataset(development, test)


def _folder() -> Path:
    """Return the first place that holds Fashion-MNIST; a bad place is not passed over."""
    if named := os.environ.get("REVIEWLIB_DATA"):
        root = Path(named).expanduser()
        places = (root, root / "fashion-mnist", root / "FashionMNIST" / "raw")
        if found := next(filter(_holds_any, places), None):
            return found
        raise DataError(
            f"the environment variable REVIEWLIB_DATA names {root}, which must hold the file "
            f"{FILES[0].name} and the other three, directly or in fashion-mnist or in "
            f"FashionMNIST/raw, but holds none. {_ways()}"
        )
    cache = _cache()
    for place in (cache, DEBIAN_FOLDER):
        if _holds_any(place):
            return place
    _download(cache)
    return cache


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("reviewlib")) / "fashion-mnist"


def _ways() -> str:
    return WAYS.format(cache=_cache())


def _find(folder: Path, file: IdxFile) -> Path | None:
    places = (folder / file.name, folder / f"{file.name}.gz")
    return next((place for place in places if place.is_file()), None)


def _holds_any(folder: Path) -> bool:
    return any(_find(folder, file) for file in FILES)


def _download(cache: Path) -> None:
    """Have torchvision download into the cache, where the four files appear all at once."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cache.with_suffix(".lock")):
            if _holds_any(cache):  # another process was first
                return
            with tempfile.TemporaryDirectory(prefix="download-", dir=cache.parent) as root:
                vision.torchvision().datasets.FashionMNIST(root, download=True)
                raw = Path(root) / "FashionMNIST" / "raw"
                _read_folder(raw)
                raw.rename(cache)
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST is not on this machine, and its download failed: {error}. {_ways()}"
        ) from error


def _read_folder(folder: Path) -> list[bytes]:
    return [_read_idx(folder, file) for file in FILES]


def _read_idx(folder: Path, file: IdxFile) -> bytes:
    """Return the verified contents of an idx file, header included."""
    path = _find(folder, file)
    if path is None:
        raise DataError(
            f"{folder / file.name}(.gz) is missing beside the other files of Fashion-MNIST: "
            f"complete or delete that folder. {_ways()}"
        )
    remedy = f"Replace or delete this file. {_ways()}"
    content = _read(path, gzip.open if path.suffix == ".gz" else open, file.size, remedy)
    if not content.startswith(file.header):
        raise DataError(
            f"{path} must be an idx file of bytes of shape {file.shape}, but it begins with "
            f"{content[: len(file.header)].hex()}. {remedy}"
        )
    if _sha256(content) != file.sha256:
        raise DataError(f"{path} is corrupt: the SHA-256 of its contents differs. {remedy}")
    return content


def _read(path: Path, opener: Callable[..., BinaryIO], size: int, remedy: str) -> bytes:
    """Return `size` bytes, never reading more than one beyond: a small file may unpack to much."""
    try:
        with opener(path, "rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {error}. {remedy}") from error
    if len(content) != size:
        length = f"{len(content)}" if len(content) < size else "more"
        raise DataError(f"{path} must hold {size} bytes, uncompressed, got {length}. {remedy}")
    return content


def _sha256(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()
