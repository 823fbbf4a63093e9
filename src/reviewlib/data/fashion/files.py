"""The four idx files of Fashion-MNIST, and a verified read that limits what it unpacks."""

import gzip
import hashlib
import lzma
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reviewlib.data.errors import DataError

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


@dataclass(frozen=True)
class IdxFile:
    """One file of Fashion-MNIST, which may be compressed.

    Attributes:
        name: file name without .gz.
        shape: shape of its array of bytes.
        sha256: SHA-256 of the uncompressed contents.
        md5: MD5 of the .gz file on the server.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    md5: str

    @property
    def header(self) -> bytes:
        """The idx header: unsigned bytes (8), the number of dimensions, the dimensions."""
        return struct.pack(f">4B{len(self.shape)}I", 0, 0, 8, len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return len(self.header) + math.prod(self.shape)

    def find(self, folder: Path) -> Path | None:
        """Return the path of this file in a folder, compressed or not, if it is there."""
        places = (folder / self.name, folder / f"{self.name}.gz")
        return next((place for place in places if place.is_file()), None)

    def read(self, path: Path, remedy: str) -> bytes:
        """Return the verified contents, header included.

        Raises:
            DataError: the file is another one or corrupt; the message ends with the remedy.
        """
        content = read(path, gzip.open if path.suffix == ".gz" else open, self.size, remedy)
        if not content.startswith(self.header):
            raise DataError(
                f"{path} must be an idx file of bytes of shape {self.shape}, but it begins with "
                f"{content[: len(self.header)].hex()}. {remedy}"
            )
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise DataError(f"{path} is corrupt: the SHA-256 of its contents differs. {remedy}")
        return content


FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "25c81989df183df01b3e8a0aad5dffbe",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "bef4ecab320f06d8554ea6380940ec79",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)


def read(path: Path, opener: Callable[..., BinaryIO], size: int, remedy: str) -> bytes:
    """Return the uncompressed contents of a file, which must have `size` bytes.

    At most `size + 1` bytes are read, because a small file may unpack to a huge one.

    Raises:
        DataError: the file cannot be read, or has another size; the message ends with the remedy.
    """
    try:
        with opener(path, "rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {error}. {remedy}") from error
    if len(content) != size:
        length = f"{len(content)}" if len(content) < size else "more"
        raise DataError(f"{path} must hold {size} bytes, uncompressed, got {length}. {remedy}")
    return content
