"""Whether this machine agrees with the stored records, and which records the page rests on."""

from dataclasses import replace

import pytest
import toy

from reviewlib.page.agreement import agreement, evidence

OF = toy.study()
RUNS = [{"computed": "2026-01-02", "from_cache": True}, {"computed": "", "from_cache": False}]


def test_a_machine_that_agrees_says_so(record):
    text = agreement(OF, record, record, RUNS)
    assert "12 of 12 final runs have the same test accuracy" in text
    assert "largest difference is 0.00 points: this machine agrees" in text


def test_a_machine_that_does_not_agree_names_the_arm(record):
    rows = record.rows.assign(
        accuracy=record.rows["accuracy"].where(record.rows["arm"] == "sgd", 0)
    )
    text = agreement(OF, replace(record, rows=rows), record, RUNS)
    assert "**disagrees** (Half the momentum, clean labels; Half the momentum, wrong" in text


@pytest.mark.parametrize("other", [{"preset": {"name": "laptop", "steps": 99}}, {"data": {}}])
def test_only_like_is_compared_with_like(record, other):
    text = agreement(OF, record, replace(record, **other), RUNS)
    assert "at other sizes or on other data" in text and "agrees" not in text


def test_without_stored_records_there_is_nothing_to_agree_with(record):
    assert "no stored records of it to compare with" in agreement(OF, record, None, RUNS)


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (RUNS, "2 runs of the `laptop` preset, 1 of them from this machine's cache (first of 2026"),
        (RUNS[1:], "1 runs of the `laptop` preset. "),
    ],
)
def test_runs_out_of_the_cache_are_counted(record, runs, said):
    assert said in agreement(OF, record, None, runs)


def test_the_page_says_what_it_rests_on_and_why_not_on_more(record):
    text = evidence(record, ["gpu records are stale: the sizes"])
    assert "rests on the **laptop** records: 12 final runs and 12 trials" in text
    assert "**Note:** gpu records are stale: the sizes." in text and "Other data" not in text


def test_a_page_on_other_data_says_so_first(record):
    text = evidence(replace(record, data={"name": "my_pets"}), [], "my_pets")
    assert text.startswith(r"**Other data than the book's:** my\_pets.")
