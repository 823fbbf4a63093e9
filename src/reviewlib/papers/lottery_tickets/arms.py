"""The arms and conditions of the lottery ticket study; each arm is a whole procedure."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from reviewlib.papers.lottery_tickets.procedures import (
    BRIEF,
    dense,
    fine_tuned,
    random_mask,
    reinitialized,
    rewound_late,
    signed,
    small,
    ticket,
)
from reviewlib.trial.declare import Arm, Condition, standard_controls

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
# as many weights as in the main condition, in two rounds at a lower rate
NARROW = condition("narrow", "half as wide, 44% left", 0.439, 2, width=50, parent="main")


main = partial(Arm, search=("lr", "weight_decay"), conditions=(MAIN,))
# An ablation changes a part of the ticket, at the ticket's settings.
ablation = partial(Arm, role="ablation", search=(), parent="ticket", conditions=(MAIN,))


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


def at_whole_cost(arm: Arm, role: str) -> Arm:
    """Return an arm with as many steps as finding and training the ticket takes."""
    return replace(
        arm,
        name=f"{arm.name}_4x",
        label=f"{arm.label}, whole cost",
        role=role,
        note="the same with as many steps as finding and training the ticket takes",
        step_multiple=COST,
        conditions=(MAIN,),
    )


full = main(
    "dense",
    "Dense",
    role="baseline",
    note="the net before pruning, trained as long as the ticket",
    train=dense,
    conditions=(MAIN, NARROW),
)
winning = main(
    "ticket",
    "Ticket",
    role="method",
    note="iterative magnitude pruning, survivors rewound to their initial values",
    train=ticket,
    conditions=(),
)
fine = main(
    "fine_tuned",
    "Fine-tuning",
    role="simple",
    note="prune and retrain: survivors keep their values and go on at a tenth of the learning rate",
    train=fine_tuned,
    conditions=(MAIN, SPARSER, SPARSEST),
)
small_net = main(
    "small",
    "Small dense net",
    role="simple",
    note="one hidden layer and as many parameters as the ticket: no search",
    train=small,
)
random = main(
    "random",
    "Random mask",
    role="placebo",
    note="as many connections in each layer as the ticket has, chosen at random: no search",
    train=random_mask,
    conditions=(MAIN, SPARSER, SPARSEST),
)
new_weights = main(
    "reinitialized",
    "Ticket's mask, new weights",
    role="placebo",
    note="the ticket's connections with other initial weights, the mean of three",
    train=reinitialized,
    conditions=(MAIN, SPARSER),
)
full_4x = at_whole_cost(full, "baseline at equal cost")
small_4x, random_4x = (at_whole_cost(arm, arm.role) for arm in (small_net, random))
CORE = (full, full_4x, winning, fine, small_net, small_4x, random, random_4x, new_weights)

replayed = main(
    "replayed",
    "Learning-rate rewinding",
    role="ablation",
    note="survivors keep their values, the schedule restarts",
    train=partial(ticket, rewind=False),
)
dense_wd0, ticket_wd0, fine_wd0 = (undecayed(arm) for arm in (full, winning, fine))
one_shot = ablation(
    "one_shot",
    "One-shot ticket",
    note="pruned once, to the same density: half the cost",
    train=partial(ticket, rounds=1),
)
late = ablation(
    "rewound_late",
    "Ticket, rewound to 3%",
    note="survivors as they were after 3% of the steps",
    train=rewound_late,
)
signs = ablation(
    "signs",
    "Ticket's mask and signs",
    note="new magnitudes, the signs of the initial weights",
    train=signed,
)
brief_ticket = ablation(
    "ticket_briefly",
    "Ticket, an eighth of the steps",
    note="how fast it learns",
    train=partial(ticket, fraction=BRIEF),
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
