"""Build the shipped subset from the full data set: `python -m reviewlib.data.fashion`."""

import hashlib
import lzma

import torch
from torch import Tensor

from reviewlib.data.datasets import Development, load
from reviewlib.data.fashion import subset
from reviewlib.data.pools import divide


def contents(development: Development) -> bytes:
    """Return the bytes of all images, then of all labels, each as train, validation, test.

    The subset's test images are from the validation pool: the test pool is for final scores only.
    """
    train, validation = development.train, development.validation
    sizes = subset.SIZES
    (chosen,) = divide(train.labels, sizes[:1], "train")
    parts = [train.take(chosen)]
    parts += map(validation.take, divide(validation.labels, sizes[1:], "validation"))
    values: list[Tensor] = [part.images for part in parts] + [part.labels for part in parts]
    return b"".join(value.to(torch.uint8).numpy().tobytes() for value in values)


def main() -> None:
    """Write the subset; exit with an error if its checksum is not `subset.CHECKSUM`."""
    content = contents(load("fashion-mnist").development)
    subset.FILE.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != subset.CHECKSUM:
        raise SystemExit(
            f"the subset must have the checksum {subset.CHECKSUM}, got {checksum}; if this change "
            "is intended, update subset.CHECKSUM: every record on the old subset is then stale"
        )


if __name__ == "__main__":
    main()
