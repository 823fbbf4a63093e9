"""Equal-budget search: every arm gets the same trials from one quasi-random sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from scipy.stats import qmc

from reviewlib.runs import Row, Run
from reviewlib.study import Arm, Knob, Preset, Study

# Tuning seeds are counted from here, so that no final seed is ever one of them.
FIRST_TUNING_SEED = 1_000_000
# The outer tenths of a range count as its edges.
EDGE = 0.1
SEARCH_SEED = 20201

RunAll = Callable[[Sequence[Run]], list[Row]]


def sequence(study: Study, trials: int, search: int = 0) -> list[dict[str, float]]:
    """Return the study's search sequence: points of a scrambled Sobol sequence over all knobs.

    Each arm reads its own knobs from every point and ignores the others, so a method pays for its
    own knob out of the same number of trials. The first point is the middle of every range; a
    control's own search has nothing in common with search 0, that point neither.
    """
    points = [[0.5] * len(study.knobs)] if search == 0 else []
    sobol = qmc.Sobol(len(study.knobs), scramble=True, rng=SEARCH_SEED + search)
    points += sobol.random_base2((max(trials - len(points), 1) - 1).bit_length()).tolist()
    return [
        {knob.name: knob.at(u) for knob, u in zip(study.knobs, point, strict=True)}
        for point in points[:trials]
    ]


def trials_of(study: Study, arm: Arm, trials: int) -> list[tuple[tuple[str, float], ...]]:
    """Return the arm's trials: its own knobs in each point of the study's sequence.

    An arm without knobs has one.
    """
    points = sequence(study, trials if arm.knobs else 1, arm.search)
    return [tuple((knob, point[knob]) for knob in arm.knobs) for point in points]


def tune(study: Study, preset: Preset, run_all: RunAll) -> pd.DataFrame:
    """Run every trial of every arm on the tuning seeds and return one row a trial.

    Runs of the tuning phase are scored on validation images: test images are not in what a run is
    given.

    Returns:
        arm, cell, trial, settings, accuracy (mean validation accuracy over the tuning seeds),
        accuracies, diverged (runs), chosen, edges (knobs whose chosen value lies at an edge).
    """
    asked = [
        (arm, cell, trial, settings)
        for cell in study.cells_of(preset)
        for arm in study.arms_in(cell, preset)
        for trial, settings in enumerate(trials_of(study, arm, preset.trials))
    ]
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + preset.tuning_seeds)
    rows = iter(
        run_all(
            [
                Run(arm, cell, settings, seed, preset, "tuning")
                for arm, cell, _, settings in asked
                for seed in seeds
            ]
        )
    )
    table = []
    for arm, cell, trial, settings in asked:
        runs = [next(rows) for _ in seeds]
        scores = [run["accuracy"] for run in runs]
        table.append(
            {
                "arm": arm.name,
                "cell": cell.name,
                "trial": trial,
                "settings": dict(settings),
                "accuracy": round(sum(scores) / len(scores), 6),
                "accuracies": scores,
                "diverged": sum(run["diverged_at"] is not None for run in runs),
                "seconds": round(sum(run["seconds"] for run in runs), 3),
            }
        )
    frame = pd.DataFrame(table)
    best = set(frame.groupby(["cell", "arm"])["accuracy"].idxmax())
    frame["chosen"] = [index in best for index in frame.index]
    frame["edges"] = [
        at_edge(study, settings) if chosen else []
        for settings, chosen in zip(frame["settings"], frame["chosen"], strict=True)
    ]
    return frame


def at_edge(study: Study, settings: dict[str, float]) -> list[str]:
    """Return the knobs whose value lies in the outer tenth of the range it was searched in."""
    return [
        knob.name
        for knob in study.knobs
        if knob.name in settings and not _inside(knob, settings[knob.name])
    ]


def _inside(knob: Knob, value: float) -> bool:
    return knob.at(EDGE) < value < knob.at(1 - EDGE)


def settings_of(trials: pd.DataFrame, arm: str, cell: str) -> dict[str, float]:
    """Return the settings chosen for an arm in a cell.

    Raises:
        ValueError: the arm was not tuned there.
    """
    rows = trials[(trials["arm"] == arm) & (trials["cell"] == cell) & trials["chosen"]]
    if rows.empty:
        raise ValueError(
            f"no settings were tuned for arm {arm!r} in cell {cell!r}: run the preset that the "
            "settings come from first"
        )
    return dict(rows["settings"].iloc[0])
