"""Which records may be shown: those that today's study and code would reproduce."""

from __future__ import annotations

from collections import Counter

from reviewlib.evidence import timings
from reviewlib.evidence.committed import refused
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.registration import EVIDENCE
from reviewlib.evidence.store import BOOK, Store
from reviewlib.trial import search
from reviewlib.trial.experiment import Chosen, chosen
from reviewlib.trial.fingerprints import differences, fingerprint, test_digest
from reviewlib.trial.search import Settings
from reviewlib.trial.study import Preset, Study


def problems(record: Record, study: Study, store: Store = BOOK) -> list[str]:
    """Return why a record must not be shown, one sentence per reason; empty if it is valid."""
    wrong = beyond_repair(record, study, store) or [
        f"{reason} {', '.join(arms)}" for reason, arms in to_rerun(record, study, store).items()
    ]
    if wrong or record.preset["name"] not in EVIDENCE:
        return wrong
    return timings.problems(study, record.timings, registered=store == BOOK)


def beyond_repair(record: Record, study: Study, store: Store = BOOK) -> list[str]:
    """Return why no run of a record can be reused, one sentence per reason.

    The book's own records also need a committed registration.
    """
    if record.preset["name"] not in {preset.name for preset in study.presets}:
        return [f"the study no longer has a preset {record.preset['name']!r}"]
    if record.results_version != study.results_version:
        return [
            f"recorded at results_version {record.results_version}, the study is at "
            f"{study.results_version}"
        ]
    preset = study.preset(record.preset["name"])
    if record.preset != preset.plain():
        return ["the preset's sizes were changed since"]
    if record.test != test_digest(study, preset):
        return [
            "what defines the test was changed after the final seeds had run; if it has to be, "
            "raise results_version and run them anew"
        ]
    if preset.name in EVIDENCE and _other_floor(record, study, preset):
        return ["logistic regression is not there once for every condition and seed"]
    return refused(record, study) if store == BOOK else []


def to_rerun(record: Record, study: Study, store: Store = BOOK) -> dict[str, list[str]]:
    """Return the arms whose runs today's study would not reproduce, by reason.

    Args:
        record: a record that is not `beyond_repair`.
        study: the study as it is today.
        store: where to look first for the records that the preset's settings come from.
    """
    preset = study.preset(record.preset["name"])
    arms = [arm.name for arm in study.arms_of(preset)]
    reasons = {
        "not in the records yet:": [name for name in arms if name not in record.fingerprints],
        "no longer in the study:": [name for name in record.fingerprints if name not in arms],
        "runs are missing, or not those of the study, for": _other_runs(record, study, preset),
        "the search has changed for": _searched_otherwise(record, study, preset, store),
        "the fixed settings have changed for": _fixed_otherwise(record, study),
        "the code no longer reproduces": [
            name for name in stale_arms(record, study) if name in arms
        ],
    }
    return {reason: names for reason, names in reasons.items() if names}


def stale_arms(record: Record, study: Study) -> list[str]:
    """Return the arms of a record that today's code would not reproduce, or does not have."""
    arms = {arm.name: arm for arm in study.arms}
    return [
        name
        for name, stored in record.fingerprints.items()
        if name not in arms or differences(stored, fingerprint(study, arms[name]))
    ]


def settings_source(study: Study, preset: Preset, store: Store = BOOK) -> Chosen | None:
    """Return the settings that another preset chose, which a preset takes its settings from.

    None if the preset searches for itself, and while that other preset has no records.

    Raises:
        RecordError: the records that they come from are damaged.
    """
    if preset.settings_from is None:
        return None
    for place in (store,) if store.data else (store, BOOK):  # other images, other settings
        if place.has(study.name, preset.settings_from):
            record = place.load(study.name, preset.settings_from)
            return chosen(record.runs.to_dict("records"))
    return None


def waiting(study: Study, store: Store = BOOK) -> str:
    """Return what a page says of records that await new ones, without a period; "" for others.

    Records on a reader's own data were made by the protocol of today.
    """
    if not study.awaiting or store.data:
        return ""
    return (
        "These results were made under the book's first protocol and wait for new ones: "
        f"{study.awaiting.rstrip('.')}. They carry no verdicts"
    )


def best(study: Study, store: Store = BOOK) -> tuple[Record, list[str]]:
    """Return the valid record of the largest preset, and why records of larger ones are invalid.

    A study that awaits new records shows its older ones, unchecked and with a note.

    Raises:
        RecordError: no preset that counts as evidence has valid records.
    """
    if note := waiting(study, store):
        return store.load(study.name, "laptop"), [note]
    notes = []
    for preset in EVIDENCE:
        if not store.has(study.name, preset):
            continue
        try:
            record = store.load(study.name, preset)
        except RecordError as error:
            notes.append(str(error))
            continue
        if not (wrong := problems(record, study, store)):
            return record, notes
        notes += [f"{preset} records are stale: {reason}" for reason in wrong]
    raise RecordError(
        f"study {study.name} has no valid records{f' on {store.data}' if store.data else ''}: "
        f"{'; '.join(notes) or 'none were made'}; "
        f"run `reviewlib study {study.name}{store.options} --preset laptop`"
    )


def _other_floor(record: Record, study: Study, preset: Preset) -> bool:
    """Return whether the floor is not there once for every seed of the record's conditions.

    A condition that is new, or gone, makes its arms stale, and a rerun makes the whole floor anew.
    """
    there = sorted(
        zip(record.floor.get("condition", ()), record.floor.get("seed", ()), strict=True)
    )
    names = set(record.runs["condition"]) & {each.name for each in study.conditions_of(preset)}
    asked = sorted((name, seed) for name in names for seed in study.seeds(preset.at(name)))
    return [each for each in there if each[0] in names] != asked


def _other_runs(record: Record, study: Study, preset: Preset) -> list[str]:
    """Return the arms of a record that do not have one run on every seed of their conditions.

    A condition that is new, or gone, shows in an arm's fingerprint.
    """
    names = ["arm", "condition", "seed"]
    there = Counter(record.runs[names].itertuples(index=False, name=None))
    asked = Counter(
        (arm.name, condition.name, seed)
        for condition in study.conditions_of(preset)
        for arm in study.arms_in(condition, preset)
        if condition.name in record.fingerprints.get(arm.name, ())
        for seed in study.seeds(preset.at(condition))
    )
    conditions = {condition.name for condition in study.conditions_of(preset)}
    odd = {
        arm
        for arm, condition, seed in there | asked
        if condition in conditions and there[arm, condition, seed] != asked[arm, condition, seed]
    }
    return [arm.name for arm in study.arms_of(preset) if arm.name in odd]


def _searched_otherwise(record: Record, study: Study, preset: Preset, store: Store) -> list[str]:
    """Return the arms whose trials differ from those that the study would run today."""
    arms = {arm.name: arm for arm in study.arms}
    conditions = {condition.name: condition for condition in study.conditions}
    own = chosen(record.runs.to_dict("records"))
    source = settings_source(study, preset, store) or {}
    given = source.keys() >= own.keys()  # otherwise the preset has searched for itself

    def asked(run: dict) -> list[Settings] | None:
        """Return the settings of the run's trials; None if they cannot be known."""
        arm, where = arms[run["arm"]], run["condition"]
        if preset.settings_from is not None:
            return [source[arm.name, where, run["seed"]]] if given else None
        if where in conditions and (parents := study.parents(arm, conditions[where])):
            theirs = [own.get((*parent, run["seed"])) for parent in parents]
            if None in theirs:
                return None
            return search.around(search.joined(theirs, study.hyperparameters))
        return search.trials_of(study, arm, run["seed"], record.sizes(where)["trials"])

    def tried(run: dict) -> list[Settings]:
        names, columns = run["settings"].keys(), run["settings"].values()
        if not names:
            return [{} for _ in run["diverged_at"]]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    changed = {
        run["arm"]
        for run in record.runs[record.runs["arm"].isin(arms)].to_dict("records")
        if (wanted := asked(run)) is not None and wanted != tried(run)
    }
    return [name for name in arms if name in changed]


def _fixed_otherwise(record: Record, study: Study) -> list[str]:
    """Return the arms whose runs do not have the settings that the study fixes today."""
    arms = {arm.name: arm for arm in study.arms}
    conditions = {condition.name: condition for condition in study.conditions}
    known = record.runs[record.runs["arm"].isin(arms) & record.runs["condition"].isin(conditions)]
    changed = {
        run["arm"]
        for run in known.to_dict("records")
        if run["fixed"] != {**conditions[run["condition"]].fixed, **arms[run["arm"]].fixed}
    }
    return [name for name in arms if name in changed]
