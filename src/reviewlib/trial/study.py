"""Studies and their presets, as frozen data.

The baseline is an `Arm` like any other, so it is tuned and compared exactly like the method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from reviewlib.storage import meaning, undigested
from reviewlib.trial.arms import Arm, Condition, Hyperparameter, T, Timing, found, names_of
from reviewlib.trial.claims import Claim
from reviewlib.trial.controls import claims_of
from reviewlib.trial.rules import require_fair

if TYPE_CHECKING:
    from torch import nn

    from reviewlib.data import Split
    from reviewlib.trial.inputs import Inputs, Sample

# The first final seed is `results_version` times this. An author who changes a study after seeing
# its final seeds raises the version and so gets fresh seeds, searches and folds.
SEEDS_APART = 100_000


@dataclass(frozen=True)
class Preset:
    """The sizes of a study.

    Attributes:
        name: quick, laptop or gpu.
        data: name of the data set.
        image_size: images are averaged down to this height and width (pixels).
        train: training images per run.
        validation: validation images per run.
        batch_size: examples per step.
        steps: optimizer steps, before the multiples of arm and condition.
        trials: number of settings tried for every arm on every seed.
        tries: length of the search that is judged: a run's result is the expected score of the best
            of this many of its trials.
        seeds: final seeds, each with its own disjoint fold of the test pool.
        conditions: the conditions that it runs, or their names; empty for all.
        arms: the arms that it runs, or their names; empty for all.
        where: by name of a condition, the sizes that differ there (see `at`).
        settings_from: name of the preset whose records give the settings, seed by seed. While they
            do not have them all, one search on the first seed gives them. None if every seed is
            searched.
    """

    name: str
    data: str
    image_size: int
    train: int
    validation: int
    batch_size: int
    steps: int
    trials: int
    tries: int
    seeds: int
    conditions: tuple[Condition | str, ...] = ()
    arms: tuple[Arm | str, ...] = ()
    where: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    settings_from: str | None = None

    def __post_init__(self) -> None:
        """Replace conditions and arms by their names."""
        object.__setattr__(self, "conditions", names_of(self.conditions))
        object.__setattr__(self, "arms", names_of(self.arms))
        if not 1 <= self.tries <= self.trials:
            raise ValueError(
                f"preset {self.name} must have 1 to {self.trials} tries, as many as it has trials "
                f"at most, got {self.tries}"
            )

    def at(self, condition: Condition | str) -> Preset:
        """Return the sizes in a condition."""
        (name,) = names_of((condition,))
        return replace(self, where={}, **self.where.get(name, {}))

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON types, without those at their default."""
        return meaning(self)


@dataclass(frozen=True)
class Study:
    """One paper's experiment.

    Attributes:
        name: name of the paper's folder, notebook and records.
        title: the chapter's title.
        citation: authors, venue, arXiv number.
        arms: the procedures to compare; they take their hyperparameters from the same points.
        hyperparameters: every hyperparameter that some arm is tuned over.
        conditions: the conditions that arms are run in (see `Arm.conditions`).
        presets: smallest first.
        claims: the claims; at most four are primary.
        net: makes the net of a run from its inputs, on the CPU, with torch's default generator.
        evaluate: scores a model on a split: (model, split) -> metrics.
        scores: further scores of a model on its test images, under corruption, say; what they need
            to fit, they fit on the sample's validation images: (model, fold, sample) -> metrics.
        timings: the conditions in which steps are timed.
        inspect: measures a final model on its own training images: (model, sample) -> metrics.
        question: what a reader asks; supported claims must answer "yes". The title's own question
            if empty.
        instead: advice on what to do instead, in one sentence that depends on no number.
        subject: what the answer says something about, in the singular: "SAM", "a ticket". The
            method's label if empty.
        not_applicable: core roles without an arm, with the reason.
        results_version: the number of the registration; the author raises it to change the test,
            which brings new seeds, searches and folds.
        awaiting: why the chapter waits for new records and shows older ones without verdicts; empty
            if it does not.
    """

    name: str
    title: str
    citation: str
    arms: tuple[Arm, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    conditions: tuple[Condition, ...]
    presets: tuple[Preset, ...]
    claims: tuple[Claim, ...]
    net: Callable[[Inputs], nn.Module]
    evaluate: Callable[[nn.Module, Split], dict[str, float]]
    scores: Callable[[nn.Module, Split, Sample], dict[str, float]] | None = None
    inspect: Callable[[nn.Module, Sample], dict[str, float]] | None = None
    timings: tuple[Timing, ...] = ()
    question: str = undigested(default="")
    instead: str = undigested(default="")
    subject: str = undigested(default="")
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    results_version: int = 1
    awaiting: str = undigested(default="")

    def __post_init__(self) -> None:
        """Write a statement for each claim without one; raise ValueError for an unfair study."""
        claims = (claim if claim.statement else self._worded(claim) for claim in self.claims)
        object.__setattr__(self, "claims", tuple(claims))
        require_fair(self)

    @property
    def primary(self) -> tuple[Claim, ...]:
        """The claims that get a verdict."""
        return tuple(claim for claim in self.claims if claim.primary)

    @property
    def controls(self) -> tuple[Claim, ...]:
        """The claims about the control arms, in each condition (see `controls.claims_of`)."""
        return tuple(
            claim
            for arm in self.arms
            if arm.role == "control"
            for condition in (*self.conditions, *self.timings)
            if arm in self.arms_in(condition)
            for claim in claims_of(self, arm, condition)
        )

    @property
    def settings(self) -> frozenset[str]:
        """The names of all settings that a run of some arm in some condition has."""
        searched = (hyperparameter.name for hyperparameter in self.hyperparameters)
        return frozenset(searched).union(
            *(each.fixed for each in (*self.arms, *self.conditions, *self.timings))
        )

    def arm(self, name: str) -> Arm:
        """Return the arm of that name."""
        return self._found("arm", self.arms, name)

    def role(self, role: str) -> Arm:
        """Return the first arm in that role."""
        first = {arm.role: arm for arm in reversed(self.arms)}
        return found(f"study {self.name}", "arm in the role", first, role)

    def condition(self, name: str) -> Condition:
        """Return the condition of that name, or the timing."""
        return self._found("condition", (*self.conditions, *self.timings), name)

    def arms_of(self, preset: Preset) -> list[Arm]:
        """Return the arms that a preset runs."""
        return [arm for arm in self.arms if not preset.arms or arm.name in preset.arms]

    def conditions_of(self, preset: Preset) -> list[Condition]:
        """Return the conditions that a preset runs."""
        names = preset.conditions
        return [condition for condition in self.conditions if not names or condition.name in names]

    def arms_in(self, condition: Condition, preset: Preset | None = None) -> list[Arm]:
        """Return the arms that are run in a condition, of a preset or of the whole study."""
        arms = self.arms if preset is None else self.arms_of(preset)
        if isinstance(condition, Timing):
            return [arm for arm in arms if arm.name in condition.arms]
        return [arm for arm in arms if not arm.conditions or condition.name in arm.conditions]

    def parents(self, arm: Arm, condition: Condition) -> list[tuple[str, str]]:
        """Return the arms and the condition whose settings an arm takes; [] if it searches itself.

        It tries them at half, once and twice the learning rate.
        """
        if not (arm.parent or condition.parent):
            return []
        where = condition.parent or condition.name
        return [(name, where) for name in arm.parents or (arm.name,)]

    def seeds(self, preset: Preset) -> range:
        """Return the final seeds of this `results_version`, which have no other use."""
        first = SEEDS_APART * self.results_version
        return range(first, first + preset.seeds)

    def preset(self, name: str) -> Preset:
        """Return the preset of that name."""
        return self._found("preset", self.presets, name)

    def searched(self, arm: Arm) -> tuple[str, ...]:
        """Return what an arm's settings are: what it searches, or what its parents do."""
        theirs = (self.arm(name).search for name in arm.parents)
        return tuple(dict.fromkeys(chain(arm.search, *theirs)))

    def _found(self, what: str, things: tuple[T, ...], name: str) -> T:
        """Return the thing of that name; raise ValueError with the known names if none has it."""
        return found(f"study {self.name}", what, {thing.name: thing for thing in things}, name)

    def _worded(self, claim: Claim) -> Claim:
        """Return a claim with a statement that names what is compared.

        Raises:
            ValueError: the contrast is no difference and no difference of differences.
        """
        terms = sorted(claim.contrast, key=lambda term: -term[0])
        if [weight for weight, *_ in terms] not in ([1, -1], [1, 1, -1, -1]):
            raise ValueError(f"claim {claim.name} needs a statement of what it compares")
        labels = {each.name: each.label for each in (*self.arms, *self.conditions, *self.timings)}
        named = [(labels.get(arm, arm), labels.get(where, where)) for _, arm, where in terms]
        places = list(dict.fromkeys(where for _, where in named))
        names = [arm if len(places) == 1 else f"{arm} ({where})" for arm, where in named]
        text = f"{names[0]} against {names[1]}" if len(names) == 2 else f"{names[0]}: interaction"
        where = f", {places[0]}" if len(places) == 1 else ""
        by = "" if claim.metric == "accuracy" else f", by {claim.metric.replace('_', ' ')}"
        return replace(claim, statement=f"{text}{where}{by}.")
