"""Build the shipped subset from the full data set: `python -m reviewlib.data.fashion`."""

import hashlib
import lzma

import torch
from torch import Tensor

from reviewlib.data.datasets import Dataset, load
from reviewlib.data.fashion import files, subset
from reviewlib.data.split import Split


def choose(split: Split, size: int, name: str) -> Split:
    """Return `size` images, equally many of each class, in the order of the split.

    A hash of each image's position decides the choice, so it does not depend on the version of a
    random generator.
    """
    chosen: list[int] = []
    for label in range(len(files.CLASSES)):
        candidates = torch.nonzero(split.labels == label).flatten().tolist()
        candidates.sort(key=lambda index: hashlib.sha256(f"{name}:{index}".encode()).digest())
        chosen += candidates[: size // len(files.CLASSES)]
    return split.take(sorted(chosen))


def contents(dataset: Dataset) -> bytes:
    """Return the bytes of all images, then of all labels, each as train, validation, test."""
    development = dataset.development
    splits = {"train": development.train, "validation": development.validation}
    splits["test"] = dataset.test
    parts = [
        choose(split, size, name)
        for (name, split), size in zip(splits.items(), subset.SIZES, strict=True)
    ]
    values: list[Tensor] = [part.images for part in parts] + [part.labels for part in parts]
    return b"".join(value.to(torch.uint8).numpy().tobytes() for value in values)


def main() -> None:
    """Write the subset; exit with an error if its checksum is not `subset.CHECKSUM`."""
    content = contents(load("fashion-mnist"))
    subset.FILE.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != subset.CHECKSUM:
        raise SystemExit(
            f"the subset must have the checksum {subset.CHECKSUM}, got {checksum}; if this change "
            "is intended, update subset.CHECKSUM: every record on the old subset is then stale"
        )


if __name__ == "__main__":
    main()
