"""Convolutional replicas equal their solo runs, running statistics included."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from smallnets import Recorded, alone, clothes, require_solo_results
from torch import nn
from torch.nn.utils import parametrize

from reviewlib import train
from reviewlib.papers.sam.arms import perturbed
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.train import Config, Training, cross_entropy, models, replicas

LRS, DECAYS, RHOS, SMOOTHINGS = (0.05, 0.2, 0.1), (0.0, 1e-2, 3e-2), (0.0, 0.05, 0.2), (0, 0.3, 0.1)


def pooled(split, classes):
    """A net with every kind of layer that a stack takes, and their options."""
    return nn.Sequential(
        models.Normalize(split),
        nn.AvgPool2d(2, stride=1),
        nn.Conv2d(1, 4, (3, 2), padding=(2, 1), dilation=(2, 1)),
        nn.BatchNorm2d(4, eps=1e-2, momentum=0.3),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(-3),
        nn.Linear(24, classes),
    )


def small(split, classes):
    return models.batchnorm_cnn(split, classes, 3)


def trainings(
    make=small,
    optimizers=(train.sgd,) * 3,
    losses=(cross_entropy,) * 3,
    seeds=(0, 0, 0),
    lrs=LRS,
):
    """Trainings in double precision, each with its own rate and decay."""
    described = []
    for number, seed in enumerate(seeds):
        split, third = clothes(seed), number % 3
        config = Config(steps=8, batch_size=20, lr=lrs[third], weight_decay=DECAYS[third])
        model = train.initialized(lambda split=split: make(split, 10), seed).double()
        described.append(Training(model, split, config, seed, losses[third], optimizers[third]))
    return described


def scored(**changes):
    """Trainings in single precision with a curve."""
    held_out = clothes(9).take(range(100))
    return [
        replace(
            one,
            model=one.model.float(),
            config=replace(one.config, eval_steps=(3, 8)),
            validation=held_out,
        )
        for one in trainings(**changes)
    ]


VARIANTS = {
    "sgd": {},
    "adam": {"optimizers": [train.adam] * 3},
    "smoothing": {"losses": [partial(cross_entropy, smoothing=s) for s in SMOOTHINGS]},
    "sam": {"optimizers": [partial(perturbed, rho=rho) for rho in RHOS]},
    "asam on parts": {"optimizers": [partial(perturbed, rho=1.0, adaptive=True, chunks=2)] * 3},
    "every layer": {"make": pooled},
    "no BatchNorm": {"make": models.cnn},
}
SEEDS = {"one seed": (0, 0, 0), "images of its own": (0, 1, 2), "in turns": (2, 0, 2, 0, 2, 0)}


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_replica_equals_its_solo_run(variant, seeds):
    require_solo_results(partial(trainings, seeds=seeds, **VARIANTS[variant]))


def dropping(split, classes):
    net = small(split, classes)
    return net[:4].append(nn.Dropout(0.3)).extend(net[4:])


PLACEBO = [partial(perturbed, method=RandomDirection, rho=rho) for rho in RHOS]


@pytest.mark.parametrize("drawing", [{"make": dropping}, {"optimizers": PLACEBO}])
def test_each_replica_draws_what_its_solo_run_draws(drawing):
    require_solo_results(partial(trainings, **drawing))


def test_convolutional_nets_train_as_one_stack_and_are_scored_in_evaluation_mode():
    loss = Recorded()
    fits = require_solo_results(partial(scored, losses=[loss] * 3), tolerance=1e-3)
    assert loss.together == {3, 0}  # as a stack, then one by one
    assert {len(x) for x, y in loss.batches if y.ndim == 2} == {1}  # a batch for all
    assert [[step for step, _ in one.curve] for one in fits] == [[3, 8]] * 3
    assert all(one.model[2].num_batches_tracked == 8 for one in fits)


def test_a_replica_that_diverges_does_not_change_the_others():
    describe = partial(scored, lrs=(0.05, 1e30, 0.1))
    together, solos = train.fit_all(describe()), [alone(of) for of in describe()]
    assert [one.diverged_at for one in together] == [solo.diverged_at for solo in solos]
    assert [one.diverged_at is None for one in together] == [True, False, True]
    for one, solo in ((together[i], solos[i]) for i in (0, 2)):
        torch.testing.assert_close(one.losses, solo.losses, rtol=1e-4, atol=1e-5)
        for name, value in one.model.state_dict().items():
            expected = solo.model.state_dict()[name]
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("models_a_batch", [1, 2, 4])
def test_a_stack_in_evaluation_mode_uses_and_keeps_each_replicas_statistics(models_a_batch):
    nets = [pooled(clothes(0), 10) for _ in range(4)]
    for net in nets:
        nn.init.normal_(net[3].running_mean)
        nn.init.uniform_(net[3].running_var, 1, 2)
    before = copy.deepcopy([net.state_dict() for net in nets])
    stack = replicas.Stack(nets, models_a_batch).eval()
    x = torch.rand(4 // models_a_batch, 5, 1, 7, 7)
    expected = [net.eval()(x[index // models_a_batch]) for index, net in enumerate(nets)]
    torch.testing.assert_close(stack(x), torch.stack(expected))
    for net, state in zip(stack.unstacked(), before, strict=True):
        torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)


def test_parameters_in_a_stack_have_one_leading_axis():
    net = replicas.Stack([models.batchnorm_cnn(clothes(0), 10, 3) for _ in range(2)], 2).net
    assert net[1].weight.shape == (2, 3, 1, 3, 3) and net[2].weight.shape == (2, 3)


def masked():
    layer = nn.Conv2d(1, 1, 3)
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    return layer


UNLIKE = {
    "groups of its own": [nn.Conv2d(2, 2, 3, groups=2)] * 2,
    "padding with pixels": [nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")] * 2,
    "masks": [masked()] * 2,
    "another stride": [nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2)],
    "another pool": [nn.MaxPool2d(2), nn.MaxPool2d(3)],
    "another momentum": [nn.BatchNorm2d(1), nn.BatchNorm2d(1, momentum=0.5)],
    "a cumulative average": [nn.BatchNorm2d(1, momentum=None)] * 2,
    "no statistics": [nn.BatchNorm2d(1, track_running_stats=False)] * 2,
    "no scale": [nn.BatchNorm2d(1, affine=False)] * 2,
    "another norm": [nn.InstanceNorm2d(1)] * 2,
}


@pytest.mark.parametrize("what", UNLIKE)
def test_layers_without_a_form_side_by_side_are_rejected(what):
    layers = UNLIKE[what]
    assert not replicas.stackable(layers)
    assert not replicas.stackable([nn.Sequential(layer) for layer in layers])
