"""One run, a pure function of its arguments: an arm's whole search on one seed.

The arguments identify a run (arm, trials, condition, seed, sizes, data, folds, results_version);
time and machine do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from reviewlib import data
from reviewlib.storage import digest
from reviewlib.train import Fit
from reviewlib.trial.arms import Arm, Condition, Fingerprint
from reviewlib.trial.inputs import Inputs, Sample
from reviewlib.trial.procedures import Procedure, complete
from reviewlib.trial.scores import Row, row_of
from reviewlib.trial.search import Settings, own_seed
from reviewlib.trial.study import Preset, Study

Fits = list[Fit]  # the last fits of a trial: one, or one per replicate


@dataclass(frozen=True)
class Run:
    """A run to do: one arm in one condition on one final seed, with all settings that it tries.

    Attributes:
        preset: the sizes in the condition.
        trials: the searched settings of each trial.
    """

    arm: Arm
    condition: Condition
    seed: int
    preset: Preset
    trials: tuple[Settings, ...]

    @property
    def fixed(self) -> Settings:
        """The settings that condition and arm fix."""
        return {**self.condition.fixed, **self.arm.fixed}

    def procedure(self, study: Study, sample: Sample, trial: int) -> Procedure:
        """Return a trial's procedure, not yet started (see `procedures.complete`)."""
        seed, settings = own_seed(self.arm, self.seed), self.fixed | self.trials[trial]
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
                "settings": [self.fixed, self.trials],
                "condition": [
                    self.condition.name,
                    self.condition.label_noise,
                    self.condition.step_multiple,
                ],
                "seed": self.seed,
                "sizes": [
                    self.preset.image_size,
                    self.preset.train,
                    self.preset.validation,
                    self.preset.batch_size,
                    self.preset.steps,
                ],
                "tries": self.preset.tries,
                "folds": [self.preset.seeds, data.FOLD_SEED],
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


def tasks(runs: Sequence[Run]) -> list[list[int]]:
    """Return the tasks, each as the positions of the runs that are carried out together.

    Runs of one arm and condition share a task as long as all their trials fit into one stack; those
    of a stochastic arm have a task each. Conditions with the same `ragged` name join their tasks.
    Machine and cache have no influence, so in a study and preset the same runs always share a task.
    """
    together: dict[tuple[str, str, int], dict[str, list[int]]] = {}
    for position, run in enumerate(runs):
        ragged = "" if run.arm.stochastic else run.condition.ragged
        where = ragged or run.condition.name
        places = together.setdefault((run.arm.name, where, len(run.trials)), {})
        places.setdefault(run.condition.name, []).append(position)
    composed = []
    for (*_, trials), places in together.items():
        by_seed = list(zip(*places.values(), strict=True))  # one run of every condition
        run = runs[by_seed[0][0]]
        seeds = 1 if run.arm.stochastic else max(1, run.condition.stack // trials)
        for start in range(0, len(by_seed), seeds):
            composed.append([place for one in by_seed[start : start + seeds] for place in one])
    return composed


def trained(
    study: Study, runs: Sequence[Run], development: data.Development
) -> list[tuple[Run, list[Fits], Sample]]:
    """Train all trials of the runs of one task; `development` has no test data.

    Returns:
        Each run with the last fits of each of its trials, and its images.
    """
    samples = [
        draw(development, run.preset, run.condition, run.seed, run.arm.train_fraction)
        for run in runs
    ]
    seeds = len({run.seed for run in runs})
    conditions = len(runs) // seeds
    # seed by seed, trial by trial, and one run of every condition
    asked = [
        (run, trial)
        for seed in range(seeds)
        for trial in range(len(runs[0].trials))
        for run in range(seed * conditions, (seed + 1) * conditions)
    ]
    ends: list[list[Fits]] = [[] for _ in runs]
    size = runs[0].condition.stack * conditions
    for start in range(0, len(asked), size):
        part = asked[start : start + size]
        procedures = [runs[run].procedure(study, samples[run], trial) for run, trial in part]
        for (run, _), last in zip(part, complete(procedures), strict=True):
            ends[run].append(last)
    return list(zip(runs, ends, samples, strict=True))


def perform(study: Study, runs: Sequence[Run], device: str = "cpu") -> list[Row]:
    """Train and score the runs of one task, on one thread; a diverged trial gets chance scores.

    The settings are ranked by validation alone; test images are read after all training.

    Args:
        study: the study that the runs belong to.
        runs: one of the `tasks`.
        device: the device to train on.
    """
    dataset = data.load(runs[0].preset.data, device)
    with one_thread():
        return [
            row_of(study, run, trials, sample, fold_of(study, run.seed, run.preset, dataset))
            for run, trials, sample in trained(study, runs, dataset.development)
        ]


def fold_of(study: Study, seed: int, preset: Preset, dataset: data.Dataset) -> data.Split:
    """Return the test images of a final seed, which no other seed of the study has."""
    seeds = study.seeds(preset)
    part = data.fold(dataset.test, seeds.index(seed), len(seeds), version=study.results_version)
    return data.shrink(part, preset.image_size)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: nets this small gain nothing from more, and sums keep their order.

    Denormal numbers count as zero meanwhile: weight decay leads there, and they cost many times as
    much as others.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
