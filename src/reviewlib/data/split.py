"""Images with their labels, and how to draw, shrink and mislabel them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W), uint8, with their labels (N,), int64.

    Raises:
        ValueError: a shape or a type is wrong.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Raise ValueError for a wrong shape or type."""
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 of shape (N, C, H, W), got {self.images.dtype} of shape "
                f"{tuple(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be int64 of shape ({len(self.images)},), got {self.labels.dtype} of "
                f"shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def take(self, index: Tensor | Sequence[int]) -> "Split":
        """Return a copy of the images at these positions, or where a mask (N,) is true."""
        index = torch.as_tensor(index, device=self.images.device)
        return Split(self.images[index], self.labels[index])

    def pixels(self) -> Tensor:
        """Images as torch's default type, float32, in [0, 1], of shape (N, C, H, W)."""
        return self.images.to(torch.get_default_dtype()).div_(255)

    def to(self, device: str | torch.device) -> "Split":
        """Return the split on this device."""
        return Split(self.images.to(device), self.labels.to(device))


Splits = tuple[Split, Split, Split]  # train, validation, test


def subset(split: Split, size: int, generator: torch.Generator) -> Split:
    """Return `size` images drawn without replacement.

    Raises:
        ValueError: the size is negative or larger than the split.
    """
    if not 0 <= size <= len(split):
        raise ValueError(f"size must be between 0 and {len(split)}, got {size}")
    return split.take(torch.randperm(len(split), generator=generator)[:size])


def shrink(split: Split, image_size: int) -> Split:
    """Return the images averaged down to `image_size` rows and columns, rounded to gray levels.

    Raises:
        ValueError: `image_size` does not divide the images' height and width.
    """
    height, width = split.images.shape[2:]
    if (height, width) == (image_size, image_size):
        return split
    if image_size < 1 or height % image_size or width % image_size:
        raise ValueError(
            f"image_size must divide the images' {height} x {width} pixels, got {image_size}"
        )
    small = F.avg_pool2d(split.images.float(), (height // image_size, width // image_size))
    return Split(small.round().to(torch.uint8), split.labels)


def nearest_image_size(split: Split, image_size: int) -> int:
    """Return the size nearest to `image_size` to which `shrink` can reduce square images."""
    whole = split.images.shape[-1]
    sizes = [size for size in range(1, whole + 1) if whole % size == 0]
    return min(sizes, key=lambda size: abs(size - image_size))


def flip_labels(
    labels: Tensor, fraction: float, classes: int, generator: torch.Generator
) -> Tensor:
    """Replace exactly round(fraction * N) of the labels (N,) by a different class.

    The new class is uniform over the others. From the same generator state, a larger fraction
    includes all flips of a smaller one.

    Args:
        labels: int64, in [0, classes); not modified.
        fraction: in [0, 1].
        classes: number of classes, at least 2.
        generator: on the CPU.

    Raises:
        ValueError: the fraction, the number of classes or a label is out of range.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}")
    if classes < 2:
        raise ValueError(f"a label needs at least 2 classes to be flipped, got {classes}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels must be in [0, {classes}), got {int(labels.min())} to {int(labels.max())}"
        )
    count = round(fraction * len(labels))
    chosen = torch.randperm(len(labels), generator=generator)[:count].to(labels.device)
    # An offset for every label: the generator's state after this call then does not depend on the
    # fraction, so the flips of the next call are nested too.
    offsets = torch.randint(1, classes, (len(labels),), generator=generator)[:count]
    flipped = labels.clone()
    flipped[chosen] = (labels[chosen] + offsets.to(labels.device)) % classes
    return flipped
