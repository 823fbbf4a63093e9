"""The paper's claims for WeightNet, and our own questions."""

from __future__ import annotations

import math

from reviewlib.papers.weightnet import arms
from reviewlib.papers.weightnet.arms import LARGE, MAIN, PAIR, STEP
from reviewlib.trial.declare import Reported, gain, out_of_scope

README = "README, ImageNet table"
CURVE = "README, figure"
ONE_RUN = {"runs": 1, "interval": False}
FLOPS = (
    Reported(
        "ShuffleNetV2 on ImageNet, top-1 error without and with WeightNet 1x: 39.7 and 36.7% at "
        "0.5x width, 30.9 and 28.8% at 1.0x, 27.4 and 25.6% at 1.5x, 25.5 and 24.1% at 2.0x",
        README,
        **ONE_RUN,
    ),
)
PARAMETERS = (
    Reported(
        "1.4 and 1.5 million parameters at 0.5x width, 2.2 and 2.4 at 1.0x, 3.5 and 3.9 at 1.5x, "
        "5.5 and 6.1 at 2.0x: 7 to 11% more with WeightNet 1x",
        README,
        **ONE_RUN,
    ),
)
MORE_PARAMETERS = (
    Reported(
        "with four to eight times the kernels' parameters, errors of 34.0, 27.6, 25.0 and 23.5%",
        README,
        **ONE_RUN,
    ),
)
AGAINST_SE = (
    Reported(
        "at 138, 299 and 557 million operations, about 72.4, 75.0 and 76.5% with WeightNet and "
        "70.4, 73.6 and 75.1% with squeeze-and-excite (read off the figure)",
        CURVE,
        **ONE_RUN,
    ),
)
AGAINST_CONDCONV = (
    Reported(
        "at the same operations, about 71.6, 73.9 and 76.1% with CondConv's four experts (read off "
        "the figure)",
        CURVE,
        **ONE_RUN,
    ),
)
SECONDS = {
    "metric": "step_seconds",
    "better": "lower",
    "scale": "log ratio",
    "margin": math.log(1.1),
    "margin_reason": "a tenth of the time",
}

CLAIMS = (
    gain(
        "equal-flops",
        (arms.weightnet - arms.static) @ MAIN,
        "At equal operations, a net with generated kernels is more accurate than one with static "
        "ones.",
        README,
        primary=True,
        case="against the same net with static kernels",
        reported=FLOPS,
    ),
    gain(
        "equal-parameters",
        (arms.weightnet - arms.static_parameters) @ MAIN,
        "At equal parameters, a net with generated kernels is more accurate than one with static "
        "ones.",
        README,
        primary=True,
        case="against a static net with as many parameters",
        reported=PARAMETERS,
    ),
    gain(
        "equal-time",
        (arms.weightnet - arms.static_time) @ MAIN,
        "In equal time, a net with generated kernels is more accurate than one with static ones.",
        primary=True,
        case="against a static net that takes as long",
    ),
    gain(
        "se",
        (arms.weightnet - arms.se) @ MAIN,
        "WeightNet is more accurate than squeeze-and-excite.",
        CURVE,
        primary=True,
        case="against squeeze-and-excite",
        reported=AGAINST_SE,
    ),
    # is it the input?
    gain("placebo", (arms.weightnet - arms.shuffled) @ MAIN),
    gain("constant", (arms.weightnet - arms.constant) @ MAIN),
    gain("pair", (arms.weightnet - arms.static) @ PAIR),
    gain("pair-placebo", (arms.weightnet - arms.shuffled) @ PAIR),
    gain("pair-se", (arms.weightnet - arms.se) @ PAIR),
    # other gates and kernels
    gain("one-gate", (arms.weightnet - arms.one_gate) @ MAIN),
    gain("se-static", (arms.se - arms.static) @ MAIN),
    gain("se-linear", (arms.se - arms.se_linear) @ MAIN),
    gain(
        "condconv", (arms.weightnet - arms.condconv) @ MAIN, where=CURVE, reported=AGAINST_CONDCONV
    ),
    gain("condconv-static", (arms.condconv - arms.static) @ MAIN),
    gain("two-times", (arms.weightnet_2x - arms.weightnet) @ MAIN),
    gain(
        "four-times",
        (arms.weightnet_4x - arms.weightnet) @ MAIN,
        where=README,
        reported=MORE_PARAMETERS,
    ),
    gain("four-times-wide", (arms.weightnet_4x - arms.static_time) @ MAIN),
    # other ways to spend the time
    gain("longer", (arms.weightnet - arms.static_longer) @ MAIN),
    gain("wider", (arms.static_time - arms.static) @ MAIN),
    gain("untuned", (arms.weightnet_untuned - arms.static_untuned) @ MAIN),
    # what a step takes
    gain("step-time", (arms.weightnet - arms.static) @ STEP, **SECONDS),
    gain("step-time-equal", (arms.weightnet - arms.static_time) @ STEP, **SECONDS),
    gain("step-time-se", (arms.weightnet - arms.se) @ STEP, **SECONDS),
    gain("step-time-large", (arms.weightnet - arms.static) @ LARGE, **SECONDS),
    out_of_scope(
        "imagenet",
        "ShuffleNetV2 on ImageNet gains 1.4 to 3.0 points at equal operations.",
        README,
        "needs ImageNet and weeks of a GPU",
        reported=FLOPS,
    ),
    out_of_scope(
        "detection",
        "Detection on COCO gains, too.",
        "Abstract",
        "needs COCO and nets that are pre-trained on ImageNet",
    ),
)
