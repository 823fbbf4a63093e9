"""Driving runs side by side: the next training of a run may depend on its last fit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from reviewlib.train import Fit, Solution, Training, fit_all

Yielded = Training | Solution | list[Training | Solution]
Procedure = Iterator[Yielded]


def complete(procedures: Sequence[Procedure]) -> list[list[Fit]]:
    """Run all procedures to their ends; return the last fits of each, one or one per replicate.

    A procedure is a generator. It yields a training, a solution, or a list of them as replicates,
    and receives the fit or the list of fits. Trainings that several procedures yield in the same
    round run together if `fit_all` can stack them. A procedure also ends when a fit diverges. Its
    passes count from its start; all its seconds are divided evenly among its last fits.
    """
    last: list[list[Fit]] = [[] for _ in procedures]
    passes, seconds = [0] * len(procedures), [0.0] * len(procedures)
    asked = {run: _first(procedure) for run, procedure in enumerate(procedures)}
    while asked:
        wanted = [(run, one) for run, yielded in asked.items() for one in _listed(yielded)]
        fits = zip(wanted, _carried_out([one for _, one in wanted]), strict=True)
        results: dict[int, list[Fit]] = {run: [] for run in asked}
        for (run, _), fit in fits:
            results[run].append(replace(fit, passes=passes[run] + fit.passes))
            seconds[run] += fit.seconds
        for run in list(asked):
            last[run] = results[run]
            passes[run] = sum(fit.passes for fit in results[run]) // len(results[run])
            following = _following(procedures[run], asked.pop(run), results[run])
            if following is not None:
                asked[run] = following
    return [
        [replace(fit, seconds=spent / len(fits)) for fit in fits]
        for fits, spent in zip(last, seconds, strict=True)
    ]


def _first(procedure: Procedure) -> Yielded:
    """Return what a procedure yields first."""
    for yielded in procedure:
        return yielded
    raise ValueError(
        "an arm's `train` must yield a training or a solution, and one yielded nothing"
    )


def _listed(yielded: Yielded) -> list[Training | Solution]:
    return yielded if isinstance(yielded, list) else [yielded]


def _following(procedure: Procedure, asked: Yielded, fits: list[Fit]) -> Yielded | None:
    """Return what a procedure yields next, None at its end or after a divergence."""
    if any(fit.diverged_at is not None for fit in fits):
        return None
    try:
        return procedure.send(fits if isinstance(asked, list) else fits[0])
    except StopIteration:
        return None


def _carried_out(described: Sequence[Training | Solution]) -> list[Fit]:
    """Return the fit of each, in order; the trainings run side by side."""
    fits = iter(fit_all([one for one in described if isinstance(one, Training)]))
    return [next(fits) if isinstance(one, Training) else _solved(one) for one in described]


def _solved(solution: Solution) -> Fit:
    """Return the solution as a fit; a model with non-finite values has diverged."""
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
    )
