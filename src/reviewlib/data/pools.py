"""The three pools that every data set is cut into: training, validation and test."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from reviewlib.data.split import Split, Splits

POOLS = "fair-2"  # names the way all pools are cut; another way needs another name


def divide(labels: Tensor, sizes: Sequence[int], name: str) -> list[Tensor]:
    """Return disjoint sets of positions, in order, each with equally many of every class.

    A hash of each position decides, so the sets do not depend on the version of a random generator.

    Args:
        labels: int64, of shape (N,).
        sizes: positions in each set, divided equally among the classes.
        name: another name gives other sets.

    Raises:
        ValueError: a class has too few positions.
    """
    groups = [torch.nonzero(labels == label).flatten().tolist() for label in labels.unique()]
    each = [size // len(groups) for size in sizes]
    if sum(each) > (least := min(map(len, groups))):
        raise ValueError(
            f"sizes must take at most {least} positions of every class, got {sum(each)}"
        )
    for group in groups:
        group.sort(key=lambda index: hashlib.sha256(f"{name}:{index}".encode()).digest())
    ends = torch.tensor([0, *each]).cumsum(0).tolist()
    return [
        torch.tensor(sorted(index for group in groups for index in group[start:end]))
        for start, end in zip(ends, ends[1:], strict=False)
    ]


def cut(training: Split, test: Split, sizes: tuple[int, int, int], name: str) -> Splits:
    """Return the pools of a data set with a training and a test file, each in the files' order.

    Args:
        training: the training file.
        test: the test file; all of it is in the test pool, before images of the training file.
        sizes: images of the training file in the training, the validation and the test pool.
        name: see `divide`.

    Raises:
        ValueError: a class has too few images.
    """
    train, validation, rest = map(training.take, divide(training.labels, sizes, name))
    images, labels = [test.images, rest.images], [test.labels, rest.labels]
    return train, validation, Split(torch.cat(images), torch.cat(labels))


def limit(pool: int) -> int:
    """Return how many images of a pool a run may take: half, or seeds share too many of them."""
    return pool // 2


def require_half(size: int, pool: int, what: str) -> None:
    """Raise ValueError if a run takes more than half of a pool; `what` is the pool's name."""
    if size > limit(pool):
        raise ValueError(
            f"a run may take at most half of the {what} pool, {limit(pool)} images, got {size}: "
            "lower this size of the preset"
        )


def overlap(size: int, pool: int) -> float:
    """Return the expected fraction of a seed's subset that another seed's subset also holds.

    Both subsets have `size` images, drawn independently from the same pool.

    Raises:
        ValueError: the pool is empty, or smaller than a subset.
    """
    if not 0 <= size <= pool or pool < 1:
        raise ValueError(f"size must be between 0 and the pool's {pool} images, got {size}")
    return size / pool
