"""How each arm of the lottery ticket study trains: whole procedures, from a net to a sparse one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from reviewlib.papers.lottery_tickets import method, variants
from reviewlib.trial.declare import Inputs, Training, adam, models, training

# The second hidden layer has a third of the first one's units, as in LeNet-300-100.
TAPER = 3
# The output layer is pruned at half the rate of the others, as in the paper.
OUTPUT_RATE = 0.5
# New initializations per ticket, averaged within its seed, as in the paper.
REINITIALIZATIONS = 3
# Late rewinding goes back to this fraction of the steps, where the cosine schedule is still flat.
LATE = 0.03
# Fine-tuning continues at this fraction of the learning rate; a brief training takes this fraction
# of the steps.
FINE, BRIEF = 0.1, 1 / 8


def net(run: Inputs) -> nn.Module:
    """Return the dense net of the condition's width."""
    return glorot(run, run["width"], run["width"] // TAPER)


def glorot(run: Inputs, *widths: int) -> nn.Module:
    """Return a net of these hidden layers with the paper's Glorot initialization."""
    model = models.mlp(run.sample.train, run.sample.classes, *widths)
    for layer in method.layers(model).values():
        nn.init.xavier_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return model


def densities(model: nn.Module, density: float, rounds: int) -> dict[str, float]:
    """Return the final density of each layer; `density` is that of the hidden layers."""
    rate = 1 - density ** (1 / rounds)
    *hidden, output = method.layers(model)
    return dict.fromkeys(hidden, density) | {output: (1 - OUTPUT_RATE * rate) ** rounds}


def by_adam(run: Inputs, **options: Any) -> Training:
    """Return a training by Adam."""
    return training(run, optimizer=adam, **options)


def dense(run: Inputs, fraction: float = 1.0) -> Iterator[Training]:
    """Train the dense net, for a fraction of the steps."""
    yield by_adam(run, steps=round(fraction * run.steps))


def search(
    run: Inputs, model: nn.Module, *, rounds: int | None = None, rewind: bool = True, **options: Any
) -> Iterator[Training]:
    """Yield the training of every round of pruning; afterwards the model is the ticket."""
    aim = densities(model, run["density"], run["rounds"])
    for candidate in method.rounds(model, aim, rounds or run["rounds"], rewind=rewind):
        yield by_adam(run, model=candidate, order=next(run.orders), **options)


def ticket(run: Inputs, *, fraction: float = 1.0, **options: Any) -> Iterator[Training]:
    """Find a ticket and train it, for a fraction of the steps."""
    model = run.net()
    yield from search(run, model, **options)
    yield by_adam(run, model=model, steps=round(fraction * run.steps))


def rewound_late(run: Inputs) -> Iterator[Training]:
    """Train briefly, find a ticket that starts from there, and train it."""
    model, early = run.net(), round(LATE * run.steps)
    yield by_adam(run, model=model, order=next(run.orders), steps=early, schedule="constant")
    steps = round((1 - LATE) * run.steps)
    yield from search(run, model, steps=steps)
    yield by_adam(run, model=model, steps=steps)


def fine_tuned(run: Inputs) -> Iterator[Training]:
    """Prune without rewinding; continue at a small learning rate after every pruning."""
    model, fine = run.net(), {"lr": FINE * run["lr"], "schedule": "constant"}
    rounds = search(run, model, rewind=False)
    yield next(rounds)
    for described in rounds:
        yield replace(described, config=replace(described.config, **fine))
    yield by_adam(run, model=model, **fine)


def small(run: Inputs) -> Iterator[Training]:
    """Train a net of one hidden layer with as many parameters as the ticket."""
    dense_net = run.net()
    width = equal_width(dense_net, densities(dense_net, run["density"], run["rounds"]))
    yield by_adam(run, model=run.initialized(lambda: glorot(run, width)))


def random_mask(run: Inputs) -> Iterator[Training]:
    """Train the dense net under a random mask."""
    model = run.net()
    aim = densities(model, run["density"], run["rounds"])
    method.prune(model, variants.random_masks(model, aim, run.stream()))
    yield by_adam(run, model=model)


def reinitialized(run: Inputs) -> Iterator[Training | list[Training]]:
    """Find a ticket and train its masks on other initializations."""
    model = run.net()
    yield from search(run, model)
    others = (run.net(number) for number in range(1, REINITIALIZATIONS + 1))
    yield [by_adam(run, model=variants.masked_like(model, other)) for other in others]


def signed(run: Inputs) -> Iterator[Training]:
    """Find a ticket and train its masks and signs, on the magnitudes of another initialization."""
    model = run.net()
    yield from search(run, model)
    yield by_adam(run, model=variants.signed_like(model, run.net(1)))


def equal_width(model: nn.Module, density: Mapping[str, float]) -> int:
    """Return the units of one hidden layer that has as many parameters as the pruned model."""
    layers = method.layers(model)
    kept = sum(
        round(density[name] * layer.weight.numel()) + layer.bias.numel()
        for name, layer in layers.items()
    )
    first, *_, last = layers.values()
    return round((kept - last.out_features) / (first.in_features + 1 + last.out_features))
