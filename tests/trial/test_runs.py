"""One run is a pure function of its arguments."""

from dataclasses import replace

import pytest
import torch
import toy
from smallnets import Recorded, numbers
from toy import CLEAN, NOISE, SGD, SLOW

from reviewlib import data
from reviewlib.train import models
from reviewlib.trial.declare import training
from reviewlib.trial.fingerprints import replay
from reviewlib.trial.runs import Run, draw, perform, stacks, trained

STUDY = toy.study()
RUN = Run(SGD, CLEAN, (("lr", 0.05),), 0, toy.TINY, "final", (0, 3))
TRIAL = replace(RUN, phase="tuning", fold=None)
DEVELOPMENT = data.load(toy.TINY.data).development
PRINT = {"clean": {"losses": [2.3], "scores": [0.1]}}


def timeless(row):
    return {key: value for key, value in row.items() if key != "seconds"}


def test_a_run_twice_is_the_same_run():
    (first,), (second,) = perform(STUDY, [RUN]), perform(STUDY, [RUN])
    assert timeless(first) == timeless(second)
    assert first["passes"] == toy.TINY.steps * toy.TINY.batch_size


def test_a_run_restores_the_number_of_threads():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)

    def train(run):
        seen.append(torch.get_num_threads())
        yield training(run)

    try:
        perform(STUDY, [replace(TRIAL, arm=replace(SGD, train=train))])
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_diverged_run_scores_chance_and_says_when():
    (row,) = perform(STUDY, [replace(RUN, settings=(("lr", 1e30),))])
    assert row["accuracy"] == row["early_accuracy"] == row["train_accuracy"] == 0.1
    assert row["nll"] == row["early_nll"] == pytest.approx(2.302585)
    assert row["diverged_at"] is not None


# What a run is given


def test_arms_share_images_noise_and_order_by_seed():
    one, two = (draw(DEVELOPMENT, toy.TINY, NOISE, 5) for _ in range(2))
    clean = draw(DEVELOPMENT, toy.TINY, CLEAN, 5)
    other = draw(DEVELOPMENT, toy.TINY, NOISE, 6)
    assert torch.equal(one.train.images, two.train.images)
    assert torch.equal(one.train.labels, two.train.labels)
    assert torch.equal(one.train.images, clean.train.images)
    for part, size in (("train", toy.TINY.train), ("validation", toy.TINY.validation)):
        wrong = getattr(one, part).labels != getattr(clean, part).labels
        assert wrong.sum() == round(0.4 * size)
    assert not torch.equal(one.train.images, other.train.images)
    assert one.train.images.shape[1:] == (1, 7, 7)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train": 2001}, "half of the training pool, 2000 images, got 2001"),
        ({"validation": 501}, "half of the validation pool, 500 images, got 501"),
    ],
)
def test_a_run_takes_at_most_half_of_a_pool(sizes, message):
    draw(DEVELOPMENT, replace(toy.TINY, train=2000, validation=500), CLEAN, 5)
    with pytest.raises(ValueError, match=message):
        draw(DEVELOPMENT, replace(toy.TINY, **sizes), CLEAN, 5)


def test_an_arm_with_a_train_fraction_gets_the_first_of_the_same_images():
    whole = draw(DEVELOPMENT, toy.TINY, NOISE, 5)
    half = draw(DEVELOPMENT, toy.TINY, NOISE, 5, train_fraction=0.5)
    assert torch.equal(half.train.images, whole.train.images[:30])
    assert torch.equal(half.train.labels, whole.train.labels[:30])
    assert torch.equal(half.validation.labels, whole.validation.labels)
    arm = replace(SGD, train_fraction=0.5)
    ((_, _, given),) = trained(STUDY, [replace(RUN, arm=arm)], DEVELOPMENT)
    assert len(given.train) == 30


def test_another_search_seed_changes_the_initialization_and_not_the_images():
    again = replace(RUN, arm=replace(SGD, search_seed=1))
    (one,), (other,) = (trained(STUDY, [run], DEVELOPMENT) for run in (RUN, again))
    assert torch.equal(one[2].train.images, other[2].train.images)
    first, second = (next(run.procedure(STUDY, one[2])) for run in (RUN, again))
    assert not torch.equal(numbers(first.model), numbers(second.model))
    assert first.seed != second.seed


def test_search_overrides_the_arm_and_the_arm_overrides_the_condition():
    held = replace(RUN, condition=replace(CLEAN, fixed={"momentum": 0.1, "width": 3, "lr": 1}))
    assert held.all_settings() == {"momentum": 0.1, "width": 3, "lr": 0.05}
    assert replace(held, arm=SLOW).all_settings() == {"momentum": 0.45, "width": 3, "lr": 0.05}


def test_tuning_gets_no_test_data(monkeypatch):
    monkeypatch.setattr(data, "fold", lambda *_: pytest.fail("reached for test images"))
    perform(STUDY, [TRIAL])
    with pytest.raises(pytest.fail.Exception):
        perform(STUDY, [RUN])


def test_a_final_model_is_inspected_with_its_own_training_images():
    study = toy.study(inspect=lambda model, sample: {"seen": float(len(sample.train))})
    (final,), (trial,) = perform(study, [RUN]), perform(study, [TRIAL])
    (diverged,) = perform(study, [replace(RUN, settings=(("lr", 1e30),))])
    assert final["seen"] == toy.TINY.train and "seen" not in {**trial, **diverged}


# What a run means

DIFFERENT = {
    "arm": replace(RUN, arm=SLOW),
    "steps of the arm": replace(RUN, arm=replace(SGD, step_multiple=2)),
    "images of the arm": replace(RUN, arm=replace(SGD, train_fraction=0.5)),
    "streams of the arm": replace(RUN, arm=replace(SGD, search_seed=1)),
    "draws of the arm": replace(RUN, arm=replace(SGD, stochastic=True)),
    "fixed setting": replace(RUN, arm=replace(SGD, fixed={"momentum": 0.5})),
    "stack of the condition": replace(RUN, condition=replace(CLEAN, stack=2)),
    "ragged batch of the condition": replace(RUN, condition=replace(CLEAN, ragged="widths")),
    "setting of the condition": replace(RUN, condition=replace(CLEAN, fixed={"momentum": 0.5})),
    "steps of the condition": replace(RUN, condition=replace(CLEAN, step_multiple=2)),
    "noise": replace(RUN, condition=replace(CLEAN, label_noise=0.1)),
    "setting": replace(RUN, settings=(("lr", 0.06),)),
    "seed": replace(RUN, seed=1),
    "fold": replace(RUN, fold=(1, 3)),
    "phase": TRIAL,
    "size": replace(RUN, preset=replace(toy.TINY, train=61)),
    "validation": replace(RUN, preset=replace(toy.TINY, validation=41)),
    "batches": replace(RUN, preset=replace(toy.TINY, batch_size=21)),
    "steps": replace(RUN, preset=replace(toy.TINY, steps=5)),
    "image size": replace(RUN, preset=replace(toy.TINY, image_size=14)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_every_field_that_defines_a_run_changes_its_key(what):
    assert DIFFERENT[what].key(STUDY, "data", PRINT) != RUN.key(STUDY, "data", PRINT)


def test_data_version_and_fingerprint_change_the_key():
    key = RUN.key(STUDY, "data", PRINT)
    assert key != RUN.key(STUDY, "other data", PRINT)
    assert key != RUN.key(STUDY, "data", {})
    assert key != RUN.key(toy.study(results_version=2), "data", PRINT)
    assert key != RUN.key(toy.study(name="another"), "data", PRINT)


def test_fields_that_do_not_define_a_run_do_not_change_its_key():
    relabeled = replace(RUN, arm=replace(SGD, label="x", note="y"))
    renamed = replace(RUN, condition=replace(CLEAN, label="another label"))
    more = replace(RUN, preset=replace(toy.TINY, name="x", trials=99, tuning_seeds=9, seeds=9))
    assert {run.key(STUDY, "data", PRINT) for run in (relabeled, renamed, more)} == {
        RUN.key(STUDY, "data", PRINT)
    }


# Stacks


def test_stacks_are_composed_by_the_study():
    six = [replace(RUN, seed=seed) for seed in range(6)]
    noisy = [replace(run, condition=NOISE) for run in six[:2]]  # a condition without stacks
    drawing = [replace(run, arm=replace(SGD, name="x", stochastic=True)) for run in six[:2]]
    other = [replace(run, arm=SLOW) for run in six[:3]]
    assert stacks(six + noisy + drawing + other) == (
        [[0, 1, 2, 3], [4, 5], [6], [7], [8], [9], [10, 11, 12]]
    )


@pytest.mark.parametrize("arm", toy.ARMS, ids=lambda arm: arm.name)
def test_rows_do_not_depend_on_the_stacking(arm):
    three = [
        replace(
            RUN,
            arm=arm,
            seed=i,
            settings=(("lr", 0.02 * (1 + i)), *((name, 0.3 * i) for name in arm.search[1:])),
            fold=(i, 3),
        )
        for i in range(3)
    ]
    require_equal_rows(perform(STUDY, three), [perform(STUDY, [run])[0] for run in three])


def require_equal_rows(together, alone):
    for one, other in zip(together, alone, strict=True):
        assert one["nll"] == pytest.approx(other["nll"], abs=1e-5)
        ignored = ("seconds", "nll", "early_nll")
        one, other = ({k: v for k, v in row.items() if k not in ignored} for row in (one, other))
        assert one == other


WIDTHS = tuple(
    replace(CLEAN, name=f"w{width}", fixed={"width": width}, stack=2, ragged="widths")
    for width in (2, 7, 3)
)


def test_ragged_conditions_share_one_batch_and_keep_their_rows():
    loss = Recorded()

    def train(run):
        yield training(run, loss=loss)

    def wide(run):
        return models.mlp(run.sample.train, run.sample.classes, int(run["width"]))

    arms = (replace(SGD, train=train), SLOW)
    claim = replace(toy.CLAIM, contrast=SLOW @ WIDTHS[1] - SGD @ WIDTHS[0])
    study = toy.study(conditions=WIDTHS, net=wide, arms=arms, claims=(claim,))
    asked = [
        replace(RUN, arm=arms[0], condition=condition, seed=seed, fold=(seed, 3))
        for condition in WIDTHS
        for seed in (0, 1, 2)
    ]
    # one seed in every width, then the next seed; two seeds per batch
    first, last = stacks(asked)
    assert (first, last) == ([0, 3, 6, 1, 4, 7], [2, 5, 8])
    together = perform(study, [asked[i] for i in first])
    assert loss.together == {6}
    require_equal_rows(together, [perform(study, [asked[i]])[0] for i in first])
    loss.batches.clear()
    assert replay(study, arms[0]).keys() == {"w2", "w7", "w3"}
    assert loss.together == {6}
