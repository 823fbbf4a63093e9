"""The rules of a fair comparison; a study that breaks one cannot be built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reviewlib.trial.arms import CORE_ROLES

if TYPE_CHECKING:
    from reviewlib.trial.study import Study


def require_fair(study: Study) -> None:
    """Raise ValueError for a study that breaks a rule; the message names the arm or claim."""
    for what, things in (
        ("preset", study.presets),
        ("hyperparameter", study.hyperparameters),
        ("arm", study.arms),
        ("condition", (*study.conditions, *study.timings)),
    ):
        _require_names_differ(what, things)
    for what, things in (("arm", study.arms), ("condition", study.conditions)):
        names = {thing.name for thing in things}
        for owner in (*study.presets, *(study.arms if what == "condition" else ())):
            if unknown := set(getattr(owner, f"{what}s")) - names:
                raise ValueError(f"{owner.name} names {what}s that {study.name} has not: {unknown}")
    known = {hyperparameter.name for hyperparameter in study.hyperparameters}
    for arm in study.arms:
        if missing := set(arm.search) - known:
            raise ValueError(
                f"arm {arm.name} is tuned over undeclared hyperparameters {sorted(missing)}"
            )
    _require_equal_tuning(study)
    _require_parents(study)
    _require_parent_conditions(study)
    _require_fixed_to_count(study)
    for role in CORE_ROLES:
        if role not in {arm.role for arm in study.arms} and role not in study.not_applicable:
            raise ValueError(
                f"study {study.name} has no arm in the role {role!r}: add one, or say in "
                "not_applicable why it makes no sense"
            )
    if (primaries := len(study.primary)) > 4:
        raise ValueError(f"a study has at most four primary claims, {study.name} has {primaries}")
    _require_names_differ("claim and control", (*study.claims, *study.controls))
    _require_known_sizes(study)
    _require_equal_seeds(study)
    _require_timed_alone(study)
    places = (*study.conditions, *study.timings)
    run = {(arm.name, where.name) for where in places for arm in study.arms_in(where)}
    for claim in (*study.claims, *study.controls):
        for _, arm, condition in (*claim.contrast, *claim.control):
            if (arm, condition) not in run:
                raise ValueError(
                    f"claim {claim.name} compares {arm} in {condition}, which the study does not "
                    "run"
                )


def _require_equal_seeds(study: Study) -> None:
    """Raise ValueError for conditions that train as one batch on different numbers of seeds."""
    for preset in study.presets:
        seeds: dict[str, int] = {}
        for where in study.conditions_of(preset):
            own = preset.at(where).seeds
            if where.ragged and seeds.setdefault(where.ragged, own) != own:
                raise ValueError(
                    f"conditions {where.ragged!r} of preset {preset.name} are one batch and must "
                    f"have equally many seeds, got {seeds[where.ragged]} and {own} ({where.name})"
                )


def _require_timed_alone(study: Study) -> None:
    """Raise ValueError for a timing of unknown arms, or a claim on timings and trained nets."""
    arms, timed = {arm.name for arm in study.arms}, {where.name for where in study.timings}
    for where in study.timings:
        if unknown := sorted(set(where.arms) - arms):
            raise ValueError(f"timing {where.name} names arms that {study.name} has not: {unknown}")
    for claim in (each for each in study.claims if each.contrast):
        places = {condition for *_, condition in (*claim.contrast, *claim.control)}
        if places & timed and places - timed:
            raise ValueError(
                f"claim {claim.name} compares timed steps with trained nets, {sorted(places)}: "
                "their rows are launches and seeds, which have no pairs"
            )
        if claim.timed != bool(places & timed):
            where = "a timing" if claim.timed else "a condition"
            raise ValueError(
                f"claim {claim.name} needs {where} for its metric {claim.metric}, and compares in "
                f"{sorted(places)}"
            )


def _require_known_sizes(study: Study) -> None:
    """Raise ValueError for sizes of a condition that would be ignored, or that cannot be paired."""
    names = {condition.name for condition in study.conditions}
    for preset in study.presets:
        if unknown := sorted(set(preset.where) - names):
            raise ValueError(f"preset {preset.name} has sizes for {unknown}, no conditions of it")
        run = {condition.name for condition in study.conditions_of(preset)}
        for claim in (*study.claims, *study.controls):
            asked = {condition for *_, condition in (*claim.contrast, *claim.control)}
            seeds = {name: preset.at(name).seeds for name in sorted(asked & run)}
            if len(set(seeds.values())) > 1:
                raise ValueError(
                    f"claim {claim.name} pairs the seeds of conditions that have different numbers "
                    f"of them in preset {preset.name}, {seeds}: give them equally many"
                )


def _require_names_differ(what: str, things: Iterable[Any]) -> None:
    names = [thing.name for thing in things]
    if len(set(names)) != len(names):
        raise ValueError(f"{what} names must differ, got {names}")


def _require_equal_tuning(study: Study) -> None:
    """Raise ValueError for a core arm that is not tuned like the others.

    The number of trials belongs to the preset and a range to its hyperparameter, so they are the
    same for every arm. What is left is which hyperparameters an arm searches: all that the
    baselines do, and the baselines all that every other core arm does.
    """
    core = [arm for arm in study.arms if arm.role in CORE_ROLES]
    baselines = [arm for arm in core if arm.role.startswith("baseline")]
    others = [arm for arm in core if arm not in baselines]
    searched = {name for arm in core for name in arm.search}
    asked = {name for arm in baselines for name in arm.search}
    if len(others) > 1:
        asked |= set.intersection(*(set(arm.search) for arm in others))
    for arm in core:
        if not arm.search:
            raise ValueError(f"core arm {arm.name} searches nothing: name what it is tuned over")
        if held := sorted(searched & set(arm.fixed)):
            raise ValueError(
                f"core arm {arm.name} holds {held} fixed, which other core arms are tuned over; "
                "tune it too, or make the arm 'untuned'"
            )
        if (missing := sorted(asked - set(arm.search))) and not arm.searches_less:
            raise ValueError(
                f"core arm {arm.name} does not search {missing}, which other core arms search; "
                "search it over the same range, or give the reason in searches_less"
            )
        if arm.search_seed or arm.train_fraction != 1 or arm.parent:
            raise ValueError(
                f"core arm {arm.name} must search and train like the others: leave search_seed, "
                "train_fraction and parent to controls and ablations"
            )


def _require_parents(study: Study) -> None:
    """Raise ValueError for an arm that cannot take its settings from its parent."""
    arms = {arm.name: arm for arm in study.arms}
    places = {condition.name: condition for condition in study.conditions}
    for claim in study.primary:
        children = {
            f"{name} in {where}"
            for _, name, where in claim.contrast
            if name in arms and where in places and study.parents(arms[name], places[where])
        }
        if named := sorted(children):
            raise ValueError(
                f"primary claim {claim.name} compares {', '.join(named)}, which has no search of "
                "its own: give it one instead of a parent, or make the claim exploratory"
            )
    for arm, parent in [(each, name) for each in study.arms for name in each.parents]:
        needs = f"arm {arm.name} takes its settings from its parent {parent!r}, which must "
        if parent not in arms:
            raise ValueError(f"{needs}be an arm of {study.name}; it has {', '.join(arms)}")
        if arms[parent].parent:
            raise ValueError(f"{needs}have a search of its own, and has a parent: name that one")
        if arm.search:
            raise ValueError(
                f"{needs}search for both, but {arm.name} searches {list(arm.search)}: leave its "
                "search empty, or its parent"
            )
        run = {where.name for where in study.conditions if arms[parent] in study.arms_in(where)}
        own = {where.name for where in study.conditions if arm in study.arms_in(where)}
        if missing := sorted(own - run):
            raise ValueError(f"{needs}run in {missing} too: give both the same conditions")
        for preset in study.presets:
            if arm in study.arms_of(preset) and arms[parent] not in study.arms_of(preset):
                raise ValueError(f"{needs}be an arm of preset {preset.name} too: name it there")


def _require_parent_conditions(study: Study) -> None:
    """Raise ValueError for a condition whose arms cannot take their settings from its parent."""
    places = {condition.name: condition for condition in study.conditions}
    for where in (where for where in study.conditions if where.parent):
        needs = f"condition {where.name} takes its settings from {where.parent!r}, which must "
        if where.parent not in places:
            raise ValueError(f"{needs}be a condition of {study.name}; it has {', '.join(places)}")
        if places[where.parent].parent:
            raise ValueError(f"{needs}be searched itself, and has a parent: name that one")
        parents = {name for arm in study.arms_in(where) for name, _ in study.parents(arm, where)}
        run = {arm.name for arm in study.arms_in(places[where.parent])}
        if missing := sorted(parents - run):
            raise ValueError(f"{needs}run {', '.join(missing)} too: add it there")
        for preset in study.presets:
            names = [condition.name for condition in study.conditions_of(preset)]
            if where.name in names and where.parent not in names:
                raise ValueError(f"{needs}be a condition of preset {preset.name} too: name it")
            seeds = [preset.at(name).seeds for name in (where, where.parent)]
            if where.name in names and seeds[0] > seeds[1]:
                raise ValueError(
                    f"{needs}have its seeds, and has {seeds[1]} of {seeds[0]} in preset "
                    f"{preset.name}: give it as many"
                )


def _require_fixed_to_count(study: Study) -> None:
    """Raise ValueError for an arm that fixes what its trials set: they would win, unseen."""
    for arm in study.arms:
        if both := sorted(set(study.searched(arm)) & set(arm.fixed)):
            whose = f"its parent {arm.parents[0]} searches" if arm.parent else "it searches too"
            raise ValueError(
                f"arm {arm.name} fixes {both}, which {whose}, and the search would win: read the "
                "fixed value under another name, or leave it out"
            )
