"""A study small enough to run in a fraction of a second, with two arms that really train."""

from dataclasses import replace
from functools import partial

from reviewlib import train
from reviewlib.trial.arms import Arm, Condition, Hyperparameter
from reviewlib.trial.claims import Claim
from reviewlib.trial.declare import training
from reviewlib.trial.study import Preset, Study

TINY = Preset("laptop", "fashion-mnist-subset", 7, 60, 40, 20, 4, 3, 2, 3)
CLEAN = Condition("clean", "clean labels", stack=4)
NOISE = Condition("noise", "wrong labels", 0.4)
CONDITIONS = (CLEAN, NOISE)


def net(run):
    return train.models.mlp(run.sample.train, run.sample.classes, 4)


def trained(run, optimizer=train.sgd):
    yield training(
        run,
        optimizer=optimizer,
        lr=run["lr"] / (1 + run.get("damping", 0)),
        momentum=run["momentum"] if "momentum" in run else 0.9,  # tests leave out the arm with it
        eval_steps=(2, run.preset.steps),
    )


SGD = Arm("sgd", "SGD", role="baseline", search=("lr",), note="the baseline", train=trained)
SLOW = Arm(
    "slow",
    "Half the momentum",
    role="method",
    search=("lr", "damping"),
    note="the method",
    train=trained,
    fixed={"momentum": 0.45},
)
ARMS = (SGD, SLOW)
CLAIM = Claim(
    "better",
    "The method is better.",
    "nowhere",
    "gain",
    primary=True,
    contrast=(SLOW - SGD) @ CLEAN,
)
# Two control arms, and a measure of the final models, for the tests that need them.
AGAIN = replace(
    SGD, name="again", label="SGD again", role="control", search_seed=1, conditions=(CLEAN,)
)
PART = replace(
    SGD,
    name="part",
    label="SGD, half the data",
    role="control",
    train_fraction=0.5,
    conditions=(NOISE,),
)
CONTROLLED = {
    "arms": (*ARMS, AGAIN, PART),
    "inspect": lambda model, sample: {
        "top_eigenvalue": model[2].weight.abs().max().item(),
        "rise_in_ball": float(len(sample.train)),
    },
}


def study(**changes) -> Study:
    """Return the toy study with some fields replaced."""
    fields = {
        "name": "toy",
        "title": "A toy",
        "citation": "nobody",
        "arms": ARMS,
        "hyperparameters": (
            Hyperparameter("lr", 0.01, 0.1),
            Hyperparameter("damping", 0.0, 1.0, log=False),
        ),
        "conditions": CONDITIONS,
        "presets": (TINY,),
        "claims": (CLAIM,),
        "net": net,
        "evaluate": train.evaluate,
        "not_applicable": dict.fromkeys(
            ("baseline at equal cost", "simple", "placebo"), "it is a toy"
        ),
    }
    return Study(**fields | changes)


def broken(optimizer, arms=ARMS) -> tuple[Arm, ...]:
    """Return the arms with another optimizer: changed arithmetic, same declaration."""
    return tuple(replace(arm, train=partial(trained, optimizer=optimizer)) for arm in arms)
