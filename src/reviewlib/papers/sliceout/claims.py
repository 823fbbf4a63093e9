"""The paper's claims for SliceOut, and our own questions."""

from __future__ import annotations

import math

from reviewlib.papers.sliceout import arms
from reviewlib.papers.sliceout.arms import HALF, MAIN
from reviewlib.papers.sliceout.timings import OWN
from reviewlib.trial.declare import Reported, gain, no_loss, out_of_scope

ABSTRACT = "Abstract"
TENTH = "a tenth: the least that the paper promises"
SECONDS = {
    "metric": "step_seconds",
    "better": "lower",
    "scale": "log ratio",
    "margin": math.log(1.1),
    "margin_reason": TENTH,
}
BYTES = SECONDS | {"metric": "activation_bytes"}
LOSS = {"metric": "nll", "better": "lower", "margin": 0.02}
LOSS["margin_reason"] = "0.02 nats: about what a temperature that is fitted afterwards gains"
BATCH = 'the newsletter The Batch, "Dropout With a Difference"'
TIME = (
    Reported("training 10 to 40% faster", ABSTRACT, runs=None, interval=False),
    Reported(
        "33.3% faster for a convolutional net on CIFAR-100, 8.4% for a transformer on LM1B",
        BATCH,
        runs=None,
        interval=False,
    ),
)
MEMORY = (
    Reported("10 to 40% less memory", ABSTRACT, runs=None, interval=False),
    Reported(
        "27.8% less memory for a convolutional net on CIFAR-100, 9% for a transformer on LM1B",
        BATCH,
        runs=None,
        interval=False,
    ),
)
CALIBRATION = {
    "metric": "rms_calibration_error",
    "better": "lower",
    "margin": 0.01,
    "margin_reason": "1 point: who acts on a confidence notices no smaller error",
}
OWN_HALF = OWN[0.5]

CLAIMS = (
    gain(
        "step-time",
        (arms.sliceout - arms.with_dropout) @ OWN_HALF,
        "With half of the units kept, a step of SliceOut takes less time than one of dropout.",
        ABSTRACT,
        primary=True,
        case="in the time of a step with half of the units against dropout",
        reported=TIME,
        **SECONDS,
    ),
    gain(
        "memory",
        (arms.sliceout - arms.with_dropout) @ OWN_HALF,
        "With half of the units kept, a step of SliceOut keeps fewer bytes of activations for its "
        "backward pass than one of dropout.",
        ABSTRACT,
        primary=True,
        case="in activation memory with half of the units against dropout",
        reported=MEMORY,
        **BYTES,
    ),
    no_loss(
        "accuracy",
        (arms.sliceout - arms.with_dropout) @ MAIN,
        "SliceOut is as accurate as dropout, after as many steps.",
        ABSTRACT,
        control=(arms.sixteenth - arms.with_dropout) @ MAIN,
        primary=True,
        case="in accuracy against dropout at the keep rates that it chose",
        margin=0.005,
        margin_reason="the protocol's default for no loss: 0.5 points",
        reported=(
            Reported('"minimal to no loss in accuracy"', ABSTRACT, runs=None, interval=False),
        ),
    ),
    gain(
        "narrow-equal-time",
        (arms.sliceout - arms.narrow_at_time) @ MAIN,
        "SliceOut is more accurate than a narrow net that is trained for as long.",
        primary=True,
        case="in accuracy against a narrow net in equal time",
    ),
    # time and memory against the net itself and the narrow net; other nets are in the picture
    gain("step-time-dense", (arms.sliceout - arms.dense_1x) @ OWN_HALF, where=ABSTRACT, **SECONDS),
    gain("step-time-narrow", (arms.sliceout - arms.narrow_1x) @ OWN_HALF, **SECONDS),
    gain("memory-dense", (arms.sliceout - arms.dense_1x) @ OWN_HALF, where=ABSTRACT, **BYTES),
    gain("memory-narrow", (arms.sliceout - arms.narrow_1x) @ OWN_HALF, **BYTES),
    # what dropout is for
    gain("dropout", (arms.with_dropout - arms.dense_1x) @ MAIN),
    gain("dropout-nll", (arms.with_dropout - arms.dense_1x) @ MAIN, **LOSS),
    gain("nll", (arms.sliceout - arms.with_dropout) @ MAIN, where=ABSTRACT, **LOSS),
    gain("nll-dense", (arms.sliceout - arms.dense_1x) @ MAIN, where=ABSTRACT, **LOSS),
    gain("calibration", (arms.sliceout - arms.with_dropout) @ MAIN, **CALIBRATION),
    # accuracy against the other core arms
    gain("dense", (arms.sliceout - arms.dense_1x) @ MAIN),
    gain("dense-equal-time", (arms.sliceout - arms.dense_at_time) @ MAIN),
    gain("narrow", (arms.sliceout - arms.narrow_1x) @ MAIN),
    gain("narrow-nll", (arms.sliceout - arms.narrow_at_time) @ MAIN, **LOSS),
    gain("placebo", (arms.sliceout - arms.random_units) @ MAIN),
    # at one keep rate
    gain("half-dropout", (arms.half_flow - arms.half_dropout) @ HALF),
    gain("half-dropout-nll", (arms.half_flow - arms.half_dropout) @ HALF, **LOSS),
    gain("half-dense", (arms.half_flow - arms.dense_1x) @ HALF),
    gain("half-narrow", (arms.half_flow - arms.half_narrow) @ HALF),
    *(
        gain(f"half-{name}", (arms.half_flow - other) @ HALF)
        for name, other in (
            ("plain", arms.half_plain),
            ("probabilistic", arms.half_probabilistic),
            ("partition", arms.half_partition),
            ("none", arms.half_none),
            ("unaligned", arms.half_unaligned),
            ("coarse", arms.half_coarse),
            ("random", arms.half_random),
        )
    ),
    out_of_scope(
        "large-nets",
        "Wide ResNets, EfficientNets and transformers train 10 to 40% faster with 10 to 40% less "
        "memory, at minimal to no loss in accuracy.",
        ABSTRACT,
        "needs CIFAR-100, ImageNet and LM1B, and a GPU; here layers of these kinds are timed alone",
    ),
    out_of_scope(
        "emissions",
        "Training with SliceOut emits up to 40% less carbon dioxide.",
        ABSTRACT,
        "follows from the time, and is not measured",
    ),
)
