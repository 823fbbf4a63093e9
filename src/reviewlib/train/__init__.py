"""Training, independent of any study: recipes, models, one loop for a model or a stack."""

from reviewlib.train import models as models
from reviewlib.train.loop import Fit as Fit
from reviewlib.train.loop import fit as fit
from reviewlib.train.optimizers import adam as adam
from reviewlib.train.optimizers import sgd as sgd
from reviewlib.train.optimizers import sgd_class as sgd_class
from reviewlib.train.recipe import Config as Config
from reviewlib.train.recipe import Solution as Solution
from reviewlib.train.recipe import Training as Training
from reviewlib.train.recipe import cross_entropy as cross_entropy
from reviewlib.train.recipe import initialized as initialized
from reviewlib.train.stacks import fit_all as fit_all
from reviewlib.train.watch import evaluate as evaluate
