"""Equal-budget search: every arm gets the same number of trials, from one quasi-random sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from scipy.stats import qmc

from reviewlib.trial.arms import Arm, Condition, Hyperparameter
from reviewlib.trial.runs import Row, Run
from reviewlib.trial.study import Preset, Study

# The first tuning seed; final seeds are smaller, so the two never overlap.
FIRST_TUNING_SEED = 1_000_000
# The outer tenths of a range count as its edges.
EDGE = 0.1
SOBOL_SEED = 20201

RunAll = Callable[[Sequence[Run]], list[Row]]
Settings = tuple[tuple[str, float], ...]


def sequence(study: Study, trials: int, search_seed: int = 0) -> list[dict[str, float]]:
    """Return the study's search sequence: points of a scrambled Sobol sequence over all ranges.

    Each arm reads its own hyperparameters from every point and ignores the others, so a method
    tunes an additional hyperparameter within the same number of trials. The first point of search
    seed 0 is the middle of every range; other search seeds (A/A controls) share no point with it.
    """
    searched = study.hyperparameters
    points = [[0.5] * len(searched)] if search_seed == 0 else []
    sobol = qmc.Sobol(len(searched), scramble=True, rng=SOBOL_SEED + search_seed)
    points += sobol.random_base2((max(trials - len(points), 1) - 1).bit_length()).tolist()
    return [
        {each.name: each.at(u) for each, u in zip(searched, point, strict=True)}
        for point in points[:trials]
    ]


def trials_of(study: Study, arm: Arm, trials: int) -> list[Settings]:
    """Return the arm's trials: its hyperparameters in each point of the study's sequence.

    An arm that searches nothing has one trial.
    """
    points = sequence(study, trials if arm.search else 1, arm.search_seed)
    return [tuple((name, point[name]) for name in arm.search) for point in points]


def tune(
    study: Study, places: Sequence[tuple[Arm, Condition]], preset: Preset, run_all: RunAll
) -> pd.DataFrame:
    """Run every trial on the tuning seeds and return one row per trial.

    Runs of the tuning phase are scored on validation images and get no test images.

    Args:
        study: the study to tune.
        places: the arms, each in a condition.
        preset: the sizes.
        run_all: carries out runs and returns their rows, in order.

    Returns:
        arm, condition, trial, settings, accuracy (mean validation accuracy over the tuning seeds),
        accuracies, diverged (number of runs), seconds, chosen, edges (hyperparameters whose chosen
        value lies at an edge of its range).
    """
    asked = [
        (arm, condition, trial, settings)
        for arm, condition in places
        for trial, settings in enumerate(trials_of(study, arm, preset.trials))
    ]
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + preset.tuning_seeds)
    rows = iter(
        run_all(
            [
                Run(arm, condition, settings, seed, preset, "tuning")
                for arm, condition, _, settings in asked
                for seed in seeds
            ]
        )
    )
    table = []
    for arm, condition, trial, settings in asked:
        runs = [next(rows) for _ in seeds]
        scores = [run["accuracy"] for run in runs]
        table.append(
            {
                "arm": arm.name,
                "condition": condition.name,
                "trial": trial,
                "settings": dict(settings),
                "accuracy": round(sum(scores) / len(scores), 6),
                "accuracies": scores,
                "diverged": sum(run["diverged_at"] is not None for run in runs),
                "seconds": round(sum(run["seconds"] for run in runs), 3),
            }
        )
    frame = pd.DataFrame(table)
    best = set(frame.groupby(["condition", "arm"])["accuracy"].idxmax())
    frame["chosen"] = [index in best for index in frame.index]
    frame["edges"] = [
        at_edge(study, settings) if chosen else []
        for settings, chosen in zip(frame["settings"], frame["chosen"], strict=True)
    ]
    return frame


def at_edge(study: Study, settings: dict[str, float]) -> list[str]:
    """Return the hyperparameters whose value lies in the outer tenth of its range."""
    return [
        each.name
        for each in study.hyperparameters
        if each.name in settings and not _inside(each, settings[each.name])
    ]


def _inside(searched: Hyperparameter, value: float) -> bool:
    return searched.at(EDGE) < value < searched.at(1 - EDGE)


def settings_of(trials: pd.DataFrame, arm: str, condition: str) -> dict[str, float]:
    """Return the settings chosen for an arm in a condition.

    Raises:
        ValueError: the arm was not tuned there.
    """
    mine = (trials["arm"] == arm) & (trials["condition"] == condition) & trials["chosen"]
    if not mine.any():
        raise ValueError(
            f"no settings were tuned for arm {arm!r} in condition {condition!r}: run the preset "
            "that the settings come from first"
        )
    return dict(trials.loc[mine, "settings"].iloc[0])
