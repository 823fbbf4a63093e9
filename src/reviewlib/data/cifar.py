"""CIFAR-10, from the binary archive of its authors.

The version for Python, which torchvision reads, consists of pickles, and to unpickle is to run what
somebody else wrote; the binary version holds the same images as plain bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from reviewlib import storage, vision
from reviewlib.data.fashion.files import DataError, Splits

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # as published beside the archive
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
SHAPE = (3, 32, 32)
VALIDATION = 5_000  # the last of the training images validate
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def read() -> tuple[Splits, str]:
    """Return the splits' images (N, 3, 32, 32), uint8, with their labels (N,), and the checksum.

    The archive is looked for in the folder that REVIEWLIB_DATA names and in the user's cache, and
    downloaded into the cache by torchvision otherwise. The checksum is the SHA-256, in hex, over
    the six uncompressed files.

    Raises:
        DataError: the archive cannot be had, or is another one.
    """
    contents = _contents(_archive())
    records = [
        np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + math.prod(SHAPE))
        for content in contents
    ]
    train, test = np.concatenate(records[:-1]), records[-1]
    parts = (train[:-VALIDATION], train[-VALIDATION:], test)
    splits = [
        (
            torch.from_numpy(part[:, 1:].reshape(-1, *SHAPE).copy()),
            torch.from_numpy(part[:, 0].astype(np.int64)),
        )
        for part in parts
    ]
    return splits, hashlib.sha256(b"".join(contents)).hexdigest()


def _archive() -> Path:
    """Return the first place that holds the archive, the cache after a download if none does."""
    cache = storage.cache_folder("cifar10")
    places = [cache]
    if named := os.environ.get("REVIEWLIB_DATA"):
        root = Path(named).expanduser()
        places = [root, root / "cifar10", cache]
    found = next((place for place in places if (place / ARCHIVE).is_file()), None)
    if found is None:
        _download(cache)
    return (found or cache) / ARCHIVE


def _download(cache: Path) -> None:
    """Have torchvision download the archive, which appears in the cache when it is whole."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / ".lock"), tempfile.TemporaryDirectory(dir=cache) as part:
            if not (cache / ARCHIVE).exists():  # another process may have been first
                vision.torchvision().datasets.utils.download_url(URL, part, ARCHIVE, MD5)
                os.replace(Path(part, ARCHIVE), cache / ARCHIVE)
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f"CIFAR-10 is not on this machine, and its download failed: {error}. Put {ARCHIVE} "
            f"from {URL} into {cache} or into the folder that REVIEWLIB_DATA names"
        ) from error


def _contents(path: Path) -> list[bytes]:
    """Return the six files of an archive whose SHA-256 is the right one; only then unpack it."""
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise DataError(f"{path} is corrupt: its SHA-256 differs. Replace or delete it")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as tar:
                return [tar.extractfile(f"{FOLDER}/{name}").read() for name in BATCHES]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}. Replace or delete it") from error
