"""The toy study with a timing, and timings of it that were never measured."""

import math
from dataclasses import replace

import toy

from reviewlib.evidence import timings
from reviewlib.trial.arms import Timing

SETTINGS = {"lr": 0.1, "damping": 0.5}
ARMS = (*toy.ARMS, toy.AGAIN)
STEP = Timing("step", "a step", fixed=SETTINGS, arms=ARMS, image_size=7, batch_size=10)
FASTER = replace(
    toy.CLAIM,
    name="faster",
    statement="A step of the method takes less time.",
    contrast=(toy.SLOW - toy.SGD) @ STEP,
    metric="step_seconds",
    better="lower",
    scale="log ratio",
    margin=math.log(1.1),
)
SMALLER = replace(FASTER, name="smaller", metric="activation_bytes", primary=False)


def study(**changes):
    """The toy study with a primary claim on the time of a step."""
    usual = {"arms": ARMS, "timings": (STEP,), "claims": (toy.CLAIM, FASTER, SMALLER)}
    return toy.study(**usual | changes)


def rows(number, slow=0.5, again=1.0):
    """The rows of a launch in which the method takes half the time of the baseline."""
    noise = 1 + 0.01 * math.sin(7 * number)
    took = {"sgd": 0.002, "slow": 0.002 * slow * noise, "again": 0.002 * again / noise}
    return [
        {
            "arm": arm,
            "condition": "step",
            "seed": number,
            "step_seconds": seconds,
            "activation_bytes": 100 if arm == "slow" else 200,
            "peak_bytes": None,
        }
        for arm, seconds in took.items()
    ]


def made(of, launches=8, **how):
    """Timings of a study with the toy's arms."""
    return timings.make(of, "cpu", [rows(number, **how) for number in range(launches)])
