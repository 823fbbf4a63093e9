"""Data sets as tensors on a device, with fixed pools and folds, and the named random streams."""

from reviewlib.data.datasets import NAMES, Dataset, Development, load, pool_sizes
from reviewlib.data.errors import DataError
from reviewlib.data.folds import FOLD_SEED, fold
from reviewlib.data.pools import POOLS, limit, overlap, require_half
from reviewlib.data.split import Split, flip_labels, nearest_image_size, shrink, subset
from reviewlib.data.streams import STREAMS, stream, stream_seed

__all__ = [
    "FOLD_SEED",
    "NAMES",
    "POOLS",
    "STREAMS",
    "DataError",
    "Dataset",
    "Development",
    "Split",
    "flip_labels",
    "fold",
    "limit",
    "load",
    "nearest_image_size",
    "overlap",
    "pool_sizes",
    "require_half",
    "shrink",
    "stream",
    "stream_seed",
    "subset",
]
