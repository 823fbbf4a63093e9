"""CIFAR-10, from the binary archive of its authors.

The Python version consists of pickles, and unpickling can run arbitrary code. The binary version
holds the same images as plain bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import tarfile
from pathlib import Path

import numpy as np
import torch

from reviewlib import storage
from reviewlib.data.download import fetch
from reviewlib.data.errors import DataError
from reviewlib.data.pools import cut
from reviewlib.data.split import Split, Splits

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
SHAPE = (3, 32, 32)
SIZES = (18_000, 8_000, 24_000)  # of the training files' images: training, validation, test
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


def read() -> tuple[Splits, str, tuple[str, ...]]:
    """Return the pools with images (N, 3, 32, 32), the checksum and the class names.

    The test pool is the test file and then 24,000 images of the training files.

    The archive is read from the folder that REVIEWLIB_DATA names, else from the user's cache, into
    which it is downloaded if missing. The checksum is the SHA-256, in hex, of the six uncompressed
    files.

    Raises:
        DataError: the archive is missing and cannot be downloaded, or is corrupt.
    """
    contents = _contents(_archive())
    records = [
        np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + math.prod(SHAPE))
        for content in contents
    ]
    train, test = np.concatenate(records[:-1]), records[-1]
    pools = cut(_split(train), _split(test), SIZES, "cifar10")
    return pools, hashlib.sha256(b"".join(contents)).hexdigest(), CLASSES


def _split(records: np.ndarray) -> Split:
    """Return the split of records (N, 1 + 3 * 32 * 32), each a label and then the pixels."""
    images, labels = records[:, 1:].reshape(-1, *SHAPE), records[:, 0]
    return Split(torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64)))


def _archive() -> Path:
    """Return the path of the archive, in REVIEWLIB_DATA or in the cache; download it if missing."""
    cache = storage.cache_folder("cifar10")
    if named := os.environ.get("REVIEWLIB_DATA"):
        root = Path(named).expanduser()
        for place in (root, root / "cifar10"):
            if (place / ARCHIVE).is_file():
                return place / ARCHIVE
    try:
        fetch(URL, f"sha256:{SHA256}", cache)
    except (OSError, ValueError) as error:
        raise DataError(
            f"CIFAR-10 is not on this machine, and its download failed: {error}. Put {ARCHIVE} "
            f"from {URL} into {cache} or into the folder that REVIEWLIB_DATA names"
        ) from error
    return cache / ARCHIVE


def _contents(path: Path) -> list[bytes]:
    """Return the six files of the archive; verify its SHA-256 before unpacking it."""
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise DataError(f"{path} is corrupt: its SHA-256 differs. Replace or delete it")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as tar:
                return [tar.extractfile(f"{FOLDER}/{name}").read() for name in BATCHES]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}. Replace or delete it") from error
