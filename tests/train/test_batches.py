"""The order of batches depends on the seed alone, and training follows it."""

import pytest
import torch
from smallnets import Recorded, config, linear, split

from reviewlib import train
from reviewlib.train.batches import batch_order


def test_every_epoch_is_a_permutation_without_repeats():
    order = batch_order(23, config(9, batch_size=5), seed=1)  # four batches an epoch
    assert order.shape == (9, 5) and 0 <= order.min() and order.max() < 23
    epochs = [order[:4].flatten(), order[4:8].flatten()]
    assert all(len(epoch.unique()) == 20 for epoch in epochs)
    assert not torch.equal(*epochs)
    # Different epochs drop different examples.
    assert set(epochs[0].tolist()) != set(epochs[1].tolist())


def test_the_order_depends_on_the_seed_alone():
    torch.manual_seed(0)
    first = batch_order(40, config(9), seed=1)
    torch.manual_seed(1)
    assert torch.equal(first, batch_order(40, config(9), seed=1))
    assert not torch.equal(first, batch_order(40, config(9), seed=2))


@pytest.mark.parametrize("steps", [3, 4, 7])
def test_a_run_twice_as_long_starts_with_the_same_batches(steps):
    short, long = (batch_order(40, config(t), seed=1) for t in (steps, 2 * steps))
    assert torch.equal(short, long[:steps])


def test_a_training_takes_the_batches_in_their_order():
    data, loss, c = split(), Recorded(), config(6)
    train.fit(linear(), data, c, seed=2, loss=loss)
    for index, (x, y) in zip(batch_order(len(data), c, 2), loss.batches, strict=True):
        assert torch.equal(x, data.pixels()[index]) and torch.equal(y, data.labels[index])


def test_fewer_examples_than_a_batch_are_rejected():
    with pytest.raises(ValueError, match="a batch of 10 needs at least as many examples, got 9"):
        train.fit(linear(), split(9), config(), seed=0)
