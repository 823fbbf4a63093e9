"""Arms, the hyperparameters they are tuned over, and the conditions they are run in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from reviewlib.storage import undigested
from reviewlib.trial.contrast import Operand

if TYPE_CHECKING:
    from reviewlib.train import Solution, Training
    from reviewlib.trial.inputs import Inputs

T = TypeVar("T")
# The roles that PROTOCOL rule 2 asks of every study.
CORE_ROLES = ("baseline", "baseline at equal cost", "method", "simple", "placebo")
ROLES = (*CORE_ROLES, "untuned", "combination", "ablation", "control")
# Per condition, the losses and scores of an arm's tiny runs (see `fingerprints`).
Fingerprint = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter and the range it is searched in."""

    name: str
    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for a range that cannot be searched."""
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"the range of hyperparameter {self.name} must ascend, and start above 0 on a log "
                f"scale, got {self.low} to {self.high}: change it, or pass log=False"
            )

    def at(self, u: float) -> float:
        """Return the value at position u in [0, 1] of the range, to four significant digits."""
        if self.log:
            value = self.low * (self.high / self.low) ** u
        else:
            value = self.low + (self.high - self.low) * u
        return float(f"{value:.4g}")


@dataclass(frozen=True)
class Condition:
    """A condition of the experiment, in which arms are run and compared.

    Attributes:
        name: identifier in the records.
        label: name on the page.
        label_noise: fraction of the training and validation labels that are wrong.
        fixed: settings that it fixes for all arms, for example a width.
        step_multiple: factor on the steps of every arm.
        stack: largest number of trials of an arm that are trained as one batched model.
        ragged: name that conditions share if their nets differ only in width and are trained as one
            batch; empty if this condition has its own batches.
        parent: name of the condition whose settings each arm takes, seed by seed, instead of a
            search in this one (see `Study.parent`).
    """

    name: str
    label: str = undigested()
    label_noise: float = 0.0
    fixed: Mapping[str, float] = field(default_factory=dict)
    step_multiple: float = 1
    stack: int = 1
    ragged: str = ""
    parent: str = ""


@dataclass(frozen=True)
class Timing(Condition):
    """A condition in which arms take single steps, whose time and memory are measured.

    A claim names it as it names a condition. Its metrics are `step_seconds`, `activation_bytes`
    and, on a GPU, `peak_bytes`; where another condition has seeds, it has launches of a process.

    Attributes:
        arms: the arms whose steps are timed side by side, or their names. Each takes the first
            training that its `train` yields.
        fixed: all settings that they read, in place of their own.
        image_size: height and width of the images (pixels).
        batch_size: examples per step.
    """

    _: KW_ONLY
    arms: tuple[Arm | str, ...]
    image_size: int
    batch_size: int

    def __post_init__(self) -> None:
        """Replace arms by their names; raise ValueError for what only trained nets have."""
        object.__setattr__(self, "arms", names_of(self.arms))
        usual = Condition(self.name, fixed=self.fixed, label=self.label)
        unused = ("label_noise", "step_multiple", "stack", "ragged", "parent")
        if odd := [each for each in unused if getattr(self, each) != getattr(usual, each)]:
            raise ValueError(f"timing {self.name} trains no nets: leave out {', '.join(odd)}")


@dataclass(frozen=True)
class Arm(Operand):
    """One of the procedures that a study compares.

    Attributes:
        name: identifier in the records.
        label: name on the page.
        role: one of ROLES.
        search: names of the hyperparameters it is tuned over.
        note: why the study has it, in one sentence.
        train: a generator function of a run's `Inputs`. It yields a training, a solution, or a list
            of them as replicates, and receives the fit or the list of fits (see
            `procedures.complete`).
        fixed: hyperparameters that it fixes, with their values.
        step_multiple: factor on the preset's steps; a fraction for an arm at equal time.
        train_fraction: fraction of the preset's training images that it gets, in (0, 1].
        search_seed: 0 for the seed's own search. Another number gives other search points,
            initializations and batch orders on the same images, as an A/A control needs.
        stochastic: whether its training draws random numbers (views, dropout, random directions);
            only the trials of one seed, which share the draws, then train together.
        parent: name of the arm whose settings an ablation takes, seed by seed; or several arms, in
            the middle of whose settings a combination trains (see `search.joined`).
        searches_less: why a core arm leaves out a hyperparameter that the others search, or takes
            another range under another name; printed on the page.
        may_fail: whether it may be as bad as it likes, such as a random mask; another arm of a
            primary claim must learn more than logistic regression.
        conditions: the conditions it is run in, or their names; empty for all.
    """

    name: str
    label: str = undigested()
    _: KW_ONLY
    role: str
    search: tuple[str, ...]
    note: str = undigested()
    train: Callable[[Inputs], Iterator[Training | Solution | list]] = undigested()
    fixed: Mapping[str, float] = field(default_factory=dict)
    step_multiple: float = 1
    train_fraction: float = 1.0
    search_seed: int = 0
    stochastic: bool = False
    parent: str | tuple[Arm | str, ...] = ""
    searches_less: str = undigested(default="")
    may_fail: bool = False
    conditions: tuple[Condition | str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown role or a fraction out of range."""
        object.__setattr__(self, "conditions", names_of(self.conditions))
        if not isinstance(self.parent, str):
            object.__setattr__(self, "parent", names_of(self.parent))
        if self.role not in ROLES:
            raise ValueError(f"the role of arm {self.name} must be one of {ROLES}, got {self.role}")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(
                f"the train_fraction of arm {self.name} must lie in (0, 1], "
                f"got {self.train_fraction}"
            )

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of the arms whose settings it takes."""
        if isinstance(self.parent, tuple):
            return self.parent
        return (self.parent,) if self.parent else ()

    @property
    def terms(self) -> tuple[tuple[float, str, None]]:
        """The arm as a term of a contrast, with weight 1 and no condition yet."""
        return ((1, self.name, None),)


def names_of(things: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the names of arms or conditions, each given as an object or by name."""
    return tuple(thing if isinstance(thing, str) else thing.name for thing in things)


def found(owner: str, what: str, things: Mapping[str, T], name: str) -> T:
    """Return the thing of that name.

    Raises:
        ValueError: the owner has none; the message lists those it has.
    """
    if name in things:
        return things[name]
    raise ValueError(f"{owner} has no {what} {name!r}; it has {', '.join(things)}")
