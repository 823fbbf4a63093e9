"""The arms and conditions of the AugMix study; an arm is a loss, which makes its own views."""

from __future__ import annotations

from functools import partial

from torch import nn

from reviewlib.papers.augmix import losses
from reviewlib.papers.augmix.method import OPERATIONS
from reviewlib.trial.declare import Arm, Condition, Inputs, models, standard_controls

STACK = 8  # the trials of one seed
MAIN = Condition("main", "2,000 images", stack=STACK)
SMALL = Condition("small", "half the images", stack=STACK, parent="main")


def net(run: Inputs) -> nn.Module:
    """Return a convolutional net with BatchNorm."""
    standardize = bool(run.get("standardize", 0))
    return models.batchnorm_cnn(run.sample.train, run.sample.classes, standardize=standardize)


LR_DECAY = ("lr", "weight_decay")
WITH_SEVERITY = (*LR_DECAY, "severity")
main = partial(Arm, stochastic=True, conditions=(MAIN,))
# An ablation changes a part of AugMix, at AugMix's settings.
ablation = partial(main, role="ablation", search=(), parent="augmix")

on_crops = partial(losses.trained, loss=losses.on_crops)
on_mixed = partial(losses.severe, loss=losses.on_mixed)
on_agreement = partial(losses.severe, loss=losses.on_agreement)

crop = main(
    "crop",
    "Flip + crop",
    role="baseline",
    search=LR_DECAY,
    note="what AugMix is added to",
    train=on_crops,
)
crop_3x = main(
    "crop_3x",
    "Flip + crop, three times the steps",
    role="baseline at equal cost",
    search=LR_DECAY,
    note="an AugMix step shows the net three views: flip + crop with as many",
    train=on_crops,
    step_multiple=3,
)
augmix = main(
    "augmix",
    "AugMix",
    role="method",
    search=WITH_SEVERITY,
    note="the method; its severity is tuned within the same number of trials",
    train=on_agreement,
    conditions=(MAIN, SMALL),
)
standardized = main(
    "standardized",
    "Standardized images",
    role="simple",
    search=LR_DECAY,
    note="two lines in the net and no extra pass: each image by its own mean and deviation",
    train=on_crops,
    fixed={"standardize": 1},
)
one_operation = main(
    "one_operation",
    "One operation, not mixed",
    role="placebo",
    search=WITH_SEVERITY,
    note="one random operation of AugMix's nine, without chains, mixing or a second view",
    train=partial(losses.severe, loss=losses.on_one_operation),
)
CORE = (crop, crop_3x, augmix, standardized, one_operation)

mixed_3x = main(
    "mixed_3x",
    "AugMix without JSD, three times the steps",
    role="ablation",
    search=WITH_SEVERITY,
    note="one augmented view a step and cross-entropy, at the cost of AugMix; tuned by itself",
    train=on_mixed,
    step_multiple=3,
)
mixed = ablation(
    "mixed",
    "AugMix without JSD",
    note="one augmented view a step and cross-entropy, a third of the cost",
    train=on_mixed,
)
three_views = ablation(
    "three_views",
    "AugMix's views, cross-entropy",
    note="the same three views, each with its label instead of the divergence",
    train=partial(losses.severe, loss=losses.on_three_views),
)
three_crops = ablation(
    "three_crops",
    "JSD of three crops",
    note="the divergence without AugMix: of three crops of an image",
    train=partial(losses.trained, loss=losses.on_three_crops),
)
augmix_standardized = main(
    "augmix_standardized",
    "AugMix + standardized images",
    role="combination",
    search=(),
    parent="augmix",
    note="whether AugMix adds to the simple alternative",
    train=on_agreement,
    fixed={"standardize": 1},
)
LEFT_OUT = {
    name: ablation(
        f"without_{name}",
        f"AugMix without {name.replace('_', ' ')}",
        note="eight of the nine operations",
        train=partial(on_agreement, operations=tuple(each for each in OPERATIONS if each != name)),
        conditions=(SMALL,),
    )
    for name in OPERATIONS
}
again, quarter = standard_controls(crop)
ARMS = (
    *CORE,
    *(mixed_3x, mixed, three_views, three_crops, augmix_standardized),
    *LEFT_OUT.values(),
    *(again, quarter),
)
