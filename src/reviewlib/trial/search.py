"""A search for every seed: which settings an arm tries, and what one search is worth on average.

Every trained model is scored on the seed's test fold, and only validation ranks the trials. A run's
result is the expected score of the best of k tries, averaged over all choices of k of its T trials
(Dodge et al., EMNLP 2019, ask for this curve on validation images).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from reviewlib import data
from reviewlib.trial.arms import Arm, Hyperparameter
from reviewlib.trial.study import Study

Settings = dict[str, float]
# The seeds of searches, initializations and batch orders of two search seeds are this far apart.
STREAMS_APART = 10**9
# An ablation tries its parent's learning rate times each of these.
FACTORS = (0.5, 1.0, 2.0)


def own_seed(arm: Arm, seed: int) -> int:
    """Return the seed of an arm's search, initializations and batch orders; its images' is `seed`.

    They differ only for an A/A control, which repeats the baseline on the same images.
    """
    return seed + arm.search_seed * STREAMS_APART


def positions(name: str, seed: int, trials: int) -> list[float]:
    """Return a hyperparameter's positions in its range, in [0, 1]: one in each of T equal strata.

    The outer points lie at the ends of the range; a single trial lies in the middle. The draw
    depends on the seed and the name only, so another hyperparameter changes nothing.
    """
    if trials == 1:
        return [0.5]
    stream = data.stream(seed, "search", name)
    strata = torch.randperm(trials, generator=stream).tolist()
    within = torch.rand(trials, generator=stream, dtype=torch.float64).tolist()
    ends = {0: 0.0, trials - 1: 1.0}
    return [
        ends.get(stratum, (stratum + share) / trials)
        for stratum, share in zip(strata, within, strict=True)
    ]


def points(searched: Iterable[Hyperparameter], seed: int, trials: int) -> list[Settings]:
    """Return the settings of T trials; arms that share a hyperparameter share its values."""
    columns = {
        each.name: [each.at(u) for u in positions(each.name, seed, trials)] for each in searched
    }
    return [{name: values[trial] for name, values in columns.items()} for trial in range(trials)]


def trials_of(study: Study, arm: Arm, seed: int, trials: int) -> list[Settings]:
    """Return the settings that an arm tries on a seed; an arm that searches nothing has one."""
    searched = [each for each in study.hyperparameters if each.name in arm.search]
    return points(searched, own_seed(arm, seed), trials) if searched else [{}]


def joined(parents: Sequence[Settings], searched: Iterable[Hyperparameter]) -> Settings:
    """Return the settings in the middle of those of several arms, to four significant digits.

    A hyperparameter of one of them keeps its value. One that several have takes the mean, on the
    scale that it is searched on.
    """
    if len(parents) == 1:
        return dict(parents[0])
    merged = {}
    for each in searched:
        values = [settings[each.name] for settings in parents if each.name in settings]
        if values:
            mean = np.exp(np.mean(np.log(values))) if each.log else np.mean(values)
            merged[each.name] = float(f"{mean:.4g}")
    return merged


def around(settings: Settings) -> list[Settings]:
    """Return an ablation's trials: its parent's settings, with other learning rates too."""
    if "lr" not in settings:
        return [dict(settings)]
    return [settings | {"lr": float(f"{settings['lr'] * factor:.4g}")} for factor in FACTORS]


def ranking(accuracy: Sequence[float], nll: Sequence[float]) -> NDArray:
    """Return the trials' positions, the best first.

    Args:
        accuracy: validation accuracy of each trial, (T,); higher is better.
        nll: validation loss, which decides between equal accuracies; then the earlier trial does.
    """
    return np.lexsort((np.asarray(nll, float), -np.asarray(accuracy, float)))


def weights(trials: int, tries: int) -> NDArray:
    """Return the weight of each rank, (T,): how often it is the best of k tries.

    The trial ranked j-th, from 0, is the best in C(T - 1 - j, k - 1) of the C(T, k) choices. More
    tries than trials count as all trials.
    """
    tries = min(tries, trials)
    best = [math.comb(trials - 1 - rank, tries - 1) for rank in range(trials)]
    return np.array(best) / math.comb(trials, tries)


def expected(scores: Sequence[float], order: Sequence[int], tries: int) -> float:
    """Return the expected score of the best of k tries.

    Args:
        scores: the score of each trial, (T,).
        order: their `ranking`.
        tries: k.
    """
    values = np.asarray(scores, dtype=float)[np.asarray(order)]
    share = weights(len(values), tries)
    used = share > 0  # a score that never counts may be missing
    return float(values[used] @ share[used])


def at_ends(values: Sequence[float], searched: Hyperparameter) -> dict[str, int]:
    """Return how many of the chosen values lie at the low and at the high end of a range."""
    low, high = searched.at(0.0), searched.at(1.0)
    return {"low": sum(v <= low for v in values), "high": sum(v >= high for v in values)}
