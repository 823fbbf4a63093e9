"""Made-up studies whose arms are searched, through the code that ranks and weighs real trials.

Every study has two arms and n paired seeds. An arm's accuracy at a setting falls with the square
of the distance from its best learning rate and weight decay; nets of one setting differ by luck.
Of all images, every net classifies 68% correctly, and none 8%. The others are contested: a `shared`
part of them is decided by arm and learning rate, alike for all seeds, the rest by each net.

All seeds draw their validation images from one pool, so that what its contested images say of a
learning rate is an error that all their choices share. Test folds are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reviewlib.trial import search

EASY, CONTESTED = 0.68, 0.24
POOL, VALIDATION = 8_000, 2_000  # images
LUCK = 0.003  # sd of the true accuracies of nets of one setting
LEVELS = 16  # places in the range of each hyperparameter
FALL = 0.016  # of accuracy over half the range of a hyperparameter; the luck of a search follows
OLD_TRIALS = 8
AT_ONCE = 500  # studies, for the sake of memory


@dataclass(frozen=True)
class Design:
    """How a study searches and tests.

    Attributes:
        n: number of seeds.
        test: images of all test folds together.
        trials: trials of an arm on every seed.
        tries: length of the search that is judged.
        shared: part of the contested images that is decided by arm and learning rate.
        effect: true difference of the arms' accuracies.
        once: whether one search serves all seeds, as in the protocol's first version.
    """

    n: int
    test: int = 40_000
    trials: int = 16
    tries: int = 8
    shared: float = 0.5
    effect: float = 0.0
    once: bool = False


def scores(design: Design, studies: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the results of the new and of the old arm, (studies, n), rounded as records are."""
    parts = [
        _some(design, min(AT_ONCE, studies - start), np.random.default_rng([seed, start]))
        for start in range(0, studies, AT_ONCE)
    ]
    new, old = np.concatenate(parts, axis=1)
    return np.round(new, 6), np.round(old, 6)


def _some(design: Design, studies: int, draw: np.random.Generator) -> np.ndarray:
    """Return the results of both arms, (2, studies, n)."""
    fold = design.test // design.n
    kinds = draw.multinomial(fold, (EASY, CONTESTED, 1 - EASY - CONTESTED), (studies, design.n))
    easy, contested = kinds[..., 0], kinds[..., 1]
    # Alike for both arms, so that neither is better.
    best = draw.uniform(0.25, 0.75, (2, studies, 1, 1))
    arms = []
    for effect in (design.effect, 0.0):
        pool = _pool_errors(design, studies, draw)
        settings, level = _searched(design, best, draw)
        true = effect + settings + draw.normal(0, LUCK, settings.shape)
        order = search.ranking(*_validated(design, true, pool, level, draw))
        if design.once:
            chosen = np.take_along_axis(settings, order[..., :1], -1)  # (studies, 1, 1)
            true = effect + chosen + draw.normal(0, LUCK, (studies, design.n, 1))
            order, share = np.zeros(true.shape, int), np.ones(1)
        else:
            share = search.weights(design.trials, design.tries)
        right = draw.binomial(contested[..., None], _of_contested(true))
        arms.append((easy + np.take_along_axis(right, order, -1) @ share) / fold)
    return np.stack(arms)


def _searched(
    design: Design, best: np.ndarray, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the settings of every trial cost in accuracy, and their learning rates' places.

    Both have the shape (studies, searches, trials). Each hyperparameter is stratified; `best` has
    the best position of each, (2, studies, 1, 1).
    """
    searches, trials = (1, OLD_TRIALS) if design.once else (design.n, design.trials)
    places = draw.random((2, best.shape[1], searches, trials)).argsort(-1)
    places = places * (LEVELS // trials) + draw.integers(0, LEVELS // trials, places.shape)
    fall = (((places + 0.5) / LEVELS - best) / 0.5) ** 2
    return -FALL * fall.sum(0), places[0]


def _pool_errors(design: Design, studies: int, draw: np.random.Generator) -> np.ndarray:
    """Return the pool's error in the accuracy at each learning rate, (studies, LEVELS)."""
    images = round(POOL * CONTESTED * design.shared)
    if not images:
        return np.zeros((studies, LEVELS))
    return (draw.binomial(images, 0.5, (studies, LEVELS)) - images / 2) / POOL


def _validated(
    design: Design,
    true: np.ndarray,
    pool: np.ndarray,
    level: np.ndarray,
    draw: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return validation accuracies in steps of an image, and losses that go with them.

    The images that all trials of a seed have in common cancel and are left out. The others' sum is
    taken to be normal, with the variance of a draw without replacement where the pool decides.
    """
    error = pool[np.arange(len(pool))[:, None, None], level]
    drawn = design.shared * (1 - VALIDATION / POOL) + (1 - design.shared)
    sd = np.sqrt(CONTESTED / 4 * drawn / VALIDATION)
    accuracy = true + error + draw.normal(0, sd, true.shape)
    return np.round(accuracy * VALIDATION), -accuracy


def _of_contested(true: np.ndarray) -> np.ndarray:
    """Return the part of the contested images that nets classify correctly, around a half."""
    return np.clip(0.5 + true / CONTESTED, 0, 1)
