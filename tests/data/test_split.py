"""Splits, smaller images, and label noise."""

import pytest
import torch
from images import numbered, values

from reviewlib import data


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_take_selects_images_with_their_labels():
    split = numbered(12)
    for index in ([11, 3], torch.tensor([11, 3])):
        taken = split.take(index)
        assert (values(taken), taken.labels.tolist()) == ([11, 3], [1, 3])
    assert values(split.take(split.labels == 1)) == [1, 11]
    taken.images.zero_()
    assert values(split)[11] == 11


def test_pixels_are_floats_from_0_to_1():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    pixels = data.Split(images, torch.zeros(1, dtype=torch.int64)).pixels()
    assert pixels.dtype == torch.float32
    assert pixels.flatten().tolist() == [0.0, pytest.approx(0.2), 1.0]
    assert images.flatten().tolist() == [0, 51, 255]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (torch.zeros(2, 9, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "images must"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2), "labels must be int64"),
        (
            torch.zeros(2, 1, 3, 3, dtype=torch.uint8),
            torch.zeros(3, dtype=torch.int64),
            r"labels must be int64 of shape \(2,\)",
        ),
    ],
)
def test_split_rejects_wrong_tensors(images, labels, message):
    with pytest.raises(ValueError, match=message):
        data.Split(images, labels)


def test_subset_draws_without_replacement():
    split = numbered(50)
    drawn = values(data.subset(split, 20, generator(1)))
    assert len(set(drawn)) == 20
    assert drawn == values(data.subset(split, 20, generator(1)))
    assert drawn != values(data.subset(split, 20, generator(2)))
    assert sorted(values(data.subset(split, 50, generator(1)))) == list(range(50))


@pytest.mark.parametrize("size", [51, -1])
def test_subset_rejects_a_bad_size(size):
    with pytest.raises(ValueError, match=f"size must be between 0 and 50, got {size}"):
        data.subset(numbered(50), size, generator())


def test_shrunken_images_are_rounded_means():
    images = torch.tensor([[0, 2, 255, 255], [4, 7, 255, 254]], dtype=torch.uint8)
    split = data.Split(images.repeat(2, 1).view(1, 1, 4, 4), torch.tensor([3]))
    small = data.shrink(split, 2)
    assert small.images.tolist() == [[[[3, 255]] * 2]]  # means 3.25 and 254.75
    assert small.labels.tolist() == [3]
    assert data.shrink(split, 4) is split


@pytest.mark.parametrize("image_size", [0, 3, 8])
def test_shrink_rejects_a_size_that_does_not_divide(image_size):
    split = data.Split(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([3]))
    with pytest.raises(ValueError, match=f"divide the images' 4 x 4 pixels, got {image_size}"):
        data.shrink(split, image_size)


def test_the_nearest_size_divides_the_images():
    split = data.Split(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.tensor([3]))
    sizes = [data.nearest_image_size(split, size) for size in (7, 14, 28, 32)]
    assert sizes == [8, 16, 32, 32]


# Label noise


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.333, 1.0])
def test_exactly_the_given_fraction_is_flipped_and_every_flip_is_wrong(fraction):
    labels = torch.arange(1000) % 10
    flipped = data.flip_labels(labels, fraction, 10, generator(3))
    assert int((flipped != labels).sum()) == round(fraction * 1000)
    assert 0 <= int(flipped.min()) and int(flipped.max()) <= 9
    assert torch.equal(labels, torch.arange(1000) % 10)
    assert torch.equal(flipped, data.flip_labels(labels, fraction, 10, generator(3)))


def test_flips_are_uniform_over_the_other_classes():
    labels = torch.full((30_000,), 2)
    counts = torch.bincount(data.flip_labels(labels, 1.0, 4, generator()), minlength=4)
    assert counts[2] == 0
    # 10,000 expected of each; 5 standard deviations are 408.
    assert (counts[[0, 1, 3]] - 10_000).abs().max() < 408


def test_flips_depend_on_the_generator():
    labels = torch.arange(1000) % 10
    flips = [data.flip_labels(labels, 0.2, 10, generator(seed)) for seed in (0, 1)]
    assert not torch.equal(*flips)


def test_a_larger_fraction_includes_the_flips_of_a_smaller_one():
    labels = torch.arange(1000) % 10
    first, second = generator(), generator()
    for _ in ("training", "validation"):  # from one generator, one after the other
        few = data.flip_labels(labels, 0.1, 10, first)
        many = data.flip_labels(labels, 0.4, 10, second)
        changed = few != labels
        assert torch.equal(few[changed], many[changed])


@pytest.mark.parametrize(
    ("fraction", "classes", "message"),
    [
        (1.1, 10, "fraction must be in"),
        (-0.1, 10, "fraction must be in"),
        (float("nan"), 10, "fraction must be in"),
        (0.1, 1, "at least 2 classes"),
        (0.1, 9, r"labels must be in \[0, 9\), got 0 to 9"),
    ],
)
def test_flip_labels_rejects_bad_arguments(fraction, classes, message):
    with pytest.raises(ValueError, match=message):
        data.flip_labels(torch.arange(10), fraction, classes, generator())
