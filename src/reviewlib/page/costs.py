"""What arms cost: passes, seconds, the time and memory of a step, and new hyperparameters."""

from __future__ import annotations

import math

import pandas as pd

from reviewlib.evidence import stats
from reviewlib.evidence.contrasts import by_seed
from reviewlib.evidence.record import Record
from reviewlib.trial.arms import CORE_ROLES, Arm, Timing
from reviewlib.trial.study import Study


def price(study: Study, record: Record) -> pd.DataFrame:
    """Return what each core arm costs: passes, seconds, trials and new hyperparameters.

    Passes and seconds are those of one trial. Seconds are the median over runs, and a trial's
    seconds are its share of its stack's time; a stochastic arm's stack has one seed's trials only.
    They are left out where steps are timed, which compares single nets with each other. A search
    has equally many trials in every arm, so it multiplies all prices alike.
    """
    cost = passes(study, record)
    runs = record.runs.assign(trials=record.runs["diverged_at"].map(len))
    runs["seconds"] /= runs["trials"]
    first = _of_first_condition(study, runs).groupby("arm")[["seconds", "trials"]].median()
    seconds, trials = first["seconds"], first["trials"]
    base = study.role("baseline").search
    table = pd.DataFrame(
        {
            "arm": arm.label,
            "forward-backward passes": f"{cost[arm.name]:.2g}×" if cost[arm.name] > 0 else None,
            "seconds per trial": f"{seconds[arm.name]:.2g}"
            + (", one seed a stack" if arm.stochastic else ""),
            "trials per seed": f"{trials[arm.name]:g}",
            "new hyperparameters": ", ".join(k for k in arm.search if k not in base) or "none",
        }
        for arm in study.arms
        if arm.role in CORE_ROLES and arm.name in seconds
    )
    return table if record.timings is None else table.drop(columns="seconds per trial")


def steps(study: Study, record: Record) -> pd.DataFrame:
    """Return the time and the activation memory of a step of each arm of the first timing.

    They are multiples of the first arm's: geometric means over launches of the shortest steps, with
    their 95% intervals.
    """
    table, where = record.timings.table, study.timings[0]
    base, rows = study.arms_in(where)[0], []
    for arm in study.arms_in(where):
        mine = table[(table["condition"] == where.name) & (table["arm"] == arm.name)]
        time, memory = (
            ratio(record, arm, base, where, metric)
            for metric in ("step_seconds", "activation_bytes")
        )
        ends = f"{math.exp(time.lo):.2f} to {math.exp(time.hi):.2f}"
        rows.append(
            {
                f"a step, {where.label}": arm.label,
                "milliseconds": f"{1e3 * mine['step_seconds'].mean():.3g}",
                f"times {base.label}'s": f"{math.exp(time.mean):.2f}"
                + (f" ({ends})" if arm.name != base.name else ""),
                "activations, MiB": f"{mine['activation_bytes'].mean() / 2**20:.3g}",
                f"times {base.label}'s memory": f"{math.exp(memory.mean):.2f}",
            }
        )
    return pd.DataFrame(rows)


def of_a_step(study: Study, record: Record, arm: Arm) -> list[str]:
    """Return what a step of an arm costs in the first timing, as texts; empty if it has none."""
    base = study.role("baseline")
    if record.timings is None or not {arm.name, base.name} <= set(study.timings[0].arms):
        return []
    where = study.timings[0]
    time, memory = (
        math.exp(ratio(record, arm, base, where, metric).mean)
        for metric in ("step_seconds", "activation_bytes")
    )
    return [
        f"{time:.2g} times the time of a step and {memory:.2g} times its activation memory "
        f"({where.label})"
    ]


def ratio(record: Record, arm: Arm, other: Arm, where: Timing, metric: str) -> stats.Interval:
    """Return the log ratio of a metric of two timed arms, with its 95% interval over launches."""
    contrast = (arm - other) @ where
    return stats.t_interval(by_seed(record.timings.table, contrast, metric, log=True))


def passes(study: Study, record: Record) -> pd.Series:
    """Return each arm's forward-backward passes a trial, as a multiple of the baseline's.

    They are those in the first condition that both run in; NaN if there is none. A trial that
    diverges stops early, so the median is over runs in which none does; NaN if there is none.
    """
    runs = record.runs
    whole = runs["diverged_at"].map(lambda trials: all(at is None for at in trials))
    by = [runs["condition"], runs["arm"]]
    counted = runs["passes"].where(whole).groupby(by).median().unstack("condition")
    counted = counted[[c.name for c in study.conditions if c.name in counted]]
    return (counted / counted.loc[study.role("baseline").name]).bfill(axis=1).iloc[:, 0]


def _of_first_condition(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every arm in the first condition that the arm runs in."""
    place = rows["condition"].map(
        {condition.name: place for place, condition in enumerate(study.conditions)}
    )
    return rows[place == place.groupby(rows["arm"]).transform("min")]
