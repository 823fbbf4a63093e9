"""The named random streams."""

import pytest
import torch

from reviewlib import data


def test_stream_seeds_are_pinned():
    assert [data.stream_seed(0, name) for name in data.STREAMS] == [
        791345853915685207,
        6004962786717105893,
        7885824881599989479,
        2774440215086976078,
        3547852110482792779,
        4272074609437113876,
    ]
    first = torch.rand(2, generator=data.stream(0, "subset"))
    assert first.tolist() == pytest.approx([0.2377, 0.2716], abs=5e-5)


def test_streams_differ_by_name_and_by_seed():
    seeds = [data.stream_seed(seed, name) for seed in range(100) for name in data.STREAMS]
    assert len(set(seeds)) == 600
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = {
        torch.rand(1, generator=data.stream(seed, name)).item()
        for seed in (0, 1)
        for name in data.STREAMS
    }
    assert len(draws) == 12


def test_every_part_of_a_stream_is_its_own():
    seeds = [data.stream_seed(seed, "search", part) for seed in (1, 11) for part in ("", "lr", "1")]
    assert len(set(seeds)) == 6
    assert data.stream_seed(0, "search", "lr") == 5917190493798764352
    draws = [torch.rand(1, generator=data.stream(0, "search", part)) for part in ("lr", "rho")]
    assert draws[0] != draws[1]


def test_stream_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="order, method, search, got 'dropout'"):
        data.stream(0, "dropout")


def test_stream_rejects_a_seed_that_is_not_an_integer():
    with pytest.raises(TypeError):
        data.stream_seed(0.0, "init")
