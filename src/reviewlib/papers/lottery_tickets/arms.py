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
# Cost of the whole procedure in trainings: three rounds and the ticket's own training.
COST = 4
STACK = 32  # the trials of an arm on four seeds


def condition(
    name: str, label: str, density: float, rounds: int, width: int = 100, parent: str = ""
) -> Condition:
    """Return a condition: the hidden layers' density, the rounds, the first layer's width."""
    fixed = {"width": width, "density": density, "rounds": rounds}
    return Condition(name, label, fixed=fixed, stack=STACK, parent=parent)


MAIN = condition("main", "20% left", 0.203, 3)
# five and seven rounds at the same rate
SPARSER = condition("sparser", "7% left", 0.07, 5, parent="main")
SPARSEST = condition("sparsest", "2.4% left", 0.0242, 7, parent="main")
# as many weights as in the main condition, at nearly the same rate
NARROW = condition("narrow", "half as wide, 44% left", 0.439, 2, width=50, parent="main")


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


LR_DECAY = ("lr", "weight_decay")


def here(name: str, label: str, role: str, note: str, train: Train, **fields: Any) -> Arm:
    """Return an arm with a search of its own; it is run in the main condition unless said."""
    fields = {"search": LR_DECAY, "conditions": (MAIN,)} | fields
    return Arm(name, label, role=role, note=note, train=train, **fields)


def ablation(name: str, label: str, note: str, train: Train) -> Arm:
    """Return an arm that changes a part of the method, at the ticket's settings."""
    return here(name, label, "ablation", note, train, search=(), parent="ticket")


def undecayed(arm: Arm) -> Arm:
    """Return an arm without weight decay; its learning rate has a search of its own."""
    return replace(
        arm,
        name=f"{arm.name}_wd0",
        label=f"{arm.label}, no weight decay",
        role="untuned",
        search=("lr",),
        note="what weight decay is worth; only the learning rate is tuned",
        fixed={"weight_decay": 0.0},
        conditions=(MAIN,),
    )


full = here(
    "dense",
    "Dense",
    "baseline",
    "the net before pruning, trained as long as the ticket",
    dense,
    conditions=(MAIN, NARROW),
)
full_4x = here(
    "dense_4x",
    "Dense, whole cost",
    "baseline at equal cost",
    "one training with as many steps as finding and training the ticket takes",
    dense,
    step_multiple=COST,
)
winning = here(
    "ticket",
    "Ticket",
    "method",
    "iterative magnitude pruning, survivors rewound to their initial values",
    ticket,
    conditions=(),
)
fine = here(
    "fine_tuned",
    "Fine-tuning",
    "simple",
    "prune and retrain: survivors keep their values and go on at a tenth of the learning rate",
    fine_tuned,
    conditions=(MAIN, SPARSER, SPARSEST),
)
small_net, small_4x = (
    here(
        f"small{name}",
        f"Small dense net{label}",
        "simple",
        f"one hidden layer and as many parameters as the ticket: no search{cost}",
        small,
        step_multiple=multiple,
    )
    for name, label, cost, multiple in (
        ("", "", "", 1),
        ("_4x", ", whole cost", ", as many steps as the ticket's search and training", COST),
    )
)
random = here(
    "random",
    "Random mask",
    "placebo",
    "as many connections in each layer as the ticket has, chosen at random: no search",
    random_mask,
    conditions=(MAIN, SPARSER, SPARSEST),
)
random_4x = here(
    "random_4x",
    "Random mask, whole cost",
    "placebo",
    "a random mask, trained for as many steps as finding and training the ticket takes",
    random_mask,
    step_multiple=COST,
)
new_weights = here(
    "reinitialized",
    "Ticket's mask, new weights",
    "placebo",
    "the ticket's connections with other initial weights, the mean of three",
    reinitialized,
    conditions=(MAIN, SPARSER),
)
CORE = (full, full_4x, winning, fine, small_net, small_4x, random, random_4x, new_weights)

replayed = here(
    "replayed",
    "Learning-rate rewinding",
    "ablation",
    "survivors keep their values, the schedule restarts",
    partial(ticket, rewind=False),
)
dense_wd0, ticket_wd0, fine_wd0 = (undecayed(arm) for arm in (full, winning, fine))
one_shot = ablation(
    "one_shot",
    "One-shot ticket",
    "pruned once, to the same density: half the cost",
    partial(ticket, rounds=1),
)
late = ablation(
    "rewound_late",
    "Ticket, rewound to 3%",
    "survivors as they were after 3% of the steps",
    rewound_late,
)
signs = ablation(
    "signs", "Ticket's mask and signs", "new magnitudes, the signs of the initial weights", signed
)
brief_ticket = ablation(
    "ticket_briefly",
    "Ticket, an eighth of the steps",
    "how fast it learns",
    partial(ticket, fraction=BRIEF),
)
brief = replace(
    brief_ticket,
    name="dense_briefly",
    label="Dense, an eighth of the steps",
    parent="dense",
    train=partial(dense, fraction=BRIEF),
)
ARMS = (
    *CORE,
    *(replayed, dense_wd0, ticket_wd0, fine_wd0),
    *(one_shot, late, signs, brief_ticket, brief),
    *standard_controls(full, (MAIN,)),
)
