"""What is compared, over what it is searched, and where: arms, hyperparameters and conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reviewlib.storage import undigested
from reviewlib.trial.contrast import Operand

if TYPE_CHECKING:
    from reviewlib.train import Solution, Training
    from reviewlib.trial.inputs import Inputs

# The roles that PROTOCOL rule 2 asks of every study.
CORE_ROLES = ("baseline", "baseline at equal cost", "method", "simple", "placebo")
ROLES = (*CORE_ROLES, "untuned", "combination", "ablation", "control")


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter and the range it is searched in."""

    name: str
    low: float
    high: float
    log: bool = True

    def at(self, u: float) -> float:
        """Return the value at u in [0, 1] of the range, to four significant digits."""
        if self.log:
            value = self.low * (self.high / self.low) ** u
        else:
            value = self.low + (self.high - self.low) * u
        return float(f"{value:.4g}")


@dataclass(frozen=True)
class Condition:
    """One setting of the experiment that arms are run in.

    Attributes:
        name: identifier in the records.
        label: what the page calls it.
        label_noise: share of the labels, of training and validation images, that are wrong.
        fixed: what it holds at a value for all arms (a width, say), besides the arms' own settings.
        step_multiple: the steps of every arm here, as a multiple.
        stack: how many runs of an arm are trained as one batched model here, at most.
        ragged: conditions of the same name here, whose nets differ in width only, are trained as
            one batch of all widths; empty for a condition by itself.
    """

    name: str
    label: str = undigested()
    label_noise: float = 0.0
    fixed: Mapping[str, float] = field(default_factory=dict)
    step_multiple: float = 1
    stack: int = 1
    ragged: str = ""


@dataclass(frozen=True)
class Arm(Operand):
    """One thing compared.

    Attributes:
        name: identifier in the records.
        label: what the page calls it.
        role: one of ROLES.
        search: the hyperparameters it is tuned over, by name.
        note: why it is there, one sentence.
        train: a generator function of a run's `Inputs`: it yields a training or a solution, or
            several that are replicates of each other, and gets back what came out (see
            `procedures.complete`).
        fixed: hyperparameters that it holds at a value.
        step_multiple: its steps, as a multiple of the preset's.
        train_fraction: of the preset's training images that it is given, in (0, 1].
        search_seed: 0 for the study's search sequence. An arm with another number is tuned over
            other points, with its own initializations and batch orders: an A/A control.
        stochastic: whether its training draws random numbers (views, dropout, random directions);
            each of its runs then trains by itself.
        conditions: where it is run, given as conditions or their names; empty for all.
    """

    name: str
    label: str = undigested()
    role: str
    search: tuple[str, ...]
    note: str = undigested()
    train: Callable[[Inputs], Iterator[Training | Solution | list]] = undigested()
    fixed: Mapping[str, float] = field(default_factory=dict)
    step_multiple: int = 1
    train_fraction: float = 1.0
    search_seed: int = 0
    stochastic: bool = False
    conditions: tuple[Condition | str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown role or a fraction out of range."""
        object.__setattr__(self, "conditions", names_of(self.conditions))
        if self.role not in ROLES:
            raise ValueError(f"the role of arm {self.name} must be one of {ROLES}, got {self.role}")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(
                f"the train_fraction of arm {self.name} must lie in (0, 1], "
                f"got {self.train_fraction}"
            )

    @property
    def terms(self) -> tuple[tuple[float, str, None]]:
        """What it stands for in a contrast."""
        return ((1, self.name, None),)


def names_of(things: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the names of things that are given as they are or by name."""
    return tuple(thing if isinstance(thing, str) else thing.name for thing in things)
