"""The floor: logistic regression on the images and labels of every arm."""

from dataclasses import replace

import toy
from toy import CLEAN, NOISE

from reviewlib import data
from reviewlib.trial.floor import floor


def test_conditions_with_the_same_label_noise_share_their_floor(monkeypatch):
    folds, fold = [], data.fold
    monkeypatch.setattr(data, "fold", lambda *of, **how: folds.append(of[1:]) or fold(*of, **how))
    wide = replace(CLEAN, name="wide", fixed={"width": 9})
    study = toy.study(conditions=(CLEAN, NOISE, wide), results_version=2)
    found = floor(study, toy.TINY)
    assert found["seed"].tolist() == 3 * list(study.seeds(toy.TINY))
    assert folds == 2 * [(0, 3), (1, 3), (2, 3)]  # each seed's own, for each share of wrong labels
    by_condition = found.groupby("condition")["accuracy"].apply(list)
    assert by_condition["clean"] == by_condition["wide"] != by_condition["noise"]
    assert found["accuracy"].min() > 0.1


def test_a_preset_has_a_floor_in_its_own_conditions_only():
    found = floor(toy.study(), replace(toy.TINY, conditions=(NOISE,)))
    assert set(found["condition"]) == {"noise"}
