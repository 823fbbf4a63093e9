"""A trial run: two trials of every arm on one seed, and a forecast of what presets cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from reviewlib.trial import search
from reviewlib.trial.arms import Arm, Condition
from reviewlib.trial.runs import Run, perform
from reviewlib.trial.scores import Row
from reviewlib.trial.study import Preset, Study

TRIALS = 2
# The second round takes at least this many more steps: the difference gives the cost of a step.
MORE_STEPS = 50


class Cost(NamedTuple):
    """Seconds of a trial at the sizes of `quick`: before the first step, and per step."""

    start: float
    step: float


def lines(study: Study, device: str = "cpu") -> Iterator[str]:
    """Yield a line per arm and condition at the sizes of `quick`, then a forecast per preset.

    The preset gpu has none: the seconds of a small net say nothing about that machine.
    """
    quick = replace(study.preset("quick"), conditions=(), arms=(), settings_from=None)
    longer = replace(quick, steps=quick.steps + max(quick.steps, MORE_STEPS))
    costs: dict[tuple[str, str], Cost] = {}
    for condition in study.conditions:
        for arm in study.arms_in(condition):
            rows = _rows(study, arm, condition, quick, device)
            took = _seconds(rows)
            more = _seconds(_rows(study, arm, condition, longer, device)) - took
            step = max(more, 0) / (longer.steps - quick.steps)
            costs[arm.name, condition.name] = Cost(max(took - step * quick.steps, 0), step)
            (row,) = rows
            scores = ", ".join(f"{each:.3f}" for each in row["scores"]["validation_accuracy"])
            diverged = sum(step is not None for step in row["diverged_at"])
            yield (
                f"{condition.name}, {arm.name}: validation accuracy {scores}; {took:.2f} s a trial"
                + (f"; {diverged} diverged" if diverged else "")
            )
    unit = "CPU-seconds" if device == "cpu" else "seconds on the GPU"
    for preset in study.presets:
        if preset.name != "gpu":
            total = _forecast(study, preset, quick, costs)
            yield f"{preset.name}: about {total:,.0f} {unit}, less where stacks are larger"


def _rows(study: Study, arm: Arm, condition: Condition, preset: Preset, device: str) -> list[Row]:
    seed = study.seeds(preset)[0]
    searched = [each for each in study.hyperparameters if each.name in study.searched(arm)]
    trials = tuple(search.points(searched, seed, TRIALS) if searched else [{}])
    return perform(study, [Run(arm, condition, seed, preset, trials)], device)


def _seconds(rows: list[Row]) -> float:
    return sum(row["seconds"] / len(row["diverged_at"]) for row in rows) / len(rows)


def _forecast(
    study: Study, preset: Preset, quick: Preset, costs: dict[tuple[str, str], Cost]
) -> float:
    """Return the seconds of a preset; the cost of a step scales with examples and pixels."""
    total = 0.0
    for condition in study.conditions_of(preset):
        sizes = preset.at(condition)
        size = sizes.batch_size / quick.batch_size * (sizes.image_size / quick.image_size) ** 2
        for arm in study.arms_in(condition, preset):
            if preset.settings_from:
                trials = 1
            elif study.parents(arm, condition):
                trials = len(search.FACTORS)
            else:
                trials = sizes.trials if arm.search else 1
            cost = costs[arm.name, condition.name]
            trial = cost.start + cost.step * sizes.steps * size
            total += trial * trials * sizes.seeds
    return total
