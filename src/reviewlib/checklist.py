"""The protocol's rules, checked against a study and its records."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd

from reviewlib import runs, stats, units, verdicts
from reviewlib.records import EVIDENCE, Record, RecordError, faults, load
from reviewlib.study import CORE_ROLES, Study

# A net that a linear model nearly matches is no baseline.
HEALTHY = 0.01


def checklist(study: Study, record: Record, folder: Path | None = None) -> pd.DataFrame:
    """Return every rule as met, not met or not applicable, each with its reason.

    Args:
        study: whose records.
        record: what the page shows.
        folder: where its records of other sizes are, the package's own by default.
    """
    words = {True: "met", False: "not met", None: "does not apply"}
    return pd.DataFrame(
        {"rule of the protocol": rule, "here": words[met], "because": why}
        for rule, met, why in (*_before(study, record), *_after(study, record, folder))
    )


def _before(study: Study, record: Record) -> list[tuple[str, bool | None, str]]:
    """Return the rules on what is fixed before the final seeds run."""
    base = record.rows[record.rows["arm"] == study.role("baseline").name]
    both = base.merge(record.floor, on=["cell", "seed"], suffixes=("", "_floor"))
    lead = (both["accuracy"] - both["accuracy_floor"]).groupby(both["cell"]).mean().min()
    roles = {arm.role for arm in study.arms} | set(study.not_applicable)
    core = {arm.name for arm in study.arms if arm.role in CORE_ROLES}
    tuned = record.trials[record.trials["arm"].isin(core)]
    trials = tuned.groupby(["arm", "cell"]).size()
    edges = sum(bool(knobs) for knobs in tuned["edges"])
    folds = record.preset["seeds"]
    final = study.seeds(study.preset(record.preset["name"]))
    return [
        (
            "1. Claims before results",
            record.test == runs.test_digest(study, study.preset(record.preset["name"])),
            "by the digest of the test, stamped on every final run as it was made",
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
            f"{units.with_unit(lead, 'accuracy')} or more above logistic regression in a cell, "
            f"paired over {both['seed'].nunique()} seeds",
        ),
        (
            "3. Test data out of reach",
            set(record.rows["seed"]) == set(final),
            f"tuning holds no test images; {folds} seeds are scored on {folds} disjoint folds",
        ),
        (
            "4. Equal tuning",
            trials.nunique() == 1 and int(trials.iloc[0]) >= 8,
            f"{trials.iloc[0]} trials a core arm and cell; {edges} of {len(trials)} chosen "
            "settings lie at an edge of their range and are flagged",
        ),
        (
            "5. Cost counted and measured",
            bool((record.rows["passes"] > 0).all() and record.rows["peak_bytes"].notna().all()),
            "forward-backward passes are counted in every run; memory is measured on a GPU only, "
            "and seconds are those of the runs, not of a controlled timing",
        ),
    ]


def _after(study: Study, record: Record, folder: Path | None) -> list[tuple[str, bool | None, str]]:
    """Return the rules on the runs and on what is made of them."""
    rows, arms = record.rows, record.rows.groupby(["arm", "cell"])
    seeds = arms["seed"].apply(frozenset)
    preset = study.preset(record.preset["name"])
    expected = len(study.seeds(preset)) * sum(
        len(study.arms_in(cell, preset)) for cell in study.cells_of(preset)
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
            f"Student t, paired; {level} for {len(primary)} primaries",
        ),
        (
            "9. Verdicts computed",
            all(out.verdict is not None for out in primary),
            "by reviewlib.verdicts, from the rows of the record",
        ),
        _controls(study, record),
        (
            "11. Combination",
            bool(combined),
            f"with another method: {'; '.join(combined) or 'no arm is'}",
        ),
        ("11. Shift", None, "no claim of this chapter is about another distribution"),
        _scale(study, record, folder),
    ]


def _controls(study: Study, record: Record) -> tuple[str, bool, str]:
    """Return whether the records hold controls, and what the rule says of them."""
    outs = verdicts.judge_controls(study, record.rows)
    said = "; ".join(f"{out.claim.name}: {out.verdict}" for out in outs)
    return (
        "10. Controls on ourselves",
        bool(outs),
        said or "no baseline tuned twice and no planted effect are in these records",
    )


def _scale(study: Study, record: Record, folder: Path | None) -> tuple[str, bool, str]:
    """Return whether there are valid records at another size than the one shown."""
    sizes = [record.preset["name"]]
    for name in set(EVIDENCE) - set(sizes):
        with contextlib.suppress(RecordError):
            if not faults(load(study.name, name, folder), study, folder):
                sizes.append(name)
    words = ", ".join(sizes) if len(sizes) > 1 else "one size so far"
    return "11. Scale", len(sizes) > 1, words
