"""The reader's own images: one folder per class, of any size, gray or color."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from reviewlib.data.errors import DataError
from reviewlib.data.split import Split, Splits

IMAGE_SIZE = 28  # as in Fashion-MNIST, so that the same presets fit
PARTS = ("training", "validation", "test")
TRAIN, VALIDATION, TEST = 0.5, 0.2, 0.3  # approximate fractions of the images
MOST_BYTES = 100_000_000  # per file
MOST_PIXELS = 50_000_000  # per image: a small file may unpack to a huge image
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")  # no decoder starts a program
# What systems leave behind, in lower case: files of Windows, folders of macOS, Windows and others.
LITTER = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "#recycle", "$recycle.bin")
LITTER += ("system volume information", "lost+found")
PARTS_OF_OTHERS = ("train", "training", "val", "valid", "validation", "test", "testing")
GRAY, COLOR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


@dataclass(frozen=True)
class Picture:
    """One image: its file's SHA-256, pixels (IMAGE_SIZE, IMAGE_SIZE, 3), grayness and label."""

    key: bytes
    pixels: np.ndarray
    gray: bool
    label: int

    @property
    def part(self) -> int:
        """Index into PARTS; only the contents of the file decide it."""
        place = int.from_bytes(self.key[:8], "big") / 2**64
        return 0 if place < TRAIN else 1 if place < TRAIN + VALIDATION else 2


def read(folder: Path) -> tuple[Splits, str, tuple[str, ...]]:
    """Return the splits with images (N, C, 28, 28), a checksum and the class names.

    Each folder is a class; they are sorted by name. An image is cropped to a centered square and
    resized; C is 1 if every file is gray, else 3. A file's contents alone decide its split, so a
    new file moves no other one, and copies of a file are in the same split, whatever their class.
    The checksum is the SHA-256, in hex, of class names, pixels and labels.

    Raises:
        DataError: a folder or a file is unusable; the message names it.
        ImportError: Pillow is not installed.
    """
    listing = _listing(folder)
    pictures = [_decoded(path, label) for label, (_, files) in enumerate(listing) for path in files]
    pictures.sort(key=lambda picture: (picture.key, picture.label))
    channels = 1 if all(picture.gray for picture in pictures) else 3
    classes = tuple(name for name, _ in listing)
    checksum = hashlib.sha256(json.dumps([classes, channels]).encode())
    splits = []
    for part, what in enumerate(PARTS):
        mine = [picture for picture in pictures if picture.part == part]
        _require_all_classes(folder, classes, mine, what)
        images = np.stack([picture.pixels[..., :channels] for picture in mine])
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        labels = np.array([picture.label for picture in mine], dtype=np.int64)
        checksum.update(images.tobytes() + labels.astype("<i8").tobytes())
        splits.append(Split(torch.from_numpy(images), torch.from_numpy(labels)))
    return tuple(splits), checksum.hexdigest(), classes


def _listing(folder: Path) -> list[tuple[str, list[Path]]]:
    """Return every class with its files, both sorted by name; a folder in a class is an error."""
    if not folder.is_dir():
        raise DataError(f"{folder} must be a folder with one folder of images per class")
    listing = []
    for place in _visible(folder):
        if not place.is_dir():
            raise DataError(
                f"{place} must be a folder with the images of one class; move it elsewhere"
            )
        files = list(_visible(place))
        for file in files:
            if not file.is_file():
                raise DataError(f"{file} must be an image file; {_advice(place)}")
        if not files:
            raise DataError(f"the class folder {place} is empty; add images or remove it")
        listing.append((place.name, files))
    if len(listing) < 2:
        raise DataError(
            f"{folder} must have at least two folders, one per class, but has {len(listing)}"
        )
    return listing


def _advice(place: Path) -> str:
    """Return what to do about a folder in a folder that should be a class."""
    if place.name.lower() in PARTS_OF_OTHERS:
        return (
            f"{place.name} looks like a part of the data, and the parts are chosen here: put all "
            "images of a class into one folder"
        )
    return "move it elsewhere, or move its contents up"


def _visible(folder: Path) -> Iterator[Path]:
    """Return the contents of a folder, sorted by name, without hidden and system files."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error}") from error
    return (
        path for path in found if not path.name.startswith(".") and path.name.lower() not in LITTER
    )


def _decoded(path: Path, label: int) -> Picture:
    """Return the image in a file; check the size in its header before decoding it."""
    image_module, operations = _pillow()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        content = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged Exif data or Pillow's own limit
            image = image_module.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} are over {MOST_PIXELS:,} pixels")
            if image.mode not in GRAY + COLOR:
                raise ValueError(f"not 8 bits a channel, but mode {image.mode}")
            # Decodes a large JPEG at a fraction of its size.
            image.draft(None, (4 * IMAGE_SIZE, 4 * IMAGE_SIZE))
            gray = image.mode in GRAY
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA")  # a palette may have transparent entries
            upright = operations.exif_transpose(image).convert("RGB")
            square = operations.fit(upright, (IMAGE_SIZE, IMAGE_SIZE))
    except Exception as error:  # decoders raise exceptions of many types
        raise DataError(
            f"{path} cannot be read as an image ({', '.join(FORMATS)}): {_why(error)}; "
            "replace it, or move it elsewhere"
        ) from error
    return Picture(hashlib.sha256(content).digest(), np.asarray(square), gray, label)


def _why(error: Exception) -> str:
    """Return what a decoder says; Pillow names the bytes in memory where it knows no format."""
    return "no such format" if "BytesIO" in str(error) else str(error)


def _pillow() -> tuple[ModuleType, ModuleType]:
    """Return Pillow's modules Image and ImageOps."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("images of your own need Pillow: pip install pillow") from error
    return Image, ImageOps


def _require_all_classes(
    folder: Path, classes: tuple[str, ...], pictures: Sequence[Picture], what: str
) -> None:
    """Raise DataError if a class has no image in this part."""
    there = {picture.label for picture in pictures}
    for label, name in enumerate(classes):
        if label not in there:
            raise DataError(
                f"the class folder {folder / name} has too few images: none of them falls among "
                f"the {what} images; add some (20 or more a class)"
            )
