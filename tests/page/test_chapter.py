"""What a notebook calls: it shows the records that it rests on and what they say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy

from reviewlib.evidence import stats, units, verdicts
from reviewlib.page import prose
from reviewlib.page.chapter import open_chapter

QUICK = replace(toy.TINY, name="quick", settings_from="laptop")


def texts(bundles, kind):
    return [bundle[kind] for bundle in bundles if kind in bundle]


# Opening


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "huge"}, "no preset 'huge'"),
        ({"seeds": 1}, "seeds must be a whole number of at least 2"),
        ({"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
    ],
)
def test_a_bad_parameter_is_an_error_before_anything_runs(parameters, message):
    with pytest.raises(ValueError, match=message):
        open_chapter("sam", **parameters)


def test_a_page_rests_on_the_stored_records_and_one_of_evidence_on_its_own_run(open_page, record):
    stored = replace(record, provenance=record.provenance | {"commit": "c0ffee"})
    assert open_page(stored).record.digest() == record.digest()
    assert "commit c0ffee" in open_page(stored).stamp
    own = open_page(stored, preset=toy.TINY)
    assert own.record is own.fresh and "c0ffee" not in own.stamp


def test_a_run_of_the_page_takes_its_settings_from_the_records_of_the_page(open_page, record):
    scores = [  # the last trial is the best
        of | {"validation_accuracy": [0.1, 0.2, 0.3]} for of in record.runs["scores"]
    ]
    last = replace(record, runs=record.runs.assign(scores=scores))
    fresh = open_page(last).fresh
    assert fresh.best["settings"].tolist() == last.best["settings"].tolist()
    assert {len(of) for of in fresh.runs["diverged_at"]} == {1}


# The blocks of a page


def test_the_experiment_shows_agreement_evidence_arms_sizes_and_the_search(page, shown):
    page.experiment()
    agreement, evidence, shared = texts(shown(), "text/markdown")
    assert "no stored records" in agreement and "rests on the **laptop** records" in evidence
    assert shared == prose.EXPERIMENT
    arms, sizes, chosen = texts(shown(), "text/html")
    assert "the method" in arms and "training images per run" in sizes
    assert "The settings that validation chose." in chosen and "<figure" in chosen
    assert page.stamp in arms and page.stamp in sizes and page.stamp in chosen


def test_a_machine_that_ran_the_stored_preset_says_whether_it_agrees(open_page, record, shown):
    open_page(record, preset=toy.TINY).experiment()
    assert "this machine agrees" in texts(shown(), "text/markdown")[0]


def test_the_length_of_the_search_is_shown_for_primary_claims(page, shown):
    page.show_search()
    page.show_search("better")
    first, named = texts(shown(), "text/html")
    assert first == named and "against the length of the search" in first and page.stamp in first


def test_the_closing_shows_verdicts_controls_price_and_the_checklist(open_page, controlled, shown):
    open_page(controlled, **toy.CONTROLLED).closing()
    found, controls, price, rules = texts(shown(), "text/html")
    assert "could have noticed" in found and "The method is better." in found
    assert (
        "against itself, tuned again" in controls
        and "all of its images" in controls
        and "forward-backward passes" in price
    )
    assert "11. Shift" in rules and "<details>" in rules


def test_a_comparison_is_a_figure_and_a_table_of_the_named_claims(page, shown):
    page.compare("better")
    figure, table = texts(shown(), "text/html")
    assert "<figure" in figure and "<figure" not in table
    assert page.contrasts("better").data == table and "The method is better." in table


def test_every_other_figure_of_a_page_is_stamped_with_its_origin(page, shown):
    page.show_finals()
    page.show_curves("noise", "sgd", "slow")
    line = pd.Series([1.0, 2.0, 3.0, 4.0], index=[1, 1, 10, 10])
    page.show_over({"sgd": line}, "width", "error", caption="Errors.", marks={"a": 2, "no": None})
    assert len(shown()) == 3
    for bundle in shown():
        assert f"{page.stamp}</figcaption>" in bundle["text/html"]
        assert len(bundle["text/plain"]) > 30
    assert "a at 2" in shown()[2]["text/plain"] and "no at" not in shown()[2]["text/plain"]


def test_images_are_the_notebooks_own(page, shown):
    page.show_images({"one": np.ones((2, 2))}, "connections", caption="Masks.")
    assert "Masks. Computed by this notebook." in shown()[0]["text/html"]


# Sentences


def test_sentences_are_made_from_the_verdicts(page, record):
    (out,) = verdicts.judge_all(page.study, record)
    assert units.with_unit(out.interval.mean, "accuracy") in page.says("better")
    assert "n = 3" in page.says("better") and "95% interval" in page.says("better")
    assert page.verdict("better") == out.verdict
    assert page.notices("better") == "no gain reliably"  # of three seeds


def test_a_difference_that_no_claim_declares_says_so(page, record):
    accuracy = [record.of(arm, "noise")["accuracy"].to_numpy() for arm in ("sgd", "slow")]
    mean = stats.t_interval(accuracy[0] - accuracy[1]).mean
    text = page.difference("sgd", "slow", "noise")
    assert text.startswith(f"{units.with_unit(mean, 'accuracy')} (looked at after the fact; ")


@pytest.mark.parametrize(
    "method", ["says", "notices", "verdict", "compare", "contrasts", "show_search"]
)
def test_a_misspelled_claim_is_an_error_with_the_known_names(method, page):
    with pytest.raises(ValueError, match=r"toy has no tested claim or control 'x'; it has better$"):
        getattr(page, method)("x")


@pytest.mark.parametrize(
    ("method", "names", "message"),
    [
        ("difference", ("sgd", "slwo", "clean"), "no arm 'slwo'; it has sgd, slow"),
        ("show_curves", ("clean", "slwo"), "no arm 'slwo'; it has sgd, slow"),
        ("show_curves", ("claen", "slow"), "no condition 'claen'; it has clean, noise"),
        ("two_by_two", ("sgd", "slow", "sgd", "slwo", "clean"), "no arm 'slwo'"),
        ("sample", (0, "claen"), "no condition 'claen'; it has clean, noise"),
    ],
)
def test_a_misspelled_arm_or_condition_is_an_error_with_the_known_names(
    method, names, message, page
):
    with pytest.raises(ValueError, match=message):
        getattr(page, method)(*names)


def test_controls_are_judged_each_by_itself(open_page, controlled):
    page = open_page(controlled, **toy.CONTROLLED)
    outs = page.control_verdicts
    assert list(outs) == ["a_a-clean", "positive-noise"]
    for name, out in outs.items():
        assert out.interval.level == (0.999 if name.startswith("a_a") else 0.95)
        assert page.verdict(name) == out.verdict in ("passed", "failed", "cannot tell")
        assert units.with_unit(out.interval.mean, "accuracy") in page.says(name)
    runs = controlled.runs[controlled.runs["arm"] != "part"]
    left = verdicts.judge_controls(page.study, replace(controlled, runs=runs))
    assert [out.claim.name for out in left] == ["a_a-clean"]


def test_a_picture_shows_images_as_a_quick_run_gets_them(page):
    clean, noisy = page.sample(seed=3), page.sample(seed=3, condition="noise")
    assert len(clean.train) == QUICK.train and clean.train.images.shape[-1] == QUICK.image_size
    assert clean.train.images.equal(noisy.train.images)
    assert 0.2 < (clean.train.labels != noisy.train.labels).float().mean() < 0.6
    assert not clean.train.images.equal(page.sample(seed=4).train.images)


# A chapter that awaits new records


@pytest.fixture
def old(open_page, controlled):
    """A page of a study that awaits new records and shows older ones, of one trial a run."""
    runs = controlled.runs.assign(
        settings=[{k: v[:1] for k, v in of.items()} for of in controlled.runs["settings"]],
        scores=[{k: v[:1] for k, v in of.items()} for of in controlled.runs["scores"]],
        diverged_at=[[None]] * len(controlled.runs),
    )
    preset = {**controlled.preset, "trials": 1, "tries": 1}
    return open_page(
        replace(controlled, runs=runs, preset=preset, test="of older rules"),
        awaiting="its nets are too small",
        **toy.CONTROLLED,
    )


def test_older_records_are_shown_under_a_banner_and_without_verdicts(old, shown):
    old.answer()
    old.experiment()
    old.closing()
    banner, *_ = texts(shown(), "text/html")
    _, evidence, shared, closing = texts(shown(), "text/markdown")
    assert "first protocol and wait for new ones: its nets are too small" in banner
    assert "They carry no verdicts" in banner and "They carry no verdicts" in evidence
    assert shared == prose.FIRST_PROTOCOL and closing == prose.NO_VERDICT
    assert "no verdicts." in old.stamp
    everything = " ".join(texts(shown(), "text/html")).partition("rule of the protocol")[0]
    for word in (*verdicts.VERDICTS, "passed", "failed"):
        assert f">{word}<" not in everything
    assert old.verdict("better") == old.verdict("a_a-clean") == "awaiting"
    assert "points" in old.says("better")


def test_older_records_have_no_search_to_show(old, shown):
    old.show_search()
    assert shown() == []


def test_a_run_of_today_is_no_older_record(open_page, record):
    page = open_page(record, preset=toy.TINY, awaiting="its nets are too small")
    assert not page.awaits and page.verdict("better") == "awaiting"
