"""The folds of the test data."""

import pytest
import torch
from images import numbered, values

from reviewlib import data
from reviewlib.data import folds as module


@pytest.mark.parametrize("folds", [1, 3, 10, 53])
def test_folds_are_disjoint_and_of_equal_size(folds):
    split = numbered(53)
    parts = [values(data.fold(split, index, folds)) for index in range(folds)]
    assert {len(part) for part in parts} == {53 // folds}
    assert len({value for part in parts for value in part}) == folds * (53 // folds)


def test_folds_are_random_and_fixed():
    first = values(data.fold(numbered(53), 0, 10))
    assert first == [42, 22, 36, 16, 39]
    torch.manual_seed(5)
    assert first == values(data.fold(numbered(53), 0, 10))


def test_another_version_of_a_registration_has_other_folds(monkeypatch):
    first, second = (values(data.fold(numbered(53), 0, 10, version)) for version in (1, 2))
    assert first != second
    monkeypatch.setattr(module, "FOLD_SEED", 5)
    assert values(data.fold(numbered(53), 0, 10, 2)) != second


@pytest.mark.parametrize(("index", "folds"), [(10, 10), (-1, 10), (0, 0), (0, 54)])
def test_fold_rejects_a_bad_index(index, folds):
    with pytest.raises(ValueError, match="must be between"):
        data.fold(numbered(53), index, folds)
