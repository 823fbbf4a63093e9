"""SAM and its placebo on a stack: each replica equals its solo run, at every step."""

from functools import partial

import pytest
from smallnets import clothes, require_solo_results

from reviewlib import train
from reviewlib.papers.sam.arms import perturbed
from reviewlib.papers.sam.placebo import RandomDirection
from reviewlib.train import Config, Training, cross_entropy, models

RHOS = (0.05, 0.3, 0.1)
VARIANTS = {
    "a rho each": [partial(perturbed, rho=rho) for rho in RHOS],
    "one rho": [partial(perturbed, rho=0.2)] * 3,
    "adaptive": [partial(perturbed, rho=rho, adaptive=True) for rho in RHOS],
    "m-sharpness": [partial(perturbed, rho=rho, chunks=4) for rho in RHOS],
}


def trainings(optimizers, seeds):
    """Three trainings in double precision, with a rate, a decay and an optimizer each."""
    numbers = zip(seeds, (0.05, 0.2, 0.1), (0.0, 1e-2, 3e-2), optimizers, strict=True)
    described = []
    for seed, lr, decay, optimizer in numbers:
        split = clothes(seed, 0.2 * seed)
        model = train.initialized(partial(models.mlp, split, 10, 9), seed).double()
        config = Config(steps=30, batch_size=20, lr=lr, weight_decay=decay)
        described.append(Training(model, split, config, seed, cross_entropy, optimizer))
    return described


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_replica_under_sam_equals_its_solo_run_at_every_step(variant):
    fits = require_solo_results(partial(trainings, VARIANTS[variant], (0, 1, 2)))
    assert {fit.passes for fit in fits} == {2 * 30 * 20}


@pytest.mark.parametrize("variant", VARIANTS)
def test_replicas_of_one_seed_share_the_random_directions_that_each_would_draw_alone(variant):
    drawing = [partial(one, method=RandomDirection) for one in VARIANTS[variant]]
    fits = require_solo_results(partial(trainings, drawing, (1, 1, 1)))
    assert {fit.passes for fit in fits} == {30 * 20}


def test_replicas_of_several_seeds_must_not_draw_random_directions():
    drawing = [partial(perturbed, rho=rho, method=RandomDirection) for rho in RHOS]
    with pytest.raises(ValueError, match="unless all see the same batches.*stochastic=True"):
        train.fit_all(trainings(drawing, (0, 1, 2)))
