"""The full Fashion-MNIST: its search path and its download."""

import hashlib
import os
from pathlib import Path

import torch

from reviewlib import storage
from reviewlib.data.download import fetch
from reviewlib.data.errors import DataError
from reviewlib.data.fashion.files import CLASSES, FILES, IdxFile
from reviewlib.data.pools import cut
from reviewlib.data.split import Split, Splits

SIZES = (22_000, 8_000, 30_000)  # of the training file's images: training, validation, test
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # from the package dataset-fashion-mnist
WAYS = (
    "Fashion-MNIST is looked for in (1) the folder that the environment variable REVIEWLIB_DATA "
    "names, with the four idx files, .gz or not; (2) the user's cache, {cache}; (3) the "
    "Debian/Ubuntu package: apt install dataset-fashion-mnist; (4) {url}: be online. The data set "
    "fashion-mnist-subset needs none of them"
)


def read() -> tuple[Splits, str, tuple[str, ...]]:
    """Return the pools, the checksum and the classes.

    The test pool is the test file and then 30,000 images of the training file. The checksum is the
    SHA-256, in hex, over the uncompressed contents of the four files.

    Raises:
        DataError: a file is missing, incomplete or corrupt.
    """
    folder = _folder()
    contents = [_read(folder, file) for file in FILES]
    images, labels, test_images, test_labels = (
        torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(file.header)).view(
            file.shape
        )
        for file, content in zip(FILES, contents, strict=True)
    )
    training = Split(images.unsqueeze(1), labels.long())
    test = Split(test_images.unsqueeze(1), test_labels.long())
    pools = cut(training, test, SIZES, "fashion-mnist")
    return pools, hashlib.sha256(b"".join(contents)).hexdigest(), CLASSES


def _folder() -> Path:
    """Return the folder to read from.

    It is the one that REVIEWLIB_DATA names, even if its files are bad. Without this variable it is
    the complete cache, else the Debian package's folder, else the cache after a download.
    """
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
    missing = [file for file in FILES if not file.find(cache)]
    if missing and _holds_any(DEBIAN_FOLDER):
        return DEBIAN_FOLDER
    _download(missing, cache)
    return cache


def _cache() -> Path:
    return storage.cache_folder("fashion-mnist")


def _ways() -> str:
    return WAYS.format(cache=_cache(), url=URL)


def _holds_any(folder: Path) -> bool:
    return any(file.find(folder) for file in FILES)


def _download(missing: list[IdxFile], cache: Path) -> None:
    """Download these files; after a failure, the next call downloads only the rest."""
    try:
        for file in missing:
            fetch(f"{URL}/{file.name}.gz", f"md5:{file.md5}", cache)
    except (OSError, ValueError) as error:
        raise DataError(
            "Fashion-MNIST is missing or incomplete on this machine, and its download failed: "
            f"{error}. {_ways()}"
        ) from error


def _read(folder: Path, file: IdxFile) -> bytes:
    """Return the verified contents of a file in a folder that holds at least one of the four."""
    path = file.find(folder)
    if path is None:
        raise DataError(
            f"{folder / file.name}(.gz) is missing, but other files of Fashion-MNIST are "
            f"there: complete or delete that folder. {_ways()}"
        )
    return file.read(path, f"Replace or delete this file. {_ways()}")
