"""A record holds every run and every trial, and its digest covers all that was measured."""

import copy
import json
from dataclasses import replace

import pandas as pd
import pytest
import toy

from reviewlib.evidence.record import json_rows
from reviewlib.trial.fingerprints import test_digest as digest_of_test

OF = toy.study()
PLACES = 2 * 2  # conditions and arms


def test_a_record_holds_every_run_and_every_trial(record):
    assert len(record.runs) == len(record.rows) == len(record.best) == PLACES * toy.TINY.seeds
    assert len(record.trials) == PLACES * toy.TINY.seeds * toy.TINY.trials
    assert (record.trials["rank"] == 0).sum() == len(record.runs)
    assert len(record.floor) == 2 * toy.TINY.seeds
    assert record.test == digest_of_test(OF, toy.TINY)
    assert record.provenance["cpu_seconds"] == round(sum(record.runs["seconds"]), 1)


def test_the_settings_of_a_row_are_those_of_the_best_trial_on_validation(record):
    best = record.trials[record.trials["rank"] == 0].set_index(["arm", "condition", "seed"])
    for row in (*record.rows.to_dict("records"), *record.best.to_dict("records")):
        trial = best.loc[(row["arm"], row["condition"], row["seed"])]
        assert row["settings"] == {**OF.arm(row["arm"]).fixed, **trial["settings"]}
    for row in record.best.to_dict("records"):
        trial = best.loc[(row["arm"], row["condition"], row["seed"])]
        assert (row["accuracy"], row["nll"]) == (trial["accuracy"], trial["nll"])


def test_rows_are_the_results_of_the_judged_length_of_a_search(record):
    columns = ["accuracy", "nll", "early_accuracy"]
    for tries, table in ((toy.TINY.tries, record.rows), (toy.TINY.trials, record.best)):
        assert record.after(tries)[columns].equals(table[columns])
    each = record.trials.groupby(["arm", "condition", "seed"], sort=False)["accuracy"].mean()
    assert record.after(1)["accuracy"].tolist() == pytest.approx(each.tolist())


def test_a_condition_with_another_length_of_search_is_judged_by_that(record):
    preset = {**record.preset, "where": {"noise": {"tries": 3}}}
    changed = replace(record, preset=preset)
    assert changed.sizes("noise") == {**preset, "tries": 3} and changed.sizes("clean") == preset
    noisy = record.rows["condition"] == "noise"
    assert changed.rows[noisy]["accuracy"].equals(record.best[noisy]["accuracy"])
    assert changed.rows[~noisy]["accuracy"].equals(record.rows[~noisy]["accuracy"])


@pytest.mark.parametrize(
    ("arm", "condition", "count"),
    [("sgd", None, 2 * 3), ("slow", "clean", 3), ("nobody", None, 0)],
)
def test_rows_are_those_of_the_named_arm_and_condition(record, arm, condition, count):
    rows = record.of(arm, condition)
    assert len(rows) == count and set(rows["arm"]) <= {arm}
    assert condition is None or set(rows["condition"]) == {condition}


def nudged(*where):
    """Return what moves a number of the second run a little."""

    def change(runs):
        rows = copy.deepcopy(runs.to_dict("records"))
        part = rows[1]
        for key in where[:-1]:
            part = part[key]
        part[where[-1]] += 1e-6
        return pd.DataFrame(rows)

    return change


def shifted(floor):
    return floor.assign(accuracy=floor["accuracy"] + 1e-6)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("runs", nudged("scores", "accuracy", 0)),
        ("runs", nudged("scores", "validation_nll", 2)),
        ("runs", nudged("settings", "lr", 1)),
        ("runs", nudged("best", "train_accuracy")),
        ("runs", nudged("seconds")),
        ("floor", shifted),
        ("test", lambda _: "0" * 64),
        ("preset", lambda preset: {**preset, "steps": 99}),
        ("data", lambda data: {**data, "checksum": "another"}),
        ("fingerprints", lambda prints: {"sgd": prints["sgd"]}),
    ],
)
def test_the_digest_covers_all_that_was_measured(record, part, change):
    changed = replace(record, **{part: change(getattr(record, part))})
    assert changed.digest() != record.digest()


def test_the_digest_does_not_cover_where_the_record_was_made(record):
    assert replace(record, provenance={"commit": "another"}).digest() == record.digest()


def test_a_missing_number_is_null_in_json():
    table = pd.DataFrame({"diverged_at": [float("nan"), 3.0], "arm": ["a", "b"]})
    assert json.loads(json.dumps(json_rows(table), allow_nan=False)) == [
        {"diverged_at": None, "arm": "a"},
        {"diverged_at": 3.0, "arm": "b"},
    ]


def test_the_number_of_seeds_is_told_of_every_condition(record):
    few = record.runs[(record.runs["condition"] != "noise") | (record.runs["seed"] % 2 == 0)]
    assert record.n == "3" and replace(record, runs=few).n == "2 or 3"
