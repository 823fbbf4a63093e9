"""How the chosen settings scatter: every seed is a point, and a full end of a range is flagged."""

from dataclasses import replace

import pandas as pd
import pytest
import toy

from reviewlib.page import chosen

OF = toy.study(**toy.CONTROLLED)
SEEDS, TRIALS = 12, 4


def record_of(record, of, place, seeds=SEEDS, trials=TRIALS):
    """Return a record in which the best trial of every run lies at a place in its range.

    Args:
        record: gives all but the runs.
        of: the study.
        place: (seed) -> position in the range, of the learning rate.
        seeds: number of seeds.
        trials: number of trials of a run.
    """
    first = record.runs.iloc[0].to_dict()
    accuracy = [0.9] + [0.5] * (trials - 1)
    scores = {name: accuracy for name in first["scores"]}
    middle = {each.name: [each.at(0.5)] * trials for each in of.hyperparameters}
    rate = of.hyperparameters[0]
    runs = [
        first
        | {"arm": arm.name, "condition": where.name, "seed": seed, "scores": scores}
        | {"diverged_at": [None] * trials}
        | {
            "settings": {name: middle[name] for name in arm.search}
            | {"lr": [rate.at(place(seed))] * trials}
        }
        for where in of.conditions
        for arm in of.arms_in(where)
        for seed in range(seeds)
    ]
    preset = {**record.preset, "trials": trials, "seeds": seeds}
    return replace(record, runs=pd.DataFrame(runs), preset=preset)


def test_every_seed_of_a_judged_arm_is_a_point_in_its_panel(record):
    drawn = chosen.chosen(OF, record_of(record, OF, lambda seed: 0.1 + seed / 20))
    titles = [axis.get_title("left") for axis in drawn.fig.axes]
    assert titles == ["lr", "damping"]
    assert [axis.get_xscale() for axis in drawn.fig.axes] == ["log", "linear"]
    rates = drawn.fig.axes[0]
    assert [tick.get_text() for tick in rates.get_yticklabels()] == ["Half the momentum", "SGD"]
    points = [dots.get_offsets() for dots in rates.collections]
    assert [len(part) for part in points] == [SEEDS] * 2  # the claim's condition alone
    rate = OF.hyperparameters[0]
    assert points[0][0][0] == pytest.approx(rate.at(0.1))
    assert points[0][:, 1].min() > 1.5 > points[1][:, 1].max()  # a row each
    ends = [line.get_xdata()[0] for line in rates.lines]
    assert ends == [rate.at(0.0), rate.at(1.0)]


def test_the_table_has_every_arm_and_condition_with_a_search(record):
    table = chosen.chosen(OF, record_of(record, OF, lambda seed: 0.5)).table
    rates = table[table["hyperparameter"] == "lr"]
    assert list(zip(rates["arm"], rates["condition"], strict=True)) == [
        ("SGD", "clean labels"),
        ("SGD", "wrong labels"),
        ("Half the momentum", "clean labels"),
        ("Half the momentum", "wrong labels"),
        ("SGD again", "clean labels"),
        ("SGD, half the data", "wrong labels"),
    ]
    assert set(rates["median"]) == {"0.032"} and set(rates["at the high end"]) == {"0 of 12"}


@pytest.mark.parametrize(("end", "place"), [("low", 0.0), ("high", 1.0)])
def test_an_end_that_is_chosen_too_often_is_flagged_everywhere(record, end, place):
    drawn = chosen.chosen(OF, record_of(record, OF, lambda seed: place if seed < 8 else 0.5))
    row = drawn.table.iloc[0]
    assert row[f"at the {end} end"] == "8 of 12, flagged"
    said = f"lr of SGD, clean labels, at the {end} end"
    assert said in drawn.caption and said in drawn.alt
    assert "Of 16 ends tested, up to 1 would be flagged by chance" in drawn.caption
    signs = [line for line in drawn.fig.axes[0].lines if line.get_marker() in "<>"]
    assert [line.get_xdata()[0] for line in signs] == [OF.hyperparameters[0].at(place)] * 2


def test_an_end_with_its_share_of_the_choices_is_not_flagged(record):
    drawn = chosen.chosen(OF, record_of(record, OF, lambda seed: 1.0 if seed < 5 else 0.5))
    assert drawn.table.iloc[0]["at the high end"] == "5 of 12"  # a quarter would be three
    assert "No end of a range was chosen significantly" in drawn.caption
    assert "No end of a range was chosen significantly" in drawn.alt


def test_arms_that_take_their_parents_settings_have_no_search(record):
    part = replace(toy.PART, search=(), parent="sgd", conditions=(toy.CLEAN,))
    of = toy.study(arms=(*toy.ARMS, part))
    drawn = chosen.chosen(of, record_of(record, of, lambda seed: 0.5))
    assert "SGD, half the data" not in set(drawn.table["arm"])


def test_arms_that_take_the_settings_of_another_condition_have_no_search_there(record):
    far = replace(toy.NOISE, parent="clean")
    of = toy.study(conditions=(toy.CLEAN, far))
    drawn = chosen.chosen(of, record_of(record, of, lambda seed: 0.5))
    assert set(drawn.table["condition"]) == {"clean labels"}


def test_without_a_search_there_is_no_figure(record):
    assert chosen.chosen(OF, record_of(record, OF, lambda seed: 0.5, trials=1)) is None
