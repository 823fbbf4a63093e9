"""The capstone study: how methods combine, which runs are shared, and what its figures compute."""

import ast
import inspect
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from statsmodels.formula.api import ols
from torch import nn
from torch.nn.utils import parametrize

from reviewlib import data, papers
from reviewlib.evidence.record import Record
from reviewlib.evidence.stats import Interval
from reviewlib.papers.augmix import AugMix, AugMixLoss
from reviewlib.papers.combinations import arms, methods, nets
from reviewlib.papers.combinations.arms import CLEAN, NOISE, PAIRS, pairs
from reviewlib.papers.combinations.figures import effects
from reviewlib.papers.combinations.methods import METHODS, combined
from reviewlib.papers.lottery_tickets import method as tickets
from reviewlib.papers.sam import SAM
from reviewlib.papers.sliceout import SliceOut
from reviewlib.papers.weightnet import WeightNetConv2d
from reviewlib.trial import cache, fingerprints
from reviewlib.trial.experiment import count_runs, run
from reviewlib.trial.fingerprints import TINY
from reviewlib.trial.runs import Run, draw, trained

STUDY = papers.find("combinations")
SEED = STUDY.seeds(TINY)[0]
SETTINGS = {
    "lr": 0.1,
    "weight_decay": 1e-3,
    "smoothing": 0.2,
    "severity": 3.0,
    "rho": 0.05,
    "keep": 0.5,
}
SOME = replace(TINY, train=200, validation=50, steps=6)


def in_use(change):
    """All six methods in one training of one net (see test_methods); the ticket is a mask."""
    chain = partial(SliceOut, keep=0.5)
    images = data.Split(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2).long())
    images.images[0] = 255
    model = nets.net(images, 10, WeightNetConv2d, chain)
    dense = {name: torch.ones_like(w) for name, w in tickets.weights(model).items()}
    tickets.prune(model, tickets.magnitude_masks(tickets.weights(model), dense, 0.5))
    change(model)
    optimizer = SAM(model.parameters(), torch.optim.SGD, rho=0.01, lr=0.05, momentum=0.9)
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    return model, optimizer, AugMixLoss(AugMix(1.0), loss=smoothed)


def described(*names):
    """The first training of an arm with these methods."""
    arm = arms.arm(*arms.of(*names)) if names else arms.plain
    trial = {name: value for name, value in SETTINGS.items() if name in arm.search}
    sample = draw(data.load(SOME.data).development, SOME, CLEAN, SEED)
    return next(Run(arm, CLEAN, SEED, SOME, (trial,)).procedure(STUDY, sample, 0))


def kinds(model):
    return {type(module) for module in model.modules()}


# Combining


@pytest.mark.parametrize("names", [c for n in (0, 1, 2, 6) for c in combinations(arms.alone, n)])
def test_every_method_of_a_combination_is_in_its_training(names):
    training = described(*names)
    optimizer = training.optimizer(training.model, training.config)
    assert isinstance(optimizer, SAM) == ("sam" in names)
    assert (SliceOut in kinds(training.model)) == ("sliceout" in names)
    assert (WeightNetConv2d in kinds(training.model)) == ("weightnet" in names)
    masked = any(parametrize.is_parametrized(each) for each in training.model.modules())
    assert masked == ("ticket" in names)
    x, y = training.train.pixels()[:8], training.train.labels[:8]
    seen = []
    training.model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    loss = training.loss(training.model, x, y)
    assert seen == [24 if "augmix" in names else 8]
    alone = described(*(name for name in names if name != "smoothing"))
    torch.manual_seed(0)
    given = training.loss(training.model.eval(), x, y)
    torch.manual_seed(0)
    unsmoothed = alone.loss(training.model, x, y)
    assert bool(given != unsmoothed) == ("smoothing" in names) and loss.isfinite()


def test_smoothed_labels_reach_the_clean_term_of_augmix():
    training = described("smoothing", "augmix")
    x, y = training.train.pixels()[:8], training.train.labels[:8]
    torch.manual_seed(0)
    given = training.loss(training.model, x, y).item()
    smoothed = nn.CrossEntropyLoss(label_smoothing=SETTINGS["smoothing"])
    torch.manual_seed(0)
    by_hand = AugMixLoss(AugMix(SETTINGS["severity"]), loss=smoothed)(training.model, x, y)
    assert given == pytest.approx(by_hand.item(), rel=1e-5)


def test_no_method_knows_another():
    names = set(arms.alone)
    for method in METHODS:
        tree = ast.parse(inspect.getsource(method.change))
        called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not called & (names - {method.name}), method.name
        recipe = methods.Recipe()
        run_of = dict(SETTINGS)
        changed = method.change(run_of, recipe)
        parts = [part for part in vars(recipe) if getattr(changed, part) != getattr(recipe, part)]
        assert len(parts) == 1, method.name


def test_all_arms_of_a_seed_start_with_the_same_first_convolution():
    first = described().model[1].weight
    for method in METHODS:
        layer = described(method.name).model[1]
        assert torch.equal(tickets.weights(nn.Sequential(layer))["0"], first)


def test_a_ticket_keeps_a_fifth_of_the_hidden_weights_and_their_initial_values():
    arm = arms.alone["ticket"]
    trial = {"lr": 0.1, "weight_decay": 1e-3}
    sample = draw(data.load(SOME.data).development, SOME, CLEAN, SEED)
    procedure = Run(arm, CLEAN, SEED, SOME, (trial,)).procedure(STUDY, sample, 0)
    first = next(procedure)
    start = {name: w.clone() for name, w in tickets.weights(first.model).items()}
    for weight in first.model.parameters():
        weight.data.mul_(1.01)  # stands for the training
    again = procedure.send(None)
    assert again.model is first.model and again.seed != first.seed
    kept = tickets.weights(again.model)
    *hidden, output = kept
    for name in hidden:
        share = kept[name].count_nonzero() / kept[name].numel()
        assert share == pytest.approx(methods.DENSITY, abs=0.01)
    assert kept[output].count_nonzero() / kept[output].numel() == pytest.approx(0.6, abs=0.01)
    for name, weight in kept.items():
        assert torch.equal(weight[weight != 0], start[name][weight != 0])


# Shared runs


def test_six_methods_take_22_configurations_and_not_four_for_each_pair():
    n = len(METHODS)
    core = [arms.plain, *arms.alone.values(), *pairs.values()]
    assert n == 6 and len(core) == n * (n + 1) // 2 + 1 == 22
    for pair, arm in pairs.items():
        assert arm.parents == tuple(method.name for method in pair)
        assert not arm.search and arm.train.keywords["methods"] == pair
    named = {name for pair in PAIRS for name in (m.name for m in pair)}
    assert named == set(arms.alone)


def test_every_interaction_rests_on_the_same_runs_of_plain_net_and_single_methods():
    claims = [claim for claim in STUDY.claims if claim.name.endswith("-interaction")]
    assert len(claims) == 15
    used = {term[1:] for claim in claims for term in claim.contrast}
    assert len(used) == 22 and {where for _, where in used} == {CLEAN.name}


def test_each_shared_run_is_carried_out_once(own_cache, monkeypatch):
    three = arms.of("smoothing", "sam", "weightnet")
    mine = [arms.plain, *(arms.alone[each.name] for each in three)]
    mine += [pairs[pair] for pair in combinations(three, 2)]
    small = replace(SOME, name="laptop", trials=2, tries=1, seeds=10, conditions=(CLEAN,))
    small = replace(small, arms=tuple(mine), seeds=2)
    of = replace(STUDY, presets=(small,), name="small")
    done = []
    original = cache.perform

    def counted(study, runs, device="cpu"):
        done.extend((each.arm.name, each.seed) for each in runs)
        return original(study, runs, device)

    monkeypatch.setattr(cache, "perform", counted)
    monkeypatch.setattr(fingerprints, "fingerprint", lambda *_: {})
    out = run(of, small, with_floor=False)
    assert len(done) == len(set(done)) == count_runs(of, small) == 7 * 2
    assert len(out.runs) == 14
    run(of, small, with_floor=False)
    assert len(done) == 14  # all in the cache


# The arithmetic


def planted(interaction, n=12, gains=(0.01, 0.02), sd=0.002):
    """A record of one pair with known effects on accuracy, searched with one trial."""
    noise = np.random.default_rng(0)
    pair = PAIRS[0]
    names = ("plain", *(each.name for each in pair), pairs[pair].name)
    sizes = [0, *gains, sum(gains) + interaction]
    rows = []
    for name, gain in zip(names, sizes, strict=True):
        for seed in range(n):
            accuracy = 0.8 + gain + sd * noise.standard_normal()
            scores = {"accuracy": accuracy, "nll": 1 - accuracy, "corrupted_accuracy": accuracy}
            scores |= {"validation_accuracy": accuracy, "validation_nll": 1 - accuracy}
            rows.append(
                {
                    "arm": name,
                    "condition": "clean",
                    "seed": seed,
                    "fixed": {},
                    "settings": {},
                    "scores": {key: [value] for key, value in scores.items()},
                    "diverged_at": [None],
                    "best": {},
                    "curve": [],
                    "passes": 1,
                    "seconds": 1.0,
                    "peak_bytes": None,
                    "correct": None,
                }
            )
    empty = pd.DataFrame()
    preset = {"tries": 1, "trials": 1, "name": "laptop"}
    return Record("combinations", preset, 1, {}, "", {}, pd.DataFrame(rows), empty, {})


def test_main_effects_and_interaction_are_those_of_a_linear_model():
    record = planted(0.005)
    found = effects.factorial(STUDY, record, PAIRS[0])
    rows = record.rows.assign(error=1 - record.rows["accuracy"])
    code = dict(zip(dict.fromkeys(rows["arm"]), [(0, 0), (1, 0), (0, 1), (1, 1)], strict=True))
    rows["a"], rows["b"] = zip(*rows["arm"].map(code), strict=True)
    fit = ols("error ~ a * b + C(seed)", rows).fit()  # a seed is a block
    interaction = found["interaction"]
    assert interaction.interval.mean == pytest.approx(-fit.params["a:b"], abs=1e-9)
    for name, mine in (("first", "a"), ("second", "b")):
        main = fit.params[mine] + fit.params["a:b"] / 2
        assert found[name].interval.mean == pytest.approx(-main, abs=1e-9)
    # Its interval is that of the paired differences, as a linear model of these has it.
    wide = rows.pivot(index="seed", columns=["a", "b"], values="error")
    paired = -(wide[1, 1] - wide[1, 0] - wide[0, 1] + wide[0, 0]).rename("y").reset_index()
    of_mean = ols("y ~ 1", paired).fit()
    low, high = of_mean.conf_int().loc["Intercept"]
    assert (interaction.interval.lo, interaction.interval.hi) == pytest.approx((low, high))
    assert interaction.p == pytest.approx(of_mean.pvalues["Intercept"])


def test_the_logarithm_of_the_error_has_its_own_interaction():
    record = planted(0.0, sd=1e-9)
    found = effects.factorial(STUDY, record, PAIRS[0], "log error")["interaction"]
    error = np.log([0.2, 0.19, 0.18, 0.17])
    by_hand = -(error[3] - error[2] - error[1] + error[0])
    assert found.interval.mean == pytest.approx(by_hand, abs=1e-6)
    assert effects.factorial(STUDY, record, PAIRS[0])["interaction"].interval.mean == (
        pytest.approx(0, abs=1e-6)
    )


@pytest.mark.parametrize("size", [-0.01, 0.01])
def test_a_planted_synergy_and_a_planted_antagonism_are_found(size):
    record = planted(size)
    (found,) = effects.interactions(STUDY, record).values()
    assert found.interval.lo < size < found.interval.hi
    assert found.interval.lo > 0 if size > 0 else found.interval.hi < 0
    assert effects.holm([found]) == [pytest.approx(found.p)] and found.p < 1e-4
    first, second = PAIRS[0]
    without, both = arms.alone[second.name] @ CLEAN, pairs[PAIRS[0]] @ CLEAN
    rest, word = effects.survival(STUDY, record, first, without, both)
    # The gain alone is 1 point; added last it is 1 point more, or none at all.
    assert word == ("survives" if size > 0 else "does not survive")
    assert rest.interval.mean == pytest.approx(0.01 + size - 0.005, abs=0.002)


def test_without_an_interaction_none_is_found_and_half_the_gain_is_undecided():
    (found,) = effects.interactions(STUDY, planted(0.0)).values()
    assert found.interval.lo < 0 < found.interval.hi
    half = planted(-0.005)
    without, both = arms.alone[PAIRS[0][1].name] @ CLEAN, pairs[PAIRS[0]] @ CLEAN
    assert effects.survival(STUDY, half, PAIRS[0][0], without, both)[1] == "undecided"


def test_holms_adjustment_multiplies_the_smallest_p_by_the_number_of_tests():
    interval = Interval(0.0, -1.0, 1.0, 0.95, 10, 1.0)
    family = [effects.Effect(interval, p) for p in (0.04, 0.01, 0.03)]
    assert effects.holm(family) == pytest.approx([0.06, 0.03, 0.06])


# The study


def test_noise_is_for_single_methods_the_stack_and_what_they_are_compared_to():
    there = {arm.name for arm in STUDY.arms_in(NOISE)}
    assert there == {
        *("plain", "plain_4x", "stack", *arms.alone),
    }


def test_the_longer_search_has_four_times_the_tries():
    for preset in STUDY.presets[1:]:
        there, here = preset.at("longer_search"), preset.at("clean")
        assert there.trials == there.tries == 4 * here.tries


def test_a_method_without_pixels_of_its_own_trains_in_stacks():
    arm = arms.alone["smoothing"]
    trials = tuple({"lr": lr, "weight_decay": 1e-3, "smoothing": 0.1} for lr in (0.1, 0.05))
    runs = [Run(arm, CLEAN, SEED, SOME, trials)]
    ((_, ends, _),) = trained(STUDY, runs, data.load(SOME.data).development)
    assert len(ends) == 2 and all(fit.diverged_at is None for (fit,) in ends)
    assert list(inspect.signature(combined).parameters) == ["run", "methods"]
