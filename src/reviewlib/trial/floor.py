"""The floor: scikit-learn's logistic regression on the same data, which a net must clearly beat."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reviewlib import data
from reviewlib.trial.arms import Condition
from reviewlib.trial.runs import draw, fold_of
from reviewlib.trial.study import Preset, Study

PENALTIES = (1e-3, 1e-2, 1e-1)


def floor(study: Study, preset: Preset) -> pd.DataFrame:
    """Return the floor's accuracy in every condition and on every final seed.

    It uses the training subset, labels and test fold that every arm gets on this seed, and chooses
    its regularization `C` on the validation subset. Conditions with the same label noise and
    sizes share their floor.
    """
    dataset = data.load(preset.data)
    known: dict[tuple, list[float]] = {}
    lines = []
    for condition in study.conditions_of(preset):
        sizes = preset.at(condition)
        seeds = study.seeds(sizes)
        images = (sizes.image_size, sizes.train, sizes.validation)
        alike = (condition.label_noise, *images, len(seeds))
        if alike not in known:
            known[alike] = [_accuracy(study, dataset, sizes, condition, seed) for seed in seeds]
        lines += [
            {"condition": condition.name, "seed": seed, "accuracy": accuracy}
            for seed, accuracy in zip(seeds, known[alike], strict=True)
        ]
    return pd.DataFrame(lines)


def _accuracy(
    study: Study, dataset: data.Dataset, preset: Preset, condition: Condition, seed: int
) -> float:
    """Return the floor's accuracy on one seed's fold of the test pool."""
    from sklearn.linear_model import LogisticRegression

    sample = draw(dataset.development, preset, condition, seed)
    test = fold_of(study, seed, preset, dataset)
    fits = [
        LogisticRegression(C=c, max_iter=100, tol=1e-3).fit(*_flat(sample.train)) for c in PENALTIES
    ]
    chosen = max(fits, key=lambda fit: fit.score(*_flat(sample.validation)))
    return float(chosen.score(*_flat(test)))


def _flat(split: data.Split) -> tuple[np.ndarray, np.ndarray]:
    return split.pixels().flatten(1).numpy(), split.labels.numpy()
