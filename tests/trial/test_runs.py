"""A run, an arm's whole search on one seed, is a pure function of its arguments."""

import math
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
from reviewlib.trial.results import result
from reviewlib.trial.runs import Run, draw, fold_of, one_thread, perform, tasks, trained
from reviewlib.trial.search import ranking
from reviewlib.trial.shades import shades

STUDY = toy.study()
SEED = STUDY.seeds(toy.TINY)[0]
LRS = ({"lr": 0.02}, {"lr": 0.05}, {"lr": 0.1})
RUN = Run(SGD, CLEAN, SEED, toy.TINY, LRS)
ONE = replace(RUN, trials=LRS[:1])
WILD = {"lr": 1e30}  # diverges
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
        perform(STUDY, [replace(ONE, arm=replace(SGD, train=train))])
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# What a row says


def test_a_row_has_the_scores_of_all_trials_and_more_of_the_best():
    (row,) = perform(STUDY, [RUN])
    assert (row["arm"], row["condition"], row["seed"]) == ("sgd", "clean", SEED)
    assert (row["fixed"], row["settings"]) == ({}, {"lr": [0.02, 0.05, 0.1]})
    metrics = "validation_accuracy validation_nll accuracy nll early_accuracy".split()
    assert list(row["scores"]) == metrics
    assert all(len(values) == 3 for values in (*row["scores"].values(), row["diverged_at"]))
    assert row["diverged_at"] == [None] * 3
    best = ranking(*(row["scores"][name] for name in metrics[:2]))[0]
    (alone,) = perform(STUDY, [replace(RUN, trials=LRS[best : best + 1])])
    assert row["best"] == alone["best"] and row["curve"] == alone["curve"]
    assert [step for step, _ in row["curve"]] == [2, 4]


def test_a_diverged_trial_scores_chance_on_validation_too_and_says_when():
    (row,) = perform(STUDY, [replace(RUN, trials=(WILD, *LRS))])
    for metric, values in row["scores"].items():
        chance = 2.30259 if metric.endswith("nll") else 0.1
        assert values[0] == pytest.approx(chance, abs=1e-5)
    assert row["diverged_at"][0] is not None and row["diverged_at"][1:] == [None] * 3
    (plain,) = perform(STUDY, [RUN])
    assert [values[1:] for values in row["scores"].values()] == list(plain["scores"].values())


@pytest.mark.parametrize("where", ["validation", "fold", "both"])
def test_a_model_with_finite_weights_and_no_finite_loss_has_diverged(where):
    def evaluate(model, split):
        bad = where in ("both", "validation" if len(split) == toy.TINY.validation else "fold")
        return toy.train.evaluate(model, split) | ({"nll": math.nan} if bad else {})

    (row,) = perform(toy.study(evaluate=evaluate), [ONE])
    (plain,) = perform(STUDY, [ONE])
    assert row["diverged_at"] == [toy.TINY.steps - 1]
    chance = {"accuracy": [0.1], "nll": [2.30259], "early_accuracy": [0.1]}
    assert {name: row["scores"][name] for name in chance} == chance
    for name in ("accuracy", "nll"):  # a test image may not rank the trial
        kept = plain["scores"] if where == "fold" else {f"validation_{name}": chance[name]}
        assert row["scores"][f"validation_{name}"] == kept[f"validation_{name}"]


def test_a_run_whose_trials_all_diverged_scores_chance_everywhere():
    (row,) = perform(STUDY, [replace(RUN, trials=(WILD, WILD))])
    assert None not in row["diverged_at"] and row["best"] == {"train_accuracy": 0.1}
    assert row["scores"]["accuracy"] == row["scores"]["early_accuracy"] == [0.1, 0.1]
    assert set(row["correct"]) == {"2"}  # a tenth, in steps of a fifteenth


def test_the_kept_correctness_of_the_images_is_that_of_the_expected_accuracy():
    spread = replace(RUN, trials=tuple({"lr": lr} for lr in (1e-4, 0.3, 0.05)))
    for run in (spread, replace(RUN, trials=(WILD, *LRS))):
        (row,) = perform(STUDY, [run])
        kept = shades(row["correct"])
        fold = fold_of(STUDY, SEED, toy.TINY, data.load(toy.TINY.data))
        assert len(kept) == len(fold) and 0 <= kept.min() <= kept.max() <= 1
        assert kept.mean() == pytest.approx(result(row, 2)["accuracy"], abs=0.5 / 15)
    (best,) = perform(STUDY, [replace(spread, preset=replace(toy.TINY, tries=3))])
    assert len(set(best["scores"]["accuracy"])) == 3
    assert set(best["correct"]) == {"0", "f"}
    assert shades(best["correct"]).mean() == pytest.approx(result(best, 3)["accuracy"], abs=1e-5)


def test_the_best_model_is_inspected_with_its_own_training_images():
    seen = []

    def inspect(model, sample):
        seen.append(numbers(model))
        return {"seen": float(len(sample.train))}

    study = toy.study(inspect=inspect)
    (row,) = perform(study, [RUN])
    assert row["best"]["seen"] == toy.TINY.train and len(seen) == 1
    (lost,) = perform(study, [replace(RUN, trials=(WILD,))])
    assert "seen" not in lost["best"]


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


def test_all_trials_of_a_seed_start_from_one_net_and_see_one_order():
    ((_, _, sample),) = trained(STUDY, [ONE], DEVELOPMENT)
    first, second = (next(RUN.procedure(STUDY, sample, trial)) for trial in (0, 2))
    assert torch.equal(numbers(first.model), numbers(second.model))
    assert first.seed == second.seed and (first.config.lr, second.config.lr) == (0.02, 0.1)
    assert first.train is second.train is sample.train


def test_another_search_seed_changes_the_initialization_and_not_the_images():
    again = replace(RUN, arm=replace(SGD, search_seed=1))
    (one,), (other,) = (trained(STUDY, [run], DEVELOPMENT) for run in (RUN, again))
    assert torch.equal(one[2].train.images, other[2].train.images)
    first, second = (next(run.procedure(STUDY, one[2], 0)) for run in (RUN, again))
    assert not torch.equal(numbers(first.model), numbers(second.model))
    assert first.seed != second.seed


def test_search_overrides_the_arm_and_the_arm_overrides_the_condition():
    def settings(run):
        seen.append(dict(run.settings))
        yield training(run)

    seen, held = [], replace(CLEAN, fixed={"momentum": 0.1, "width": 3, "lr": 1})
    for arm in (SGD, SLOW):
        perform(STUDY, [replace(ONE, condition=held, arm=replace(arm, train=settings))])
    assert seen == [{"momentum": momentum, "width": 3, "lr": 0.02} for momentum in (0.1, 0.45)]


def test_training_is_over_before_a_test_image_is_read(monkeypatch):
    done, fold = [], data.fold

    def train(run):
        yield training(run)
        done.append(run["lr"])

    def watched(*arguments, **options):
        assert len(done) == 3
        return fold(*arguments, **options)

    monkeypatch.setattr(data, "fold", watched)
    perform(STUDY, [replace(RUN, arm=replace(SGD, train=train))])
    assert not hasattr(DEVELOPMENT, "test")


def test_every_seed_has_its_own_fold_and_every_version_its_own_folds():
    pool = data.load(toy.TINY.data)
    folds = {}
    for version in (1, 2):
        study = toy.study(results_version=version)
        for seed in study.seeds(toy.TINY):
            split = fold_of(study, seed, toy.TINY, pool)
            folds[seed] = {image.numpy().tobytes() for image in split.images}
            assert len(split) == len(pool.test) // 3 and split.images.shape[-1] == 7
    one, two, three, *others = folds.values()
    assert not (one & two or one & three or two & three)
    assert not any(other in (one, two, three) for other in others) and len(others) == 3


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
    "a setting of a trial": replace(RUN, trials=(*LRS[:2], {"lr": 0.06})),
    "a trial": replace(RUN, trials=LRS[:2]),
    "tries": replace(RUN, preset=replace(toy.TINY, tries=1)),
    "seed": replace(RUN, seed=SEED + 1),
    "folds": replace(RUN, preset=replace(toy.TINY, seeds=4)),
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


def test_other_folds_change_the_key(monkeypatch):
    key = RUN.key(STUDY, "data", PRINT)
    monkeypatch.setattr(data, "FOLD_SEED", data.FOLD_SEED + 1)
    assert RUN.key(STUDY, "data", PRINT) != key


def test_fields_that_do_not_define_a_run_do_not_change_its_key():
    relabeled = replace(RUN, arm=replace(SGD, label="x", note="y"))
    renamed = replace(RUN, condition=replace(CLEAN, label="another label"))
    more = replace(RUN, preset=replace(toy.TINY, name="x", trials=99, arms=("sgd",)))
    assert {run.key(STUDY, "data", PRINT) for run in (relabeled, renamed, more)} == {
        RUN.key(STUDY, "data", PRINT)
    }


# Tasks


def seeds(run, count):
    return [replace(run, seed=seed) for seed in range(SEED, SEED + count)]


def test_runs_of_one_arm_and_condition_share_a_task_while_their_trials_fit_a_stack():
    of_six, of_three, of_one = (replace(CLEAN, stack=size) for size in (6, 3, 1))
    noisy = [replace(run, condition=NOISE) for run in seeds(RUN, 2)]  # a stack of one model
    drawing = seeds(replace(RUN, arm=replace(SGD, name="x", stochastic=True), condition=of_six), 2)
    slow = seeds(replace(ONE, arm=SLOW, condition=of_six), 7)
    runs = seeds(replace(RUN, condition=of_six), 5) + noisy + drawing + slow
    assert tasks(runs) == ([[0, 1], [2, 3], [4], [5], [6], [7], [8], [9, 10, 11, 12, 13, 14], [15]])
    assert tasks(seeds(replace(RUN, condition=of_three), 2)) == [[0], [1]]
    assert tasks(seeds(replace(RUN, condition=of_one), 2)) == [[0], [1]]


def counting():
    """Return an arm whose loss says how many models it was asked of at once, and the loss."""
    loss = Recorded()

    def train(run):
        yield training(run, loss=loss)

    return replace(SGD, train=train), loss


@pytest.mark.parametrize(
    ("stack", "stochastic", "together"), [(6, False, {6}), (2, False, {2, 0}), (6, True, {3})]
)
def test_the_trials_of_a_tasks_seeds_are_one_stack_as_long_as_they_fit(stack, stochastic, together):
    arm, loss = counting()
    arm, where = replace(arm, stochastic=stochastic), replace(CLEAN, stack=stack)
    runs = seeds(replace(RUN, arm=arm, condition=where), 2)
    for task in tasks(runs):
        perform(STUDY, [runs[i] for i in task])
    assert loss.together == together


@pytest.mark.parametrize("arm", toy.ARMS, ids=lambda arm: arm.name)
def test_rows_do_not_depend_on_the_composition_of_a_task(arm):
    trials = tuple(settings | {n: 0.3 for n in arm.search[1:]} for settings in LRS)
    two = seeds(replace(RUN, arm=arm, trials=trials, condition=replace(CLEAN, stack=6)), 2)
    together = perform(STUDY, two)
    require_equal_rows(together, [perform(STUDY, [run])[0] for run in two])
    one_by_one = [replace(run, condition=replace(CLEAN, stack=1)) for run in two]
    require_equal_rows(together, perform(STUDY, one_by_one))


def require_equal_rows(together, alone):
    for one, other in zip(together, alone, strict=True):
        for metric, values in one["scores"].items():
            assert values == pytest.approx(other["scores"][metric], abs=2e-5)
        one, other = (
            {k: v for k, v in row.items() if k not in ("seconds", "scores")} for row in (one, other)
        )
        assert one == other


WIDTHS = tuple(
    replace(CLEAN, name=f"w{width}", fixed={"width": width}, stack=6, ragged="widths")
    for width in (2, 7, 3)
)


def test_ragged_conditions_share_one_batch_and_keep_their_rows():
    arm, loss = counting()

    def wide(run):
        return models.mlp(run.sample.train, run.sample.classes, int(run["width"]))

    claim = replace(toy.CLAIM, contrast=SLOW @ WIDTHS[1] - SGD @ WIDTHS[0])
    study = toy.study(conditions=WIDTHS, net=wide, arms=(arm, SLOW), claims=(claim,))
    asked = [run for where in WIDTHS for run in seeds(replace(RUN, arm=arm, condition=where), 3)]
    # one seed in every width, then the next seed; two seeds of three trials fit a stack
    first, last = tasks(asked)
    assert (first, last) == ([0, 3, 6, 1, 4, 7], [2, 5, 8])
    together = perform(study, [asked[i] for i in first])
    assert loss.together == {18}  # seeds, widths and trials
    require_equal_rows(together, [perform(study, [asked[i]])[0] for i in first])
    loss.batches.clear()
    assert replay(study, arm).keys() == {"w2", "w7", "w3"}
    assert loss.together == {6}  # widths and the two trials of a tiny run


def test_a_stack_that_is_too_small_for_the_widths_of_a_seed_takes_one_seed_at_a_time():
    narrow = [replace(where, stack=2) for where in WIDTHS]
    asked = [run for where in narrow for run in seeds(replace(RUN, condition=where), 2)]
    assert tasks(asked) == [[0, 2, 4], [1, 3, 5]]


def test_denormal_numbers_count_as_zero_in_a_run_and_not_afterwards():
    small = torch.full((64,), 1e-38)
    with one_thread():
        assert not (small * 0.01).any()
    assert (small * 0.01).all()


def mean_logit(model, fold, sample):
    with torch.no_grad():
        logits = model(fold.pixels())
    return {"own": logits.mean().item(), "spread": logits.std().item()}


def test_a_study_may_score_models_further_and_a_diverged_one_scores_like_an_undecided_one():
    study = toy.study(scores=mean_logit)
    (row,) = perform(study, [replace(RUN, trials=(WILD, *LRS))])
    (plain,) = perform(STUDY, [replace(RUN, trials=(WILD, *LRS))])
    assert row["diverged_at"][0] is not None
    assert row["scores"]["own"][0] == row["scores"]["spread"][0] == 0
    assert all(value > 0 for value in row["scores"]["spread"][1:])
    for name, values in plain["scores"].items():
        assert row["scores"][name] == values


def test_further_scores_are_taken_of_the_fold_and_get_the_sample():
    seen = []

    def score(model, fold, sample):
        seen.append((len(fold), len(sample.validation), model.training))
        return {}

    perform(toy.study(scores=score), [ONE])
    fold = len(data.load("fashion-mnist-subset").test) // toy.TINY.seeds
    assert {(size, validation) for size, validation, _ in seen} == {(fold, toy.TINY.validation)}
