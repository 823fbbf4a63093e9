"""The paper's claims for AugMix, and our own questions."""

from __future__ import annotations

from reviewlib.papers.augmix import arms
from reviewlib.papers.augmix.arms import LEFT_OUT, MAIN, SMALL
from reviewlib.trial.declare import Reported, gain, no_loss, out_of_scope


def reported(text: str, where: str) -> tuple[Reported, ...]:
    """Return a number of the paper; its code has one seed."""
    return (Reported(text, where, runs=1, interval=False),)


CORRUPTED = {"metric": "corrupted_accuracy", "shifted": True}
FAR = {"metric": "far_accuracy", "shifted": True}
SCALED = "corrupted_scaled_rms_calibration_error"
CALIBRATED = {
    "metric": SCALED,
    "better": "lower",
    "shifted": True,
    "margin": 0.01,
    "margin_reason": "1 point: who acts on a confidence notices no smaller error",
}

CLAIMS = (
    gain(
        "corrupted",
        (arms.augmix - arms.crop_3x) @ MAIN,
        "On corrupted images, AugMix is more accurate than flip + crop at equal cost.",
        "Table 1",
        primary=True,
        case="on corrupted images at equal cost",
        reported=reported(
            "mean error on CIFAR-10-C 11.2% with AugMix against 26.9% (WRN-40-2)", "Table 1"
        ),
        **CORRUPTED,
    ),
    gain(
        "calibrated",
        (arms.augmix - arms.crop_3x) @ MAIN,
        "On corrupted images, AugMix is better calibrated than flip + crop at equal cost, after "
        "both got a temperature that was fitted on clean validation images.",
        "Abstract",
        primary=True,
        case="in calibration on corrupted images after temperature scaling",
        **CALIBRATED,
    ),
    gain(
        "jsd",
        (arms.augmix - arms.mixed_3x) @ MAIN,
        "On corrupted images, AugMix is more accurate than its augmentation with plain "
        "cross-entropy at equal cost.",
        "Table 4",
        primary=True,
        case="on corrupted images against AugMix without JSD at equal cost",
        reported=reported(
            "mean error on CIFAR-10-C 11.2% with JSD against 13.1% without, at equal epochs "
            "(WRN-40-2)",
            "Table 4",
        ),
        **CORRUPTED,
    ),
    no_loss(
        "clean",
        (arms.augmix - arms.crop_3x) @ MAIN,
        "On clean images, AugMix is as accurate as flip + crop at equal cost.",
        "Section 4",
        control=(arms.quarter - arms.crop) @ MAIN,
        primary=True,
        case="on clean images at equal cost",
        margin=0.005,
        margin_reason="the protocol's default for no loss: 0.5 points",
    ),
    # at equal steps, which is a third of AugMix's cost
    gain("corrupted-equal-steps", (arms.augmix - arms.crop) @ MAIN, where="Table 1", **CORRUPTED),
    gain("clean-equal-steps", (arms.augmix - arms.crop) @ MAIN, where="Section 4"),
    gain("calibrated-equal-steps", (arms.augmix - arms.crop) @ MAIN, **CALIBRATED),
    gain(
        "calibrated-unscaled",
        (arms.augmix - arms.crop_3x) @ MAIN,
        "On corrupted images, AugMix against flip + crop at equal cost, both without temperature.",
        "Abstract",
        **(CALIBRATED | {"metric": "corrupted_rms_calibration_error"}),
    ),
    gain(
        "calibrated-clean",
        (arms.augmix - arms.crop_3x) @ MAIN,
        "On clean images, AugMix against flip + crop at equal cost, both without temperature.",
        **(CALIBRATED | {"metric": "rms_calibration_error", "shifted": False}),
    ),
    *(
        gain(
            group,
            (arms.augmix - arms.crop_3x) @ MAIN,
            f"AugMix against flip + crop at equal cost, on {text}.",
            metric=f"{group}_accuracy",
            shifted=True,
        )
        for group, text in (
            ("disjoint", "the 12 disjoint corruptions"),
            ("overlapping", "the 3 overlapping corruptions"),
            ("far", "stripes, dotted lines, zigzags and inverted bands"),
        )
    ),
    # the simple alternative and the placebo
    gain("standardized", (arms.augmix - arms.standardized) @ MAIN, **CORRUPTED),
    gain("standardized-alone", (arms.standardized - arms.crop) @ MAIN, **CORRUPTED),
    gain("standardized-clean", (arms.augmix - arms.standardized) @ MAIN),
    gain("standardized-calibrated", (arms.augmix - arms.standardized) @ MAIN, **CALIBRATED),
    gain("standardized-far", (arms.augmix - arms.standardized) @ MAIN, **FAR),
    gain("placebo", (arms.augmix - arms.one_operation) @ MAIN, **CORRUPTED),
    gain("placebo-alone", (arms.one_operation - arms.crop) @ MAIN, **CORRUPTED),
    # what a part is worth
    gain("mixed-alone", (arms.mixed_3x - arms.crop_3x) @ MAIN, where="Table 4", **CORRUPTED),
    gain("jsd-equal-steps", (arms.augmix - arms.mixed) @ MAIN, where="Table 4", **CORRUPTED),
    gain("jsd-same-views", (arms.augmix - arms.three_views) @ MAIN, **CORRUPTED),
    gain("jsd-calibrated", (arms.augmix - arms.mixed_3x) @ MAIN, **CALIBRATED),
    gain("agreement-alone", (arms.three_crops - arms.crop) @ MAIN, **CORRUPTED),
    gain("added-last", (arms.augmix_standardized - arms.standardized) @ MAIN, **CORRUPTED),
    gain(
        "added-last-calibrated", (arms.augmix_standardized - arms.standardized) @ MAIN, **CALIBRATED
    ),
    gain(
        "interaction",
        ((arms.augmix_standardized - arms.standardized) - (arms.augmix - arms.crop)) @ MAIN,
        **CORRUPTED,
    ),
    *(
        gain(
            f"with-{name.replace('_', '-')}",
            (arms.augmix - without) @ SMALL,
            f"AugMix with all nine operations against AugMix without {name.replace('_', ' ')}.",
            **CORRUPTED,
        )
        for name, without in LEFT_OUT.items()
    ),
    out_of_scope(
        "imagenet",
        "AugMix lowers the mean corruption error on ImageNet-C and keeps the clean accuracy.",
        "Table 2",
        "needs ImageNet and a ResNet-50",
    ),
    out_of_scope(
        "stability",
        "With AugMix, predictions flip less often along sequences of slowly changing images.",
        "Abstract",
        "needs sequences of perturbed images, which this study does not make",
    ),
)
