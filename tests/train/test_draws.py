"""Models of one seed share the random numbers that each would draw alone."""

from functools import partial

import pytest
import torch
from smallnets import Recorded, clothes, require_solo_results
from torch import nn
from torch.nn import functional as F

from reviewlib import train
from reviewlib.papers.sam.arms import perturbed
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.train import Config, Training
from reviewlib.train.models import Normalize

ONE, SEVERAL = (1, 1, 1), (0, 1, 2)
OPTIMIZERS = {
    "sgd": [train.sgd] * 3,
    "sam": [partial(perturbed, rho=rho) for rho in (0.05, 0.3, 0.1)],
    "sam on parts of a batch": [partial(perturbed, rho=0.1, chunks=4)] * 3,
    "placebo on parts": [partial(perturbed, rho=0.1, chunks=4, method=RandomDirection)] * 3,
}


def noisy(x):
    return x + 0.3 * torch.randn_like(x)


def shifted(x):
    """Some of the images moved by a pixel."""
    moves = torch.randint(2, x.shape[:-3]) == 1
    return torch.where(moves[..., None, None, None], x.roll(1, -1), x)


class Views(Recorded):
    """The loss of a random view of a batch."""

    def __init__(self, view):
        super().__init__()
        self.view = view

    def __call__(self, model, x, y):
        return super().__call__(model, self.view(x), y)


def net(split, rates):
    before, after = ([] if rate is None else [nn.Dropout(rate)] for rate in rates)
    layers = [nn.Flatten(-3), nn.Linear(49, 20), nn.ReLU(), *after, nn.Linear(20, 10)]
    return nn.Sequential(Normalize(split), *before, *layers).double()


def trainings(loss, rates=((None, None),) * 3, optimizers=OPTIMIZERS["sgd"], seeds=ONE):
    """Three trainings in double precision; rates of dropout of the images and the hidden units."""
    described = []
    for seed, of_net, lr, optimizer in zip(seeds, rates, (0.05, 0.2, 0.1), optimizers, strict=True):
        split = clothes(seed)
        model = train.initialized(partial(net, split, of_net), seed)
        config = Config(steps=20, batch_size=20, lr=lr)
        described.append(Training(model, split, config, seed, loss, optimizer))
    return described


@pytest.mark.parametrize("optimizers", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("view", [noisy, shifted])
def test_views_of_a_shared_batch_are_those_that_each_model_draws_alone(view, optimizers):
    loss = Views(view)
    require_solo_results(partial(trainings, loss, optimizers=optimizers))
    assert loss.together == {3, 0}  # as a stack, then one by one


RATES = {
    "hidden units": [(None, 0.5)] * 3,
    "images and hidden units": [(0.2, 0.5)] * 3,
    "a rate each": [(0.2, 0.1), (0.1, 0.5), (0.3, 0.8)],
    "no rate above 0": [(0.0, 0.0)] * 3,
    "everything": [(None, 1.0)] * 3,
}


@pytest.mark.parametrize("optimizers", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_dropout_of_a_stack_drops_what_each_model_drops_alone(rates, optimizers):
    loss = Recorded()
    require_solo_results(partial(trainings, loss, rates, optimizers))
    assert loss.together == {3, 0}


@pytest.mark.parametrize(
    "drawing",
    [
        partial(trainings, Views(noisy)),
        *(partial(trainings, Recorded(), rates) for rates in list(RATES.values())[:3]),
    ],
    ids=["views", *list(RATES)[:3]],
)
@pytest.mark.parametrize("seeds", [SEVERAL, (0, 0, 1)])
def test_models_of_several_seeds_must_not_draw_random_numbers(drawing, seeds):
    with pytest.raises(ValueError, match="must not draw random numbers.*stochastic=True"):
        train.fit_all(drawing(seeds=seeds))


def one_move(model, x, y):
    """Written for one model: in a stack, len(x) is the number of batches."""
    moves = torch.randint(2, (len(x),)) == 1
    return train.cross_entropy(model, torch.where(moves[:, None, None, None], x, -x), y)


def mixed_along_the_first_axis(model, x, y):
    return train.cross_entropy(model, noisy(x) + x.flip(0), y)


def dropout_each(model, x, y):
    return train.cross_entropy(lambda x: F.dropout(model(x)), x, y)


class NoisySGD(torch.optim.SGD):
    """Draws after the loss, which therefore does not show it."""

    def step(self, closure):
        loss = closure()
        for w in self.param_groups[0]["params"]:
            w.grad += torch.randn_like(w)
        super().step()
        return loss


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        (one_move, train.sgd),
        (mixed_along_the_first_axis, train.sgd),
        (dropout_each, train.sgd),
        (train.cross_entropy, lambda model, config: NoisySGD(model.parameters(), 0.1)),
    ],
    ids=["len(x)", "first axis", "dropout of logits", "noise on gradients"],
)
def test_a_stack_that_draws_other_numbers_than_its_models_alone_is_rejected(loss, optimizer):
    with pytest.raises(ValueError, match="that each of its models draws alone.*x.shape"):
        train.fit_all(trainings(loss, optimizers=[optimizer] * 3))
