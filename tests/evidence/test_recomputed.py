"""Every number of a claim or a control follows from the record file alone.

The arithmetic here is numpy's and scipy's; the package says only what is compared with what.
"""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import toy

from reviewlib import papers
from reviewlib.evidence.make import make
from reviewlib.evidence.record import Record
from reviewlib.evidence.registration import EVIDENCE
from reviewlib.evidence.store import BOOK, Store
from reviewlib.evidence.verdicts import judge, judge_controls
from reviewlib.trial.claims import TIMED
from reviewlib.trial.declare import gain, no_loss, standard_controls

# From the file


def tries_of(file, condition):
    """Return the judged length of a search in a condition."""
    return {**file["preset"], **file["preset"].get("where", {}).get(condition, {})}["tries"]


def scores(file, arm, condition, metric, best):
    """Return the result of an arm by seed: the expected score of the best of k, or the best's.

    Of a timed step, it is what was measured, by launch.
    """
    if metric in TIMED:
        rows = [row for row in file["timed"] if (row["arm"], row["condition"]) == (arm, condition)]
        return {row["seed"]: row[metric] for row in rows}
    (group,) = (g for g in file["runs"] if (g["arm"], g["condition"]) == (arm, condition))
    found = {}
    for seed, table, of_best in zip(group["seed"], group["scores"], group["best"], strict=True):
        if metric in of_best:  # measured on the best trial only
            found[seed] = of_best[metric]
            continue
        accuracy, nll = table["validation_accuracy"], table["validation_nll"]
        ranked = sorted(range(len(accuracy)), key=lambda i: (-accuracy[i], nll[i], i))
        if metric not in table:
            values = [1 - score for score in table[metric.replace("error", "accuracy")]]
        else:
            values = table[metric]
        total = len(ranked)
        tries = total if best else min(tries_of(file, condition), total)
        found[seed] = sum(
            values[trial] * math.comb(total - 1 - rank, tries - 1) / math.comb(total, tries)
            for rank, trial in enumerate(ranked)
        )
    return found


def contrast(file, terms, claim, best):
    """Return a contrast by seed, positive in favor of the claim."""
    sign = -1 if claim.better == "lower" else 1
    totals = None
    for weight, arm, condition in terms:
        by_seed = scores(file, arm, condition, claim.metric, best)
        part = np.array([by_seed[seed] for seed in sorted(by_seed)])
        part = sign * weight * (np.log(part) if claim.scale == "log ratio" else part)
        totals = part if totals is None else totals + part
    return totals


def lead(file, arm, condition, best):
    """Return by how much an arm leads logistic regression, by seed."""
    floor = {f["seed"]: f["accuracy"] for f in file["floor"] if f["condition"] == condition}
    by_seed = scores(file, arm, condition, "accuracy", best)
    assert floor.keys() == by_seed.keys()
    return np.array([by_seed[seed] - floor[seed] for seed in sorted(by_seed)])


def interval(values, level):
    """Return mean, low and high end of a t interval, and n."""
    half = scipy.stats.sem(values) * scipy.stats.t.ppf((1 + level) / 2, len(values) - 1)
    return [values.mean(), values.mean() - half, values.mean() + half, len(values)]


def word(claim, measured, control):
    """Return the verdict by the tables of the protocol."""
    (mean, lo, hi, _), margin = measured, claim.margin
    if claim.kind == "no loss":
        if hi < -margin:
            return "contradicted"
        kept = lo > -margin and control[2] < -margin
        return ("supported" if hi >= 0 else "small loss") if kept else "inconclusive"
    if lo > 0:
        return "supported" if mean >= margin * (1 - 1e-4) else "real but small"
    if hi < 0:
        return "contradicted"
    return "no meaningful gain" if hi < margin else "inconclusive"


# A record of every kind of claim, with scores that were never trained

SIZES = replace(toy.TINY, trials=8, tries=4, seeds=12, where={"noise": {"trials": 6, "tries": 3}})
CHILD = replace(toy.SLOW, name="child", role="ablation", search=(), parent="slow")
WORSE = (toy.SGD - toy.SLOW) @ toy.NOISE
CLAIMS = (
    replace(toy.CLAIM, margin=0.02),
    gain(
        "loss",
        toy.SLOW @ toy.NOISE - toy.SLOW @ toy.CLEAN,
        metric="nll",
        better="lower",
        scale="log ratio",
        margin=0.05,
        margin_reason="five percent",
        primary=True,
    ),
    no_loss("kept", (toy.SLOW - toy.SGD) @ toy.NOISE, "Kept.", "", control=WORSE, primary=True),
    gain("part", (CHILD - toy.SLOW) @ toy.CLEAN, metric="error", better="lower"),
)
STUDY = toy.study(
    arms=(*toy.ARMS, CHILD, *standard_controls(toy.SGD)), claims=CLAIMS, presets=(SIZES,)
)


def drawn(best):
    """Return a record of STUDY whose scores are random; `best` is how good the slow arm is."""
    draw = np.random.default_rng(7)

    def run(arm, condition, seed):
        trials = 3 if arm.parent else SIZES.at(condition).trials
        level = best if arm.name in ("slow", "child") else 0.6
        accuracy = draw.normal(level, 0.05, trials).clip(0.1, 0.99)
        return {
            "arm": arm.name,
            "condition": condition.name,
            "seed": seed,
            "fixed": {},
            "settings": {"lr": draw.random(trials).tolist()},
            "scores": {
                "validation_accuracy": draw.choice([0.5, 0.6, 0.7], trials).tolist(),
                "validation_nll": draw.choice([0.8, 0.9], trials).tolist(),
                "accuracy": accuracy.tolist(),
                "nll": (1.5 - accuracy).tolist(),
            },
            "diverged_at": [None] * trials,
            "best": {},
            "curve": [],
            "passes": 1,
            "seconds": 1.0,
            "peak_bytes": None,
            "correct": None,
        }

    seeds = STUDY.seeds(SIZES)
    places = [(a, c) for c in STUDY.conditions for a in STUDY.arms_in(c)]
    floor = [
        {"condition": where.name, "seed": seed, "accuracy": draw.normal(0.45, 0.05)}
        for where in STUDY.conditions
        for seed in seeds
    ]
    return Record(
        study="toy",
        preset=SIZES.plain(),
        results_version=1,
        data={"name": SIZES.data, "checksum": ""},
        test="",
        provenance={"commit": "", "device": "", "date": "", "versions": {"torch": ""}}
        | {"cpu_seconds": 1.0},
        runs=pd.DataFrame([run(arm, where, seed) for arm, where in places for seed in seeds]),
        floor=pd.DataFrame(floor),
        fingerprints={},
    )


def check(study, store, preset):
    """Hold what the package says of a record to what its file says; return the verdicts."""
    path = store.path(study.name, preset)
    file = json.loads(path.read_text())
    if study.timings:
        file["timed"] = json.loads(path.with_name(f"{preset}-timings.json").read_text())["rows"]
    record = store.load(study.name, preset)
    primaries, controls = study.primary, judge_controls(study, record)
    tested = [claim for claim in study.claims if claim.kind != "out of scope"]
    for out in [judge(study, record, claim) for claim in tested] + controls:
        claim = out.claim
        again = claim.name.startswith("a_a-")
        level = 1 - 0.05 / len(primaries) if claim in primaries else 0.999 if again else 0.95
        best, best_control = (
            any(study.arm(arm).parent or study.condition(at).parent for _, arm, at in terms)
            for terms in (claim.contrast, claim.control)
        )
        measured = interval(contrast(file, claim.contrast, claim, best), level)
        said = [out.interval.mean, out.interval.lo, out.interval.hi, out.interval.n]
        assert said == pytest.approx(measured, abs=1e-9), claim.name
        if claim in tested and not claim.primary:
            assert out.verdict is None
            continue
        if claim not in primaries:
            passed = measured[1] <= 0 <= measured[2] if again else measured[1] > 0
            assert (out.verdict != "failed") == passed
            continue
        control = claim.control and contrast(file, claim.control, claim, best_control)
        other = claim.control and interval(control, level)
        if claim.control:
            said = [out.control.mean, out.control.lo, out.control.hi, out.control.n]
            assert said == pytest.approx(other, abs=1e-9), claim.name
        learned = True
        for (arm, condition), led in out.health.items():
            expected = interval(lead(file, arm, condition, best), 0.95)
            assert [led.mean, led.lo, led.hi, led.n] == pytest.approx(expected, abs=1e-9)
            learned &= expected[1] > 0 or study.arm(arm).may_fail
        trained = claim.contrast if not claim.timed else ()
        assert out.health.keys() == {(arm, where) for _, arm, where in trained}
        judged = word(claim, measured, other) if learned else "not judged: the net did not learn"
        assert out.verdict == judged, claim.name
    return [judge(study, record, claim).verdict for claim in primaries]


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (0.7, ["supported", "inconclusive", "supported"]),
        (0.59, ["no meaningful gain", "no meaningful gain", "inconclusive"]),
        (0.44, ["not judged: the net did not learn"] * 3),
    ],
)
def test_every_number_of_a_drawn_record_follows_from_its_file(tmp_path, best, words):
    store = Store(tmp_path)
    store.save(drawn(best))
    assert check(STUDY, store, "laptop") == words


def test_every_number_of_a_trained_record_follows_from_its_file(tmp_path, own_cache):
    store, study = Store(tmp_path), toy.study(**toy.CONTROLLED)
    store.save(make(study, toy.TINY))
    check(study, store, "laptop")


def test_every_number_of_the_books_records_follows_from_their_files():
    for study in map(papers.find, papers.found()):
        for preset in EVIDENCE:
            if BOOK.has(study.name, preset) and not study.awaiting:
                check(study, BOOK, preset)
