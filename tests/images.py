"""Small images for the tests, as splits and as files."""

import hashlib
import io
import tarfile

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from reviewlib.data import Split, cifar

DIGITS = load_digits()


def numbered(count, labels=10):
    """A split whose image i is filled with i."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return Split(images.contiguous(), torch.arange(count) % labels)


def values(split):
    """The numbers of a numbered split."""
    return split.images[:, 0, 0, 0].tolist()


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def photos(folder, count=60, gray=False):
    """Write `count` small images of mixed sizes and formats into each of two class folders."""
    for label, name in enumerate(("cat", "dog & co")):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shape = (8 + i % 5, 8 + i % 7) + (() if gray or i % 3 == 0 else (3,))
            suffix = ("png", "jpg", "bmp")[i % 3]
            Image.fromarray(noise(1000 * label + i, *shape)).save(folder / name / f"{i}.{suffix}")
    return folder


def digits(folder, count=1797):
    """Write scikit-learn's digits as PNG files, a folder per digit."""
    for i, (image, label) in enumerate(zip(DIGITS.images[:count], DIGITS.target, strict=False)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype(np.uint8)).save(place / f"{i}.png")
    return folder


def cifar_archive(tmp_path, monkeypatch):
    """Write an archive in CIFAR-10's format, 40 images a file, where REVIEWLIB_DATA names it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for number, name in enumerate(cifar.BATCHES):
            batch = noise(number, 40, 3073)
            batch[:, 0] = np.arange(40) % 10
            member = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            member.size = batch.nbytes
            tar.addfile(member, io.BytesIO(batch.tobytes()))
    content = packed.getvalue()
    monkeypatch.setattr(cifar, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar, "SIZES", (100, 40, 60))
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / cifar.ARCHIVE
    path.write_bytes(content)
    return path
