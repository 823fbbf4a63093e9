"""The inputs of one run: its settings, images, sizes and randomness."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from reviewlib import data
from reviewlib.train import initialized
from reviewlib.trial.arms import Arm, Condition, found
from reviewlib.trial.study import Preset

# The seeds of a run's further batch orders and further nets are this far apart.
ORDERS_APART = 10**7


@dataclass(frozen=True)
class Sample:
    """The images of one run: its own training subset and a validation subset, never test images."""

    train: data.Split
    validation: data.Split
    classes: int


@dataclass(frozen=True)
class Inputs:
    """The argument of an arm's `train`: `run["lr"]` is a setting of the run.

    Attributes:
        arm: the arm of the run.
        condition: the condition of the run.
        preset: the sizes of the run.
        settings: the settings that the arm and the condition fix, and those from the search.
        sample: the images of the run.
        seed: source of all randomness of the run.
        make_net: the study's `net`.
        known: the names of settings that some run of the study has.
    """

    arm: Arm
    condition: Condition
    preset: Preset
    settings: Mapping[str, float]
    sample: Sample
    seed: int
    make_net: Callable[[Inputs], nn.Module]
    known: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> float:
        """Return a setting; raise ValueError with the run's settings if it has none of the name."""
        return found(self._where, "setting", self.settings, name)

    def __contains__(self, name: str) -> bool:
        """Return whether the run has a setting of this name."""
        return name in self.settings

    def get(self, name: str, default: float) -> float:
        """Return a setting, or the default if only other runs of the study have it.

        Raises:
            ValueError: no run of the study has a setting of this name.
        """
        defaults = dict.fromkeys(self.known, default)
        return found("the study", "setting", {**defaults, **self.settings}, name)

    @property
    def _where(self) -> str:
        return f"the run of arm {self.arm.name} in condition {self.condition.name}"

    @property
    def steps(self) -> int:
        """Optimizer steps of a training: the preset's, times the arm's and the condition's."""
        return round(self.preset.steps * self.arm.step_multiple * self.condition.step_multiple)

    def net(self, number: int = 0) -> nn.Module:
        """Return a new net, initialized from the run's seed; each number gives another one."""
        return self.initialized(lambda: self.make_net(self), number)

    def initialized(self, make: Callable[[], nn.Module], number: int = 0) -> nn.Module:
        """Return `make()` on the run's device, initialized as `net` is."""
        model = initialized(make, self.seed + number * ORDERS_APART)
        return model.to(self.sample.train.labels.device)

    @cached_property
    def orders(self) -> Iterator[int]:
        """Seeds of batch orders for intermediate trainings, all different from the run's own."""
        return itertools.count(self.seed + ORDERS_APART, ORDERS_APART)

    def stream(self) -> torch.Generator:
        """Return a generator at the start of the method's own random stream."""
        return data.stream(self.seed, "method")
