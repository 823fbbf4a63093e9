"""AugMix (Hendrycks et al., 2020) on trial."""

from reviewlib.papers.augmix.method import AugMix as AugMix
from reviewlib.papers.augmix.method import AugMixLoss as AugMixLoss
