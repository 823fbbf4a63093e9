"""The trial of lottery tickets: small nets on Fashion-MNIST, pruned to a few percent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from reviewlib import data, models, train
from reviewlib.papers.lottery_tickets import method, variants
from reviewlib.papers.lottery_tickets.arms import ARMS, CELLS, KNOBS, PRESETS
from reviewlib.papers.lottery_tickets.claims import CLAIMS, CONTROLS
from reviewlib.study import Arm, Preset, Sample, Study

# The second hidden layer has a third of the first one's units, as in LeNet-300-100.
TAPER = 3
# The output layer is pruned at half the rate of the others, as in the paper.
OUTPUT_RATE = 0.5
# Nets drawn anew for one ticket, averaged within its seed, as in the paper.
REINITIALIZATIONS = 3
# "Rewound late" is to this share of the training, over which half a cosine is flat.
LATE = 0.03
# Fine-tuning goes on at this share of the learning rate, and learning fast is being good after this
# share of the steps.
FINE, BRIEF = 0.1, 1 / 8
# Search rounds have batch orders, and nets drawn anew initializations, from seeds this far apart.
SEEDS_APART = 10**7

Description = train.Training | train.Solution
# What is trained next: models and how; one without a configuration stays as it is.
Stage = list[tuple[nn.Module, train.Config | None]]


@dataclass(frozen=True)
class Task:
    """What every procedure starts from.

    Attributes:
        model: the seed's dense net.
        left: share of each layer's weights that is left in the end.
        count: rounds of pruning.
        config: one whole training.
        fresh: makes the net of another initialization, by number.
        small: makes a net of one hidden layer, by its width.
        generator: of random masks.
    """

    model: nn.Module
    left: Mapping[str, float]
    count: int
    config: train.Config
    fresh: Callable[[int], nn.Module]
    small: Callable[[int], nn.Module]
    generator: torch.Generator


def dense(task: Task) -> Iterator[Stage]:
    """Train the dense net."""
    yield [(task.model, final(task.config))]


def small(task: Task) -> Iterator[Stage]:
    """Train a net of one hidden layer with as many parameters as the ticket."""
    yield [(task.small(equal_width(task.model, task.left)), final(task.config))]


def random(task: Task) -> Iterator[Stage]:
    """Train the dense net under a random mask."""
    method.prune(task.model, variants.random_masks(task.model, task.left, task.generator))
    yield from dense(task)


def search(task: Task, **options: bool) -> Iterator[Stage]:
    """Train in every round of iterative pruning."""
    for candidate in method.rounds(task.model, task.left, task.count, **options):
        yield [(candidate, task.config)]


def ticket(task: Task, **options: bool) -> Iterator[Stage]:
    """Find a ticket and train it."""
    yield from search(task, **options)
    yield from dense(task)


def ticket_long(task: Task) -> Iterator[Stage]:
    """Find a ticket and train it for as many steps as that has taken in all."""
    yield from search(task)
    yield from dense(replace(task, config=scaled(task.config, task.count + 1)))


def ticket_briefly(task: Task) -> Iterator[Stage]:
    """Find a ticket and train it briefly."""
    yield from search(task)
    yield from dense_briefly(task)


def dense_briefly(task: Task) -> Iterator[Stage]:
    """Train the dense net briefly."""
    yield from dense(replace(task, config=scaled(task.config, BRIEF)))


def one_shot(task: Task) -> Iterator[Stage]:
    """Find a ticket in one round and train it."""
    yield from ticket(replace(task, count=1))


def rewound_late(task: Task) -> Iterator[Stage]:
    """Train a little; find a ticket that starts from there, and train it."""
    yield [(task.model, replace(scaled(task.config, LATE), schedule="constant"))]
    yield from ticket(replace(task, config=scaled(task.config, 1 - LATE)))


def replayed(task: Task) -> Iterator[Stage]:
    """Rewind the schedule of the learning rate in every round, and not the weights."""
    yield from ticket(task, rewind=False)


def fine_tuned(task: Task) -> Iterator[Stage]:
    """Rewind nothing: go on at a small learning rate in every round but the first."""
    fine = replace(task.config, lr=FINE * task.config.lr, schedule="constant")
    rounds = ticket(task, rewind=False)
    yield next(rounds)
    for ((model, config),) in rounds:
        yield [(model, replace(fine, curve=config.curve))]


def reinitialized(task: Task) -> Iterator[Stage]:
    """Find a ticket and train its masks on other initializations."""
    yield from search(task)
    nets = [task.fresh(number) for number in range(1, REINITIALIZATIONS + 1)]
    yield [(variants.masked_like(task.model, net), final(task.config)) for net in nets]


def signs(task: Task) -> Iterator[Stage]:
    """Find a ticket and train its masks and signs, on the magnitudes of another initialization."""
    yield from search(task)
    yield [(variants.signed_like(task.model, task.fresh(1)), final(task.config))]


def shuffled(task: Task) -> Iterator[Stage]:
    """Find a ticket, shuffle its masks and train it."""
    yield from search(task)
    method.prune(task.model, variants.shuffled(method.masks(task.model), task.generator))
    yield from dense(task)


def untrained(task: Task) -> Iterator[Stage]:
    """Find a ticket and leave it as it is."""
    yield from search(task)
    yield [(task.model, None)]


PROCEDURES = {
    procedure.__name__: procedure
    for procedure in (
        *(dense, small, random, ticket, reinitialized, signs, shuffled, untrained),
        *(one_shot, rewound_late, replayed, fine_tuned),
        *(dense_briefly, ticket_briefly, ticket_long),
    )
}


def scaled(config: train.Config, times: float) -> train.Config:
    """Return the configuration with its steps multiplied."""
    return replace(config, steps=round(times * config.steps))


def final(config: train.Config) -> train.Config:
    """Return the configuration of a last training, which is looked at along the way."""
    tenths = (math.ceil(config.steps * part / 10) for part in range(1, 11))
    return replace(config, curve=tuple(tenths))


def net(sample: Sample, seed: int, *widths: int) -> nn.Module:
    """Return a net of these hidden layers with the paper's Glorot initialization."""

    def make() -> nn.Module:
        model = models.mlp(sample.train, sample.classes, *widths)
        for layer in method.layers(model).values():
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        return model

    return train.initialized(make, seed).to(sample.train.labels.device)


def shares(model: nn.Module, left: float, count: int) -> dict[str, float]:
    """Return the share of each layer that is left, where `left` is that of the hidden layers."""
    rate = 1 - left ** (1 / count)
    *hidden, output = method.layers(model)
    return dict.fromkeys(hidden, left) | {output: (1 - OUTPUT_RATE * rate) ** count}


def equal_width(model: nn.Module, left: Mapping[str, float]) -> int:
    """Return the units of one hidden layer that has as many parameters as the pruned model."""
    layers = method.layers(model)
    kept = sum(
        round(left[name] * layer.weight.numel()) + layer.bias.numel()
        for name, layer in layers.items()
    )
    first, *_, last = layers.values()
    return round((kept - last.out_features) / (first.in_features + 1 + last.out_features))


def run(
    arm: Arm, settings: Mapping[str, float], sample: Sample, preset: Preset, seed: int
) -> train.Training:
    """Describe the first training of an arm's procedure; each one leads to the next."""
    widths = int(settings["width"]), int(settings["width"]) // TAPER
    recipe = train.Training(
        net(sample, seed, *widths),
        sample.train,
        train.Config(
            steps=preset.steps * arm.times,
            batch_size=preset.batch_size,
            lr=settings["lr"],
        ),
        seed,
        train.cross_entropy,
        train.adam,
        sample.validation,
    )
    count = int(settings["rounds"])
    task = Task(
        recipe.model,
        shares(recipe.model, settings["left"], count),
        count,
        recipe.config,
        fresh=lambda number: net(sample, seed + number * SEEDS_APART, *widths),
        small=lambda width: net(sample, seed, width),
        generator=data.stream(seed, "method"),
    )
    (first,) = chained(PROCEDURES[arm.name.split("-")[0]](task), recipe)
    return first


def chained(stages: Iterator[Stage], recipe: train.Training) -> list[Description]:
    """Return the trainings of the first stage, each with the next stage to follow it.

    Every stage has a batch order of its own, and the last one the recipe's: a ticket owes nothing
    to an order that its search has seen.
    """
    numbered = enumerate(stages, 1)

    def describe(number: int, model: nn.Module, config: train.Config | None) -> Description:
        if config is None:
            return train.Solution(lambda: model, recipe.seed)
        seed = recipe.seed if config.curve else recipe.seed + number * SEEDS_APART
        return replace(recipe, model=model, config=config, seed=seed, then=following)

    def following(_: train.Fit | None = None) -> list[Description]:
        number, stage = next(numbered, (0, []))
        return [describe(number, model, config) for model, config in stage]

    return following()


STUDY = Study(
    name="lottery_tickets",
    title="Lottery tickets: is there a small net inside that could have been trained alone?",
    citation="Frankle, Carbin: The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural "
    "Networks. ICLR 2019, arXiv 1803.03635",
    arms=ARMS,
    knobs=KNOBS,
    cells=CELLS,
    presets=PRESETS,
    claims=CLAIMS,
    run=run,
    evaluate=train.evaluate,
    controls=CONTROLS,
)
