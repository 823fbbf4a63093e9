"""Each net of a ragged batch equals its solo run, at every step."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from smallnets import Recorded, alone, clothes, require_solo_results
from torch import nn

from reviewlib import train
from reviewlib.train import Config, Training, models
from reviewlib.train.ragged import Ragged

WIDTHS = (2, 7, 3)


def trainings(optimizer=train.sgd, lr=0.02, spread=1.0, loss=train.cross_entropy):
    """One training per seed and width, each with its own learning rate and decay if spread > 1."""
    described = []
    for number, (seed, width) in enumerate((seed, width) for seed in (0, 1) for width in WIDTHS):
        split = clothes(seed, 0.2)
        model = train.initialized(partial(models.mlp, split, 10, width), seed).double()
        config = Config(
            steps=30,
            batch_size=20,
            lr=lr * spread**number,
            weight_decay=0.01 * number * (spread > 1),
            eval_steps=(10, 30),
        )
        validation = split.take(range(50))
        described.append(Training(model, split, config, seed, loss, optimizer, validation))
    return described


@pytest.mark.parametrize("spread", [1, 1.5], ids=["one setting", "a setting each"])
@pytest.mark.parametrize(("optimizer", "lr"), [(train.sgd, 0.02), (train.adam, 0.002)])
def test_each_width_equals_its_solo_run_at_every_step(optimizer, lr, spread):
    loss = Recorded()
    describe = partial(trainings, optimizer, lr, spread, loss)
    require_solo_results(describe, tolerance=1e-9)
    assert loss.together == {6, 0}  # in one batch, then one by one


def test_a_width_that_diverges_does_not_change_the_others():
    described = trainings(lr=0.05)
    described[1] = replace(described[1], config=replace(described[1].config, lr=1e30))
    together = train.fit_all(described)
    assert [one.diverged_at is None for one in together] == [True, False, *[True] * 4]
    for number, of in enumerate(trainings(lr=0.05)):
        if number != 1:
            torch.testing.assert_close(together[number].losses, alone(of).losses)


def wrapped(model, config):
    return train.sgd(model, config)


def second(change):
    """Return a function that changes the second training of a list."""
    return lambda described: [described[0], change(described[1]), *described[2:]]


def of_split(one, **changes):
    return replace(one, train=replace(one.train, **changes))


UNLIKE = {
    "another optimizer than sgd and adam": lambda described: [
        replace(one, optimizer=wrapped) for one in described
    ],
    "other labels": second(lambda one: of_split(one, labels=one.train.labels.flip(0))),
    "other images": second(lambda one: of_split(one, images=one.train.images.flip(-1))),
    "another order": second(lambda one: replace(one, seed=9)),
    "a width that is missing": lambda described: described[:-1],
    "another normalization": second(
        lambda one: replace(
            one,
            model=nn.Sequential(
                models.Normalize(one.train.take(range(9))), *one.model[1:]
            ).double(),
        )
    ),
    "two hidden layers": lambda described: [
        replace(one, model=models.mlp(one.train, 10, width, width).double())
        for one, width in zip(described, WIDTHS * 2, strict=True)
    ],
    "another activation": second(
        lambda one: replace(
            one, model=nn.Sequential(*one.model[:3], nn.Tanh(), one.model[4]).double()
        )
    ),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_trainings_that_cannot_share_a_batch_train_one_by_one(what):
    loss = Recorded()
    described = UNLIKE[what](trainings(loss=loss))
    fits = train.fit_all(described)
    assert loss.together == {0} and len(fits) == len(described)
    assert all(fit.diverged_at is None for fit in fits)


def test_models_that_cannot_form_a_ragged_batch_are_rejected():
    with pytest.raises(ValueError, match="one hidden layer.*one by one"):
        Ragged([nn.Linear(2, 2), nn.Linear(2, 3)])
