"""The papers' claims about double descent, and our own questions.

The sizes that claims are about (the peak, the best sizes) were read off the validation accuracies
of ten pilot seeds, before any final seed had run.
"""

from __future__ import annotations

from reviewlib.papers.double_descent.arms import (
    BEST,
    BEST_DECAYED,
    FEWER,
    PEAK,
    PRUNED_WIDTH,
    SPARSE_PEAK,
    SPARSEST,
    WIDEST,
    at,
    constant,
    decay,
    plain,
    ridge,
    sparse,
    with_sgd,
)
from reviewlib.trial.declare import Reported, gain, no_loss, out_of_scope

# The best net before the peak, the worst and the widest; the same for random features, as multiples
# of the number of samples.
SMALL, FITTING, DECAYED, WIDE = (at("width", w) for w in (BEST, PEAK, BEST_DECAYED, WIDEST))
FEW, JUST, MANY = (at("features", multiple) for multiple in (0.2, 1.0, 8.0))
# A quarter of the images for a net; for random features, the number of samples that does best below
# the threshold, as a multiple of the features.
QUARTER, SCARCE = at("images", FEWER), at("samples", 0.2)
CLEAN_SMALL, CLEAN_FITTING = (at("width", width, "clean") for width in (BEST, PEAK))
CLEAN_FEW, CLEAN_JUST, CLEAN_MANY = (at("features", each, "clean") for each in (0.2, 1.0, 8.0))

WIDTHS = "Nakkiran et al., Figures 1, 4 and 5"
FEATURES = "Belkin et al., random features"
SAMPLES = "Nakkiran et al., sample-wise double descent"
OPTIMAL = "Nakkiran, Venkat, Kakade, Ma, arXiv 2003.01897"
SPARSITY = "He, Xie, Zhu, Qin, arXiv 2206.08684"
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

CLAIMS = (
    gain(
        "peak",
        plain @ SMALL - plain @ FITTING,
        "With 20% wrong labels, a net of the size that just fits its labels does worse than a "
        "smaller one.",
        WIDTHS,
        primary=True,
        case="at the size that just fits its labels",
        reported=(RELEASED,),
    ),
    gain(
        "second-descent",
        plain @ WIDE - plain @ SMALL,
        "With 20% wrong labels, the widest net does better than the best one before the peak.",
        WIDTHS,
        primary=True,
        case="that the widest net beats the best small one",
        reported=(RELEASED,),
    ),
    gain(
        "more-data",
        plain @ QUARTER - plain @ FITTING,
        "With 20% wrong labels, the net of the peak's size does worse with four times as many "
        "images.",
        SAMPLES,
        primary=True,
        case="that more data hurts a net",
    ),
    no_loss(
        "penalty",
        decay @ FITTING - decay @ DECAYED,
        "With 20% wrong labels and a weight decay tuned at every width, the net of the peak's size "
        "does no worse than the net of the best size.",
        OPTIMAL,
        primary=True,
        case="at that size with a tuned weight decay",
        control=plain @ FITTING - plain @ SMALL,
        margin_reason="one point, the margin of the peak: less is no peak",
    ),
    gain("descent", plain @ WIDE - plain @ FITTING, where=WIDTHS),
    gain("penalty-at-peak", (decay - plain) @ FITTING),
    gain("penalty-widest", (decay - plain) @ WIDE),
    gain("widest-with-penalty", decay @ WIDE - decay @ DECAYED, where=OPTIMAL),
    gain("more-data-with-penalty", decay @ FITTING - decay @ QUARTER, where=OPTIMAL),
    gain(
        "early-more-data",
        plain @ FITTING - plain @ QUARTER,
        "With 20% wrong labels and early stopping, four times the images for the net of the peak's "
        "size.",
        "Nakkiran et al., on optimal early stopping",
        metric="early_accuracy",
    ),
    gain(
        "early-peak",
        plain @ SMALL - plain @ FITTING,
        "With 20% wrong labels, the peak when every net is stopped early on validation.",
        "Nakkiran et al., on optimal early stopping",
        metric="early_accuracy",
        reported=(FIRST_MINIMUM,),
    ),
    gain("clean-peak", plain @ CLEAN_SMALL - plain @ CLEAN_FITTING, where=WIDTHS),
    gain(
        "amplified",
        plain @ SMALL - plain @ FITTING + plain @ CLEAN_FITTING - plain @ CLEAN_SMALL,
        "By how much 20% wrong labels raise the peak of the nets.",
        WIDTHS,
    ),
    gain("sgd-peak", with_sgd @ SMALL - with_sgd @ FITTING, where="Nakkiran et al., on optimizers"),
    # added when the figure of the final seeds showed it
    gain("sgd-second-descent", with_sgd @ WIDE - with_sgd @ SMALL, where=WIDTHS),
    gain("constant-peak", constant @ SMALL - constant @ FITTING, where=WIDTHS),
    gain("constant-second-descent", constant @ WIDE - constant @ SMALL, where=WIDTHS),
    gain(
        "epochs",
        plain @ WIDE - plain @ at("steps", 0.3),
        "With 20% wrong labels, training the widest net to the end against stopping at three "
        "tenths.",
        "Nakkiran et al., Figures 9 and 10",
    ),
    gain("features-peak", plain @ FEW - plain @ JUST, where=FEATURES),
    gain("features-clean-peak", plain @ CLEAN_FEW - plain @ CLEAN_JUST, where=FEATURES),
    gain("features-second-descent", plain @ MANY - plain @ FEW, where=FEATURES),
    gain("features-clean-second-descent", plain @ CLEAN_MANY - plain @ CLEAN_FEW, where=FEATURES),
    gain("features-penalty", ridge @ JUST - ridge @ FEW, where=OPTIMAL),
    gain("features-penalty-widest", (ridge - plain) @ MANY),
    gain("features-more-data", plain @ SCARCE - plain @ JUST, where=SAMPLES),
    gain("features-more-data-penalty", ridge @ JUST - ridge @ SCARCE, where=OPTIMAL),
    gain(
        "pruning-peak",
        plain @ at("width", PRUNED_WIDTH) - sparse @ at("density", SPARSE_PEAK),
        "With 20% wrong labels, pruning a net wider than the peak's leads back into the peak.",
        SPARSITY,
    ),
    gain(
        "pruning-descent",
        sparse @ at("density", SPARSEST) - sparse @ at("density", SPARSE_PEAK),
        "With 20% wrong labels, pruning far past that point gives accuracy back.",
        SPARSITY,
    ),
    out_of_scope(
        "convolutional",
        "With 20% wrong labels, convolutional and residual nets show the peak over their width.",
        WIDTHS,
        "a small convolutional net over its width is part of the GPU preset only",
        (RELEASED,),
    ),
    out_of_scope(
        "no-noise",
        "On CIFAR-100 and in translation the peak is there without any label noise.",
        "Nakkiran et al., CIFAR-100 and translation",
        "needs CIFAR-100 with residual nets, or Transformers",
    ),
)
