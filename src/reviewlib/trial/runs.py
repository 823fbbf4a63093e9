"""One run, a pure function of its arguments: its identity, images, training and scores.

The arguments identify a run (arm, settings, condition, seed, sizes, data, results_version); time
and machine do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch

from reviewlib import data
from reviewlib.storage import digest
from reviewlib.train import Fit
from reviewlib.trial.arms import Arm, Condition, Fingerprint
from reviewlib.trial.inputs import Inputs, Sample
from reviewlib.trial.procedures import Procedure, complete
from reviewlib.trial.scores import Row, means, row_of
from reviewlib.trial.study import Preset, Study

# The seeds of initializations and batch orders of two search seeds are this far apart.
STREAMS_APART = 10**9


@dataclass(frozen=True)
class Run:
    """A run to do: one arm with its settings, in one condition, on one seed.

    Attributes:
        phase: "tuning" is scored on validation images, "final" on the seed's test fold.
        fold: (index, number of folds) of the test set; only in the final phase.
    """

    arm: Arm
    condition: Condition
    settings: tuple[tuple[str, float], ...]
    seed: int
    preset: Preset
    phase: Literal["tuning", "final"]
    fold: tuple[int, int] | None = None

    def all_settings(self) -> dict[str, float]:
        """Return the settings that the arm and the condition fix, and those from the search."""
        return {**self.condition.fixed, **self.arm.fixed, **dict(self.settings)}

    def procedure(self, study: Study, sample: Sample) -> Procedure:
        """Return the run's procedure, not yet started (see `procedures.complete`)."""
        seed = self.seed + self.arm.search_seed * STREAMS_APART
        settings = self.all_settings()
        known = study.settings
        inputs = Inputs(
            self.arm, self.condition, self.preset, settings, sample, seed, study.net, known
        )
        made = self.arm.train(inputs)
        if not isinstance(made, Generator):
            raise ValueError(
                f"the `train` of arm {self.arm.name} must yield its trainings, and it returned a "
                f"{type(made).__name__}: write `yield`, not `return`"
            )
        return made

    def key(self, study: Study, contents: list, fingerprint: Fingerprint) -> str:
        """Return the digest of all that the run's result depends on, with the data's `identity`."""
        return digest(
            {
                "fingerprint": fingerprint,
                "study": study.name,
                "results_version": study.results_version,
                "data": contents,
                "arm": [
                    self.arm.name,
                    self.arm.step_multiple,
                    self.arm.train_fraction,
                    self.arm.search_seed,
                ],
                "settings": sorted(self.all_settings().items()),
                "condition": [self.condition.label_noise, self.condition.step_multiple],
                "seed": self.seed,
                "sizes": [
                    self.preset.image_size,
                    self.preset.train,
                    self.preset.validation,
                    self.preset.batch_size,
                    self.preset.steps,
                ],
                "phase": [self.phase, self.fold, data.FOLD_SEED],
                "stack": [self.arm.stochastic, self.condition.stack, self.condition.ragged],
            }
        )


def draw(
    development: data.Development,
    preset: Preset,
    condition: Condition,
    seed: int,
    train_fraction: float = 1.0,
) -> Sample:
    """Return the seed's training and validation subsets, with the condition's label noise on both.

    The same seed gives every arm the same images and the same wrong labels; an arm with a
    train_fraction gets the first of the same training images.

    Raises:
        ValueError: the preset asks for more than half of a pool.
    """
    classes = len(development.classes)
    subset, noise = data.stream(seed, "subset"), data.stream(seed, "noise")
    parts = []
    for what, split, size in (
        ("training", development.train, preset.train),
        ("validation", development.validation, preset.validation),
    ):
        data.require_half(size, len(split), what)
        part = data.shrink(data.subset(split, size, subset), preset.image_size)
        labels = data.flip_labels(part.labels, condition.label_noise, classes, noise)
        parts.append(data.Split(part.images, labels))
    training, validation = parts
    if train_fraction < 1:
        training = training.take(range(round(train_fraction * preset.train)))
    return Sample(training, validation, classes)


def stacks(runs: Sequence[Run]) -> list[list[int]]:
    """Return the stacks, each as the positions of the runs that are trained together.

    Runs of one arm, condition and phase share a stack, up to the limit of the condition. Conditions
    with the same `ragged` name join their stacks; runs of a stochastic arm train by themselves.
    Machine and cache have no influence, so in a study and preset the same runs are always in the
    same stack.
    """
    together: dict[tuple[str, str, str], dict[str, list[int]]] = {}
    for position, run in enumerate(runs):
        where = run.condition.ragged or run.condition.name
        batch = together.setdefault((run.arm.name, where, run.phase), {})
        batch.setdefault(run.condition.name, []).append(position)
    composed = []
    for batch in together.values():
        side_by_side = list(zip(*batch.values(), strict=True))  # one run of every condition
        run = runs[side_by_side[0][0]]
        if run.arm.stochastic:
            composed += [[position] for positions in batch.values() for position in positions]
            continue
        for i in range(0, len(side_by_side), run.condition.stack):
            composed.append(list(chain.from_iterable(side_by_side[i : i + run.condition.stack])))
    return composed


def trained(
    study: Study, runs: Sequence[Run], development: data.Development
) -> list[tuple[Run, list[Fit], Sample]]:
    """Train the runs of one stack to their ends; `development` has no test data."""
    samples = [
        draw(development, run.preset, run.condition, run.seed, run.arm.train_fraction)
        for run in runs
    ]
    procedures = [run.procedure(study, sample) for run, sample in zip(runs, samples, strict=True)]
    return list(zip(runs, complete(procedures), samples, strict=True))


def perform(study: Study, runs: Sequence[Run], device: str = "cpu") -> list[Row]:
    """Train and score the runs of one stack, on one thread; a diverged run gets chance scores.

    Args:
        study: the study that the runs belong to.
        runs: one of the `stacks`.
        device: the device to train on.
    """
    dataset = data.load(runs[0].preset.data, device)
    with one_thread():
        if runs[0].phase == "tuning":
            return _tuning_rows(study, runs, dataset.development)
        return _final_rows(study, runs, dataset)


def _tuning_rows(study: Study, runs: Sequence[Run], development: data.Development) -> list[Row]:
    """Train and score on validation images; `development` has no test images."""
    return [
        row_of(study, run, ends, sample, sample.validation)
        for run, ends, sample in trained(study, runs, development)
    ]


def _final_rows(study: Study, runs: Sequence[Run], dataset: data.Dataset) -> list[Row]:
    """Train, score every run on its seed's fold of the test set, and inspect its model."""
    rows = []
    for run, ends, sample in trained(study, runs, dataset.development):
        fold = data.shrink(data.fold(dataset.test, *run.fold), run.preset.image_size)
        row = row_of(study, run, ends, sample, fold)
        if study.inspect is not None and row["diverged_at"] is None:
            row |= means([study.inspect(end.model, sample) for end in ends])
        rows.append(row)
    return rows


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: nets this small gain nothing from more, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
