"""Data sets as tensors on a device, with fixed splits and folds, and the named random streams."""

from reviewlib.data.datasets import (
    FOLD_SEED,
    NAMES,
    STREAMS,
    DataError,
    Dataset,
    Development,
    Split,
    flip_labels,
    fold,
    load,
    nearest_side,
    shrink,
    stream,
    stream_seed,
    subset,
)

__all__ = [
    "FOLD_SEED",
    "NAMES",
    "STREAMS",
    "DataError",
    "Dataset",
    "Development",
    "Split",
    "flip_labels",
    "fold",
    "load",
    "nearest_side",
    "shrink",
    "stream",
    "stream_seed",
    "subset",
]
