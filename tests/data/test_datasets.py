"""The data sets, their splits, label noise, and the random streams."""

import pytest
import torch

from reviewlib import data
from reviewlib.data import datasets
from reviewlib.data.fashion import files


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, labels=10):
    """A split whose image i is filled with i."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return data.Split(images.contiguous(), torch.arange(count) % labels)


def values(split):
    return split.images[:, 0, 0, 0].tolist()


@pytest.fixture(scope="module")
def small():
    return data.load("fashion-mnist-subset")


# Loading


def test_development_data_has_no_test_data(small):
    assert not hasattr(small.development, "test")


def test_load_reads_once(small):
    assert data.load("fashion-mnist-subset", torch.device("cpu")) is small


def test_load_names_the_parts_of_the_files(monkeypatch):
    splits = [(split.images, split.labels) for split in map(numbered, (4, 3, 2))]
    monkeypatch.setattr(files, "full", lambda: (splits, "abc"))
    dataset = datasets._load.__wrapped__("fashion-mnist", "cpu")  # not from, or into, the cache
    parts = (dataset.development.train, dataset.development.validation, dataset.test)
    for part, (images, labels) in zip(parts, splits, strict=True):
        assert part.images is images and part.labels is labels
    assert (dataset.name, dataset.checksum) == ("fashion-mnist", "abc")
    assert (len(dataset.classes), dataset.classes[9]) == (10, "Ankle boot")


def test_load_moves_every_split_to_the_device(small):
    moved = data.load("fashion-mnist-subset", "meta")
    for split in (moved.development.train, moved.development.validation, moved.test):
        assert split.images.device.type == split.labels.device.type == "meta"
    assert (moved.name, moved.checksum) == (small.name, small.checksum)


def test_load_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="fashion-mnist.*or a folder of images, got 'mnist'"):
        data.load("mnist")


# Splits


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


@pytest.mark.parametrize("folds", [1, 3, 10, 53])
def test_folds_are_disjoint_and_of_equal_size(folds):
    split = numbered(53)
    parts = [values(data.fold(split, index, folds)) for index in range(folds)]
    assert {len(part) for part in parts} == {53 // folds}
    assert len({value for part in parts for value in part}) == folds * (53 // folds)


def test_folds_are_random_and_fixed():
    first = values(data.fold(numbered(53), 0, 10))
    assert first == [19, 6, 27, 20, 49]
    torch.manual_seed(5)
    assert first == values(data.fold(numbered(53), 0, 10))


@pytest.mark.parametrize(("index", "folds"), [(10, 10), (-1, 10), (0, 0), (0, 54)])
def test_fold_rejects_a_bad_index(index, folds):
    with pytest.raises(ValueError, match="must be between"):
        data.fold(numbered(53), index, folds)


def test_shrunken_images_are_rounded_means():
    images = torch.tensor([[0, 2, 255, 255], [4, 7, 255, 254]], dtype=torch.uint8)
    split = data.Split(images.repeat(2, 1).view(1, 1, 4, 4), torch.tensor([3]))
    small = data.shrink(split, 2)
    assert small.images.tolist() == [[[[3, 255]] * 2]]  # means 3.25 and 254.75
    assert small.labels.tolist() == [3]
    assert data.shrink(split, 4) is split


@pytest.mark.parametrize("side", [0, 3, 8])
def test_shrink_rejects_a_side_that_does_not_divide(side):
    split = data.Split(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([3]))
    with pytest.raises(ValueError, match=f"divide the images' 4 x 4 pixels, got {side}"):
        data.shrink(split, side)


# Label noise


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.333, 1.0])
def test_flipped_labels_are_exactly_as_many_and_all_wrong(fraction):
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


def test_flips_of_a_smaller_fraction_are_among_those_of_a_larger():
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


# Random streams


def test_stream_seeds_are_pinned():
    assert [data.stream_seed(0, name) for name in data.STREAMS] == [
        791345853915685207,
        6004962786717105893,
        7885824881599989479,
        2774440215086976078,
        3547852110482792779,
    ]
    first = torch.rand(2, generator=data.stream(0, "subset"))
    assert first.tolist() == pytest.approx([0.2377, 0.2716], abs=5e-5)


def test_streams_differ_by_name_and_by_seed():
    seeds = [data.stream_seed(seed, name) for seed in range(100) for name in data.STREAMS]
    assert len(set(seeds)) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = {
        torch.rand(1, generator=data.stream(seed, name)).item()
        for seed in (0, 1)
        for name in data.STREAMS
    }
    assert len(draws) == 10


def test_stream_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="subset, noise, init, order, method, got 'dropout'"):
        data.stream(0, "dropout")


def test_stream_rejects_a_seed_that_is_no_integer():
    with pytest.raises(TypeError):
        data.stream_seed(0.0, "init")
