"""What the paper claims for SAM, what we ask besides, and the controls on ourselves."""

from __future__ import annotations

from reviewlib.study import Claim, Reported

CLEAN, NOISE, CNN = "clean", "noise", "cnn"

TABLE_5 = Reported(
    "test error 3.98 ± 0.05% with SAM against 4.57 ± 0.07% (WRN-28-10, basic augmentation)",
    "Table 5, Fashion-MNIST",
    runs=5,
    interval=True,
)
TABLE_4 = Reported(
    "test accuracy 93.4% with SAM against 68.8% (ResNet-32 on CIFAR-10, 40% noise)",
    "Table 4",
    runs=None,
    interval=False,
)

TOP_EIGENVALUE = Reported(
    "the Hessian's top eigenvalue falls from about 24 to 1.0 (WRN-40-10 without BatchNorm)",
    "Hessian spectra",
    runs=None,
    interval=False,
)

HALF_A_POINT = {
    "margin": 0.005,
    "margin_reason": "0.5 points: about the gain that the paper reports on this data set (0.59)",
}


def gain(
    name: str, statement: str, where: str, arm: str, other: str, cell: str = NOISE, **fields
) -> Claim:
    """Return the claim that an arm is better than another one in a cell."""
    contrast = ((1, arm, cell), (-1, other, cell))
    return Claim(name, statement, where, "gain", contrast=contrast, **fields)


def interaction(name: str, statement: str, both: str, other: str) -> Claim:
    """Return the claim that SAM and another method give more together than the sum of each."""
    contrast = ((1, both, NOISE), (-1, other, NOISE), (-1, "sam", NOISE), (1, "sgd", NOISE))
    return Claim(name, statement, "our question", "gain", contrast=contrast)


FLATTER = {
    "metric": "top_eigenvalue",
    "better": "lower",
    "scale": "log ratio",
    "margin": 0.7,
    "margin_reason": "half the curvature",
}

CLAIMS = (
    gain(
        "clean",
        "With clean labels, SAM is more accurate than SGD at equal cost.",
        "Table 5",
        "sam",
        "sgd_2x",
        CLEAN,
        primary=True,
        reported=(TABLE_5,),
        **HALF_A_POINT,
    ),
    gain(
        "noise",
        "With 40% wrong labels, SAM is more accurate than SGD at equal cost.",
        "Table 4",
        "sam",
        "sgd_2x",
        primary=True,
        reported=(TABLE_4,),
    ),
    gain(
        "direction",
        "With 40% wrong labels, the ascent direction does better than a random one.",
        "Figure 6",
        "sam",
        "random",
        primary=True,
    ),
    gain(
        "cnn",
        "With 40% wrong labels and a convolutional net, SAM is more accurate than SGD at equal "
        "cost.",
        "Table 4",
        "sam",
        "sgd_2x",
        CNN,
        primary=True,
        reported=(TABLE_4,),
    ),
    gain(
        "clean-equal-steps",
        "With clean labels, SAM against SGD at equal steps, half of SAM's cost.",
        "Table 5",
        "sam",
        "sgd",
        CLEAN,
        **HALF_A_POINT,
    ),
    gain(
        "noise-equal-steps",
        "With 40% wrong labels, SAM against SGD at equal steps, half of SAM's cost.",
        "Table 4",
        "sam",
        "sgd",
    ),
    gain(
        "cnn-equal-steps",
        "With 40% wrong labels and a convolutional net, SAM against SGD at equal steps.",
        "Table 4",
        "sam",
        "sgd",
        CNN,
    ),
    gain(
        "noise-early-stopped",
        "With 40% wrong labels, SAM against SGD at equal cost, both stopped early on validation.",
        "our question",
        "sam",
        "sgd_2x",
        metric="early_accuracy",
    ),
    gain(
        "noise-untuned-baseline",
        "With 40% wrong labels, tuned SAM against SGD whose weight decay was left at zero.",
        "our question",
        "sam",
        "sgd_wd0",
    ),
    gain(
        "noise-both-without-decay",
        "With 40% wrong labels, SAM against SGD, both with weight decay at zero.",
        "our question",
        "sam_wd0",
        "sgd_wd0",
    ),
    gain(
        "noise-decay-alone",
        "With 40% wrong labels, tuning weight decay in plain SGD, at no extra cost.",
        "our question",
        "sgd",
        "sgd_wd0",
    ),
    gain(
        "m-25",
        "With 40% wrong labels, a perturbation for each quarter of the batch against one for all.",
        "Figure 3",
        "sam_m25",
        "sam",
    ),
    gain(
        "m-10",
        "With 40% wrong labels, a perturbation for every ten examples against one for all.",
        "Figure 3",
        "sam_m10",
        "sam",
    ),
    gain(
        "adaptive",
        "With 40% wrong labels, ASAM against SAM.",
        "Kwon et al., ASAM",
        "asam",
        "sam",
    ),
    gain(
        "flatter",
        "With 40% wrong labels, SAM ends where the Hessian's top eigenvalue is lower.",
        "Hessian spectra",
        "sam",
        "sgd",
        reported=(TOP_EIGENVALUE,),
        **FLATTER,
    ),
    gain(
        "flatter-without-decay",
        "With 40% wrong labels and no weight decay, SAM ends where the top eigenvalue is lower.",
        "Hessian spectra",
        "sam_wd0",
        "sgd_wd0",
        **FLATTER,
    ),
    gain(
        "noise-against-smoothing",
        "With 40% wrong labels, SAM against label smoothing at half the cost.",
        "our question",
        "sam",
        "smoothing",
    ),
    gain(
        "smoothing-added-last",
        "With 40% wrong labels, SAM added to label smoothing.",
        "our question",
        "sam_smoothing",
        "smoothing",
    ),
    gain(
        "smoothing-equal-cost",
        "With 40% wrong labels, SAM added to label smoothing, against twice the steps of it.",
        "our question",
        "sam_smoothing",
        "smoothing_2x",
    ),
    interaction(
        "smoothing-interaction",
        "With 40% wrong labels, what SAM and label smoothing give together beyond their sum.",
        "sam_smoothing",
        "smoothing",
    ),
    gain(
        "mirror-added-last",
        "With 40% wrong labels, SAM added to mirrored images.",
        "our question",
        "sam_mirror",
        "mirror",
    ),
    interaction(
        "mirror-interaction",
        "With 40% wrong labels, what SAM and mirrored images give together beyond their sum.",
        "sam_mirror",
        "mirror",
    ),
    Claim(
        "longer-training",
        "With SAM, training two and four times longer keeps lowering the error on ImageNet.",
        "Table 2",
        "out of scope",
        reported=(
            Reported(
                "ResNet-101 top-1 error 20.2 / 19.4 / 19.0% at 100 / 200 / 400 epochs with SAM "
                "against 21.2 / 20.9 / 22.3%",
                "Table 2",
                runs=5,
                interval=False,
            ),
        ),
        why="needs ImageNet and nets that are far from fitting their training data",
    ),
    Claim(
        "fine-tuning",
        "SAM improves the fine-tuning of EfficientNets on every data set tried.",
        "Table 3",
        "out of scope",
        why="needs pre-trained EfficientNets and their target data sets",
    ),
)

PLANTED = "Four times the training images make SGD more accurate"
TWICE = "SGD tuned once is more accurate than SGD tuned again"
CONTROLS = tuple(
    gain(f"{name}-{cell}", f"{statement}, {words}.", "our control", "sgd", arm, cell, primary=True)
    for name, statement, arm in (
        ("planted", PLANTED, "sgd_quarter"),
        ("tuned-twice", TWICE, "sgd_again"),
    )
    for cell, words in ((CLEAN, "clean labels"), (NOISE, "40% wrong labels"))
)
