"""The arms and conditions of the lottery ticket study; each arm is a whole procedure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from reviewlib.papers.lottery_tickets import method, variants
from reviewlib.trial.declare import (
    Arm,
    Condition,
    Inputs,
    Solution,
    Training,
    adam,
    models,
    standard_controls,
    training,
)

Train = Callable[[Inputs], Iterator]

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
# Cost of the whole procedure in trainings: five rounds and the ticket's own training.
COST = 6
STACK = 16  # the trials of an arm on one seed


def condition(name: str, label: str, width: int, density: float, rounds: int) -> Condition:
    """Return a condition: the first layer's width, the hidden layers' density, the rounds."""
    fixed = {"width": width, "density": density, "rounds": rounds}
    return Condition(name, label, fixed=fixed, stack=STACK)


MAIN = condition("main", "7% left", 100, 0.07, 5)
# three and seven rounds at the same rate
DENSER = condition("denser", "20% left", 100, 0.203, 3)
SPARSER = condition("sparser", "2.4% left", 100, 0.0242, 7)
# as many weights as in the main condition, at nearly the same rate
NARROW = condition("narrow", "half as wide, 15% left", 50, 0.151, 4)
WIDE = condition("wide", "1.5 times as wide, 4.3% left", 150, 0.0434, 6)


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


def ticket(run: Inputs, *, multiple: float = 1.0, **options: Any) -> Iterator[Training]:
    """Find a ticket and train it, for a multiple of the steps."""
    model = run.net()
    yield from search(run, model, **options)
    yield by_adam(run, model=model, steps=round(multiple * run.steps))


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


def mask_shuffled(run: Inputs) -> Iterator[Training]:
    """Find a ticket, shuffle its masks and train it."""
    model = run.net()
    yield from search(run, model)
    method.prune(model, variants.shuffled(method.masks(model), run.stream()))
    yield by_adam(run, model=model)


def never_trained(run: Inputs) -> Iterator[Training | Solution]:
    """Find a ticket and leave it as it is."""
    model = run.net()
    yield from search(run, model)
    yield Solution(lambda: model)


def equal_width(model: nn.Module, density: Mapping[str, float]) -> int:
    """Return the units of one hidden layer that has as many parameters as the pruned model."""
    layers = method.layers(model)
    kept = sum(
        round(density[name] * layer.weight.numel()) + layer.bias.numel()
        for name, layer in layers.items()
    )
    first, *_, last = layers.values()
    return round((kept - last.out_features) / (first.in_features + 1 + last.out_features))


LR = ("lr",)


def here(name: str, label: str, role: str, note: str, train: Train, **fields: Any) -> Arm:
    """Return an arm that is run in the main condition only."""
    return Arm(
        name, label, role=role, search=LR, note=note, train=train, conditions=(MAIN,), **fields
    )


def ablation(name: str, label: str, note: str, train: Train) -> Arm:
    """Return an arm that removes a part of the method, tuned like all others."""
    return here(name, label, "ablation", note, train)


full = Arm(
    "dense",
    "Dense",
    role="baseline",
    search=LR,
    note="the net before pruning, trained as long as the ticket",
    train=dense,
    conditions=(MAIN, NARROW, WIDE),
)
full_6x = here(
    "dense-6x",
    "Dense, six times the steps",
    "baseline at equal cost",
    "one training with as many steps as finding and training the ticket takes",
    dense,
    step_multiple=COST,
)
winning = Arm(
    "ticket",
    "Ticket",
    role="method",
    search=LR,
    note="iterative magnitude pruning, survivors rewound to their initial values",
    train=ticket,
)
small_net = here(
    "small",
    "Small dense net",
    "simple",
    "one hidden layer and as many parameters as the ticket: no search",
    small,
)
random = Arm(
    "random",
    "Random mask",
    role="placebo",
    search=LR,
    note="as many connections in each layer as the ticket has, chosen at random: no search",
    train=random_mask,
    conditions=(MAIN, DENSER, SPARSER),
)
new_weights = Arm(
    "reinitialized",
    "Ticket's mask, new weights",
    role="placebo",
    search=LR,
    note="the ticket's connections with other initial weights, the mean of three",
    train=reinitialized,
    conditions=(MAIN, DENSER),
)
CORE = (full, full_6x, winning, small_net, random, new_weights)

signs = ablation(
    "signs", "Ticket's mask and signs", "new magnitudes, the signs of the initial weights", signed
)
shuffled = ablation(
    "shuffled",
    "Ticket's mask, shuffled",
    "every input keeps its number of connections; the weights stay in place",
    mask_shuffled,
)
untrained = ablation(
    "untrained",
    "Ticket, untrained",
    "the mask on the initial weights, nothing else",
    never_trained,
)
one_shot = ablation(
    "one_shot",
    "One-shot ticket",
    "pruned once, to the same density: a third of the cost",
    partial(ticket, rounds=1),
)
late = ablation(
    "rewound_late",
    "Ticket, rewound to 3%",
    "survivors as they were after 3% of the steps",
    rewound_late,
)
replayed = ablation(
    "replayed",
    "Learning-rate rewinding",
    "survivors keep their values, the schedule restarts",
    partial(ticket, rewind=False),
)
fine = ablation(
    "fine_tuned",
    "Fine-tuning",
    "survivors keep their values, at a tenth of the learning rate",
    fine_tuned,
)
brief, brief_ticket = (
    ablation(name, f"{label}, an eighth of the steps", "how fast it learns, tuned for that", train)
    for name, label, train in (
        ("dense_briefly", "Dense", partial(dense, fraction=BRIEF)),
        ("ticket_briefly", "Ticket", partial(ticket, multiple=BRIEF)),
    )
)
long_ticket = here(
    "ticket_long",
    "Ticket, six times the steps",
    "combination",
    "whether a ticket keeps up when it trains longer than in its search",
    partial(ticket, multiple=COST),
)
ticket_slow, ticket_fast, new_slow, new_fast = (
    Arm(
        f"{name}-{word}",
        f"{label}, lr {lr}",
        role="untuned",
        search=(),
        note=f"{where} what the dense net prefers",
        train=train,
        fixed={"lr": lr},
        conditions=(MAIN,),
    )
    for name, label, train in (
        ("ticket", "Ticket", ticket),
        ("reinitialized", "New weights", reinitialized),
    )
    for word, lr, where in (("slow", 0.003, "below"), ("fast", 0.03, "above"))
)
ARMS = (
    *CORE,
    *(signs, shuffled, untrained, one_shot, late, replayed, fine, brief, brief_ticket),
    *(long_ticket, ticket_slow, ticket_fast, new_slow, new_fast),
    *standard_controls(full, (MAIN,)),
)
