"""What the papers claim of double descent, what we ask besides, and the controls on ourselves.

The sizes that claims are about (the peak, the best size before it) were read off the validation
accuracies of tuning seeds, before any final seed had run.
"""

from __future__ import annotations

from reviewlib.study import Claim, Reported

CLEAN, NOISY = "clean", "noisy"

# What is swept; a cell holds one value.
WIDTHS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256)
CLEAN_WIDTHS = (4, 8, 24, 48, 128)
SWEPT_WIDTHS = (8, 24, 48, 128)
FEATURES = (0.03, 0.1, 0.2, 0.4, 0.7, 0.9, 1.0, 1.1, 1.4, 2.0, 4.0, 8.0)
SAMPLES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.25, 1.6, 2.4, 4.0)
STEPS = (0.01, 0.03, 0.1, 0.3)
KEPT = (0.03, 0.1, 0.3)
CHANNELS = (1, 2, 4, 8, 16, 32, 64)

# Where the nets of 20% wrong labels do best before the peak, where they do worst, and the end.
BEST, PEAK, WIDEST = 8, 48, 256
# The same of the random features, as multiples of their number of samples.
FEW, JUST, MANY = 0.2, 1.0, 8.0
# Of as many features as that, the number of samples that does best short of the threshold.
SCARCE = 0.2
# A pruned net of that width does worst with this share of its weights, and recovers with that one.
PRUNED_WIDTH, SPARSE_PEAK, SPARSEST = 128, 0.3, 0.03


def cell_name(knob: str, value: float, noise: str = NOISY) -> str:
    """Return the name of the cell in which something swept is held at a value."""
    return f"{knob}-{value:g}-{noise}"


def of(knob: str, value: float, arm: str = "plain", noise: str = NOISY) -> tuple[str, str]:
    """Return an arm, and the cell in which something swept is held at a value."""
    return arm, cell_name(knob, value, noise)


def against(better: tuple[str, str], worse: tuple[str, str]) -> tuple:
    """Return the contrast of one (arm, cell) with another."""
    return (1, *better), (-1, *worse)


def gain(
    name: str, statement: str, where: str, better: tuple[str, str], worse: tuple[str, str], **fields
) -> Claim:
    """Return the claim that one (arm, cell) is more accurate than another."""
    return Claim(name, statement, where, "gain", contrast=against(better, worse), **fields)


RELEASED = Reported(
    "test error 24.61 / 34.59 / 19.63% at width 3 / 12 / 64 when training ends (ResNet18, "
    "CIFAR-10, 20% wrong labels)",
    "the authors' published results, as converted by a third party",
    runs=1,
    interval=False,
)
FIRST_MINIMUM = Reported(
    "17.30% test error after 23 epochs, 19.63% when training ends (ResNet18 of width 64, CIFAR-10, "
    "20% wrong labels)",
    "the authors' published results, as converted by a third party",
    runs=1,
    interval=False,
)
A_POINT = "one point, as for the peak that it is about"

CLAIMS = (
    gain(
        "peak",
        "With 20% wrong labels, a net of the size that just fits its labels does worse than a "
        "smaller one.",
        "Nakkiran et al., Figures 1, 4 and 5",
        of("width", BEST),
        of("width", PEAK),
        primary=True,
        reported=(RELEASED,),
    ),
    gain(
        "second-descent",
        "With 20% wrong labels, the widest net does better than the best one before the peak.",
        "Nakkiran et al., Figures 1, 4 and 5",
        of("width", WIDEST),
        of("width", BEST),
        primary=True,
        reported=(RELEASED,),
    ),
    gain(
        "more-data",
        "With 20% wrong labels, a fixed number of random features does worse with just as many "
        "samples as features than with fewer.",
        "Nakkiran et al., sample-wise double descent",
        of("samples", SCARCE),
        of("features", JUST),
        primary=True,
    ),
    Claim(
        "penalty",
        "With 20% wrong labels and a weight decay tuned at every width, the net of the peak's size "
        "does no worse than the smaller one.",
        "Nakkiran, Venkat, Kakade, Ma, arXiv 2003.01897",
        "no loss",
        primary=True,
        contrast=against(of("width", PEAK, "penalty"), of("width", BEST, "penalty")),
        control=against(of("width", PEAK), of("width", BEST)),
        margin_reason=A_POINT,
    ),
    gain(
        "descent",
        "With 20% wrong labels, the widest net against the net at the peak.",
        "Nakkiran et al., Figures 1, 4 and 5",
        of("width", WIDEST),
        of("width", PEAK),
    ),
    gain(
        "penalty-at-peak",
        "With 20% wrong labels, a tuned weight decay against none, at the peak.",
        "our question",
        of("width", PEAK, "penalty"),
        of("width", PEAK),
    ),
    gain(
        "penalty-widest",
        "With 20% wrong labels, a tuned weight decay against none, in the widest net.",
        "our question",
        of("width", WIDEST, "penalty"),
        of("width", WIDEST),
    ),
    gain(
        "early-peak",
        "With 20% wrong labels, the peak when every net is stopped early on validation.",
        "Nakkiran et al., on optimal early stopping",
        of("width", BEST),
        of("width", PEAK),
        metric="early_accuracy",
        reported=(FIRST_MINIMUM,),
    ),
    gain(
        "clean-peak",
        "With clean labels, the peak at the same widths.",
        "Nakkiran et al., Figures 1, 4 and 5",
        of("width", BEST, noise=CLEAN),
        of("width", PEAK, noise=CLEAN),
    ),
    Claim(
        "amplified",
        "By how much 20% wrong labels raise the peak of the nets.",
        "Nakkiran et al., Figures 1, 4 and 5",
        "gain",
        contrast=against(of("width", BEST), of("width", PEAK))
        + against(of("width", PEAK, noise=CLEAN), of("width", BEST, noise=CLEAN)),
    ),
    gain(
        "sgd-peak",
        "With 20% wrong labels, the peak at the same widths under SGD with momentum.",
        "Nakkiran et al., on optimizers",
        of("width", BEST, "sgd"),
        of("width", PEAK, "sgd"),
    ),
    gain(
        "cosine-peak",
        "With 20% wrong labels, the peak at the same widths under a rate that falls to zero.",
        "our question",
        of("width", BEST, "cosine"),
        of("width", PEAK, "cosine"),
    ),
    gain(
        "epochs",
        "With 20% wrong labels, training the widest net to the end against stopping at three "
        "tenths.",
        "Nakkiran et al., Figures 9 and 10",
        of("width", WIDEST),
        of("steps", 0.3),
    ),
    gain(
        "features-peak",
        "With 20% wrong labels, the peak of random features without a penalty.",
        "Belkin et al., random features",
        of("features", FEW),
        of("features", JUST),
    ),
    gain(
        "features-clean-peak",
        "With clean labels, the peak of random features without a penalty.",
        "Belkin et al., random features",
        of("features", FEW, noise=CLEAN),
        of("features", JUST, noise=CLEAN),
    ),
    gain(
        "features-second-descent",
        "With 20% wrong labels, the most random features against the best number before the peak.",
        "Belkin et al., random features",
        of("features", MANY),
        of("features", FEW),
    ),
    gain(
        "features-clean-second-descent",
        "With clean labels, the most random features against the same number before the peak.",
        "Belkin et al., random features",
        of("features", MANY, noise=CLEAN),
        of("features", FEW, noise=CLEAN),
    ),
    gain(
        "features-penalty",
        "With 20% wrong labels and a tuned ridge, just as many features as samples against fewer.",
        "Nakkiran, Venkat, Kakade, Ma, arXiv 2003.01897",
        of("features", JUST, "penalty"),
        of("features", FEW, "penalty"),
    ),
    gain(
        "features-penalty-widest",
        "With 20% wrong labels, a tuned ridge against none, with the most random features.",
        "our question",
        of("features", MANY, "penalty"),
        of("features", MANY),
    ),
    gain(
        "more-data-penalty",
        "With 20% wrong labels and a tuned ridge, just as many samples as features against fewer.",
        "Nakkiran, Venkat, Kakade, Ma, arXiv 2003.01897",
        of("features", JUST, "penalty"),
        of("samples", SCARCE, "penalty"),
    ),
    gain(
        "pruning-peak",
        "With 20% wrong labels, pruning a net wider than the peak's leads back into the peak.",
        "He, Xie, Zhu, Qin, arXiv 2206.08684",
        of("width", PRUNED_WIDTH),
        of("kept", SPARSE_PEAK, "pruned"),
    ),
    gain(
        "pruning-descent",
        "With 20% wrong labels, pruning far past that point gives accuracy back.",
        "He, Xie, Zhu, Qin, arXiv 2206.08684",
        of("kept", SPARSEST, "pruned"),
        of("kept", SPARSE_PEAK, "pruned"),
    ),
    Claim(
        "convolutional",
        "With 20% wrong labels, convolutional and residual nets show the peak over their width.",
        "Nakkiran et al., Figures 1, 4 and 5",
        "out of scope",
        reported=(RELEASED,),
        why="a small convolutional net over its width is part of the GPU preset only",
    ),
    Claim(
        "no-noise",
        "On CIFAR-100 and in translation the peak is there without any label noise.",
        "Nakkiran et al., CIFAR-100 and translation",
        "out of scope",
        why="needs CIFAR-100 with residual nets, or Transformers",
    ),
)

CONTROLS = tuple(
    gain(
        name,
        statement,
        "our control",
        of("width", PEAK, "penalty"),
        of("width", PEAK, arm),
        primary=True,
    )
    for name, statement, arm in (
        (
            "planted",
            "Four times the training images make the net at the peak better.",
            "penalty_quarter",
        ),
        ("tuned-twice", "The penalty tuned once does better than tuned again.", "penalty_again"),
    )
)
