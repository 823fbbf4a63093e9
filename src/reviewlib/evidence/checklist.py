"""The protocol's rules, checked against a study and its records."""

from __future__ import annotations

import contextlib

import pandas as pd

from reviewlib.evidence import history, stats, units, verdicts
from reviewlib.evidence.health import not_learned
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.results import conditions_of
from reviewlib.evidence.store import BOOK, Store
from reviewlib.evidence.validity import EVIDENCE, problems
from reviewlib.trial.arms import CORE_ROLES
from reviewlib.trial.claims import Claim
from reviewlib.trial.controls import is_a_a
from reviewlib.trial.experiment import count_runs
from reviewlib.trial.fingerprints import test_digest
from reviewlib.trial.study import Preset, Study

Rule = tuple[str, bool | None, str]  # name, whether it is met (None: does not apply), reason

FEWEST_TRIALS = 8
FEWEST_SEEDS = 10


def checklist(study: Study, record: Record, store: Store = BOOK) -> pd.DataFrame:
    """Return a table of every rule: met, not met or not applicable, with the reason.

    Args:
        study: the study whose records these are.
        record: the record that the page shows.
        store: where to look for the study's records of other sizes.
    """
    words = {True: "met", False: "not met", None: "does not apply"}
    return pd.DataFrame(
        {"rule of the protocol": rule, "here": words[met], "because": why}
        for rule, met, why in (*_before(study, record), *_after(study, record, store))
    )


def _before(study: Study, record: Record) -> list[Rule]:
    """Return the rules on what is fixed before the final seeds run."""
    ran = set(record.rows["arm"])
    roles = {arm.role for arm in study.arms if arm.name in ran} | set(study.not_applicable)
    final = study.seeds(study.preset(record.preset["name"]))
    return [
        (
            "1. Claims before results",
            record.test == test_digest(study, study.preset(record.preset["name"]))
            and type(record.provenance.get("registration")) is int,
            "checked by the digest of the test, which is stamped on every final run, and by its "
            "registration",
        ),
        (
            "2. Every core arm",
            roles >= set(CORE_ROLES),
            "; ".join(
                f"{role}: {study.not_applicable.get(role) or study.role(role).label}"
                for role in CORE_ROLES
                if role in roles
            ),
        ),
        _health(study, record),
        (
            "3. Test data out of reach",
            set(record.rows["seed"]) == set(final),
            f"only validation chooses; {len(final)} seeds are scored on {len(final)} disjoint "
            "folds of the test pool",
        ),
        _equal_tuning(study, record),
        (
            "5. Cost counted and measured",
            bool(
                (record.rows["passes"] > 0).all()
                and (record.timings is not None or record.rows["peak_bytes"].notna().all())
            ),
            "forward-backward passes are counted in every run; " + _timed(record),
        ),
    ]


def _timed(record: Record) -> str:
    """Return how seconds and bytes were measured."""
    if record.timings is None:
        return (
            "memory is measured on a GPU only, and seconds are those of the runs, not of a "
            "controlled timing"
        )
    return (
        "the time and the activation memory of a step are measured in "
        f"{record.timings.launches} launches of a process, where arms take turns"
    )


def _health(study: Study, record: Record) -> Rule:
    """Return whether every arm of a primary claim learned more than logistic regression."""
    leads = {}
    for claim in study.primary:
        leads |= verdicts.health(study, record, claim)
    weak = not_learned(study, leads)
    said = "; ".join(
        f"{study.arm(arm).label}, {study.condition(condition).label}: "
        f"{units.with_unit(lead.mean, 'accuracy')} "
        f"[{units.effect(lead.lo, 'accuracy')}, {units.effect(lead.hi, 'accuracy')}]"
        + (", which may fail" if study.arm(arm).may_fail else "")
        for (arm, condition), lead in leads.items()
    )
    return (
        "2. Healthy arms",
        bool(leads) and not weak,
        f"leads over logistic regression: {said or 'not measured in these records'}",
    )


def _equal_tuning(study: Study, record: Record) -> Rule:
    """Return whether the judged arms got equally many trials, and enough, on every seed."""
    core = {arm.name for arm in study.arms if arm.role in CORE_ROLES}
    judged = core.union(*({arm for _, arm, _ in claim.contrast} for claim in study.primary))
    searched = [arm.name for arm in study.arms if arm.name in judged and arm.search]
    own = [condition.name for condition in study.conditions if not condition.parent]
    tuned = record.trials[
        record.trials["arm"].isin(searched) & record.trials["condition"].isin(own)
    ]
    trials = tuned.groupby(["arm", "condition", "seed"]).size()
    fewest, most = trials.min(), trials.max()
    equal = bool((trials.groupby("condition").nunique() == 1).all())
    return (
        "4. Equal tuning",
        equal and fewest >= FEWEST_TRIALS,
        f"{fewest if fewest == most else f'{fewest} to {most}'} trials for each arm that is "
        "judged, in every condition that is searched and on every seed; the result is the "
        f"expected best of {record.preset['tries']}",
    )


def _after(study: Study, record: Record, store: Store) -> list[Rule]:
    """Return the rules on the final runs and on the analysis of them."""
    rows = record.rows
    seeds = rows.groupby(["condition", "arm"])["seed"].apply(frozenset)
    sets = seeds.groupby("condition").agg(lambda of_arms: len(set(of_arms)))
    counts = seeds.map(len).groupby("condition").min()  # conditions may differ in it
    preset = study.preset(record.preset["name"])
    expected = count_runs(study, preset)
    diverged, trials = int(rows["diverged_at"].notna().sum()), record.trials["diverged_at"]
    level = units.percent(stats.simultaneous_level(len(study.primary)))
    primary = [verdicts.judge(study, record, claim) for claim in study.primary]
    combined = [arm.label for arm in study.arms if arm.role == "combination"]
    return [
        (
            "6. Paired seeds",
            bool((sets == 1).all() and counts.min() >= FEWEST_SEEDS),
            f"n = {' or '.join(map(str, sorted(set(counts))))}, the same seeds in every arm of a "
            "condition",
        ),
        (
            "7. Every run recorded",
            len(rows) == expected,
            f"{len(rows)} of {expected} runs, in {diverged} of which all trials diverged; "
            f"{int(trials.notna().sum()):,} of {len(trials):,} trials did",
        ),
        (
            "8. Intervals",
            all(out.interval.n == _pairs(record, preset, out.claim) for out in primary),
            f"Student t, paired; {level} for {len(primary)} primary claims",
        ),
        _computed(study, record, primary),
        _controls(study, record),
        _a_a_everywhere(study, record),
        (
            "11. Combination",
            bool(combined),
            f"arms with another method: {'; '.join(combined) or 'none'}",
        ),
        _shift(study),
        _scale(study, record, store),
    ]


def _pairs(record: Record, preset: Preset, claim: Claim) -> int:
    """Return the number of seeds that a preset has for a claim, or of launches of a timing."""
    if claim.timed:
        return record.timings.launches
    return min(preset.at(condition).seeds for condition in conditions_of(claim))


def _computed(study: Study, record: Record, primary: list[verdicts.Verdict]) -> Rule:
    """Return whether every primary claim has a verdict, and none was written down otherwise."""
    written = {entry.claim: entry for entry in history.read(study.name)}
    wrong = [
        out.claim.name
        for out in primary
        if (entry := written.get(out.claim.name))
        and (entry.preset, entry.results_version) == (record.preset["name"], record.results_version)
        and entry.verdict != out.verdict
    ]
    return (
        "9. Verdicts computed",
        all(out.verdict is not None for out in primary) and not wrong,
        "by evidence/verdicts.py, from the rows of the record"
        + (f"; the history says otherwise of {', '.join(wrong)}" if wrong else ""),
    )


def _controls(study: Study, record: Record) -> Rule:
    """Return whether the record has controls, and all of them passed."""
    outs = verdicts.judge_controls(study, record)
    said = "; ".join(f"{out.claim.name}: {out.verdict}" for out in outs)
    return (
        "10. Controls on ourselves",
        bool(outs) and all(out.verdict == "passed" for out in outs),
        said or "these records have neither an A/A control nor a positive control",
    )


def _a_a_everywhere(study: Study, record: Record) -> Rule:
    """Return whether there is an A/A control in every condition with a primary claim."""
    asked = set().union(*(conditions_of(claim) for claim in study.primary))
    outs = verdicts.judge_controls(study, record)
    again = set().union(*(conditions_of(out.claim) for out in outs if is_a_a(out.claim)))
    labels = [study.condition(name).label for name in sorted(asked - again)]
    return (
        "10. An A/A control beside every primary claim",
        asked <= again,
        f"missing in: {', '.join(labels)}" if labels else "in every condition with a primary claim",
    )


def _shift(study: Study) -> Rule:
    """Return whether the claims about another data distribution are tested on one."""
    shifted = [claim for claim in study.claims if claim.shifted]
    tested = [claim.name for claim in shifted if claim.kind != "out of scope"]
    if not shifted:
        return "11. Shift", None, "no claim of this chapter is about another distribution"
    return "11. Shift", bool(tested), f"tested off-distribution: {', '.join(tested) or 'none'}"


def _scale(study: Study, record: Record, store: Store) -> Rule:
    """Return whether valid records exist at a size other than the one shown."""
    sizes = [record.preset["name"]]
    for name in set(EVIDENCE) - set(sizes):
        with contextlib.suppress(RecordError):
            if not problems(store.load(study.name, name), study, store):
                sizes.append(name)
    words = ", ".join(sizes) if len(sizes) > 1 else "one size so far"
    return "11. Scale", len(sizes) > 1, words
