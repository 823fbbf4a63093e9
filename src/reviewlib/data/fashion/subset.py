"""The Fashion-MNIST subset that ships with the package; ORIGIN.md names its source."""

import hashlib
import lzma
from pathlib import Path

import torch

from reviewlib.data.errors import DataError
from reviewlib.data.fashion import files
from reviewlib.data.split import Split, Splits

FILE = Path(__file__).parent / "subset.xz"
SIZES = (4_000, 1_000, 3_000)  # train, validation, test (from the validation pool, too)
CHECKSUM = "6b1a34c46ec0e497940ec19220ed40fca95d48a14f197d3a16b680482b7824b2"


def read() -> tuple[Splits, str, tuple[str, ...]]:
    """Return the splits, the checksum (SHA-256, in hex, of the uncompressed file), the classes.

    The file holds all images, then all labels, each in the order train, validation, test.

    Raises:
        DataError: the file is missing, incomplete or corrupt.
    """
    count = sum(SIZES)
    content = files.read(FILE, lzma.open, count * (28 * 28 + 1), "Reinstall reviewlib")
    if hashlib.sha256(content).hexdigest() != CHECKSUM:
        raise DataError(f"{FILE} is corrupt: its SHA-256 differs. Reinstall reviewlib")
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    images = values[:-count].view(count, 1, 28, 28).split(SIZES)
    labels = values[-count:].long().split(SIZES)
    return tuple(map(Split, images, labels)), CHECKSUM, files.CLASSES
