import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from torch.nn import functional as F

from reviewlib import data, papers, train
from reviewlib.evidence import registration
from reviewlib.papers.double_descent import arms
from reviewlib.papers.double_descent.method import (
    RandomFeatures,
    effective_model_complexity,
    minimum_norm,
    rank,
    ridge,
    threshold,
)
from reviewlib.papers.double_descent.study import inspect
from reviewlib.papers.lottery_tickets import method as lottery
from reviewlib.train import cross_entropy
from reviewlib.train import stacks as stacks_of_trainings
from reviewlib.train.ragged import Ragged
from reviewlib.trial.fingerprints import TINY
from reviewlib.trial.procedures import complete
from reviewlib.trial.runs import Run, draw, perform, tasks

STUDY = papers.find("double_descent")
SMALL = replace(TINY, steps=40)
SEED = STUDY.seeds(SMALL)[0]


def problem(n=30, count=20, seed=0):
    """Features (n, N) and three targets, in float64."""
    g = torch.Generator().manual_seed(seed)
    shape = {"dtype": torch.float64, "generator": g}
    return torch.randn(n, count, **shape), torch.randn(n, 3, **shape)


def random_net(features, n=40, inputs=12, seed=0):
    """Return random features fitted to random labels."""
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, inputs, generator=g), torch.randint(4, (n,), generator=g)
    return RandomFeatures(inputs, features, g).fit(x, y, 4), x, y


def sample(condition):
    return draw(data.load(SMALL.data).development, SMALL, STUDY.condition(condition), SEED)


def run_of(arm, condition, seed=SEED, preset=SMALL, values=(0.01,)):
    trials = tuple(dict.fromkeys(STUDY.arm(arm).search, value) for value in values)
    return Run(STUDY.arm(arm), STUDY.condition(condition), seed, preset, trials)


def first_of(arm, condition, given):
    """The first training, or the solution, of an arm."""
    return next(run_of(arm, condition).procedure(STUDY, given, 0))


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (25, 25)])
def test_least_squares_match_scikit_learn(shape):
    features, targets = problem(*shape)
    plain = LinearRegression(fit_intercept=False).fit(features.numpy(), targets.numpy())
    np.testing.assert_allclose(minimum_norm(features, targets).T, plain.coef_, atol=1e-9)
    for penalty in (1e-3, 0.7):
        alpha = penalty * len(features)  # scikit-learn does not divide by n
        expected = Ridge(alpha=alpha, fit_intercept=False, solver="svd")
        expected.fit(features.numpy(), targets.numpy())
        np.testing.assert_allclose(
            ridge(features, targets, penalty).T, expected.coef_, rtol=1e-8, atol=1e-10
        )


def test_ridge_without_a_penalty_is_the_solution_of_minimum_norm():
    features, targets = problem(20, 30)
    limit = ridge(features, targets, 1e-12)
    torch.testing.assert_close(limit, minimum_norm(features, targets), rtol=1e-7, atol=1e-9)
    assert torch.equal(ridge(features, targets, 0.0), minimum_norm(features, targets))


def test_singular_values_below_the_cut_count_as_zero():
    features, targets = problem(30, 10)
    doubled = torch.cat([features, features * (1 + 1e-13)], 1)
    once, twice = minimum_norm(features, targets), minimum_norm(doubled, targets)
    torch.testing.assert_close(twice[:10] + twice[10:], once, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(twice[:10], twice[10:], rtol=1e-6, atol=1e-8)
    assert rank(features) == rank(doubled) == rank(doubled.mT) == 10


@pytest.mark.parametrize("features", [40, 41, 100])
def test_as_many_features_as_examples_fit_any_labels(features):
    net, x, y = random_net(features)
    torch.testing.assert_close(net(x), F.one_hot(y, 4).double(), rtol=0, atol=1e-6)


def test_fewer_features_do_not():
    net, x, y = random_net(39)
    assert (net(x) - F.one_hot(y, 4)).abs().max() > 1e-3


@pytest.mark.parametrize("features", [7, 30])
def test_the_effective_model_complexity_of_random_features_is_their_number(features):
    def train_error(n):
        net, x, y = random_net(features, n)
        return float(not torch.allclose(net(x), F.one_hot(y, 4).double(), atol=1e-6))

    assert effective_model_complexity(train_error, 60) == features


def test_the_bisection_finds_where_the_error_passes_epsilon():
    def error(n):
        return n / 100

    assert effective_model_complexity(error, 60, epsilon=0.25) == 25
    assert effective_model_complexity(error, 20, epsilon=0.25) == 20
    assert effective_model_complexity(error, 60, epsilon=0.0) == 0


def test_the_threshold_is_the_smallest_size_that_fits():
    assert threshold({4: 0.3, 8: 0.1, 16: 0.12, 32: 0.0}) == 8
    assert threshold({4: 0.3, 8: 0.2}) is None


def test_features_of_unit_variance_pixels_have_norm_about_1():
    net = RandomFeatures(50, 400, torch.Generator().manual_seed(0))
    pixels = torch.randn(400, 50, generator=torch.Generator().manual_seed(1))
    lengths = net.hidden(pixels).square().sum(1)
    assert lengths.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("bad", [-1e-9, math.nan, math.inf])
def test_least_squares_reject_a_bad_penalty(bad):
    with pytest.raises(ValueError, match=f"penalty must be non-negative and finite, got {bad}"):
        ridge(*problem(), bad)


def test_least_squares_reject_single_precision():
    features, targets = problem()
    with pytest.raises(ValueError, match="least squares need float64, got torch.float32"):
        minimum_norm(features.float(), targets)


def test_wrong_labels_are_wrong_and_the_same_at_every_width():
    truth = sample("width-8-clean")
    for condition in ("width-4-noisy", "width-256-noisy", "features-1-noisy", "density-0.2-noisy"):
        noisy = sample(condition)
        for split, true in ((noisy.train, truth.train), (noisy.validation, truth.validation)):
            assert torch.equal(split.images, true.images)
            assert (split.labels != true.labels).sum() == 0.2 * len(true)
        assert torch.equal(noisy.train.labels, sample("width-8-noisy").train.labels)


def test_all_widths_seeds_and_trials_are_one_ragged_batch_and_equal_solo_runs(monkeypatch):
    made = []
    monkeypatch.setattr(
        stacks_of_trainings, "Ragged", lambda models: made.append(len(models)) or Ragged(models)
    )
    together = [
        run_of("decay", f"width-{width}-noisy", seed, values=(0.01, 0.1))
        for width in arms.DECAYED_WIDTHS
        for seed in (SEED, SEED + 1)
    ]
    (task,) = tasks(together)
    ordered = [together[index] for index in task]
    rows = perform(STUDY, ordered)
    assert made == [2 * len(together)]
    for run, row in list(zip(ordered, rows, strict=True))[::5]:
        (alone,) = perform(STUDY, [run])
        for metric, close in (("nll", 1e-4), ("accuracy", 0.011)):
            assert row["scores"][metric] == pytest.approx(alone["scores"][metric], abs=close)
        assert row["condition"] == alone["condition"] == run.condition.name
    assert made == [2 * len(together)]


def test_a_run_of_random_features_uses_its_fraction_of_the_images():
    given = sample("samples-0.4-noisy")
    described = first_of("plain", "samples-0.4-noisy", given)
    net = described.solve()
    quarter = SMALL.train // 4
    assert net[-1].examples == round(0.4 * quarter)
    assert len(net[-1].directions) == quarter
    seen = inspect(net, given)
    assert seen == {"fitted": 1.0, "complexity": 1.0}
    half = first_of("plain", "features-0.4-noisy", given).solve()
    assert inspect(half, given)["complexity"] == pytest.approx(0.4)
    assert inspect(half, given)["fitted"] < 1


def test_the_penalty_reaches_the_closed_form_and_the_optimizer():
    given = sample("features-1-noisy")
    sizes = [
        first_of(arm, "features-1-noisy", given).solve()[-1].readout.norm()
        for arm in ("plain", "ridge")
    ]
    assert sizes[1] < sizes[0] / 2
    described = [first_of(arm, "width-8-noisy", given) for arm in ("plain", "decay")]
    assert [one.config.weight_decay for one in described] == [0.0, 0.01]


def test_arms_and_conditions_decide_how_a_net_is_trained():
    given = sample("width-8-noisy")
    plain, sgd, constant = (
        first_of(arm, "width-8-noisy", given) for arm in ("plain", "sgd", "constant")
    )
    assert plain.optimizer is constant.optimizer is train.adam and sgd.optimizer is train.sgd
    schedules = [one.config.schedule for one in (plain, sgd, constant)]
    assert schedules == ["cosine", "cosine", "constant"]
    short = first_of("plain", "steps-0.3-noisy", given)
    assert (plain.config.steps, short.config.steps) == (40, 12)
    assert plain.config.eval_steps[-1] == 40


def test_a_pruned_net_keeps_its_largest_weights_and_resets_them():
    run = run_of("pruned", "density-0.2-noisy", preset=replace(SMALL, steps=1))
    given = sample("density-0.2-noisy")
    plain = first_of("plain", f"width-{arms.PRUNED_WIDTH}-noisy", given)
    first = lottery.weights(plain.model)
    first = {name: weight.clone() for name, weight in first.items()}
    assert next(run.procedure(STUDY, given, 0)).config.steps == 1
    ((end,),) = complete([run.procedure(STUDY, given, 0)])
    assert lottery.density(end.model) == pytest.approx(0.2, abs=1e-3)
    assert end.passes == 2 * SMALL.batch_size
    for name, weight in lottery.weights(end.model).items():
        kept = lottery.masks(end.model)[name].bool()
        assert (weight[~kept] == 0).all()
        # one step of Adam moves a weight by its learning rate at most
        assert (weight - first[name])[kept].abs().max() <= arms.LR * 1.01


def test_a_condition_with_fewer_images_draws_the_first_of_the_same_images():
    laptop = STUDY.preset("laptop")
    development = data.load(laptop.data).development
    few, all_of_them = (
        draw(development, laptop.at(name), STUDY.condition(name), SEED)
        for name in (f"images-{arms.FEWER}-noisy", f"width-{arms.PEAK}-noisy")
    )
    assert len(few.train) == arms.FEWER == len(all_of_them.train) // 4
    assert torch.equal(few.train.images, all_of_them.train.images[: arms.FEWER])


@pytest.mark.parametrize(
    ("of", "position", "extreme"),
    [
        ("no penalty, before the peak", arms.BEST, max),
        ("no penalty, the peak", arms.PEAK, min),
        ("tuned weight decay", arms.BEST_DECAYED, max),
        ("pruned, before the threshold", arms.SPARSE_PEAK, min),
    ],
)
def test_positions_are_those_of_the_registered_pilot(of, position, extreme):
    (line,) = [line for line in registration.read(STUDY.name)[-1].pilots if f"{of}:" in line]
    accuracy = {
        float(size): float(value)
        for size, value in (pair.split("=") for pair in line.rpartition(": ")[2].split(", "))
    }
    assert extreme(accuracy, key=accuracy.get) == position


def in_use(change):
    """Random features that were fitted; they take no steps (see test_methods)."""
    g = torch.Generator().manual_seed(0)
    features = RandomFeatures(64, 20, g)
    features.fit(torch.rand(50, 64, generator=g), torch.randint(10, (50,), generator=g), 10)
    model = torch.nn.Sequential(torch.nn.Flatten(), features)
    change(model)
    return model, None, cross_entropy
