"""The pools that every data set is cut into."""

import pytest
import torch
from images import numbered, values

from reviewlib import data
from reviewlib.data import pools


def test_a_division_is_disjoint_balanced_ordered_and_fixed():
    labels = torch.arange(20) % 2
    found = [part.tolist() for part in pools.divide(labels, (4, 2, 6), "x")]
    assert found == [[1, 2, 4, 17], [6, 19], [5, 8, 9, 10, 14, 15]]
    for part in found:
        assert part == sorted(part)
        assert labels[part].sum() == len(part) / 2


def test_a_division_depends_on_its_name():
    one, two = (pools.divide(torch.arange(40) % 2, (20,), name) for name in ("x", "y"))
    assert not torch.equal(*one, *two)


def test_a_division_needs_enough_of_every_class():
    labels = torch.tensor([0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="at most 2 positions of every class, got 3"):
        pools.divide(labels, (4, 2), "x")


def test_the_test_pool_begins_with_the_test_file():
    training, test = numbered(40), numbered(3)
    train, validation, rest = pools.cut(training, test, (20, 10, 10), "x")
    assert values(rest)[:3] == [0, 1, 2] and len(rest) == 13
    assert sorted(values(train) + values(validation) + values(rest)[3:]) == [*range(40)]


def test_a_run_may_take_half_of_a_pool():
    pools.require_half(50, 101, "training")
    with pytest.raises(ValueError, match="half of the training pool, 50 images, got 51: lower"):
        pools.require_half(51, 101, "training")


def test_the_overlap_is_what_two_seeds_share_on_average():
    split = numbered(100)
    drawn = [set(values(data.subset(split, 30, data.stream(i, "subset")))) for i in range(60)]
    pairs = zip(drawn, drawn[1:], strict=False)
    shared = torch.tensor([len(one & two) / 30 for one, two in pairs]).mean()
    assert shared == pytest.approx(data.overlap(30, 100), abs=0.05)


@pytest.mark.parametrize(("size", "pool"), [(11, 10), (-1, 10), (0, 0)])
def test_the_overlap_needs_a_subset_of_the_pool(size, pool):
    with pytest.raises(ValueError, match=f"between 0 and the pool's {pool} images, got {size}"):
        data.overlap(size, pool)
