"""Six methods as changes of one recipe; each changes its own part, and none knows another.

A training can be changed in four places: the net, the loss, the optimizer, and what is trained
when. A combination of methods is their changes, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn

from reviewlib.papers.augmix.method import AugMix, AugMixLoss
from reviewlib.papers.combinations import nets
from reviewlib.papers.lottery_tickets.method import rounds
from reviewlib.papers.lottery_tickets.procedures import densities
from reviewlib.papers.sam.arms import perturbed
from reviewlib.papers.sliceout.arms import ALIGN
from reviewlib.papers.sliceout.method import SliceOut
from reviewlib.papers.weightnet.method import WeightNetConv2d
from reviewlib.train.recipe import Loss, MakeOptimizer
from reviewlib.trial.declare import Inputs, Training, cross_entropy, sgd, training

DENSITY = 0.2  # of the weights in a ticket's hidden layers
# Maps the run, its net, and what describes a training of a net, to the trainings.
Stages = Callable[[Inputs, nn.Module, Callable[..., Training]], Iterator[Training]]


def once(run: Inputs, model: nn.Module, train: Callable[..., Training]) -> Iterator[Training]:
    """Train the net once."""
    yield train(model=model)


def pruned(run: Inputs, model: nn.Module, train: Callable[..., Training]) -> Iterator[Training]:
    """Train the net, prune it once, rewind the surviving weights, and train those."""
    for candidate in rounds(model, densities(model, DENSITY, 1), 1):
        yield train(model=candidate, order=next(run.orders))
    yield train(model=model)


@dataclass(frozen=True)
class Recipe:
    """The parts of a training that methods change.

    Attributes:
        conv: makes the inner convolutions of the net.
        chain: makes the net's classifier of its layers.
        loss: maps (model, x, y) to the loss.
        optimizer: maps (model, config) to the optimizer.
        stages: what is trained when.
    """

    conv: nets.Conv = nets.static
    chain: nets.Chain = nn.Sequential
    loss: Loss = cross_entropy
    optimizer: MakeOptimizer = sgd
    stages: Stages = once


def smoothing(run: Inputs, recipe: Recipe) -> Recipe:
    """Smooth the labels of the loss."""
    return replace(recipe, loss=partial(recipe.loss, smoothing=run["smoothing"]))


def augmix(run: Inputs, recipe: Recipe) -> Recipe:
    """Take the loss on clean images, and add the divergence of two augmented views."""
    return replace(recipe, loss=partial(agreement, severity=run["severity"], loss=recipe.loss))


def agreement(
    model: nn.Module, x: Tensor, y: Tensor, *, severity: float | Tensor, loss: Loss
) -> Tensor:
    """Return AugMix's loss around a loss of the clean images."""
    of_logits = partial(_of_logits, loss)
    return AugMixLoss(AugMix(severity), loss=of_logits)(model, x, y)


def _of_logits(loss: Loss, logits: Tensor, y: Tensor) -> Tensor:
    return loss(lambda _: logits, logits, y)


def sam(run: Inputs, recipe: Recipe) -> Recipe:
    """Wrap the baseline's optimizer in SAM."""
    return replace(recipe, optimizer=partial(perturbed, rho=run["rho"]))


def sliceout(run: Inputs, recipe: Recipe) -> Recipe:
    """Train slices of the hidden layer, with ordinary gradients."""
    return replace(recipe, chain=partial(SliceOut, keep=run["keep"], align=ALIGN))


def weightnet(run: Inputs, recipe: Recipe) -> Recipe:
    """Generate the kernels of the inner convolutions."""
    return replace(recipe, conv=WeightNetConv2d)


def ticket(run: Inputs, recipe: Recipe) -> Recipe:
    """Train a ticket that was found in one round."""
    return replace(recipe, stages=pruned)


@dataclass(frozen=True)
class Method:
    """A method as a part of combinations.

    Attributes:
        name: its name in those of arms.
        label: its name on the page.
        change: what it changes of a recipe, in a run.
        search: the hyperparameters that it adds.
        stochastic: whether it draws random numbers in training.
        note: what it is, in a phrase.
    """

    name: str
    label: str
    change: Callable[[Inputs, Recipe], Recipe]
    note: str
    search: tuple[str, ...] = ()
    stochastic: bool = False


# In the order in which they change a recipe: AugMix takes the loss that is there.
METHODS = (
    Method(
        "smoothing",
        "Label smoothing",
        smoothing,
        "one argument of the loss: the everyday partner",
        search=("smoothing",),
    ),
    Method(
        "augmix",
        "AugMix",
        augmix,
        "a loss on three views of each image",
        search=("severity",),
        stochastic=True,
    ),
    Method("sam", "SAM", sam, "an optimizer that takes two gradients a step", search=("rho",)),
    Method(
        "sliceout",
        "SliceOut",
        sliceout,
        "a slice of the hidden layer in every step, plain slicing",
        search=("keep",),
        stochastic=True,
    ),
    Method("weightnet", "WeightNet", weightnet, "kernels generated from their input"),
    Method("ticket", "Ticket", ticket, "trained, pruned once to a fifth, rewound, trained again"),
)


def combined(run: Inputs, methods: Sequence[Method]) -> Iterator[Training]:
    """Train with any number of the methods."""
    recipe = Recipe()
    for method in methods:
        recipe = method.change(run, recipe)
    images, classes = run.sample.train, run.sample.classes
    model = run.initialized(partial(nets.net, images, classes, recipe.conv, recipe.chain))
    train = partial(training, run, loss=recipe.loss, optimizer=recipe.optimizer)
    yield from recipe.stages(run, model, train)
