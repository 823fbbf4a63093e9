"""The arms and conditions of the WeightNet study; an arm is a kind of convolution in one net."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import nn

from reviewlib.papers.weightnet import nets
from reviewlib.papers.weightnet.method import WeightNetConv2d
from reviewlib.papers.weightnet.nets import SqueezeExcite
from reviewlib.papers.weightnet.variants import Constant, Shuffled
from reviewlib.trial.declare import (
    Arm,
    Condition,
    Inputs,
    Timing,
    Training,
    models,
    standard_controls,
    training,
)

WIDTHS = (8, 16, 32)
# Static nets with WeightNet's parameters, and with its time of a step; the time was measured before
# the final seeds, and the timings test it again.
OF_PARAMETERS, OF_TIME = (9, 18, 38), (12, 24, 48)
MORE_STEPS = 1.5  # of a static net, in WeightNet's time

MAIN = Condition("main", "one image", stack=8)
# A task in which a kernel must depend on the input.
PAIR = Condition(
    "pair", "one of two images", fixed={"images": 2}, step_multiple=3, stack=8, parent=MAIN.name
)


def net(run: Inputs, widths: tuple[int, ...] = WIDTHS, **layers: Any) -> nn.Module:
    """Return the run's net with layers of a kind."""
    images, classes = run.sample.train, run.sample.classes
    widths = tuple(int(width * run.get("wider", 1)) for width in widths)
    if run.get("images", 1) == 2:
        return nets.OneOfTwo(images, partial(nets.chain, classes=classes, widths=widths, **layers))
    depth = images.images.shape[1]
    chain = nets.chain(depth, classes, widths, **layers)
    return nn.Sequential(models.Normalize(images), *chain)


def trained(run: Inputs, **options: Any) -> Iterator[Training]:
    """Train the run's net with layers of a kind."""
    yield training(run, model=run.initialized(partial(net, run, **options)))


def generated(kind: type[WeightNetConv2d] = WeightNetConv2d, **sizes: int) -> Any:
    """Return the training of a net whose convolutions are generated."""
    return partial(trained, conv=partial(kind, **sizes))


core = partial(Arm, search=("lr", "weight_decay"), conditions=(MAIN,))
both = partial(core, conditions=(MAIN, PAIR))
ablation = partial(core, role="ablation")
# An ablation at the settings of another arm.
at = partial(core, role="ablation", search=())

static = both(
    "static", "Static", role="baseline", note="the same net with plain convolutions", train=trained
)
static_time = core(
    "static_time",
    "Static, WeightNet's time",
    role="baseline at equal cost",
    note="plain convolutions, as much wider as takes WeightNet's time of a step",
    train=partial(trained, widths=OF_TIME),
)
weightnet = both(
    "weightnet",
    "WeightNet 1x",
    role="method",
    note="the method as released: M = G = 2",
    train=generated(),
)
static_parameters = core(
    "static_parameters",
    "Static, WeightNet's parameters",
    role="simple",
    note="plain convolutions, as much wider as takes WeightNet's parameters",
    train=partial(trained, widths=OF_PARAMETERS),
)
se = both(
    "se",
    "Squeeze-and-excite",
    role="simple",
    note="a gate for every channel after its BatchNorm, in a few lines",
    train=partial(trained, gate=SqueezeExcite),
)
shuffled = both(
    "shuffled",
    "WeightNet, another's gates",
    role="placebo",
    note="the same layers, but each image gets the kernels of another image of the batch",
    train=generated(Shuffled),
)
CORE = (static, static_time, weightnet, static_parameters, se, shuffled)

condconv = ablation(
    "condconv",
    "CondConv, 4 experts",
    note="a mixture of four whole kernels: WeightNet with one group",
    train=partial(trained, conv=partial(nets.condconv, experts=4)),
)
weightnet_4x = ablation(
    "weightnet_4x",
    "WeightNet 4x",
    note="four times the kernels' parameters at a few more operations: M = 8, G = 2",
    train=generated(M=8, G=2),
)
weightnet_2x = at(
    "weightnet_2x",
    "WeightNet 2x",
    parent=weightnet.name,
    note="twice the kernels' parameters: M = 4, G = 2",
    train=generated(M=4, G=2),
)
constant = at(
    "constant",
    "WeightNet, constant gates",
    parent=weightnet.name,
    note="gates that are learned and do not depend on the input: is dynamic doing anything?",
    train=generated(Constant),
)
one_gate = at(
    "one_gate",
    "WeightNet, M = G = 1",
    parent=weightnet.name,
    note="one gate for every output, from the means of the input: the paper's squeeze-and-excite",
    train=generated(M=1, G=1),
)
se_linear = at(
    "se_linear",
    "Squeeze-and-excite, no ReLU",
    parent=se.name,
    note="two linear maps in a row, as in WeightNet",
    train=partial(trained, gate=partial(SqueezeExcite, active=False)),
)
static_longer = at(
    "static_longer",
    "Static, longer",
    parent=static.name,
    note="the same net for as many more steps as take WeightNet's time",
    train=trained,
    step_multiple=MORE_STEPS,
)
untuned = partial(
    Arm,
    role="untuned",
    search=(),
    fixed={"lr": 0.01, "weight_decay": 0.001},
    conditions=(MAIN,),
)
static_untuned = untuned(
    "static_untuned",
    "Static, untuned",
    note="a learning rate of 0.01 that nobody tuned",
    train=trained,
)
weightnet_untuned = untuned(
    "weightnet_untuned",
    "WeightNet 1x, untuned",
    note="the same learning rate, though its kernels move in smaller steps",
    train=generated(),
)
again, quarter = standard_controls(static, (MAIN,))
ABLATIONS = (
    *(condconv, weightnet_4x, weightnet_2x, constant, one_gate),
    *(se_linear, static_longer, static_untuned, weightnet_untuned),
)
ARMS = (*CORE, *ABLATIONS, again, quarter)

# The settings change no time.
RATES = {"lr": 0.1, "weight_decay": 0.001}
STEP = Timing(
    "step",
    "this chapter's net",
    fixed=RATES,
    arms=(*CORE, condconv, weightnet_4x, weightnet_2x, constant, one_gate, again),
    image_size=14,
    batch_size=64,
)
LARGE = Timing(
    "large_step",
    "four times as wide, 28 x 28 pixels",
    fixed={**RATES, "wider": 4},
    arms=(static, static_time, weightnet, se, condconv, weightnet_4x),
    image_size=28,
    batch_size=64,
)
TIMINGS = (STEP, LARGE)
