"""Tables of a chapter: pure functions of a study, its records and its verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from reviewlib.evidence import stats, units
from reviewlib.evidence.contrasts import by_seed
from reviewlib.evidence.record import Record
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import costs
from reviewlib.trial.claims import Claim
from reviewlib.trial.contrast import two_by_two as contrasts_of
from reviewlib.trial.study import Study


def settings_text(settings: Mapping[str, float]) -> str:
    """Return settings as "lr 0.05, rho 0.1"."""
    return ", ".join(f"{hyperparameter} {value:g}" for hyperparameter, value in settings.items())


def interval_text(interval: stats.Interval, metric: str, scale: str = "difference") -> str:
    """Return the ends of an interval as effects, with its level."""
    lo, hi = (units.effect(end, metric, scale) for end in (interval.lo, interval.hi))
    return f"{lo} to {hi} ({units.percent(interval.level)})"


def claims(study: Study) -> pd.DataFrame:
    """Return the claim card: each claim with its source, the paper's number and our test."""
    return pd.DataFrame(
        {
            "claim": claim.statement,
            "where": claim.where,
            "the paper reports": _reported(claim),
            "our test": _test(study, claim),
            "kind": f"{claim.kind}, primary" if claim.primary else claim.kind,
        }
        for claim in study.claims
        if claim.reported or claim.primary or claim.kind == "out of scope"
    )


def arms(study: Study, record: Record) -> pd.DataFrame:
    """Return what each arm is, what it is tuned over and what a run of it costs."""
    cost = costs.passes(study, record)
    return pd.DataFrame(
        {
            "arm": arm.label,
            "role": arm.role,
            "why it is here": arm.note,
            "tuned over": ", ".join(arm.search),
            "cost of a run": f"{cost[arm.name]:.2g}×" if cost[arm.name] > 0 else None,
        }
        for arm in study.arms
    )


def protocol(study: Study, record: Record) -> pd.DataFrame:
    """Return the sizes of the experiment, as the record states them."""
    sizes = record.preset
    level = units.percent(stats.simultaneous_level(len(study.primary)))
    noise = ", with the same label noise" if any(c.label_noise for c in study.conditions) else ""
    rows = {
        "data": f"{record.data['name']}, SHA-256 {record.data['checksum'][:12]}…",
        "training images per run": f"{sizes['train']:,}, another subset for every seed",
        "validation images per run": f"{sizes['validation']:,}{noise}",
        "test images": f"{sizes['seeds']} disjoint folds of the test set, one per seed",
        "steps × batch": f"{sizes['steps']:,} × {sizes['batch_size']}, unless an arm differs",
        "trials per arm and condition": f"{sizes['trials']}, from one Sobol sequence",
        "tuning seeds": f"{sizes['tuning_seeds']}, used for nothing else",
        "final seeds": f"{sizes['seeds']}, the same for every arm",
        "interval": f"Student t, {level} for primary claims, 95% for the others",
    }
    return pd.DataFrame({"what": rows.keys(), "how much": rows.values()})


def trials(study: Study, record: Record) -> pd.DataFrame:
    """Return every tuning trial, the chosen ones marked."""
    table = record.trials
    return pd.DataFrame(
        {
            "condition": [study.condition(name).label for name in table["condition"]],
            "arm": [study.arm(name).label for name in table["arm"]],
            "trial": table["trial"],
            "settings": table["settings"].map(settings_text),
            "validation accuracy, %": (100 * table["accuracy"]).round(2),
            "diverged": table["diverged"],
            "chosen": table["chosen"].map({True: "yes", False: ""}),
            "edges": table["edges"].map(", ".join),
        }
    )


def settings(study: Study, record: Record) -> pd.DataFrame:
    """Return the settings that tuning chose, with a flag for those at an edge of their range."""
    return pd.DataFrame(
        {
            "condition": study.condition(row["condition"]).label,
            "arm": study.arm(row["arm"]).label,
            "chosen": settings_text(row["settings"]),
            "at an edge": ", ".join(row["edges"]) or "no",
        }
        for row in record.trials[record.trials["chosen"]].to_dict("records")
    )


def contrasts(outs: Iterable[Verdict]) -> pd.DataFrame:
    """Return paired differences with their intervals; a verdict only where a claim is primary."""
    return pd.DataFrame(_contrast(out) for out in outs)


def verdicts(outs: Iterable[Verdict]) -> pd.DataFrame:
    """Return the verdicts on the primary claims, and why other claims are out of scope."""
    rows = []
    for out in outs:
        if out.claim.primary:
            rows.append(_contrast(out) | {"could have noticed": _power(out)})
        elif out.interval is None:
            rows.append({"claim": out.claim.statement, "verdict": "out of scope"})
            rows[-1]["could have noticed"] = out.claim.why
    return pd.DataFrame(rows)


def two_by_two(
    study: Study, record: Record, arms: tuple[str, str, str, str], condition: str
) -> pd.DataFrame:
    """Return main effects and interaction of two methods, on error and on the log of error.

    Args:
        study: the study, which has the labels.
        record: the record of the final runs.
        arms: names of the arms with neither method, the first, the second, both.
        condition: name of the condition.
    """
    neither, first, second, both = (study.arm(name) for name in arms)
    what = {"first": first.label, "second": second.label, "interaction": "interaction"}
    found = contrasts_of(neither, first, second, both, study.condition(condition))
    rows = []
    for name, contrast in found.items():
        row = {"main effects and interaction": what[name]}
        for heading, log in (("fewer errors, points", False), ("errors divided by", True)):
            values = by_seed(record.rows, contrast, "error", log=log, sign=-1.0)
            interval, scale = stats.t_interval(values), "log ratio" if log else "difference"
            ends = interval_text(interval, "error", scale)
            row[heading] = f"{units.effect(interval.mean, 'error', scale)}; {ends}"
        rows.append(row | {"n": str(interval.n)})
    return pd.DataFrame(rows)


def contrast_label(study: Study, out: Verdict) -> str:
    """Return what is compared: "SAM − SGD · clean labels"."""
    claim = out.claim
    terms = _terms(study, claim, " · ")
    if len(claim.contrast) > 2:
        _, arm, condition = claim.contrast.terms[0]
        terms = f"{study.arm(arm).label}, interaction · {study.condition(condition).label}"
    return terms + (", stopped early" if claim.metric.startswith("early") else "")


def _terms(study: Study, claim: Claim, separator: str) -> str:
    """Return a contrast in words: "SAM − SGD" with one condition, or with one for each term."""
    one_condition = len({condition for _, _, condition in claim.contrast}) == 1
    terms = " ".join(
        f"{'+' if weight > 0 else units.MINUS} {study.arm(arm).label}"
        + ("" if one_condition else f" ({study.condition(condition).label})")
        for weight, arm, condition in claim.contrast
    ).removeprefix("+ ")
    return (
        f"{terms}{separator}{study.condition(claim.contrast.terms[0][2]).label}"
        if one_condition
        else terms
    )


def _contrast(out: Verdict) -> dict[str, str]:
    gone, runs = out.diverged
    word = out.verdict or "exploratory"
    of = out.claim.measure
    return {
        "claim": out.claim.statement,
        "verdict": f"{word} ({gone} of {runs} runs diverged)" if gone else word,
        "effect": units.with_unit(out.interval.mean, *of),
        "interval": interval_text(out.interval, *of),
        "n": str(out.interval.n),
        "margin": units.effect(out.claim.boundary, *of),
    }


def _power(out: Verdict) -> str:
    """Return what the test could detect, and the seeds that would settle an inconclusive claim."""
    of = out.claim.measure
    if out.interval.n < stats.FEWEST_FOR_POWER:
        text = f"not shown below {stats.FEWEST_FOR_POWER} seeds"
    elif out.claim.kind == "no loss":
        text = (
            "with no true difference, it would be supported in at least "
            f"{units.percent(out.if_equal)} of cases; "
            f"the control differs by {units.with_unit(out.control.mean, *of)}"
        )
    else:
        text = units.with_unit(out.detectable, *of)
    if out.verdict == "inconclusive":
        if out.to_settle:
            text += f"; about {out.to_settle} seeds with as many test images each would settle it"
    return text


def _reported(claim: Claim) -> str:
    if not claim.reported:
        return "no number that we could check"
    return "; ".join(
        f"{number.text}; {f'{number.runs} runs' if number.runs else 'runs not stated'}, "
        f"{'with' if number.interval else 'without'} an interval"
        for number in claim.reported
    )


def _test(study: Study, claim: Claim) -> str:
    if claim.kind == "out of scope":
        return f"none here: {claim.why}"
    margin = units.with_unit(claim.boundary, *claim.measure)
    return f"{_terms(study, claim, ', ')}; margin {margin} ({claim.margin_reason})"
