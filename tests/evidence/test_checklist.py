"""The checklist is computed: every rule is met by one record and not met by another."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import timed
import toy

from reviewlib.evidence import history
from reviewlib.evidence.checklist import checklist
from reviewlib.evidence.store import Store
from reviewlib.trial.claims import NOTHING
from reviewlib.trial.fingerprints import test_digest as digest_of_test

SIZES = replace(toy.TINY, trials=8, seeds=10)
GPU = replace(SIZES, name="gpu")
BOTH = replace(toy.SLOW, name="both", label="Both", role="combination")
SHIFTED = replace(toy.CLAIM, name="elsewhere", primary=False, shifted=True)
FIELDS = {
    "arms": (
        *toy.ARMS,
        BOTH,
        replace(toy.AGAIN, conditions=()),
        replace(toy.PART, conditions=(toy.CLEAN,)),
    ),
    "claims": (toy.CLAIM, SHIFTED),
    "presets": (SIZES, GPU),
}
# Accuracy of each arm; the A/A control has the baseline's, on other seeds.
ACCURACY = {"sgd": 0.80, "slow": 0.83, "both": 0.84, "again": 0.80, "part": 0.75}
STEPS = np.resize([0.01, -0.01], 10)


def made(of):
    """A record of a study that meets every rule of the protocol but the one on scale."""
    runs = [
        {
            "arm": arm.name,
            "condition": condition.name,
            "seed": seed,
            "accuracy": ACCURACY[arm.name] + (step if arm.name in ("sgd", "part") else 0),
            "diverged_at": np.nan,
            "passes": 100,
            "peak_bytes": 1000.0,
        }
        for condition in of.conditions
        for arm in of.arms_in(condition)
        for seed, step in zip(of.seeds(SIZES), STEPS, strict=True)
    ]
    rows = pd.DataFrame(runs)
    trials = [{**run, "trial": trial} for trial in range(8) for run in runs]
    floor = rows[rows["arm"] == "slow"][["condition", "seed", "accuracy"]]
    return SimpleNamespace(
        preset=SIZES.plain() | {"tries": 4},
        results_version=1,
        provenance={"registration": 1},
        test=digest_of_test(of, SIZES),
        trials=pd.DataFrame(trials),
        rows=rows,
        best=rows,
        floor=floor.assign(accuracy=0.6 + STEPS.tolist()[0]),
        timings=None,
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def rules(store):
    """Return what gives each rule's answer, by the rule, for a study and a record."""

    def ask(of=None, record=None, column="here"):
        of = of or toy.study(**FIELDS)
        frame = checklist(of, record or made(of), store)
        return dict(zip(frame["rule of the protocol"], frame[column], strict=True))

    return ask


SCALE = "11. Scale"


def test_a_record_that_meets_every_rule(rules):
    assert {rule for rule, word in rules().items() if word != "met"} == {SCALE}


def rows(change):
    """Change the rows of a record."""
    return lambda record: {"rows": change(record.rows)}


def runs(change):
    """Change the rows of a record and its logistic regression."""
    return lambda record: {"rows": change(record.rows), "floor": change(record.floor)}


def where(frame, column, value, **changes):
    """Return a table with columns changed in some rows."""
    frame = frame.copy()
    for name, change in changes.items():
        frame.loc[frame[column] == value, name] = change
    return frame


def without(column, value):
    return rows(lambda table: table[table[column] != value])


def moved(arm, by):
    """Give every run of an arm the baseline's accuracy, plus that much."""

    def change(table):
        mine = table["arm"] == arm
        theirs = table[table["arm"] == "sgd"].set_index(["condition", "seed"])["accuracy"]
        places = pd.MultiIndex.from_frame(table.loc[mine, ["condition", "seed"]])
        table = table.copy()
        table.loc[mine, "accuracy"] = theirs.loc[places].to_numpy() + np.resize(by, mine.sum())
        return table

    return rows(change)


NOISE_ONLY = {"claims": (replace(toy.CLAIM, contrast=(toy.SLOW - toy.SGD) @ toy.NOISE), SHIFTED)}
OFF = replace(SHIFTED, kind="out of scope", why="needs ImageNet-C")
BROKEN = [
    ("1. Claims before results", {}, lambda record: {"test": "edited"}),
    ("1. Claims before results", {}, lambda record: {"provenance": {}}),
    ("2. Every core arm", {"claims": (SHIFTED,)}, without("arm", "slow")),
    (
        "2. Healthy arms",
        {},
        lambda record: {"floor": where(record.floor, "condition", "clean", accuracy=0.798)},
    ),
    ("2. Healthy arms", {}, lambda record: {"floor": record.floor.iloc[:0]}),
    ("3. Test data out of reach", {}, runs(lambda table: table.assign(seed=table["seed"] + 1))),
    ("4. Equal tuning", {}, lambda record: {"trials": record.trials.query("trial < 7")}),
    (
        "4. Equal tuning",
        {},
        lambda record: {"trials": record.trials.query("trial < 7 or arm != 'slow'")},
    ),
    (
        "4. Equal tuning",
        {},
        lambda record: {"trials": record.trials.query("trial < 7 or seed % 10 != 3")},
    ),
    (
        "4. Equal tuning",
        {},
        lambda record: {"trials": pd.concat([record.trials, record.trials.query("arm == 'slow'")])},
    ),
    ("5. Cost counted and measured", {}, rows(lambda table: table.assign(peak_bytes=np.nan))),
    ("5. Cost counted and measured", {}, rows(lambda table: where(table, "arm", "sgd", passes=0))),
    ("6. Paired seeds", {}, runs(lambda table: table[table["seed"] % 10 != 0])),
    ("6. Paired seeds", {}, rows(lambda table: table.drop(table.query("arm == 'both'").index[0]))),
    (
        "7. Every run recorded",
        {},
        rows(lambda table: table.drop(table.query("arm == 'both'").index[0])),
    ),
    (
        "8. Intervals",
        NOISE_ONLY,
        runs(lambda table: table.query("condition == 'clean' or seed % 10 != 0")),
    ),
    ("10. Controls on ourselves", {}, moved("again", 0.2)),
    ("10. Controls on ourselves", {}, moved("again", [0.3, -0.3])),  # it cannot tell
    ("10. Controls on ourselves", {}, moved("part", 0.0)),
    ("10. Controls on ourselves", {"arms": (*toy.ARMS, BOTH)}, lambda record: {}),
    ("10. An A/A control beside every primary claim", {}, without("arm", "again")),
    (
        "10. An A/A control beside every primary claim",
        NOISE_ONLY,
        rows(lambda table: table.query("condition == 'clean' or arm != 'again'")),
    ),
    (
        "11. Combination",
        {"arms": [arm for arm in FIELDS["arms"] if arm != BOTH]},
        lambda record: {},
    ),
    ("11. Shift", {"claims": (toy.CLAIM, OFF)}, lambda record: {}),
    (SCALE, {}, lambda record: {}),
]


@pytest.mark.parametrize(("rule", "declared", "broken"), BROKEN)
def test_what_does_not_hold_is_not_met(rules, rule, declared, broken):
    of = toy.study(**FIELDS | {name: tuple(value) for name, value in declared.items()})
    record = made(of)
    assert rules(of, SimpleNamespace(**vars(record) | broken(record)))[rule] == "not met"


def test_conditions_may_differ_in_their_seeds(rules):
    sizes = tuple(replace(each, where={"noise": {"seeds": 10}}, seeds=12) for each in (SIZES, GPU))
    of = toy.study(**FIELDS | {"presets": sizes})
    record = made(of)
    more = record.rows[(record.rows["seed"] % 10 < 2) & (record.rows["condition"] == "clean")]
    more = more.assign(seed=more["seed"] + 10)
    record.rows = record.best = pd.concat([record.rows, more], ignore_index=True)
    record.floor = pd.concat([record.floor, more[more["arm"] == "slow"][record.floor.columns]])
    said = rules(of, record)
    for rule in ("6. Paired seeds", "7. Every run recorded", "8. Intervals"):
        assert said[rule] == "met"
    assert rules(of, record, "because")["6. Paired seeds"].startswith("n = 10 or 12, the same")


def test_a_condition_that_inherits_its_settings_has_fewer_trials(rules):
    inherits = {"conditions": (toy.CLEAN, replace(toy.NOISE, parent="clean"))}
    for parents, word in ((inherits, "met"), ({}, "not met")):
        of = toy.study(**FIELDS | parents)
        record = made(of)
        record.trials = record.trials.query("trial < 3 or condition == 'clean'")
        assert rules(of, record)["4. Equal tuning"] == word


def test_diverged_trials_are_counted_where_no_run_diverged(rules):
    of = toy.study(**FIELDS)
    record = made(of)
    gone = (record.trials["trial"] == 0) & (record.trials["arm"] == "slow")
    record.trials = record.trials.assign(diverged_at=np.where(gone, 3.0, np.nan))
    said = rules(of, record, "because")["7. Every run recorded"]
    runs = len(record.rows)
    assert said == (
        f"{runs} of {runs} runs, in 0 of which all trials diverged; {gone.sum()} of {8 * runs} "
        "trials did"
    )


def test_conditions_may_have_searches_of_other_lengths_but_arms_may_not(rules):
    of = toy.study(**FIELDS)
    record = made(of)
    longer = record.trials.query("condition == 'noise' and trial == 7").assign(trial=8)
    record.trials = pd.concat([record.trials, longer])
    assert rules(of, record)["4. Equal tuning"] == "met"
    said = rules(of, record, "because")["4. Equal tuning"]
    assert said.startswith("8 to 9 trials for each arm that is judged")
    record.trials = record.trials.query("arm != 'slow' or trial < 8")
    assert rules(of, record)["4. Equal tuning"] == "not met"


def timed_record(of):
    """A record without memory of a GPU, whose steps were timed."""
    record = made(of)
    record.rows = record.best = record.rows.assign(peak_bytes=np.nan)
    record.timings = timed.made(timed.study())
    return record


def test_a_timing_measures_the_cost_and_its_claims_have_launches(rules):
    where = replace(timed.STEP, arms=("sgd", "slow", "again"))
    of = toy.study(**FIELDS | {"claims": (toy.CLAIM, SHIFTED, timed.FASTER), "timings": (where,)})
    record = timed_record(of)
    met = rules(of, record)
    assert met["5. Cost counted and measured"] == met["8. Intervals"] == "met"
    assert met["10. An A/A control beside every primary claim"] == "met"
    assert (
        "in 8 launches of a process" in rules(of, record, "because")["5. Cost counted and measured"]
    )


def test_every_rule_is_seen_to_be_not_met(rules):
    assert {rule for rule, *_ in BROKEN} | {"9. Verdicts computed"} == set(rules())


def test_the_lead_of_every_compared_arm_is_given_with_its_interval(rules):
    assert rules(column="because")["2. Healthy arms"] == (
        "leads over logistic regression: Half the momentum, clean labels: +22.00 points "
        "[+22.00, +22.00]; SGD, clean labels: +19.00 points [+18.25, +19.75]"
    )


def test_an_arm_that_may_fail_need_not_be_healthy(rules):
    may = replace(toy.SLOW, may_fail=True)
    of = toy.study(**FIELDS | {"arms": (toy.SGD, may, *FIELDS["arms"][2:])})
    record = made(of)
    record.floor = record.floor.assign(accuracy=0.7)
    record.rows = where(record.rows, "arm", "slow", accuracy=0.5)
    assert rules(of, record)["2. Healthy arms"] == "met"
    assert "which may fail" in rules(of, record, "because")["2. Healthy arms"]
    assert rules(record=record)["2. Healthy arms"] == "not met"


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({}, "met"),
        ({"verdict": "contradicted"}, "not met"),
        ({"verdict": "contradicted", "preset": "gpu"}, "met"),  # of other records
        ({"verdict": "contradicted", "results_version": 2}, "met"),
        ({"verdict": "contradicted", "claim": "elsewhere"}, "met"),  # it has no verdict here
    ],
)
def test_a_verdict_that_was_written_down_otherwise_is_not_met(
    rules, tmp_path, monkeypatch, entry, word
):
    monkeypatch.setattr(history, "path_of", lambda study: tmp_path / "history.json")
    row = dict.fromkeys(("mean", "lo", "hi")) | {
        "claim": "better",
        "verdict": "supported",
        "preset": "laptop",
        "results_version": 1,
        "n": 10,
    }
    history.append("toy", [row | entry], "2026-01-01", "c1", "a first look")
    assert rules()["9. Verdicts computed"] == word


def test_a_primary_claim_without_a_verdict_is_not_met(rules):
    lost = replace(toy.CLAIM, kind="no loss", control=toy.CLAIM.contrast)
    object.__setattr__(lost, "control", NOTHING)  # which no claim can be declared with
    of = toy.study(**FIELDS)
    record = made(of)
    object.__setattr__(of, "claims", (lost,))
    assert rules(of, record)["9. Verdicts computed"] == "not met"


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ([toy.CLAIM], "does not apply"),
        ([toy.CLAIM, OFF], "not met"),
        ([toy.CLAIM, SHIFTED, replace(OFF, name="far")], "met"),
    ],
)
def test_what_is_claimed_of_another_distribution_must_be_tested_there(rules, claims, word):
    assert rules(toy.study(**FIELDS | {"claims": tuple(claims)}))["11. Shift"] == word


def test_a_second_valid_size_meets_the_rule_on_scale(record, rules, store):
    of = toy.study(presets=(SIZES, replace(toy.TINY, name="gpu")))
    gpu = of.preset("gpu")
    larger = replace(record, preset=gpu.plain(), test=digest_of_test(of, gpu))
    store.save(larger)
    assert rules(of)[SCALE] == "met"
    store.save(replace(larger, results_version=7))
    assert rules(of)[SCALE] == "not met"
    store.path("toy", "gpu").write_text("{")
    assert rules(of)[SCALE] == "not met"
