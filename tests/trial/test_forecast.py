"""What a trial run of a study forecasts."""

import time
from dataclasses import replace

import pytest
import toy

from reviewlib.train import Solution
from reviewlib.trial import forecast, runs

QUICK = replace(toy.TINY, name="quick")


def forecasts(study):
    """Return the forecast CPU-seconds by preset."""
    costs = [line for line in forecast.lines(study) if "about" in line]
    return {line.split(":")[0]: float(line.split()[2].replace(",", "")) for line in costs}


@pytest.fixture
def clock(monkeypatch):
    """Let a step cost 0.01 s, whatever else a run does, and return the runs that were made."""
    made, perform = [], runs.perform

    def timed(study, stack, device):
        made.extend(stack)
        return [
            row | {"seconds": 0.01 * run.preset.steps * len(run.trials)}
            for run, row in zip(stack, perform(study, stack), strict=True)
        ]

    monkeypatch.setattr(forecast, "perform", timed)
    return made


def test_two_trials_of_every_arm_run_on_one_seed_in_every_condition(clock):
    quick = replace(QUICK, conditions=("clean",), arms=("sgd",))
    list(forecast.lines(toy.study(presets=(quick,))))
    places = {(run.arm.name, run.condition.name) for run in clock}
    assert len(places) == 2 * 2 and {len(run.trials) for run in clock} == {forecast.TRIALS}
    assert {run.seed for run in clock} == {100_000}


def test_a_forecast_counts_runs_steps_and_what_a_step_computes(clock):
    one = replace(QUICK, conditions=("clean",), arms=("sgd",), steps=100)
    presets = (
        one,
        replace(one, name="steps", steps=200),
        replace(one, name="images", image_size=14, batch_size=40),
        replace(one, name="runs", trials=6, seeds=5),
        replace(one, name="arms", arms=("sgd", "slow", "child")),
        replace(one, name="where", where={"clean": {"steps": 200, "seeds": 2}}),
        replace(one, name="given", settings_from="laptop"),
    )
    child = replace(toy.SLOW, name="child", role="ablation", search=(), parent="slow")
    # 3 trials of 1 s each on 3 seeds; the ablation has 3 trials too
    assert forecasts(toy.study(presets=presets, arms=(*toy.ARMS, child))) == {
        "quick": 9,
        "steps": 18,
        "images": 72,
        "runs": 30,
        "arms": 27,
        "where": 12,
        "given": 3,
    }


def test_seconds_are_of_the_processor_or_of_the_gpu_that_they_were_measured_on(clock):
    presets = QUICK, replace(QUICK, name="gpu")
    for device, unit in (("cpu", "CPU-seconds"), ("cuda", "seconds on the GPU")):
        cost = list(forecast.lines(toy.study(presets=presets), device))[4:]
        assert len(cost) == 1 and cost[0].startswith("quick: ") and f" {unit}, " in cost[0]


def test_what_takes_no_steps_is_not_forecast_to_take_longer_with_more_of_them():
    def solved(run):
        def solve():
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
            return run.net()

        yield Solution(solve)

    arms = tuple(replace(arm, train=solved, stochastic=True) for arm in toy.ARMS)
    long = replace(QUICK, name="laptop", steps=4000)
    found = forecasts(toy.study(arms=arms, presets=(QUICK, long)))
    assert 1 <= found["quick"] <= 3 and found["laptop"] <= 10
