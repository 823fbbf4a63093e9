"""Which models can be stacked, and how the values of their runs are merged."""

from functools import partial

import pytest
import torch
from torch import nn

from reviewlib.train import cross_entropy, replicas

UNLIKE = {
    "a recurrent net": [nn.RNN(3, 3)] * 2,
    "dropout or none": [
        nn.Sequential(nn.Flatten(-3), nn.Dropout(p), nn.Linear(49, 10)) for p in (0.5, 0.0)
    ],
    "another width": [nn.Linear(49, 10), nn.Linear(49, 11)],
    "another depth": [
        nn.Sequential(nn.Linear(9, 9)),
        nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9)),
    ],
    "a flatten that swallows replicas": [nn.Sequential(nn.Flatten(), nn.Linear(49, 10))] * 2,
    "a bias or none": [nn.Linear(4, 4), nn.Linear(4, 4, bias=False)],
}


@pytest.mark.parametrize("what", UNLIKE)
def test_models_that_cannot_be_stacked_are_rejected(what):
    assert not replicas.stackable(UNLIKE[what])
    with pytest.raises(ValueError, match="train these models one by one"):
        replicas.Stack(UNLIKE[what])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("models_a_batch", [1, 2, 4])
def test_every_layer_reads_its_batch(models_a_batch, bias):
    layers = [nn.Linear(3, 2, bias=bias) for _ in range(4)]
    x = torch.randn(4 // models_a_batch, 5, 3)
    expected = torch.stack([layer(x[i // models_a_batch]) for i, layer in enumerate(layers)])
    torch.testing.assert_close(replicas.Stack(layers, models_a_batch)(x), expected)


def test_numbers_that_differ_become_tensors_and_equal_values_stay():
    like = torch.zeros(1, dtype=torch.float64)
    assert replicas.merged([0.1, 0.1], like) == 0.1
    merged = replicas.merged(
        [partial(cross_entropy, smoothing=s, x=None) for s in (0.1, 0.2)], like
    )
    assert merged.func is cross_entropy and merged.keywords["x"] is None
    expected = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert torch.equal(merged.keywords["smoothing"], expected)


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b"],
        [partial(cross_entropy, smoothing=1.0), partial(cross_entropy, y=1)],
        [cross_entropy, partial(cross_entropy)],
        [partial(cross_entropy, smoothing=1.0), partial(print, smoothing=2.0)],
    ],
    ids=["texts", "other keywords", "a function and its partial", "other functions"],
)
def test_values_that_differ_in_more_than_numbers_do_not_merge(values):
    with pytest.raises(ValueError, match="may differ in numbers only"):
        replicas.merged(values, torch.zeros(1))
