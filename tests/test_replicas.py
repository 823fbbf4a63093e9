"""A stack is its replicas: each one equals its solo run, at every step."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from reviewlib import data, models, replicas, runs, train
from reviewlib.papers.sam.method import SAM
from reviewlib.papers.sam.study import perturbed
from reviewlib.study import Cell
from reviewlib.train import Config, Training, cross_entropy

LRS = (0.05, 0.2, 0.1)
DECAYS = (0.0, 1e-2, 3e-2)
RHOS = (0.05, 0.3, 0.1)
SMOOTHINGS = (0.0, 0.3, 0.1)
NOISES = (0.0, 0.4, 0.2)


class Mask(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight):
        return weight * self.mask


def net(split, seed, masked=False):
    model = train.initialized(lambda: models.mlp(split, 10, 9), seed).double()
    if masked:
        keep = torch.rand(9, 49, generator=torch.Generator().manual_seed(seed)) < 0.5
        parametrize.register_parametrization(model[2], "weight", Mask(keep.double()))
    return model


def sam(model, config, *, rho, chunks=1, adaptive=False):
    return perturbed(model, config, rho=rho, method=SAM, chunks=chunks, adaptive=adaptive)


def trainings(optimizers, losses, masked=False, steps=30, lrs=LRS, decays=DECAYS):
    described = []
    for seed, (lr, weight_decay) in enumerate(zip(lrs, decays, strict=True)):
        sample = runs.draw(
            data.load(runs.TINY.data).development,
            runs.TINY,
            Cell("noise", "wrong labels", NOISES[seed]),
            seed,
        )
        split = data.shrink(sample.train, 7)
        config = Config(steps=steps, batch_size=20, lr=lr, weight_decay=weight_decay, warmup=3)
        described.append(
            Training(net(split, seed, masked), split, config, seed, losses[seed], optimizers[seed])
        )
    return described


VARIANTS = {
    "sgd": ([train.sgd] * 3, [cross_entropy] * 3, {}),
    "one setting": ([train.sgd] * 3, [cross_entropy] * 3, {"lrs": [0.1] * 3, "decays": [0.01] * 3}),
    "adam": ([train.adam] * 3, [cross_entropy] * 3, {"lrs": (1e-3, 1e-2, 3e-3)}),
    "masks": ([train.sgd] * 3, [cross_entropy] * 3, {"masked": True}),
    "masks under adam": ([train.adam] * 3, [cross_entropy] * 3, {"masked": True}),
    "smoothing": (
        [train.sgd] * 3,
        [partial(cross_entropy, smoothing=s) for s in SMOOTHINGS],
        {},
    ),
    "sam": ([partial(sam, rho=rho) for rho in RHOS], [cross_entropy] * 3, {}),
    "one rho": ([partial(sam, rho=0.2)] * 3, [cross_entropy] * 3, {}),
    "adaptive sam": (
        [partial(sam, rho=rho, adaptive=True) for rho in RHOS],
        [cross_entropy] * 3,
        {},
    ),
    "m-sharpness": ([partial(sam, rho=rho, chunks=4) for rho in RHOS], [cross_entropy] * 3, {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_replica_equals_its_solo_run_at_every_step(variant):
    optimizers, losses, options = VARIANTS[variant]
    models = [of.model for of in trainings(optimizers, losses, **options)]
    assert replicas.stackable(models)
    together = train.fit_all(trainings(optimizers, losses, **options))
    for of, one in zip(trainings(optimizers, losses, **options), together, strict=True):
        solo = train.fit(
            of.model, of.train, of.config, seed=of.seed, loss=of.loss, optimizer=of.optimizer
        )
        assert one.losses.dtype == torch.float64 and one.passes == solo.passes
        torch.testing.assert_close(one.losses, solo.losses, rtol=1e-10, atol=1e-10)
        for (name, a), (_, b) in zip(
            one.model.named_parameters(), solo.model.named_parameters(), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=name)


def described(lrs=(0.05, 0.2, 0.1), **changes):
    """Three float32 runs with a validation curve."""
    plain = trainings([train.sgd] * 3, [cross_entropy] * 3, lrs=lrs)
    return [
        replace(
            one,
            model=one.model.float(),
            config=replace(one.config, curve=(10, 20, 30), **changes),
            validate=one.train.take(range(50)),
        )
        for one in plain
    ]


def alone(of):
    how = {"loss": of.loss, "optimizer": of.optimizer, "validate": of.validate}
    return train.fit(of.model, of.train, of.config, seed=of.seed, **how)


def test_curves_and_best_models_are_each_replicas_own():
    for one, of in zip(train.fit_all(described()), described(), strict=True):
        solo = alone(of)
        assert [step for step, _ in one.curve] == [10, 20, 30]
        assert dict(one.curve) == pytest.approx(dict(solo.curve))
        for a, b in zip(one.best.parameters(), solo.best.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        assert one.seconds > 0 and one.config == of.config and one.seed == of.seed


def test_a_replica_that_diverges_leaves_the_others_alone():
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


def test_a_stack_must_not_draw_random_numbers():
    def noisy(model, x, y):
        return cross_entropy(model, x + torch.randn_like(x), y)

    with pytest.raises(ValueError, match="must not draw random numbers.*declare draws=True"):
        train.fit_all([replace(one, loss=noisy) for one in described()])


CONV = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(-3), nn.Linear(25, 10))
UNLIKE = {
    "a convolutional net": [CONV, CONV],
    "dropout": [nn.Sequential(nn.Flatten(-3), nn.Dropout(), nn.Linear(49, 10))] * 2,
    "another width": [nn.Linear(49, 10), nn.Linear(49, 11)],
    "another depth": [
        nn.Sequential(nn.Linear(9, 9)),
        nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9)),
    ],
    "a flatten that swallows replicas": [nn.Sequential(nn.Flatten(), nn.Linear(49, 10))] * 2,
    "a bias or none": [nn.Linear(4, 4), nn.Linear(4, 4, bias=False)],
}


@pytest.mark.parametrize("what", UNLIKE)
def test_models_that_make_no_stack_are_refused(what):
    assert not replicas.stackable(UNLIKE[what])
    with pytest.raises(ValueError, match="train these models one by one"):
        replicas.Stack(UNLIKE[what])


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"momentum": 0.5}},
        {"config": {"augment": lambda x: x}},
        {"loss": lambda model, x, y: cross_entropy(model, x, y)},
        {"train": 300},
    ],
    ids=["momentum", "augment", "loss", "images"],
)
def test_runs_that_differ_in_more_than_numbers_train_one_by_one(change, monkeypatch):
    runs_ = described()
    first = runs_[0]
    if "config" in change:
        first = replace(first, config=replace(first.config, **change["config"]))
    elif "train" in change:
        first = replace(first, train=first.train.take(range(change["train"])))
    else:
        first = replace(first, **change)
    monkeypatch.setattr(replicas, "Stack", lambda _: pytest.fail("stacked"))
    out = train.fit_all([first, *runs_[1:]])
    assert all(one.diverged_at is None for one in out)
    with pytest.raises(pytest.fail.Exception):
        train.fit_all(described())


def test_runs_that_augment_train_one_by_one(monkeypatch):
    monkeypatch.setattr(replicas, "Stack", lambda _: pytest.fail("stacked"))
    out = train.fit_all(described(augment=torch.fliplr))
    assert all(one.diverged_at is None for one in out)


def test_numbers_that_differ_become_tensors_and_equal_ones_stay():
    like = torch.zeros(1, dtype=torch.float64)
    assert replicas.merged([0.1, 0.1], like) == 0.1
    merged = replicas.merged(
        [partial(sam, rho=0.1, chunks=2), partial(sam, rho=0.2, chunks=2)], like
    )
    assert merged.func is sam and merged.keywords["chunks"] == 2
    assert torch.equal(merged.keywords["rho"], torch.tensor([0.1, 0.2], dtype=torch.float64))
    for unlike in (
        ["a", "b"],
        [partial(sam, rho=1.0), partial(sam, chunks=1)],
        [sam, partial(sam)],
    ):
        with pytest.raises(ValueError, match="may differ in numbers only"):
            replicas.merged(unlike, like)


def test_a_layer_without_bias_stacks_too():
    layers = [nn.Linear(3, 2, bias=False) for _ in range(2)]
    x = torch.randn(2, 5, 3)
    expected = torch.stack([layer(part) for layer, part in zip(layers, x, strict=True)])
    torch.testing.assert_close(replicas.Stack(layers)(x), expected)
