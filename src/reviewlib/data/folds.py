"""The test folds: every seed is scored on its own images."""

import hashlib

import torch

from reviewlib.data.split import Split

# An arbitrary number (the data set's paper on arXiv) that must stay: another gives other folds.
FOLD_SEED = 1708_07747


def fold(split: Split, index: int, folds: int, version: int = 1) -> Split:
    """Return one of `folds` disjoint random folds of equal size, the same ones at every call.

    Up to `folds - 1` images are in no fold, so that all folds have the same size.

    Args:
        split: the test pool.
        index: which fold, from 0.
        folds: number of folds, one per final seed.
        version: of the registration; another one gives other folds.

    Raises:
        ValueError: there is no such fold, or there are more folds than images.
    """
    if not 1 <= folds <= len(split):
        raise ValueError(f"folds must be between 1 and {len(split)}, got {folds}")
    if not 0 <= index < folds:
        raise ValueError(f"the index of a fold must be between 0 and {folds - 1}, got {index}")
    size = len(split) // folds
    digest = hashlib.sha256(f"{FOLD_SEED}:{version}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    permutation = torch.randperm(len(split), generator=generator)
    return split.take(permutation[index * size : (index + 1) * size])
