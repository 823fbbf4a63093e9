"""What is compared in the trial of lottery tickets: arms, cells, the knob and the sizes.

An arm is named after its procedure in `study`; what follows a hyphen tells its variants apart.
"""

from __future__ import annotations

from reviewlib.study import Arm, Cell, Knob, Preset

MAIN, DENSER, SPARSER = "main", "denser", "sparser"
NARROW, WIDE = "narrow", "wide"
# The trials of an arm and cell, on both tuning seeds, are one stack, and its final seeds another.
STACK = 16
# The whole procedure, five rounds and the ticket's own training, costs so many trainings.
COST = 6
# Fixed learning rates, below and above what the dense net prefers.
SLOW, FAST = {"lr": 0.003}, {"lr": 0.03}
LR, HERE = ("lr",), (MAIN,)


def cell(name: str, label: str, width: int, left: float, rounds: int) -> Cell:
    """Return a cell: first hidden layer, share of the hidden weights left, rounds of pruning."""
    return Cell(name, label, fixed={"width": width, "left": left, "rounds": rounds}, stack=STACK)


CELLS = (
    cell(MAIN, "7% left", 100, 0.07, 5),
    # three and seven rounds at the same rate
    cell(DENSER, "20% left", 100, 0.203, 3),
    cell(SPARSER, "2.4% left", 100, 0.0242, 7),
    # as many weights as in the main cell, at nearly the same rate
    cell(NARROW, "half as wide, 15% left", 50, 0.151, 4),
    cell(WIDE, "1.5 times as wide, 4.3% left", 150, 0.0434, 6),
)


def ablation(name: str, label: str, note: str) -> Arm:
    """Return an arm that takes a part of the method away, tuned like all others."""
    return Arm(name, label, "ablation", LR, note, cells=HERE)


ARMS = (
    Arm(
        "dense",
        "Dense",
        "baseline",
        LR,
        "the net before pruning, trained as long as the ticket",
        cells=(MAIN, NARROW, WIDE),
    ),
    Arm(
        "dense-6x",
        "Dense, six times the steps",
        "baseline at equal cost",
        LR,
        "finding and training the ticket costs six trainings: the same money spent on one",
        times=COST,
        cells=HERE,
    ),
    Arm(
        "ticket",
        "Ticket",
        "method",
        LR,
        "iterative magnitude pruning, survivors rewound to their initial values",
    ),
    Arm(
        "small",
        "Small dense net",
        "simple",
        LR,
        "one hidden layer and as many parameters as the ticket: no search",
        cells=HERE,
    ),
    Arm(
        "random",
        "Random mask",
        "placebo",
        LR,
        "as many connections in each layer as the ticket has, chosen at random: no search",
        cells=(MAIN, DENSER, SPARSER),
    ),
    Arm(
        "reinitialized",
        "Ticket's mask, new weights",
        "placebo",
        LR,
        "the ticket's connections with other initial weights, the mean of three",
        cells=(MAIN, DENSER),
    ),
    ablation(
        "signs", "Ticket's mask and signs", "new magnitudes, the signs of the initial weights"
    ),
    ablation(
        "shuffled",
        "Ticket's mask, shuffled",
        "every input keeps its number of connections, and its weights are where they were",
    ),
    ablation("untrained", "Ticket, untrained", "the mask on the initial weights, nothing else"),
    ablation("one_shot", "One-shot ticket", "pruned once, to the same share: a third of the cost"),
    ablation(
        "rewound_late", "Ticket, rewound to 3%", "survivors as they were after 3% of the steps"
    ),
    ablation(
        "replayed", "Learning-rate rewinding", "survivors keep their values, the schedule restarts"
    ),
    ablation(
        "fine_tuned", "Fine-tuning", "survivors keep their values, at a tenth of the learning rate"
    ),
    ablation(
        "dense_briefly", "Dense, an eighth of the steps", "how fast it learns, tuned for that"
    ),
    ablation(
        "ticket_briefly", "Ticket, an eighth of the steps", "how fast it learns, tuned for that"
    ),
    Arm(
        "ticket_long",
        "Ticket, six times the steps",
        "combination",
        LR,
        "whether a ticket keeps up when its own training is longer than its search's",
        cells=HERE,
    ),
    *(
        Arm(f"{name}-{word}", f"{label}, lr {lr['lr']}", "handicapped", (), note, lr, cells=HERE)
        for name, label in (("ticket", "Ticket"), ("reinitialized", "New weights"))
        for word, lr, note in (
            ("slow", SLOW, "below what the dense net prefers"),
            ("fast", FAST, "above what the dense net prefers"),
        )
    ),
    Arm(
        "dense-again",
        "Dense, tuned a second time",
        "control",
        LR,
        "the baseline against itself: other search draws, other initializations and batch orders",
        search=1,
        cells=HERE,
    ),
    Arm(
        "dense-quarter",
        "Dense, a quarter of the images",
        "control",
        LR,
        "a planted effect: the baseline has four times its data",
        share=0.25,
        cells=HERE,
    ),
)

KNOBS = (Knob("lr", 0.002, 0.05),)
CORE = ("dense", "dense-6x", "ticket", "small", "random", "reinitialized")

PRESETS = (
    Preset(
        "quick",
        "fashion-mnist-subset",
        side=14,
        train=2000,
        validation=500,
        batch_size=64,
        steps=100,
        trials=2,
        tuning_seeds=1,
        seeds=3,
        cells=(MAIN,),
        arms=CORE,
        settings_from="laptop",
    ),
    Preset(
        "laptop",
        "fashion-mnist",
        side=14,
        train=4000,
        validation=2000,
        batch_size=64,
        steps=250,
        trials=8,
        tuning_seeds=2,
        seeds=16,
    ),
    Preset(
        "gpu",
        "fashion-mnist",
        side=28,
        train=54_000,
        validation=6000,
        batch_size=64,
        steps=8000,
        trials=8,
        tuning_seeds=2,
        seeds=10,
    ),
)
