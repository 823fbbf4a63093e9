"""The arms and conditions of the SliceOut study; an arm is a form of one chain of layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from reviewlib.papers.sliceout import nets
from reviewlib.papers.sliceout.method import SliceOut
from reviewlib.papers.sliceout.sliced import Sliced
from reviewlib.papers.sliceout.variants import RandomUnits
from reviewlib.train import Config
from reviewlib.trial.declare import (
    Arm,
    Condition,
    Inputs,
    Training,
    standard_controls,
    training,
)

ALIGN = 8  # widths and starts of slices, in units
KEEPS = (0.25, 0.5, 0.75)
# The time of a step of SliceOut, in steps of the narrow net at KEEPS, and in steps of the dense net
# on average over the keep rates that are searched. So many times the steps take equally long.
# Measured before the final seeds; the timings test them again.
OF_NARROW = (1.55, 1.41, 1.28)
OF_DENSE = 0.61

# By the name of the setting that is their width.
NETS = {"units": nets.perceptron, "channels": nets.convolutions, "inner": nets.feed_forward}

MAIN = Condition("main", "keep rate searched", fixed={"units": 512})
HALF = Condition("half", "half the units kept", fixed={"units": 512, "keep": 0.5})


def net(run: Inputs, form: nets.Form = nn.Sequential, share: float = 1.0) -> nn.Module:
    """Return the run's net, with a share of its hidden units, its chain of layers in a form."""
    (width,) = NETS.keys() & run.settings.keys()
    units = ALIGN * round(run[width] * share / ALIGN)
    return NETS[width](run.sample.train, run.sample.classes, units, form)


def dense(run: Inputs) -> Iterator[Training]:
    """Train the net as it is."""
    yield training(run)


def narrow(run: Inputs, *, equal_time: bool = False) -> Iterator[Training]:
    """Train a net of the width of a slice, for equal steps or as long as SliceOut takes."""
    model = run.initialized(partial(net, run, share=run["keep"]))
    more = np.interp(run["keep"], KEEPS, OF_NARROW) if equal_time else 1
    yield training(run, model=model, steps=round(run.steps * more))


def dropout(run: Inputs) -> Iterator[Training]:
    """Train with dropout of each hidden unit of each example by itself."""
    form = partial(nets.with_dropout, rate=1 - run["keep"])
    yield training(run, model=run.initialized(partial(net, run, form)))


def sliced(
    run: Inputs,
    *,
    method: type[SliceOut] = SliceOut,
    leaves: bool = True,
    align: int = ALIGN,
    normalization: str = "flow",
) -> Iterator[Training]:
    """Train slices of the net, with leaves by an optimizer that leaves the other units alone."""
    form = partial(
        method, keep=run["keep"], align=align, normalization=normalization, leaves=leaves
    )
    model = run.initialized(partial(net, run, form))
    yield training(run, model=model, **({"optimizer": sliced_sgd} if leaves else {}))


def sliced_sgd(model: nn.Module, config: Config) -> Sliced:
    """Return SGD with momentum of the slices."""
    options = {name: getattr(config, name) for name in ("lr", "momentum", "weight_decay")}
    return Sliced(model, torch.optim.SGD, **options)


LR_DECAY = ("lr", "weight_decay")
WITH_KEEP = (*LR_DECAY, "keep")
DENSE = "a dense net keeps all of its units"
main = partial(Arm, search=WITH_KEEP, stochastic=True, conditions=(MAIN,))
# A form of SliceOut, or of what it is compared to, at a keep rate of one half; tuned by itself.
half = partial(
    Arm, role="ablation", search=LR_DECAY, fixed={"keep": 0.5}, stochastic=True, conditions=(HALF,)
)

dense_1x = Arm(
    "dense",
    "Dense",
    role="baseline",
    search=LR_DECAY,
    searches_less=DENSE,
    note="the net itself, without dropout",
    train=dense,
    conditions=(MAIN, HALF),
)
dense_at_time = replace(
    dense_1x,
    name="dense_at_time",
    label="Dense, in SliceOut's time",
    role="baseline at equal cost",
    note="as many steps as take as long as SliceOut's, on average over its keep rates",
    step_multiple=OF_DENSE,
    conditions=(MAIN,),
)
sliceout = main(
    "sliceout",
    "SliceOut",
    role="method",
    note="the method, with leaves and flow normalization; its keep rate is tuned in its trials",
    train=sliced,
)
with_dropout = main(
    "dropout",
    "Dropout",
    role="simple",
    note="what the paper compares with: torch's own, with as wide a search of the keep rate",
    train=dropout,
)
narrow_1x = main(
    "narrow",
    "Narrow net",
    role="simple",
    note="a smaller net of a slice's width, its width tuned like a keep rate",
    train=narrow,
)
narrow_at_time = main(
    "narrow_at_time",
    "Narrow net, in SliceOut's time",
    role="simple",
    note="the narrow net for as long as SliceOut takes at the same keep rate",
    train=partial(narrow, equal_time=True),
)
random_units = main(
    "random_units",
    "Random units",
    role="placebo",
    note="as many units, drawn at random for each batch: not a slice, so weights are copied",
    train=partial(sliced, method=RandomUnits),
)
sixteenth = replace(
    dense_1x,
    name="sixteenth",
    label="Narrow net, a sixteenth",
    role="ablation",
    searches_less="",
    note="a loss that the test of no loss must notice: 32 units a layer",
    train=narrow,
    fixed={"keep": 1 / 16},
    conditions=(MAIN,),
)
CORE = (
    *(dense_1x, dense_at_time, sliceout),
    *(with_dropout, narrow_1x, narrow_at_time, random_units),
)

half_flow = half(
    "half_flow",
    "SliceOut, keep 0.5",
    note="SliceOut at the keep rate of the other forms",
    train=sliced,
)
half_dropout = half(
    "half_dropout", "Dropout, keep 0.5", note="dropout at the same rate", train=dropout
)
half_narrow = half("half_narrow", "Narrow net, half", note="a net of half the width", train=narrow)
half_plain = half(
    "half_plain",
    "SliceOut, plain slicing",
    note="ordinary gradients and SGD: momentum and weight decay also move the other units",
    train=partial(sliced, leaves=False),
)
half_probabilistic = half(
    "half_probabilistic",
    "SliceOut, probabilistic",
    note="each unit is divided by its own probability to be kept, which is low at the edges",
    train=partial(sliced, normalization="probabilistic"),
)
half_partition = half(
    "half_partition",
    "SliceOut, partition",
    note="two slices that do not overlap, so every unit is kept equally often",
    train=partial(sliced, normalization="partition"),
)
half_none = half(
    "half_none",
    "SliceOut, no normalization",
    note="the sums of a layer are twice as large in the test as in training",
    train=partial(sliced, normalization="none"),
)
half_unaligned = half(
    "half_unaligned",
    "SliceOut, starts anywhere",
    note="slices start at any unit, not at multiples of 8",
    train=partial(sliced, align=1),
)
half_coarse = half(
    "half_coarse",
    "SliceOut, starts at multiples of 64",
    note="5 slices a layer instead of 33",
    train=partial(sliced, align=64),
)
half_random = half(
    "half_random",
    "Random units, plain gradients",
    note="random units of each batch with ordinary gradients and SGD",
    train=partial(sliced, method=RandomUnits, leaves=False),
)
HALVES = (
    *(half_flow, half_dropout, half_narrow, half_plain),
    *(half_probabilistic, half_partition, half_none, half_unaligned, half_coarse, half_random),
)
again, quarter = standard_controls(dense_1x, (MAIN,))
ARMS = (*CORE, sixteenth, *HALVES, again, quarter)
