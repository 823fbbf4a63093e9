"""The result of a run: what a search of k tries is worth, and that validation alone chooses."""

import random

import pytest

from reviewlib.trial.results import best_settings, listed, result

RUN = {
    "arm": "sgd",
    "condition": "clean",
    "seed": 7,
    "fixed": {"momentum": 0.9},
    "settings": {"lr": [0.01, 0.03, 0.1]},
    "scores": {
        "validation_accuracy": [0.6, 0.8, 0.7],
        "validation_nll": [1.2, 0.9, 1.0],
        "accuracy": [0.9, 0.5, 0.7],
        "nll": [0.3, 0.8, 0.4],
    },
    "diverged_at": [None, None, None],
    "best": {"train_accuracy": 0.99},
    "curve": [[4, 0.8]],
    "passes": 80,
    "seconds": 1.5,
    "peak_bytes": None,
    "correct": "f0f",
}


def test_a_result_is_the_expected_test_score_of_the_best_of_k_on_validation():
    row = result(RUN, 2)
    # of the three pairs of trials, two hold the best on validation and one the second best
    assert row["accuracy"] == pytest.approx((2 * 0.5 + 0.7) / 3)
    assert row["nll"] == pytest.approx((2 * 0.8 + 0.4) / 3)
    assert row["settings"] == {"momentum": 0.9, "lr": 0.03}
    kept = ("arm", "condition", "seed", "passes", "seconds", "curve", "correct")
    assert {name: row[name] for name in kept} == {name: RUN[name] for name in kept}
    assert row["train_accuracy"] == 0.99 and row["diverged_at"] is None
    assert not any(name.startswith("validation_") for name in row)


@pytest.mark.parametrize("tries", [0, 3, 99])
def test_all_tries_are_the_best_trial_of_all(tries):
    row = result(RUN, tries)
    assert (row["accuracy"], row["nll"]) == (0.5, 0.8)


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_no_test_score_changes_what_is_chosen(tries):
    draw, ranks = random.Random(3), [trial["rank"] for trial in listed([RUN])]
    assert ranks == [2, 0, 1]
    for _ in range(6):
        scores = dict(RUN["scores"])
        for metric in ("accuracy", "nll"):
            scores[metric] = draw.sample(scores[metric], 3)
        other = RUN | {"scores": scores}
        assert [trial["rank"] for trial in listed([other])] == ranks
        assert best_settings(other) == {"lr": 0.03}
        assert result(other, tries)["settings"] == result(RUN, tries)["settings"]
        by_rank = [scores["accuracy"][place] for place in (1, 2, 0)]
        weights = {1: (1 / 3, 1 / 3, 1 / 3), 2: (2 / 3, 1 / 3, 0), 3: (1, 0, 0)}[tries]
        expected = sum(w * score for w, score in zip(weights, by_rank, strict=True))
        assert result(other, tries)["accuracy"] == pytest.approx(expected)


def test_a_run_has_diverged_when_all_its_trials_have():
    some = RUN | {"diverged_at": [3, None, 2]}
    assert result(some, 2)["diverged_at"] is None
    assert [trial["diverged_at"] for trial in listed([some])] == [3, None, 2]
    assert result(RUN | {"diverged_at": [3, 9, 2]}, 2)["diverged_at"] == 2


def test_trials_are_listed_one_by_one_with_their_rank_settings_and_scores():
    rows = listed([RUN, RUN | {"seed": 8, "settings": {}}])
    assert [(row["seed"], row["trial"]) for row in rows] == [
        (s, t) for s in (7, 8) for t in (0, 1, 2)
    ]
    assert rows[1] == {
        "arm": "sgd",
        "condition": "clean",
        "seed": 7,
        "trial": 1,
        "rank": 0,
        "settings": {"lr": 0.03},
        "validation_accuracy": 0.8,
        "validation_nll": 0.9,
        "accuracy": 0.5,
        "nll": 0.8,
        "diverged_at": None,
    }
    assert rows[4]["settings"] == {}
