"""Averaged weights, SAM's cheap rival: by hand, side by side, and at the ends of the range."""

from functools import partial

import pytest
import torch
from smallnets import clothes, require_solo_results
from torch import nn

from reviewlib import train
from reviewlib.papers.sam.arms import averaged
from reviewlib.papers.sam.averaging import Averaged
from reviewlib.train import Config, Training, cross_entropy, models

STEPS = 20


def walk(steps=5, forget=0.3, left=5):
    """The weights after each of SGD's steps downhill on w^2, and those under the average."""
    plain, mean = (nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2))
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    optimizers = [
        (plain, torch.optim.SGD([plain], **options)),
        (mean, Averaged(torch.optim.SGD([mean], **options), forget, left)),
    ]
    paths = []
    for w, optimizer in optimizers:
        path = [w.detach().clone()]
        for _ in range(steps):

            def closure(w=w, optimizer=optimizer):
                optimizer.zero_grad()
                loss = w.square().sum()
                loss.backward()
                return loss

            optimizer.step(closure)
            path.append(w.detach().clone())
        paths.append(path)
    return paths


def test_the_last_weights_are_the_moving_average_of_all_and_no_others_are_replaced():
    plain, under = walk()
    mean = plain[0]
    for w in plain[1:]:
        mean = 0.7 * mean + 0.3 * w
    assert all(map(torch.equal, under[:-1], plain[:-1]))
    torch.testing.assert_close(under[-1], mean, rtol=0, atol=1e-15)
    assert (mean - plain[-1]).abs().min() > 0.1


def trainings(forgets, lrs=(0.05, 0.2, 0.1), seeds=(0, 1, 2)):
    """Three trainings in double precision, each with a rate and a share of its own."""
    described = []
    for forget, lr, seed in zip(forgets, lrs, seeds, strict=True):
        split = clothes(seed)
        model = train.initialized(partial(models.mlp, split, 10, 9), seed).double()
        config = Config(steps=STEPS, batch_size=20, lr=lr, weight_decay=0.01)
        optimizer = partial(averaged, forget=forget)
        described.append(Training(model, split, config, seed, cross_entropy, optimizer))
    return described


@pytest.mark.parametrize("forgets", [(0.05, 1.0, 0.3), (0.1, 0.1, 0.1)], ids=["own", "shared"])
@pytest.mark.parametrize("seeds", [(0, 1, 2), (1, 1, 1)], ids=["three seeds", "one seed"])
def test_each_replica_has_its_own_average_as_by_itself(forgets, seeds):
    fits = require_solo_results(partial(trainings, forgets, seeds=seeds))
    assert {fit.passes for fit in fits} == {STEPS * 20}


@pytest.mark.parametrize("rates", [(0.05, 0.2, 0.1), (0.1, 0.1, 0.1)], ids=["own", "shared"])
def test_who_forgets_all_but_the_newest_weights_is_sgd(rates):
    describe = partial(trainings, (1.0, 1.0, 1.0), rates)
    plain = [Training(t.model, t.train, t.config, t.seed, t.loss, train.sgd) for t in describe()]
    for mine, theirs in zip(train.fit_all(describe()), train.fit_all(plain), strict=True):
        assert torch.equal(mine.losses, theirs.losses)
        for name, value in mine.model.state_dict().items():
            assert torch.equal(value, theirs.model.state_dict()[name])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_rejected(share):
    with pytest.raises(ValueError, match=rf"forget must lie in \(0, 1\], got {share}"):
        walk(forget=share)
    with pytest.raises(ValueError, match=r"forget must lie in \(0, 1\], got \[0.5"):
        walk(forget=torch.tensor([0.5, share]))
