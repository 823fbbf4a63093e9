"""A trial run: two trials of every arm on one seed, and a forecast of what presets cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from reviewlib.trial import search
from reviewlib.trial.arms import Arm, Condition
from reviewlib.trial.runs import Run, perform, stacks
from reviewlib.trial.scores import Row
from reviewlib.trial.study import Preset, Study

TRIALS = 2
# The second round takes at least this many more steps: the difference gives the cost of a step.
MORE_STEPS = 50


class Cost(NamedTuple):
    """Seconds of a run at the sizes of `quick`: before the first step, and per step."""

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
            scores = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
            diverged = sum(row["diverged_at"] is not None for row in rows)
            yield (
                f"{condition.name}, {arm.name}: validation accuracy {scores}; {took:.2f} s a run"
                + (f"; {diverged} diverged" if diverged else "")
            )
    unit = "CPU-seconds" if device == "cpu" else "seconds on the GPU"
    for preset in study.presets:
        if preset.name != "gpu":
            total = _forecast(study, preset, quick, costs)
            yield f"{preset.name}: about {total:,.0f} {unit}, less where stacks are larger"


def _rows(study: Study, arm: Arm, condition: Condition, preset: Preset, device: str) -> list[Row]:
    trials = search.trials_of(study, arm, TRIALS)
    runs = [Run(arm, condition, each, 0, preset, "tuning") for each in trials]
    return [
        row
        for stack in stacks(runs)
        for row in perform(study, [runs[position] for position in stack], device)
    ]


def _seconds(rows: list[Row]) -> float:
    return sum(row["seconds"] for row in rows) / len(rows)


def _forecast(
    study: Study, preset: Preset, quick: Preset, costs: dict[tuple[str, str], Cost]
) -> float:
    """Return the seconds of a preset; the cost of a step scales with examples and pixels."""
    size = preset.batch_size / quick.batch_size * (preset.image_size / quick.image_size) ** 2
    total = 0.0
    for condition in study.conditions_of(preset):
        for arm in study.arms_in(condition, preset):
            trials = len(search.trials_of(study, arm, preset.trials))
            cost = costs[arm.name, condition.name]
            run = cost.start + cost.step * preset.steps * size
            total += run * (trials * preset.tuning_seeds + preset.seeds)
    return total
