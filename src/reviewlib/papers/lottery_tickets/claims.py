"""What the paper claims for lottery tickets, what we ask besides, and the controls on ourselves."""

from __future__ import annotations

from reviewlib.papers.lottery_tickets.arms import DENSER, MAIN, NARROW, SPARSER, WIDE
from reviewlib.study import Claim, Reported

SECTION_2 = "Section 2, LeNet on MNIST"
NEW, RANDOM = "its mask with new weights", "a random mask"


def reported(text: str, where: str = SECTION_2) -> tuple[Reported, ...]:
    """Return a number of the paper: means of five trials, error bars from least to most."""
    return (Reported(text, where, runs=5, interval=False),)


def gain(
    name: str,
    statement: str,
    arm: str,
    other: str,
    where: str = "our question",
    cells: tuple[str, str] = (MAIN, MAIN),
    **fields,
) -> Claim:
    """Return the claim that an arm in one cell is better than another one in the other cell."""
    contrast = ((1, arm, cells[0]), (-1, other, cells[1]))
    return Claim(name, statement, where, "gain", contrast=contrast, **fields)


def no_loss(name: str, statement: str, left: str, **fields) -> Claim:
    """Return the claim that a ticket matches the dense net, where a random mask does not."""
    dense = (-1, "dense", MAIN)
    return Claim(
        name,
        statement,
        SECTION_2,
        "no loss",
        contrast=((1, "ticket", left), dense),
        control=((1, "random", left), dense),
        margin=0.01,
        margin_reason="1.0 point: 10,000 test images cannot resolve half of it, and what it would "
        "buy is a net without nine tenths of its weights",
        **fields,
    )


CLAIMS = (
    no_loss(
        "matches",
        "With 7% of its weights left, a ticket is as accurate as the dense net at equal steps.",
        MAIN,
        primary=True,
        reported=reported("tickets match the dense net down to 3.6% of its weights"),
    ),
    gain(
        "initialization",
        "With 7% left, a ticket's own initial weights do better than new ones under its mask.",
        "ticket",
        "reinitialized",
        SECTION_2,
        primary=True,
        reported=reported("at 21% left, 0.5 points more than with new weights, 2.51 times faster"),
    ),
    gain(
        "mask",
        "With 7% left, a ticket does better than a random mask of equal layer-wise sparsity.",
        "ticket",
        "random",
        "Appendix E",
        primary=True,
    ),
    gain(
        "equal-cost",
        "A ticket with 7% left is more accurate than the dense net trained at the cost of finding "
        "and training the ticket.",
        "ticket",
        "dense-6x",
        primary=True,
    ),
    no_loss("matches-denser", "With 20% left, a ticket against the dense net.", DENSER),
    no_loss("matches-sparser", "With 2.4% left, a ticket against the dense net.", SPARSER),
    *(
        gain(
            f"{name}-{left}",
            f"With {words} left, a ticket against {what}.",
            "ticket",
            other,
            where,
            (left, left),
        )
        for left, words, name, what, other, where in (
            (DENSER, "20%", "initialization", NEW, "reinitialized", SECTION_2),
            (DENSER, "20%", "mask", RANDOM, "random", "Appendix E"),
            (SPARSER, "2.4%", "mask", RANDOM, "random", "Appendix E"),
        )
    ),
    gain(
        "small",
        "With 7% left, a ticket against a dense net with one hidden layer and as many parameters.",
        "ticket",
        "small",
    ),
    gain(
        "faster",
        "Trained for an eighth of the steps, a ticket with 7% left against the dense net.",
        "ticket_briefly",
        "dense_briefly",
        SECTION_2,
        reported=reported("at 21% left, the least validation loss comes 38% earlier"),
    ),
    gain(
        "iterative",
        "With 7% left, iterative pruning against pruning once.",
        "ticket",
        "one_shot",
        SECTION_2,
        reported=reported("pruned once, tickets beat the dense net from 95% down to 5.17% left"),
    ),
    gain(
        "magnitudes",
        "With 7% left, the initial weights against new magnitudes of the same signs.",
        "ticket",
        "signs",
        "Zhou et al., deconstructing lottery tickets",
    ),
    gain(
        "signs",
        "With 7% left, the signs of the initial weights against new ones, magnitudes new in both.",
        "signs",
        "reinitialized",
        "Zhou et al., deconstructing lottery tickets",
    ),
    gain(
        "connections",
        "With 7% left, a ticket against its mask shuffled, every input keeping as many "
        "connections.",
        "ticket",
        "shuffled",
    ),
    gain(
        "inputs",
        "With 7% left, the ticket's number of connections of every input against random ones.",
        "shuffled",
        "random",
    ),
    *(
        gain(
            name,
            f"With 7% left, {what} against rewinding to the initial weights.",
            arm,
            "ticket",
            where,
        )
        for name, what, arm, where in (
            (
                "late",
                "rewinding to 3% of the training",
                "rewound_late",
                "Frankle et al., rewinding",
            ),
            ("replayed", "rewinding the learning rate only", "replayed", "Renda et al., rewinding"),
            ("fine-tuned", "rewinding nothing", "fine_tuned", "Renda et al., rewinding"),
        )
    ),
    *(
        gain(
            f"initialization-{word}",
            f"With 7% left and a learning rate of {lr}, the initial weights against new ones.",
            f"ticket-{word}",
            f"reinitialized-{word}",
            "Liu et al., rethinking pruning",
        )
        for word, lr in (("slow", 0.003), ("fast", 0.03))
    ),
    gain(
        "wider",
        "A ticket from a net 1.5 times as wide against one of as many weights from the net.",
        "ticket",
        "ticket",
        cells=(WIDE, MAIN),
    ),
    gain(
        "narrower",
        "A ticket from the net against one of as many weights from a net half as wide.",
        "ticket",
        "ticket",
        cells=(MAIN, NARROW),
    ),
    gain(
        "wider-dense",
        "A dense net 1.5 times as wide against the dense net.",
        "dense",
        "dense",
        cells=(WIDE, MAIN),
    ),
    gain(
        "long",
        "Both trained for six times the steps, a ticket with 7% left against the dense net.",
        "ticket_long",
        "dense-6x",
    ),
    Claim(
        "convolutional",
        "In small convolutional nets, tickets learn faster and are more accurate than the net.",
        "Section 3",
        "out of scope",
        reported=reported(
            "up to 3.5, 3.5 and 2.5 times faster, and 3.4, 3.5 and 3.3 points more accurate "
            "(Conv-2, Conv-4 and Conv-6 on CIFAR-10)",
            "Section 3",
        ),
        why="needs convolutional nets trained for tens of thousands of steps on CIFAR-10",
    ),
    Claim(
        "deep",
        "Deep nets hold tickets too, if the learning rate is low or warmed up.",
        "Section 4",
        "out of scope",
        reported=reported(
            "VGG-19 at learning rate 0.1: no better than new weights; with warm-up, tickets down "
            "to 1.5% left",
            "Section 4",
        ),
        why="needs deep nets with BatchNorm, and schedules of a hundred thousand steps",
    ),
    Claim(
        "imagenet",
        "On ImageNet, survivors must be rewound to a step after the first ones.",
        "Frankle et al., rewinding",
        "out of scope",
        why="needs ImageNet; rewinding late is an ablation here",
    ),
)

CONTROLS = (
    gain(
        "planted",
        "Four times the training images make the dense net more accurate.",
        "dense",
        "dense-quarter",
        "our control",
        primary=True,
    ),
    gain(
        "tuned-twice",
        "The dense net tuned once is more accurate than the dense net tuned again.",
        "dense",
        "dense-again",
        "our control",
        primary=True,
    ),
)
