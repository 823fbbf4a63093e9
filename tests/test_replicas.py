"""A stack is its replicas: each one equals its solo run, at every step."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from reviewlib import data, models, replicas, runs, train
from reviewlib.papers.sam.method import SAM
from reviewlib.papers.sam.stacked import StackedSAM
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
    model = train.initialized(lambda: models.mlp(split, 10, width=9), seed).double()
    if masked:
        keep = torch.rand(9, 49, generator=torch.Generator().manual_seed(seed)) < 0.5
        parametrize.register_parametrization(model[2], "weight", Mask(keep.double()))
    return model


def sam(model, config, *, rho, chunks=1, adaptive=False):
    stacked = isinstance(model, replicas.Stack)
    return (StackedSAM if stacked else SAM)(
        model.parameters(),
        train.sgd_class(config),
        rho=rho,
        chunks=chunks,
        adaptive=adaptive,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


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
