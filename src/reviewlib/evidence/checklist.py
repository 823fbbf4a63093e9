"""The protocol's rules, checked against a study and its records."""

from __future__ import annotations

import contextlib

import pandas as pd

from reviewlib.evidence import stats, units, verdicts
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.store import BOOK, Store
from reviewlib.evidence.validity import EVIDENCE, problems
from reviewlib.trial.arms import CORE_ROLES
from reviewlib.trial.fingerprints import test_digest
from reviewlib.trial.study import Study

Rule = tuple[str, bool | None, str]  # name, whether it is met (None: does not apply), reason

# Least gain in accuracy over logistic regression: a net that a linear model nearly matches is too
# weak a baseline.
HEALTHY = 0.01


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
    both = record.runs(study.role("baseline").name).merge(
        record.floor, on=["condition", "seed"], suffixes=("", "_floor")
    )
    lead = (both["accuracy"] - both["accuracy_floor"]).groupby(both["condition"]).mean().min()
    roles = {arm.role for arm in study.arms} | set(study.not_applicable)
    core = {arm.name for arm in study.arms if arm.role in CORE_ROLES}
    tuned = record.trials[record.trials["arm"].isin(core)]
    trials = tuned.groupby(["arm", "condition"]).size()
    edges = sum(map(bool, tuned["edges"]))
    folds = record.preset["seeds"]
    final = study.seeds(study.preset(record.preset["name"]))
    return [
        (
            "1. Claims before results",
            record.test == test_digest(study, study.preset(record.preset["name"])),
            "checked by the digest of the test, which is stamped on every final run",
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
        (
            "2. A healthy baseline",
            bool(lead > HEALTHY),
            f"at least {units.with_unit(lead, 'accuracy')} above logistic regression in every "
            f"condition, paired over {both['seed'].nunique()} seeds",
        ),
        (
            "3. Test data out of reach",
            set(record.rows["seed"]) == set(final),
            f"tuning has no access to test images; {folds} seeds are scored on {folds} disjoint "
            "folds",
        ),
        (
            "4. Equal tuning",
            trials.nunique() == 1 and int(trials.iloc[0]) >= 8,
            f"{trials.iloc[0]} trials per core arm and condition; {edges} of {len(trials)} chosen "
            "settings lie at an edge of their range and are flagged",
        ),
        (
            "5. Cost counted and measured",
            bool((record.rows["passes"] > 0).all() and record.rows["peak_bytes"].notna().all()),
            "forward-backward passes are counted in every run; memory is measured on a GPU only, "
            "and seconds are those of the runs, not of a controlled timing",
        ),
    ]


def _after(study: Study, record: Record, store: Store) -> list[Rule]:
    """Return the rules on the final runs and on the analysis of them."""
    rows, arms = record.rows, record.rows.groupby(["arm", "condition"])
    seeds = arms["seed"].apply(frozenset)
    preset = study.preset(record.preset["name"])
    expected = len(study.seeds(preset)) * sum(
        len(study.arms_in(condition, preset)) for condition in study.conditions_of(preset)
    )
    diverged = int(rows["diverged_at"].notna().sum())
    level = units.percent(stats.simultaneous_level(len(study.primary)))
    primary = [verdicts.judge(c, rows, len(study.primary)) for c in study.primary]
    combined = [arm.label for arm in study.arms if arm.role == "combination"]
    return [
        (
            "6. Paired seeds",
            seeds.nunique() == 1 and len(seeds.iloc[0]) >= 10,
            f"n = {len(seeds.iloc[0])}, the same seeds in every arm",
        ),
        (
            "7. Every run recorded",
            len(rows) == expected,
            f"{len(rows)} of {expected} runs, {diverged} of them diverged",
        ),
        (
            "8. Intervals",
            all(out.interval.n == len(seeds.iloc[0]) for out in primary),
            f"Student t, paired; {level} for {len(primary)} primary claims",
        ),
        (
            "9. Verdicts computed",
            all(out.verdict is not None for out in primary),
            "by evidence/verdicts.py, from the rows of the record",
        ),
        _controls(study, record),
        (
            "11. Combination",
            bool(combined),
            f"arms with another method: {'; '.join(combined) or 'none'}",
        ),
        _shift(study),
        _scale(study, record, store),
    ]


def _controls(study: Study, record: Record) -> Rule:
    """Return whether the record has controls, and all of them passed."""
    outs = verdicts.judge_controls(study, record.rows)
    said = "; ".join(f"{out.claim.name}: {out.verdict}" for out in outs)
    return (
        "10. Controls on ourselves",
        bool(outs) and all(out.verdict == "passed" for out in outs),
        said or "these records have neither an A/A control nor a positive control",
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
