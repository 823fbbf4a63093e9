"""Timing the steps of a study's arms: rows of one launch of a process, and of several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

from reviewlib import data
from reviewlib.train import Training, timing
from reviewlib.trial.arms import Arm, Timing
from reviewlib.trial.inputs import Inputs
from reviewlib.trial.runs import draw, one_thread
from reviewlib.trial.study import Preset, Study

Row = dict[str, Any]
LAUNCHES, LEAST_LAUNCHES = 10, 5
ROUNDS = 9
STEPS = 10  # of the described trainings, which are not carried out
IMAGES = "fashion-mnist-subset"  # a step's time depends on the shape of the images alone


def launches(study: Study, device: str, count: int = LAUNCHES) -> Iterator[list[Row]]:
    """Yield the rows of each of several new processes, one after another.

    What differs between launches is where memory lies and what else the machine does; within one,
    the steps of a `Timing` take turns, so what they share cancels in their ratio.

    Raises:
        ValueError: the study times nothing, or fewer launches than an interval needs.
    """
    if not study.timings:
        raise ValueError(f"{study.name} times nothing: declare `timings` in its study.py")
    if count < LEAST_LAUNCHES:
        raise ValueError(f"a timing needs at least {LEAST_LAUNCHES} launches, got {count}")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for number in range(count):
            yield pool.submit(launch, study, device, number).result()


def launch(study: Study, device: str, number: int, rounds: int = ROUNDS) -> list[Row]:
    """Return one row per timing and arm: arm, condition, seed, step_seconds, activation_bytes.

    Args:
        study: its timings are measured, one after another.
        device: where: "cpu", on one thread, or "cuda".
        number: the number of this launch, which takes the place of a seed.
        rounds: measurements of each step, of which the shortest counts.
    """
    with one_thread():
        return [row for each in study.timings for row in _rows(study, each, device, number, rounds)]


def training_of(study: Study, arm: Arm, where: Timing, device: str) -> Training:
    """Return the first training of an arm, at the settings and sizes of a timing."""
    batch = where.batch_size
    sizes = Preset("timing", IMAGES, where.image_size, batch, batch, batch, STEPS, 1, 1, 1)
    sample = draw(data.load(IMAGES, device).development, sizes, where, 0)
    settings = {**arm.fixed, **where.fixed}
    run = Inputs(arm, where, sizes, settings, sample, 0, study.net, study.settings)
    first = next(iter(arm.train(run)))
    if not isinstance(first, Training):
        raise ValueError(f"arm {arm.name} is timed, so it must yield a training first, got {first}")
    return first


def _rows(study: Study, where: Timing, device: str, number: int, rounds: int) -> list[Row]:
    trainings = {arm.name: training_of(study, arm, where, device) for arm in study.arms_in(where)}
    saved = {name: timing.activation_bytes(each) for name, each in trainings.items()}
    steps = {name: timing.step_of(each) for name, each in trainings.items()}
    on = torch.device(device)
    peaks = {name: timing.peak_bytes(step, on) for name, step in steps.items()}
    took = timing.seconds(steps, rounds, on)
    return [
        {
            "arm": name,
            "condition": where.name,
            "seed": number,
            "step_seconds": float(f"{took[name]:.5g}"),
            "activation_bytes": saved[name],
            "peak_bytes": peaks[name],
        }
        for name in steps
    ]
