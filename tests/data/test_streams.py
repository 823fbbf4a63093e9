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


def test_stream_rejects_a_seed_that_is_not_an_integer():
    with pytest.raises(TypeError):
        data.stream_seed(0.0, "init")
