"""The floor: scikit-learn's logistic regression on the same data, which a net must clearly beat."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reviewlib import data
from reviewlib.trial.arms import Condition
from reviewlib.trial.runs import draw
from reviewlib.trial.study import Preset, Study

PENALTIES = (1e-3, 1e-2, 1e-1)


def floor(study: Study, preset: Preset) -> pd.DataFrame:
    """Return the floor's accuracy in every condition and on every final seed.

    It uses the training subset, labels and test fold that every arm gets on this seed, and chooses
    its regularization `C` on the validation subset. Conditions with the same label noise share
    their floor.
    """
    dataset = data.load(preset.data)
    conditions = study.conditions_of(preset)
    by_noise = {
        noise: [
            _accuracy(dataset, preset, condition, index, seed)
            for index, seed in enumerate(study.seeds(preset))
        ]
        for noise, condition in {where.label_noise: where for where in conditions}.items()
    }
    return pd.DataFrame(
        {"condition": condition.name, "seed": seed, "accuracy": accuracy}
        for condition in conditions
        for seed, accuracy in zip(study.seeds(preset), by_noise[condition.label_noise], strict=True)
    )


def _accuracy(
    dataset: data.Dataset, preset: Preset, condition: Condition, index: int, seed: int
) -> float:
    """Return the floor's accuracy on one seed's fold of the test set."""
    from sklearn.linear_model import LogisticRegression

    sample = draw(dataset.development, preset, condition, seed)
    test = data.shrink(data.fold(dataset.test, index, preset.seeds), preset.image_size)
    fits = [
        LogisticRegression(C=c, max_iter=100, tol=1e-3).fit(*_flat(sample.train)) for c in PENALTIES
    ]
    chosen = max(fits, key=lambda fit: fit.score(*_flat(sample.validation)))
    return float(chosen.score(*_flat(test)))


def _flat(split: data.Split) -> tuple[np.ndarray, np.ndarray]:
    return split.pixels().flatten(1).numpy(), split.labels.numpy()
