"""A record holds every run and every trial, and its digest covers all that was measured."""

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
    assert len(record.rows) == PLACES * toy.TINY.seeds
    assert len(record.trials) == PLACES * toy.TINY.trials
    assert record.trials["chosen"].sum() == PLACES
    assert len(record.floor) == 2 * toy.TINY.seeds
    assert record.test == digest_of_test(OF, toy.TINY)
    spent = sum(record.trials["seconds"]) + sum(record.rows["seconds"])
    assert record.provenance["cpu_seconds"] == round(spent, 1)


def test_the_final_runs_use_the_chosen_settings(record):
    trials = record.trials[record.trials["chosen"]].set_index(["arm", "condition"])["settings"]
    for row in record.rows.to_dict("records"):
        chosen = trials[row["arm"], row["condition"]]
        assert row["settings"] == OF.arm(row["arm"]).fixed | chosen


@pytest.mark.parametrize(
    ("named", "count"),
    [
        ({}, PLACES * 3),
        ({"arm": "sgd"}, 2 * 3),
        ({"condition": "noise"}, 2 * 3),
        ({"arm": "slow", "condition": "clean"}, 3),
        ({"arm": "nobody"}, 0),
    ],
)
def test_runs_are_those_of_the_named_arm_and_condition(record, named, count):
    runs = record.runs(**named)
    assert len(runs) == count
    for column, name in named.items():
        assert set(runs[column]) <= {name}


def shifted(column):
    """Return what moves a number of a table a little."""
    return lambda table: table.assign(**{column: table[column] + 1e-6})


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("rows", shifted("accuracy")),
        ("rows", shifted("seconds")),
        ("trials", shifted("accuracy")),
        ("floor", shifted("accuracy")),
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
