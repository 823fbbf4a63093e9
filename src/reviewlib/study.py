"""What a study declares: arms, knobs, cells, presets and claims, as frozen data.

The baseline is an `Arm` like any other, so tuning and comparison cannot tell it from the method.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reviewlib import papers
from reviewlib.storage import meaning, wording

if TYPE_CHECKING:
    from torch import nn

    from reviewlib.data import Split
    from reviewlib.train import Solution, Training

# The roles that PROTOCOL rule 2 asks of every study.
CORE_ROLES = ("baseline", "baseline at equal cost", "method", "simple", "placebo")
ROLES = (*CORE_ROLES, "handicapped", "combination", "ablation", "control")
# Final seeds are counted from a multiple of this, so that a study which was changed after its final
# seeds had been seen gets fresh ones when its author raises `numerics`.
SEEDS_APART = 1000
# An arm with a search of its own has initializations and batch orders from streams this far off.
STREAMS_APART = 10**9


@dataclass(frozen=True)
class Knob:
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
class Arm:
    """One thing compared.

    Attributes:
        name: identifier in the records.
        label: what the page calls it.
        role: one of ROLES.
        knobs: the hyperparameters it is tuned over, by name.
        note: why it is there, one sentence.
        fixed: hyperparameters that it holds at a value.
        times: its steps, as a multiple of the preset's.
        share: of the preset's training images that it is given, in (0, 1].
        search: 0 for the study's search sequence. An arm with another number is tuned over draws of
            its own, with its own initializations and batch orders: a control on the luck of tuning.
        draws: whether its training draws random numbers (views, dropout, random directions); each
            of its runs then trains by itself.
        cells: names of the cells that it is run in; empty for all.
    """

    name: str
    label: str = wording()
    role: str
    knobs: tuple[str, ...]
    note: str = wording()
    fixed: Mapping[str, float] = field(default_factory=dict)
    times: int = 1
    share: float = 1.0
    search: int = 0
    draws: bool = False
    cells: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a role that the protocol does not know, or a share out of range."""
        if self.role not in ROLES:
            raise ValueError(f"the role of arm {self.name} must be one of {ROLES}, got {self.role}")
        if not 0 < self.share <= 1:
            raise ValueError(f"the share of arm {self.name} must lie in (0, 1], got {self.share}")


@dataclass(frozen=True)
class Cell:
    """One setting of the experiment that arms are run in.

    Attributes:
        name: identifier in the records.
        label: what the page calls it.
        label_noise: share of the labels, of training and validation images, that are wrong.
        fixed: what it holds at a value for all arms (a width, say), besides the arms' own settings.
        stack: how many runs of an arm are trained as one batched model here, at most.
        ragged: cells of the same name here, whose nets differ in width only, are trained as one
            batch of all widths; empty for a cell by itself.
    """

    name: str
    label: str = wording()
    label_noise: float = 0.0
    fixed: Mapping[str, float] = field(default_factory=dict)
    stack: int = 1
    ragged: str = ""


@dataclass(frozen=True)
class Preset:
    """The sizes of a study.

    Attributes:
        name: quick, laptop or gpu.
        data: name of the data set.
        side: images are averaged down to this height and width (pixels).
        train: training images a run.
        validation: validation images a run.
        batch_size: examples a step.
        steps: optimizer steps, before an arm's multiple.
        trials: hyperparameter settings tried for every arm.
        tuning_seeds: seeds a trial, used for nothing else.
        seeds: final seeds, each with its own disjoint fold of the test set.
        cells: names of the cells that it runs; empty for all.
        arms: names of the arms that it runs; empty for all.
        settings_from: preset whose records hold the settings of the final runs, instead of the
            outcome of this preset's own tuning.
    """

    name: str
    data: str
    side: int
    train: int
    validation: int
    batch_size: int
    steps: int
    trials: int
    tuning_seeds: int
    seeds: int
    cells: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    settings_from: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return the sizes as JSON knows them, without those at their default."""
        return meaning(self)


@dataclass(frozen=True)
class Reported:
    """A number as the paper gives it."""

    text: str
    where: str
    runs: int | None
    interval: bool


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and the test it is put to.

    Attributes:
        name: identifier.
        statement: the claim in our words.
        where: where the paper makes it.
        kind: "gain", "no loss", or "out of scope".
        primary: whether it gets a verdict.
        metric: a column of the records.
        better: which direction of the metric is better.
        contrast: (weight, arm, cell) terms; weights sum to 0.
        scale: of the contrast: a difference, or a difference of logarithms.
        margin: smallest effect that would matter, on that scale.
        margin_reason: why this margin, where it is not the protocol's default.
        reported: the paper's numbers.
        control: for "no loss", the contrast that must show a loss.
        why: for "out of scope", the reason.
    """

    name: str
    statement: str = wording()
    where: str = wording()
    kind: Literal["gain", "no loss", "out of scope"]
    primary: bool = False
    metric: str = "accuracy"
    better: Literal["higher", "lower"] = "higher"
    contrast: tuple[tuple[float, str, str], ...] = ()
    scale: Literal["difference", "log ratio"] = "difference"
    margin: float = 0.01
    margin_reason: str = wording(default="the protocol's default for accuracy: 1.0 point")
    reported: tuple[Reported, ...] = wording(default=())
    control: tuple[tuple[float, str, str], ...] = ()
    why: str = wording(default="")

    def __post_init__(self) -> None:
        """Raise ValueError for a claim that could not be tested as declared."""
        if self.kind == "out of scope":
            if not self.why or self.primary:
                raise ValueError(f"claim {self.name} is out of scope: say why, and not primary")
            return
        if not self.contrast or abs(sum(weight for weight, _, _ in self.contrast)) > 1e-12:
            raise ValueError(f"claim {self.name} needs a contrast whose weights sum to 0")
        if not self.margin > 0:
            raise ValueError(f"claim {self.name} needs a margin above 0, got {self.margin}")
        if self.kind == "no loss" and self.primary and not self.control:
            raise ValueError(f"claim {self.name} says 'no loss': it needs a control that loses")


@dataclass(frozen=True)
class Sample:
    """What one run may see: its own training subset and a validation subset, never test images."""

    train: Split
    validation: Split
    classes: int


@dataclass(frozen=True)
class Study:
    """One paper's experiment.

    Attributes:
        name: the paper's folder, notebook and records.
        title: the chapter's title.
        citation: authors, venue, arXiv number.
        arms: everything compared; the knobs of all of them share one search sequence.
        knobs: the union of all hyperparameters.
        cells: the settings that arms are run in (see `Arm.cells`).
        presets: by size, smallest first.
        claims: what is tested; at most four primary.
        run: describes one arm's training, or its first stage, or what is found without steps:
            (arm, settings, sample, preset, seed) -> Training or Solution.
        evaluate: scores a model on a split: (model, split) -> metrics.
        inspect: measures a final model on its own training images: (model, sample) -> metrics.
        controls: effects whose truth is known (a planted one, none at all), judged like claims.
        not_applicable: core roles without an arm, with the reason.
        numerics: raised by the author when results should change.
    """

    name: str
    title: str
    citation: str
    arms: tuple[Arm, ...]
    knobs: tuple[Knob, ...]
    cells: tuple[Cell, ...]
    presets: tuple[Preset, ...]
    claims: tuple[Claim, ...]
    run: Callable[[Arm, Mapping[str, float], Sample, Preset, int], Training | Solution]
    evaluate: Callable[[nn.Module, Split], dict[str, float]]
    inspect: Callable[[nn.Module, Sample], dict[str, float]] | None = None
    controls: tuple[Claim, ...] = ()
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    numerics: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError for a study that the protocol would not let pass."""
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"arm names must differ, got {names}")
        known = {knob.name for knob in self.knobs}
        for arm in self.arms:
            if missing := set(arm.knobs) - known:
                raise ValueError(f"arm {arm.name} is tuned over undeclared knobs {sorted(missing)}")
        self._check_budgets()
        for role in CORE_ROLES:
            if role not in {arm.role for arm in self.arms} and role not in self.not_applicable:
                raise ValueError(
                    f"study {self.name} has no arm in the role {role!r}: add one, or say in "
                    "not_applicable why it makes no sense"
                )
        if (primaries := len(self.primary)) > 4:
            raise ValueError(f"a study has at most four primary claims, {self.name}: {primaries}")
        run = {(arm.name, cell.name) for cell in self.cells for arm in self.arms_in(cell)}
        for claim in (*self.claims, *self.controls):
            for _, arm, cell in (*claim.contrast, *claim.control):
                if (arm, cell) not in run:
                    raise ValueError(
                        f"claim {claim.name} compares {arm} in {cell}, which the study does not run"
                    )

    def _check_budgets(self) -> None:
        """Raise ValueError for a core arm that could not use what the others are given.

        The number of trials is the preset's, the same for every arm by construction.
        """
        core = [arm for arm in self.arms if arm.role in CORE_ROLES]
        searched = {knob for arm in core for knob in arm.knobs}
        for arm in core:
            if not arm.knobs:
                raise ValueError(f"core arm {arm.name} has no knobs: name what it is tuned over")
            if held := sorted(searched & set(arm.fixed)):
                raise ValueError(
                    f"core arm {arm.name} holds {held} fixed, which other core arms are tuned "
                    "over; tune it too, or make the arm 'handicapped'"
                )
            if arm.search or arm.share != 1:
                raise ValueError(
                    f"core arm {arm.name} has a search or a share of the data of its own; only a "
                    "'control' may"
                )

    @property
    def primary(self) -> tuple[Claim, ...]:
        """The claims that get a verdict."""
        return tuple(claim for claim in self.claims if claim.primary)

    def arm(self, name: str) -> Arm:
        """Return the arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def role(self, role: str) -> Arm:
        """Return the first arm in that role."""
        return next(arm for arm in self.arms if arm.role == role)

    def cell(self, name: str) -> Cell:
        """Return the cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)

    def arms_of(self, preset: Preset) -> list[Arm]:
        """Return the arms that a preset runs."""
        return [arm for arm in self.arms if not preset.arms or arm.name in preset.arms]

    def cells_of(self, preset: Preset) -> list[Cell]:
        """Return the cells that a preset runs."""
        return [cell for cell in self.cells if not preset.cells or cell.name in preset.cells]

    def arms_in(self, cell: Cell, preset: Preset | None = None) -> list[Arm]:
        """Return the arms that are run in a cell, at a preset or at all."""
        arms = self.arms if preset is None else self.arms_of(preset)
        return [arm for arm in arms if not arm.cells or cell.name in arm.cells]

    def seeds(self, preset: Preset) -> range:
        """Return the final seeds, which belong to this `numerics` and are used for nothing else."""
        first = SEEDS_APART * self.numerics
        return range(first, first + preset.seeds)

    def preset(self, name: str) -> Preset:
        """Return the preset of that name.

        Raises:
            ValueError: the study has none; the message lists those it has.
        """
        for preset in self.presets:
            if preset.name == name:
                return preset
        known = ", ".join(preset.name for preset in self.presets)
        raise ValueError(f"study {self.name} has no preset {name!r}; it has {known}")


def found() -> list[str]:
    """Return the names of all studies: the folders of `reviewlib.papers` with a study.py."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(papers.__path__)
        if (Path(papers.__path__[0]) / module.name / "study.py").exists()
    )


def find(name: str) -> Study:
    """Return the study of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in found():
        raise ValueError(f"no study is called {name!r}; there are: {', '.join(found())}")
    return importlib.import_module(f"{papers.__name__}.{name}.study").STUDY
