"""Each replica of a stack equals its solo run, at every step."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from smallnets import Recorded, alone, clothes, require_solo_results
from torch import nn
from torch.nn.utils import parametrize

from reviewlib import train
from reviewlib.papers.sam.arms import perturbed
from reviewlib.train import Config, Training, cross_entropy, models

LRS = (0.05, 0.2, 0.1)
DECAYS = (0.0, 1e-2, 3e-2)
NOISES = (0.0, 0.4, 0.2)


class Mask(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight):
        return weight * self.mask


def net(split, seed, mask=None):
    model = train.initialized(lambda: models.mlp(split, 10, 9), seed).double()
    if mask is not None:
        keep = torch.rand(9, 49, generator=torch.Generator().manual_seed(mask)) < 0.5
        parametrize.register_parametrization(model[2], "weight", Mask(keep.double()))
    return model


def trainings(
    optimizers=(train.sgd,) * 3,
    losses=(cross_entropy,) * 3,
    masked=False,
    steps=30,
    lrs=LRS,
    decays=DECAYS,
    seeds=(0, 1, 2),
):
    """Trainings in double precision, each with its own rate, decay and mask, three unless said.

    Those of one seed have equal images, in tensors of their own, the same order and initialization.
    """
    described = []
    for number, seed in enumerate(seeds):
        split, third = clothes(seed, NOISES[seed]), number % 3
        config = Config(steps, batch_size=20, lr=lrs[third], weight_decay=decays[third])
        model = net(split, seed, number if masked else None)
        described.append(Training(model, split, config, seed, losses[third], optimizers[third]))
    return described


SMOOTHED = [partial(cross_entropy, smoothing=s) for s in (0.0, 0.3, 0.1)]
VARIANTS = {
    "sgd": {},
    "one setting": {"lrs": [0.1] * 3, "decays": [0.01] * 3},
    "adam": {"optimizers": [train.adam] * 3, "lrs": (1e-3, 1e-2, 3e-3)},
    "masks": {"masked": True},
    "masks under adam": {"optimizers": [train.adam] * 3, "masked": True},
    "smoothing": {"losses": SMOOTHED},
    "sam": {"optimizers": [partial(perturbed, rho=rho) for rho in (0.0, 0.05, 0.2)]},
    "sam on parts of a batch": {"optimizers": [partial(perturbed, rho=0.1, chunks=4)] * 3},
}
SEEDS = {
    "images of its own": (0, 1, 2),
    "one seed": (0, 0, 0),
    "two seeds, in turns": (2, 0, 2, 0, 2, 0),
}


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_replica_equals_its_solo_run_at_every_step(variant, seeds):
    require_solo_results(partial(trainings, seeds=seeds, **VARIANTS[variant]))


def shapes(described):
    """How many batches of images and of labels the loss gets at once, by the trainings' number."""
    loss = Recorded()
    train.fit_all([replace(one, loss=loss) for one in described])
    return {(len(x), len(y)) for x, y in loss.batches}


@pytest.mark.parametrize(
    ("seeds", "batches"),
    [
        ((0, 0, 0), 1),
        ((0, 1, 2), 3),
        ((0, 1, 0, 1, 0, 1), 2),
        ((0, 0, 1, 1, 1, 1), 3),  # as many trainings for every batch: two
        ((0, 0, 1, 1, 1), 5),
    ],
)
def test_trainings_with_the_same_images_and_order_share_a_batch(seeds, batches):
    assert shapes(trainings(steps=2, seeds=seeds)) == {(batches, len(seeds))}


OTHER_BATCHES = {
    "images": lambda one: replace(one, train=replace(one.train, images=one.train.images.flip(-1))),
    "labels": lambda one: replace(one, train=replace(one.train, labels=one.train.labels.flip(0))),
    "order": lambda one: replace(one, seed=9),
    "normalization": lambda one: replace(one, model=net(one.train.take(range(9)), 0)),
}


@pytest.mark.parametrize("what", OTHER_BATCHES)
def test_a_training_with_other_batches_shares_none(what):
    def describe():
        first, *others = trainings(seeds=(0, 0, 0))
        return [OTHER_BATCHES[what](first), *others]

    assert shapes(describe()) == {(3, 3)}
    require_solo_results(describe)


def described(lrs=LRS, loss=cross_entropy, **changes):
    """Three float32 trainings with a curve."""
    return [
        replace(
            one,
            model=one.model.float(),
            config=replace(one.config, eval_steps=(10, 20, 30), **changes),
            validation=one.train.take(range(50)),
        )
        for one in trainings(lrs=lrs, losses=[loss] * 3)
    ]


def test_each_replica_has_its_own_curve_and_best_model():
    loss = Recorded()
    fits = require_solo_results(partial(described, loss=loss), tolerance=1e-4)
    assert loss.together == {3, 0}  # as a stack, then one by one
    assert [[step for step, _ in one.curve] for one in fits] == [[10, 20, 30]] * 3
    assert all(one.seconds > 0 for one in fits)


def test_a_replica_that_diverges_does_not_change_the_others():
    lrs = (0.05, 1e30, 0.1)
    together, solos = train.fit_all(described(lrs)), [alone(of) for of in described(lrs)]
    assert [one.diverged_at is None for one in together] == [True, False, True]
    assert [one.diverged_at for one in together] == [solo.diverged_at for solo in solos]
    assert [one.passes for one in together] == [solo.passes for solo in solos]
    assert [len(one.curve) for one in together] == [len(solo.curve) for solo in solos] == [3, 0, 3]
    for one, solo in zip(together, solos, strict=True):
        if solo.diverged_at is None:
            torch.testing.assert_close(one.losses, solo.losses, rtol=1e-4, atol=1e-5)


def test_a_stack_whose_replicas_all_diverge_stops():
    out = train.fit_all(described((1e30, 1e30, 1e30), steps=100))
    assert all(one.passes < 100 * 20 and one.diverged_at is not None for one in out)


LONELY = {
    "momentum": lambda one: replace(one, config=replace(one.config, momentum=0.5)),
    "schedule": lambda one: replace(one, config=replace(one.config, schedule="constant")),
    "loss": lambda one: replace(one, loss=Recorded()),
    "optimizer": lambda one: replace(one, optimizer=train.adam),
    "number of images": lambda one: replace(one, train=one.train.take(range(300))),
    "no validation": lambda one: replace(
        one, validation=None, config=replace(one.config, eval_steps=())
    ),
}


@pytest.mark.parametrize("what", LONELY)
def test_trainings_that_differ_in_more_than_numbers_train_one_by_one(what):
    loss = Recorded()
    first, *others = described(loss=loss)
    out = train.fit_all([LONELY[what](first), *others])
    assert loss.together == {0} and all(one.diverged_at is None for one in out)
