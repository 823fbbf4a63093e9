"""The table of sizes says what a run gets, from which pools, and how its search went."""

from dataclasses import replace

import images
import pandas as pd
import pytest
import timed
import toy

from reviewlib import data
from reviewlib.page import sizes


@pytest.fixture
def said(record):
    """Return the table of the toy study, as a mapping, for some sizes that differ."""

    def of(first=False, conditions=toy.CONDITIONS, **where):
        preset, study = {**record.preset, "where": where}, toy.study(conditions=conditions)
        table = sizes.protocol(study, replace(record, preset=preset), first=first)
        return dict(zip(table["what"], table["how much"], strict=True))

    return of


def test_it_has_the_pools_the_overlap_the_folds_and_the_search(said):
    table = said()
    assert table["pools"].startswith("4,000 training, 1,000 validation, 3,000 test images; none")
    assert table["overlap"] == (
        "two seeds share 1.5% of their training and 4% of their validation images"
    )
    assert table["test images"] == "1,000 a seed, which no other seed has"
    said = "3 trials of every searched arm on every seed; judged is the"
    assert table["trials × tries"].startswith(said)
    assert table["trials × tries"].endswith("expected best of 2")
    assert table["search"] == "stratified over each range, drawn anew for every seed"


def test_timed_steps_are_counted(record):
    study = timed.study()
    table = sizes.protocol(study, replace(record, timings=timed.made(study)))
    how = dict(zip(table["what"], table["how much"], strict=True))["timed steps"]
    assert how == "1 timings, the shortest of 9 rounds in each of 8 launches of a process"


def test_sizes_that_differ_name_their_condition(said):
    table = said(noise={"train": 600, "seeds": 2})
    assert table["training images per run"].startswith("60 (600: wrong labels), another subset")
    assert table["final seeds"] == "3 (2: wrong labels), the same for every arm"
    assert table["test images"] == "1,000 (1,500: wrong labels) a seed, which no other seed has"
    assert "share 1.5% (15%: wrong labels) of their training and 4% of" in table["overlap"]


def test_a_size_that_is_swept_has_its_range(record):
    sweep = [replace(toy.CLEAN, name=f"n{n}") for n in range(5)]
    where = {condition.name: {"train": 10 * n + 7} for n, condition in enumerate(sweep)}
    rows = pd.concat(
        [record.runs, *(record.runs.assign(condition=condition.name) for condition in sweep)]
    )
    mine = replace(record, runs=rows, preset={**record.preset, "where": where})
    of = toy.study(conditions=(*toy.CONDITIONS, *sweep))
    said = sizes.by_condition(of, mine, lambda here: here["train"])
    assert said == "60 (7 to 47: a sweep)"


def test_conditions_that_inherit_their_settings_are_named(said):
    table = said(conditions=(toy.CLEAN, replace(toy.NOISE, parent="clean")))
    assert table["search"].endswith(
        "; wrong labels: the settings chosen with clean labels, lr × 0.5, 1, 2"
    )


def test_records_of_the_first_protocol_have_no_pools_and_one_search(said):
    table = said(first=True)
    assert "pools" not in table and table["search"].endswith("one for all seeds")


@pytest.mark.parametrize("own", [False, True])
def test_pools_are_as_large_as_what_is_loaded(own, tmp_path):
    name = str(images.photos(tmp_path / "pets")) if own else "fashion-mnist-subset"
    dataset = data.load(name)
    part = dataset.development
    assert data.pool_sizes(name) == (len(part.train), len(part.validation), len(dataset.test))


def test_pools_of_downloads_are_known_without_them():
    assert data.pool_sizes("fashion-mnist") == (22_000, 8_000, 40_000)
    assert data.pool_sizes("cifar10") == (18_000, 8_000, 34_000)
