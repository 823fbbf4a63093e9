"""Whether this machine agrees with the stored records, and which records the page rests on."""

from dataclasses import replace

import pytest
import toy

from reviewlib.page.agreement import agreement, evidence

OF = toy.study()
RUNS = [{"computed": "2026-01-02", "from_cache": True}, {"computed": "", "from_cache": False}]


def moved(record, shift):
    """Return the record with a higher test accuracy in all trials of one arm."""
    scores = [
        of | {"accuracy": [value + shift for value in of["accuracy"]]} if arm == "slow" else of
        for arm, of in zip(record.runs["arm"], record.runs["scores"], strict=True)
    ]
    return replace(record, runs=record.runs.assign(scores=scores))


def test_a_machine_that_agrees_says_so(record):
    text = agreement(OF, record, record, RUNS)
    assert "12 of 12 have the same test accuracy" in text
    assert "largest difference is 0.00 points: this machine agrees" in text


def test_a_machine_that_does_not_agree_names_the_arm(record):
    text = agreement(OF, moved(record, 0.5), record, RUNS)
    assert "**disagrees** (Half the momentum, clean labels; Half the momentum, wrong" in text


def test_a_few_images_of_a_fold_are_rounding(record):
    text = agreement(OF, moved(record, 0.015), record, RUNS)
    assert "6 of 12 have the same" in text and "1.50 points: this machine agrees" in text


def test_runs_at_other_settings_are_not_compared(record):
    settings = [{name: [0.5] * 3 for name in of} for of in record.runs["settings"]]
    other = replace(record, runs=record.runs.assign(settings=settings))
    text = agreement(OF, record, other, RUNS)
    assert "at other settings than the stored records" in text and "agrees" not in text


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
    assert "rests on the **laptop** records: 12 runs with 36 trials in all" in text
    assert "**Note:** gpu records are stale: the sizes." in text and "Other data" not in text


def test_the_page_says_under_which_registration_its_records_were_made(record):
    registered = replace(record, provenance=record.provenance | {"registration": 2})
    assert "under registration 2." in evidence(registered, [])
    assert "under no registration." in evidence(record, [])


def test_a_page_on_other_data_says_so_first(record):
    text = evidence(replace(record, data={"name": "my_pets"}), [], "my_pets")
    assert text.startswith(r"**Other data than the book's:** my\_pets.")
