"""A run in stages: what is trained next may hang on what came out, as in iterative pruning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from reviewlib.train import Fit, Solution, Training, fit_all


def complete(starts: Sequence[Training | Solution]) -> list[list[Fit]]:
    """Return what came out at the end of each run, after all the stages that follow its start.

    Stages of different runs that stand side by side train together where `fit_all` can. A run
    that split into replicates has several ends: each counts the passes along its own path, and
    the seconds of the whole run are shared evenly among them. A stage that diverged is an end.
    """
    ends: list[list[Fit]] = [[] for _ in starts]
    seconds = [0.0] * len(starts)
    stage = [(run, described, 0) for run, described in enumerate(starts)]
    while stage:
        following = []
        fits = _carried_out([described for _, described, _ in stage])
        for (run, described, before), fit in zip(stage, fits, strict=True):
            seconds[run] += fit.seconds
            fit = replace(fit, passes=before + fit.passes)
            followers = _followers(described, fit)
            following += [(run, follower, fit.passes) for follower in followers]
            if not followers:
                ends[run].append(fit)
        stage = following
    return [
        [replace(fit, seconds=spent / len(fits)) for fit in fits]
        for fits, spent in zip(ends, seconds, strict=True)
    ]


def _followers(described: Training | Solution, fit: Fit) -> Sequence[Training | Solution]:
    if isinstance(described, Solution) or described.then is None or fit.diverged_at is not None:
        return ()
    return described.then(fit)


def _carried_out(described: Sequence[Training | Solution]) -> list[Fit]:
    """Return what came out of each, in order; the trainings run side by side."""
    fits = iter(fit_all([one for one in described if isinstance(one, Training)]))
    return [next(fits) if isinstance(one, Training) else _solved(one) for one in described]


def _solved(solution: Solution) -> Fit:
    """Find the model; one that is not finite has diverged."""
    start = time.process_time()
    model = solution.solve()
    finite = all(bool(value.isfinite().all()) for value in model.state_dict().values())
    return Fit(
        model=model,
        losses=torch.empty(0),
        curve=(),
        best=None,
        diverged_at=None if finite else 0,
        passes=solution.passes,
        seconds=time.process_time() - start,
        peak_bytes=None,
        config=None,
        seed=solution.seed,
    )
