"""Records go stale exactly when results would change; the largest valid ones are shown."""

import copy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import toy

from reviewlib import data, train
from reviewlib.evidence.make import make
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import BOOK, Store
from reviewlib.evidence.validity import best, problems, settings_source, stale_arms
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.experiment import chosen
from reviewlib.trial.fingerprints import test_digest as digest_of_test

OF = toy.study()
ELSEWHERE = Store(Path("elsewhere"))  # outside the book nothing needs a registration
LR, DAMPING = OF.hyperparameters


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


# Changed arithmetic


def slower(model, config):
    momentum = config.momentum if config.momentum == 0.9 else 0.44
    return train.sgd(model, replace(config, momentum=momentum))


def plain_in_a_stack(model, config):
    stacked = isinstance(config.lr, torch.Tensor)
    return train.sgd(model, replace(config, momentum=0) if stacked else config)


def in_another_order(run):
    yield replace(next(toy.trained(run)), seed=run.seed + 1)


def scored_less_often(run):
    training = next(toy.trained(run))
    config = replace(training.config, eval_steps=training.config.eval_steps[1:])
    yield replace(training, config=config)


def elsewhere(run):
    """Do what `toy.trained` does, in other words and elsewhere."""
    yield from toy.trained(replace(run, settings=dict(reversed(run.settings.items()))))


def with_every_arm(**changes):
    return tuple(replace(arm, **changes) for arm in toy.ARMS)


@pytest.mark.parametrize(
    ("arms", "stale"),
    [
        (toy.ARMS, []),
        (toy.broken(slower), ["slow"]),
        (toy.broken(plain_in_a_stack), ["sgd", "slow"]),
        (with_every_arm(train=in_another_order), ["sgd", "slow"]),
        ((replace(toy.SGD, fixed={"momentum": 0.89}), toy.SLOW), ["sgd"]),
        (with_every_arm(train=scored_less_often), ["sgd", "slow"]),
    ],
    ids=[
        "nothing",
        "an optimizer",
        "a stack alone",
        "the data order",
        "a setting held fixed",
        "the steps of evaluation",
    ],
)
def test_changed_arithmetic_makes_exactly_the_arms_concerned_stale(record, arms, stale):
    assert stale_arms(record, toy.study(arms=arms)) == stale


def test_other_words_and_rearranged_source_leave_the_record_valid(record):
    arms = with_every_arm(train=elsewhere, label="ANOTHER", note="")
    assert problems(record, toy.study(arms=arms), ELSEWHERE) == []


def test_a_fixed_setting_too_small_to_show_in_a_tiny_run_is_noticed(record):
    of = toy.study(claims=(), arms=(replace(toy.SGD, fixed={"weight_decay": 1e-7}), toy.SLOW))
    recorded = replace(record, test=digest_of_test(of, toy.TINY))
    assert problems(recorded, of, ELSEWHERE) == ["the fixed settings have changed for sgd"]


def test_a_removed_arm_is_stale(record):
    gone = dict(OF.not_applicable) | {"method": "gone"}
    of = toy.study(arms=(toy.SGD,), claims=(), not_applicable=gone)
    assert stale_arms(record, of) == ["slow"]


# A changed study

NEW = replace(toy.SGD, name="new", role="ablation")
NOISIER = (replace(toy.CLEAN, label_noise=0.2), toy.NOISE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"hyperparameters": (replace(LR, low=0.005, high=0.2), DAMPING)},
            "what defines the test was changed after the final seeds had run",
        ),
        ({"arms": (*toy.ARMS, NEW)}, "not in the records yet: new"),
        ({"conditions": NOISIER}, "what defines the test was changed"),
        ({"presets": ()}, "no longer has a preset 'laptop'"),
        ({"results_version": 2}, "recorded at results_version 1, the study is at 2"),
        ({"claims": (replace(toy.CLAIM, margin=0.02),)}, "the test was changed after"),
        ({"presets": (replace(toy.TINY, steps=5),)}, "sizes were changed"),
    ],
)
def test_a_study_that_moved_on_leaves_its_records_behind(record, changes, reason):
    assert any(reason in problem for problem in problems(record, toy.study(**changes), ELSEWHERE))


def test_an_ablation_that_was_not_tried_at_its_parents_settings_is_stale(own_cache):
    child = replace(toy.SLOW, name="child", role="ablation", parent="slow", search=())
    of = toy.study(arms=(*toy.ARMS, child))
    made = make(of, toy.TINY)
    assert problems(made, of, ELSEWHERE) == []
    parents = made.runs["arm"] == "slow"
    other = pd.concat([moved(made).runs[parents], made.runs[~parents]])
    assert "the search has changed for child" in problems(replace(made, runs=other), of, ELSEWHERE)


def test_a_combination_that_was_not_tried_between_its_parents_settings_is_stale(own_cache):
    both = replace(toy.SLOW, name="both", role="combination", parent=("sgd", "slow"), search=())
    of = toy.study(arms=(*toy.ARMS, both))
    made = make(of, toy.TINY)
    assert problems(made, of, ELSEWHERE) == []
    parents = made.runs["arm"] == "sgd"
    other = pd.concat([moved(made).runs[parents], made.runs[~parents]])
    assert "the search has changed for both" in problems(replace(made, runs=other), of, ELSEWHERE)


def test_an_arm_that_was_not_tried_at_the_settings_of_the_other_condition_is_stale(own_cache):
    of = toy.study(conditions=(toy.CLEAN, replace(toy.NOISE, parent="clean")))
    made = make(of, toy.TINY)
    assert problems(made, of, ELSEWHERE) == []
    clean = made.runs["condition"] == "clean"
    other = pd.concat([moved(made).runs[clean], made.runs[~clean]])
    found = problems(replace(made, runs=other), of, ELSEWHERE)
    assert "the search has changed for sgd, slow" in found


SOME = toy.study(**toy.CONTROLLED)
FIRST = SOME.seeds(toy.TINY)[0]


@pytest.mark.parametrize(
    ("left", "named"),
    [
        (lambda runs: runs[runs["seed"] != FIRST], "sgd, slow, again, part"),
        (lambda runs: runs[runs["arm"] != "again"], "again"),
        (lambda runs: runs[(runs["arm"] != "slow") | (runs["condition"] != "noise")], "slow"),
        (lambda runs: pd.concat([runs, runs[runs["arm"] == "sgd"]]), "sgd"),
        (lambda runs: runs.assign(seed=runs["seed"] + 3), "sgd, slow, again, part"),
    ],
    ids=["a seed", "a control", "a condition", "a run twice", "other seeds"],
)
def test_a_record_without_exactly_the_runs_of_its_study_is_not_shown(own_cache, left, named):
    made = make(SOME, toy.TINY)
    assert problems(made, SOME, ELSEWHERE) == []
    found = problems(replace(made, runs=left(made.runs)), SOME, ELSEWHERE)
    assert f"runs are missing, or not those of the study, for {named}" in found


@pytest.mark.parametrize("left", [slice(0), slice(1, None)], ids=["none", "a seed less"])
def test_a_record_without_its_floor_is_not_shown(record, left):
    found = problems(replace(record, floor=record.floor[left]), OF, ELSEWHERE)
    assert found == ["logistic regression is not there once for every condition and seed"]


def test_another_search_of_an_arm_that_no_test_covers_makes_it_stale(record):
    before, after = (
        toy.study(claims=(), hyperparameters=(LR, replace(DAMPING, high=high))) for high in (1, 2)
    )
    recorded = replace(record, test=digest_of_test(before, toy.TINY))
    assert problems(recorded, before, ELSEWHERE) == []
    assert "the search has changed for slow" in problems(recorded, after, ELSEWHERE)


WORDS = {
    "label": {"arms": with_every_arm(label="Another", note="why")},
    "statement": {"claims": (replace(toy.CLAIM, statement="It is. ", where="there"),)},
    "reported": {"claims": (replace(toy.CLAIM, margin_reason="because", why="so"),)},
    "title": {"title": "Another", "citation": "somebody"},
    "exploratory": {"claims": (toy.CLAIM, replace(toy.CLAIM, name="more", primary=False))},
    "exploratory arm": {"arms": (*toy.ARMS, NEW)},
    "hyperparameter of no arm": {"hyperparameters": (LR, DAMPING, replace(DAMPING, name="more"))},
}
TESTS = {
    "margin": {"claims": (replace(toy.CLAIM, margin=0.02),)},
    "contrast": {"claims": (replace(toy.CLAIM, contrast=(toy.SLOW - toy.SGD) @ toy.NOISE),)},
    "direction": {"claims": (replace(toy.CLAIM, contrast=(toy.SGD - toy.SLOW) @ toy.CLEAN),)},
    "order of the terms": {
        "claims": (replace(toy.CLAIM, contrast=Contrast(toy.CLAIM.contrast.terms[::-1])),)
    },
    "range": {"hyperparameters": (replace(LR, high=0.2), DAMPING)},
    "one more trial": {"presets": (replace(toy.TINY, trials=4),)},
    "a longer search": {"presets": (replace(toy.TINY, tries=3),)},
    "one more hyperparameter": {
        "arms": (toy.SGD, replace(toy.SLOW, search=("lr", "damping", "more"))),
        "hyperparameters": (LR, DAMPING, replace(DAMPING, name="more")),
    },
    "arm": {"arms": (toy.SGD, replace(toy.SLOW, fixed={"momentum": 0.5}))},
    "condition": {"conditions": NOISIER},
    "size": {"presets": (replace(toy.TINY, train=80),)},
    "results_version": {"results_version": 2},
    "control": {"arms": (*toy.ARMS, toy.AGAIN)},
}


@pytest.mark.parametrize("what", WORDS)
def test_words_and_exploratory_claims_define_no_test(what):
    of = toy.study(**WORDS[what])
    assert digest_of_test(of, of.presets[0]) == digest_of_test(OF, toy.TINY)


@pytest.mark.parametrize("what", TESTS)
def test_what_a_verdict_rests_on_defines_the_test(what):
    of = toy.study(**TESTS[what])
    assert digest_of_test(of, of.presets[0]) != digest_of_test(OF, toy.TINY)


def test_other_folds_are_another_test_and_make_every_record_stale(record, monkeypatch):
    before = digest_of_test(OF, toy.TINY)
    assert problems(record, OF, ELSEWHERE) == []
    monkeypatch.setattr(data, "FOLD_SEED", data.FOLD_SEED + 1)
    assert digest_of_test(OF, toy.TINY) != before
    assert "what defines the test was changed" in problems(record, OF, ELSEWHERE)[0]


def test_the_range_of_the_parent_of_a_compared_arm_defines_the_test_too():
    parent = replace(toy.SGD, name="parent", role="ablation", search=("lr", "more"))
    child = replace(parent, name="child", search=(), parent="parent")
    kept = replace(toy.CLAIM, kind="no loss", control=(toy.SGD - child) @ toy.CLEAN)
    one, other = (
        toy.study(
            arms=(*toy.ARMS, parent, child),
            claims=(kept,),
            hyperparameters=(LR, DAMPING, replace(DAMPING, name="more", high=high)),
        )
        for high in (1.0, 2.0)
    )
    assert digest_of_test(one, toy.TINY) != digest_of_test(other, toy.TINY)


# Which records are shown

GPU = replace(toy.TINY, name="gpu")
TWO_SIZES = toy.study(presets=(toy.TINY, GPU))


@pytest.fixture
def gpu(record):
    """The record again, as that of a larger preset."""
    return replace(record, preset=GPU.plain(), test=digest_of_test(TWO_SIZES, GPU))


def test_the_largest_valid_preset_is_shown_and_a_stale_one_named(record, gpu, store):
    store.save(record)
    store.save(gpu)
    assert best(TWO_SIZES, store)[0].preset["name"] == "gpu"
    store.save(replace(gpu, results_version=7))
    shown, notes = best(TWO_SIZES, store)
    assert shown.preset["name"] == "laptop"
    assert notes == ["gpu records are stale: recorded at results_version 7, the study is at 1"]


def test_a_damaged_file_does_not_take_valid_ones_down(record, store):
    store.save(record)
    store.path("toy", "gpu").write_text("{")
    shown, notes = best(TWO_SIZES, store)
    assert shown.preset["name"] == "laptop" and "gpu.json is not a record" in notes[0]


def test_without_valid_records_there_is_an_error_that_says_why(record, tmp_path, store):
    with pytest.raises(RecordError, match="none were made"):
        best(OF, store)
    with pytest.raises(RecordError, match="no valid records on pets: .*study toy --data pets "):
        best(OF, Store(tmp_path, "pets"))
    store.save(replace(record, results_version=7))
    with pytest.raises(RecordError, match="recorded at results_version 7.*reviewlib study toy"):
        best(OF, store)


# Where a preset's settings come from

QUICK = replace(toy.TINY, name="quick", settings_from="laptop")


def moved(record):
    """Return a record whose searches chose the last of their trials."""
    runs = copy.deepcopy(record.runs.to_dict("records"))
    for run in runs:
        run["scores"]["validation_accuracy"] = [0.1, 0.2, 0.3]
    return replace(record, runs=pd.DataFrame(runs))


def last_settings(record):
    return {
        (run["arm"], run["condition"], run["seed"]): {
            name: values[-1] for name, values in run["settings"].items()
        }
        for run in record.runs.to_dict("records")
    }


def test_settings_come_from_the_store_first_and_else_from_the_book(record, store, shelf):
    of = toy.study(presets=(QUICK, toy.TINY))
    shelf(of)
    BOOK.save(record)
    books = settings_source(of, QUICK, store)
    assert books == chosen(record.runs.to_dict("records")) != last_settings(record)
    store.save(moved(record))
    assert settings_source(of, QUICK, store) == last_settings(record)


def test_on_other_data_the_books_settings_are_not_used(record, tmp_path, shelf):
    of = toy.study(presets=(QUICK, toy.TINY))
    shelf(of)
    BOOK.save(record)
    mine = Store(tmp_path / "mine", "pets")
    assert settings_source(of, QUICK, mine) is None
    mine.save(moved(record))
    assert settings_source(of, QUICK, mine) == last_settings(record)


@pytest.mark.parametrize("preset", [toy.TINY, QUICK])
def test_a_preset_without_a_source_searches_for_itself(store, preset):
    assert settings_source(OF, preset, store) is None


def test_a_damaged_source_is_an_error(store):
    path = store.path("toy", "laptop")
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(RecordError, match="laptop.json is not a record"):
        settings_source(OF, QUICK, store)
