"""The inputs of one run, with all of its randomness from one seed."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
import toy
from smallnets import numbers
from torch import nn
from toy import CLEAN, SGD

from reviewlib import data
from reviewlib.trial.inputs import Inputs
from reviewlib.trial.runs import Run, draw

SAMPLE = draw(data.load(toy.TINY.data).development, toy.TINY, CLEAN, 3)
RUN = Inputs(SGD, CLEAN, toy.TINY, {"lr": 0.05, "damping": 0.0}, SAMPLE, 3, toy.net)


def test_settings_are_read_by_name_and_a_missing_one_is_an_error_or_the_default():
    assert RUN["lr"] == 0.05 and "lr" in RUN and "rho" not in RUN
    assert RUN.get("damping", 9) == 0
    assert replace(RUN, known=frozenset({"rho", "lr"})).get("rho", 9) == 9
    message = "^the run of arm sgd in condition clean has no setting 'rho'; it has lr, damping$"
    with pytest.raises(ValueError, match=message):
        RUN["rho"]


def test_a_default_is_for_a_setting_that_another_run_of_the_study_has():
    def smoothed(run):
        read.append([run.get(name, 9) for name in ("lr", "damping", "momentum", "width")])
        run.get("smoothin", 0.0)
        yield

    read, wide = [], replace(CLEAN, name="wide", fixed={"width": 8})
    arms = replace(SGD, train=smoothed), toy.SLOW  # which fixes the momentum
    study = toy.study(arms=arms, conditions=(CLEAN, wide))
    run = Run(study.arm("sgd"), CLEAN, 0, toy.TINY, ({"lr": 0.05},))
    with pytest.raises(ValueError, match=r"^the study has no setting 'smoothin'; it has"):
        next(run.procedure(study, SAMPLE, 0))
    assert read == [[0.05, 9, 9, 9]]


@pytest.mark.parametrize(("of_arm", "of_condition", "steps"), [(1, 1, 4), (3, 0.5, 6), (1, 0.4, 2)])
def test_steps_are_the_presets_times_those_of_arm_and_condition(of_arm, of_condition, steps):
    run = replace(
        RUN,
        arm=replace(SGD, step_multiple=of_arm),
        condition=replace(CLEAN, step_multiple=of_condition),
    )
    assert run.steps == steps


def test_a_net_depends_on_the_seed_and_its_number_alone():
    torch.manual_seed(0)
    first = numbers(RUN.net())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(numbers(RUN.net()), first) and torch.equal(numbers(RUN.net(0)), first)
    others = [RUN.net(1), RUN.net(2), replace(RUN, seed=4).net()]
    assert len({tuple(numbers(net).tolist()) for net in (RUN.net(), *others)}) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_a_net_is_made_from_the_inputs():
    def wide(run):
        return nn.Linear(2, int(run["width"]))

    run = replace(RUN, settings={"width": 7}, make_net=wide)
    assert run.net().out_features == 7


def test_another_model_may_be_initialized_as_the_net_is():
    assert torch.equal(numbers(RUN.initialized(lambda: toy.net(RUN))), numbers(RUN.net()))
    assert torch.equal(numbers(RUN.initialized(lambda: toy.net(RUN), 2)), numbers(RUN.net(2)))


def test_intermediate_orders_differ_from_each_other_and_from_every_seeds_own():
    first = list(islice(RUN.orders, 3))
    assert len({3, *first, next(RUN.orders)}) == 5
    again, other = replace(RUN), replace(RUN, seed=4)
    assert list(islice(again.orders, 3)) == first
    assert not set(first) & set(islice(other.orders, 3))
    # Consecutive seeds of a study are closer together than the intermediate orders of a run.
    assert min(first) - 3 > 10**6


def test_every_call_restarts_the_methods_stream():
    draws = [torch.rand(3, generator=RUN.stream()) for _ in range(2)]
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], torch.rand(3, generator=replace(RUN, seed=4).stream()))


def test_a_sample_holds_no_test_images():
    development = data.load(toy.TINY.data).development
    assert not hasattr(development, "test") and not hasattr(SAMPLE, "test")
