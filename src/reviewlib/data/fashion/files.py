"""Fashion-MNIST's files: where they are looked for, their checksums, and the shipped subset."""

import gzip
import hashlib
import lzma
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from filelock import FileLock
from torch import Tensor

from reviewlib import storage, vision

Splits = list[tuple[Tensor, Tensor]]  # images and labels of train, validation, test

TRAIN = 54_000  # the first 54,000 of the training file train, its last 6,000 validate

SUBSET_FILE = Path(__file__).parent / "subset.xz"
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


def full() -> tuple[Splits, str]:
    """Return the full set's images (N, 1, 28, 28), uint8, labels (N,), int64, and checksum.

    The checksum is the SHA-256, in hex, over the uncompressed contents of the four files.

    Raises:
        DataError: a file is missing, incomplete or corrupt.
    """
    contents = _read_folder(_folder())
    arrays = [
        torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(file.header)).view(
            file.shape
        )
        for file, content in zip(FILES, contents, strict=True)
    ]
    images, labels, test_images, test_labels = arrays
    images, labels = images.unsqueeze(1), labels.long()
    splits = [
        (images[:TRAIN], labels[:TRAIN]),
        (images[TRAIN:], labels[TRAIN:]),
        (test_images.unsqueeze(1), test_labels.long()),
    ]
    return splits, _sha256(*contents)


def subset() -> tuple[Splits, str]:
    """Return the shipped subset, as `full` returns the full set.

    The file holds all images, then all labels, each train, validation, test.

    Raises:
        DataError: the file is missing, incomplete or corrupt.
    """
    count = sum(SUBSET_SIZES)
    size = count * (28 * 28 + 1)
    content = _read(SUBSET_FILE, lzma.open, size, "Reinstall reviewlib")
    if _sha256(content) != SUBSET_CHECKSUM:
        raise DataError(f"{SUBSET_FILE} is corrupt: its SHA-256 differs. Reinstall reviewlib")
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    images = values[:-count].view(count, 1, 28, 28).split(SUBSET_SIZES)
    labels = values[-count:].long().split(SUBSET_SIZES)
    return list(zip(images, labels, strict=True)), SUBSET_CHECKSUM


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
    return storage.cache_folder("fashion-mnist")


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
