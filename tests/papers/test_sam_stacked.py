"""SAM on a stack: each replica equals its solo run, at every step."""

from functools import partial

import pytest
from smallnets import clothes, require_solo_results

from reviewlib import train
from reviewlib.papers.sam.arms import perturbed
from reviewlib.train import Config, Training, cross_entropy, models

RHOS = (0.05, 0.3, 0.1)
VARIANTS = {
    "a rho each": [partial(perturbed, rho=rho) for rho in RHOS],
    "one rho": [partial(perturbed, rho=0.2)] * 3,
    "adaptive": [partial(perturbed, rho=rho, adaptive=True) for rho in RHOS],
    "m-sharpness": [partial(perturbed, rho=rho, chunks=4) for rho in RHOS],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_replica_under_sam_equals_its_solo_run_at_every_step(variant):
    def describe():
        described = []
        for seed, (lr, decay) in enumerate(zip((0.05, 0.2, 0.1), (0.0, 1e-2, 3e-2), strict=True)):
            split = clothes(seed, 0.2 * seed)
            model = train.initialized(partial(models.mlp, split, 10, 9), seed).double()
            config = Config(steps=30, batch_size=20, lr=lr, weight_decay=decay)
            optimizer = VARIANTS[variant][seed]
            described.append(Training(model, split, config, seed, cross_entropy, optimizer))
        return described

    fits = require_solo_results(describe)
    assert {fit.passes for fit in fits} == {2 * 30 * 20}
