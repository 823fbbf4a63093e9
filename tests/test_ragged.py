"""A ragged batch is its nets: each width of each seed equals its solo run, at every step."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import toy
from torch import nn

from reviewlib import data, models, ragged, runs, stages, train
from reviewlib.study import Cell
from reviewlib.train import Config, Training, cross_entropy

WIDTHS = (2, 7, 3)


def sample(seed):
    development = data.load(runs.TINY.data).development
    drawn = runs.draw(development, runs.TINY, Cell("noise", "wrong labels", 0.2), seed).train
    return data.shrink(drawn, 7)


def trainings(optimizer=train.sgd, seeds=(0, 1), lr=0.1, spread=1.5, dtype=torch.float64):
    """One run a seed and width; each has a learning rate and a decay of its own."""
    described = []
    for number, (seed, width) in enumerate((s, w) for s in seeds for w in WIDTHS):
        split = sample(seed)
        model = train.initialized(partial(models.mlp, split, 10, width), seed).to(dtype)
        config = Config(
            steps=30,
            batch_size=20,
            lr=lr * spread**number,
            weight_decay=0.01 * number * (spread > 1),
            warmup=3,
            curve=(10, 30),
        )
        validate = split.take(range(50))
        described.append(Training(model, split, config, seed, cross_entropy, optimizer, validate))
    return described


def alone(of):
    how = {"loss": of.loss, "optimizer": of.optimizer, "validate": of.validate}
    return train.fit(of.model, of.train, of.config, seed=of.seed, **how)


@pytest.fixture
def batches_made(monkeypatch):
    """The numbers of models of all ragged batches that were made."""
    made, make = [], ragged.Ragged
    monkeypatch.setattr(
        ragged,
        "Ragged",
        type(
            "Ragged",
            (make,),
            {
                "__init__": lambda self, models: (
                    made.append(len(models)),
                    make.__init__(self, models),
                )[1]
            },
        ),
    )
    return made


@pytest.mark.parametrize("spread", [1, 1.5], ids=["one setting", "a setting each"])
@pytest.mark.parametrize(("optimizer", "lr"), [(train.sgd, 0.02), (train.adam, 0.002)])
def test_each_width_equals_its_solo_run_at_every_step(optimizer, lr, spread, batches_made):
    described = partial(trainings, optimizer, lr=lr, spread=spread)
    together = train.fit_all(described())
    assert batches_made == [6]
    for one, of in zip(together, described(), strict=True):
        solo = alone(of)
        torch.testing.assert_close(one.losses, solo.losses, rtol=1e-10, atol=1e-10)
        assert one.passes == solo.passes and one.curve == solo.curve
        for name, value in one.model.state_dict().items():
            torch.testing.assert_close(value, solo.model.state_dict()[name], rtol=1e-9, atol=1e-9)
        for a, b in zip(one.best.parameters(), solo.best.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_width_that_diverges_leaves_the_others_alone():
    described = trainings(lr=0.05, spread=1)
    described[1] = replace(described[1], config=replace(described[1].config, lr=1e30))
    together = train.fit_all(described)
    assert [one.diverged_at is None for one in together] == [True, False, *[True] * 4]
    for number, of in enumerate(trainings(lr=0.05, spread=1)):
        if number != 1:
            torch.testing.assert_close(together[number].losses, alone(of).losses)


def perturbing(model, config):
    return train.sgd(model, config)


UNLIKE = {
    "another optimizer than sgd and adam": lambda t: [
        replace(one, optimizer=perturbing) for one in t
    ],
    "other labels": lambda t: [
        t[0],
        replace(t[1], train=replace(t[1].train, labels=t[1].train.labels.flip(0))),
        *t[2:],
    ],
    "other images": lambda t: [
        t[0],
        replace(t[1], train=replace(t[1].train, images=t[1].train.images.flip(-1))),
        *t[2:],
    ],
    "another order": lambda t: [t[0], replace(t[1], seed=9), *t[2:]],
    "a width that is missing": lambda t: t[:-1],
    "another normalization": lambda t: [
        t[0],
        replace(
            t[1],
            model=nn.Sequential(
                models.Normalize(t[1].train.take(range(9))), *t[1].model[1:]
            ).double(),
        ),
        *t[2:],
    ],
    "two hidden layers": lambda t: [
        replace(one, model=models.mlp(one.train, 10, width, width).double())
        for one, width in zip(t, WIDTHS * 2, strict=True)
    ],
    "another activation": lambda t: [
        t[0],
        replace(t[1], model=nn.Sequential(*t[1].model[:3], nn.Tanh(), t[1].model[4]).double()),
        *t[2:],
    ],
}


@pytest.mark.parametrize("what", UNLIKE)
def test_what_cannot_share_a_batch_trains_one_by_one(what, batches_made):
    described = UNLIKE[what](trainings(lr=0.02, spread=1))
    fits = train.fit_all(described)
    assert batches_made == [] and len(fits) == len(described)
    assert all(fit.diverged_at is None for fit in fits)


def test_a_ragged_batch_says_what_it_takes():
    with pytest.raises(ValueError, match="one hidden layer.*one by one"):
        ragged.Ragged([nn.Linear(2, 2), nn.Linear(2, 3)])


def wide(arm, settings, sample, preset, seed):
    """The toy's training, at the cell's width."""
    training = toy.run(arm, settings, sample, preset, seed)
    model = partial(models.mlp, sample.train, sample.classes, int(settings["width"]))
    return replace(training, model=train.initialized(model, seed))


CELLS = tuple(
    Cell(f"w{width}", f"width {width}", fixed={"width": width}, stack=2, ragged="widths")
    for width in WIDTHS
)


def test_ragged_cells_meet_in_one_batch_and_their_rows_do_not_tell(batches_made):
    claim = replace(toy.CLAIM, contrast=((1, "slow", "w7"), (-1, "sgd", "w2")))
    of = toy.study(cells=CELLS, run=wide, claims=(claim,))
    asked = [
        runs.Run(of.arms[0], cell, (("lr", 0.05),), seed, toy.TINY, "final", (seed, 3))
        for cell in CELLS
        for seed in (0, 1, 2)
    ]
    # a seed of every width, then the next seed; two seeds a batch
    assert runs.stacks(asked) == [[0, 3, 6, 1, 4, 7], [2, 5, 8]]
    rows = runs.perform(of, [asked[i] for i in (0, 3, 6, 1, 4, 7)])
    assert batches_made == [6]
    for row, i in zip(rows, (0, 3, 6, 1, 4, 7), strict=True):
        (one,) = runs.perform(of, [asked[i]])
        assert row["nll"] == pytest.approx(one["nll"], abs=1e-5)
        assert [row[key] for key in ("cell", "seed", "settings", "accuracy", "passes")] == [
            one[key] for key in ("cell", "seed", "settings", "accuracy", "passes")
        ]
    assert runs.fingerprint(of, of.arms[0]).keys() == {"w2", "w7", "w3"}
    assert batches_made == [6, 6]


def test_a_run_in_a_ragged_batch_has_a_key_of_its_own():
    run = runs.Run(toy.ARMS[0], CELLS[0], (("lr", 0.05),), 0, toy.TINY, "tuning")
    of = toy.study()
    by_itself = replace(run, cell=replace(CELLS[0], ragged=""))
    assert run.key(of, "data", {}) != by_itself.key(of, "data", {})


def test_stages_after_a_ragged_one_go_on():
    first = trainings(lr=0.02, spread=1)
    again = [
        replace(one, then=lambda fit, one=one: [replace(one, model=fit.model)]) for one in first
    ]
    ends = stages.complete(again)
    assert [end.passes for (end,) in ends] == [2 * 30 * 20] * 6
