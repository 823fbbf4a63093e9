"""The paper's claims for lottery tickets, and our own questions."""

from __future__ import annotations

from reviewlib.papers.lottery_tickets import arms
from reviewlib.papers.lottery_tickets.arms import DENSER, MAIN, NARROW, SPARSER, WIDE
from reviewlib.trial.declare import Claim, Condition, Reported, gain, no_loss, out_of_scope

SECTION_2 = "Section 2, LeNet on MNIST"
SIGNS = "Zhou et al., deconstructing lottery tickets"
REWINDING = "Renda et al., rewinding"
RATES = "Liu et al., rethinking pruning"


def reported(text: str, where: str = SECTION_2) -> tuple[Reported, ...]:
    """Return a number of the paper: a mean of five trials, with error bars from min to max."""
    return (Reported(text, where, runs=5, interval=False),)


def matches(name: str, density: Condition, statement: str, **fields: object) -> Claim:
    """Return the claim that a ticket matches the dense net, while a random mask does not."""
    return no_loss(
        name,
        arms.winning @ density - arms.full @ MAIN,
        statement,
        SECTION_2,
        control=arms.random @ density - arms.full @ MAIN,
        margin=0.01,
        margin_reason="1.0 point: 10,000 test images cannot resolve half of it, and it buys a net "
        "without nine tenths of its weights",
        **fields,
    )


CLAIMS = (
    matches(
        "matches",
        MAIN,
        "With 7% of its weights left, a ticket is as accurate as the dense net at equal steps.",
        primary=True,
        case="against the dense net at equal steps",
        reported=reported("tickets match the dense net down to 3.6% of its weights"),
    ),
    gain(
        "initialization",
        (arms.winning - arms.new_weights) @ MAIN,
        "With 7% left, a ticket's own initial weights do better than new ones under its mask.",
        SECTION_2,
        primary=True,
        case="against new weights under its mask",
        reported=reported("at 21% left, 0.5 points more than with new weights, 2.51 times faster"),
    ),
    gain(
        "mask",
        (arms.winning - arms.random) @ MAIN,
        "With 7% left, a ticket does better than a random mask of equal layer-wise sparsity.",
        "Appendix E",
        primary=True,
        case="against a random mask",
    ),
    gain(
        "equal-cost",
        (arms.winning - arms.full_6x) @ MAIN,
        "A ticket with 7% left is more accurate than the dense net trained at the cost of finding "
        "and training the ticket.",
        primary=True,
        case="against the dense net at equal cost",
    ),
    matches("matches-denser", DENSER, "With 20% left, a ticket against the dense net."),
    matches("matches-sparser", SPARSER, "With 2.4% left, a ticket against the dense net."),
    gain("initialization-denser", (arms.winning - arms.new_weights) @ DENSER, where=SECTION_2),
    gain("mask-denser", (arms.winning - arms.random) @ DENSER, where="Appendix E"),
    gain("mask-sparser", (arms.winning - arms.random) @ SPARSER, where="Appendix E"),
    gain("small", (arms.winning - arms.small_net) @ MAIN),
    gain(
        "faster",
        (arms.brief_ticket - arms.brief) @ MAIN,
        where=SECTION_2,
        reported=reported("at 21% left, the least validation loss comes 38% earlier"),
    ),
    gain(
        "iterative",
        (arms.winning - arms.one_shot) @ MAIN,
        "With 7% left, iterative pruning against pruning once.",
        SECTION_2,
        reported=reported("pruned once, tickets beat the dense net from 95% down to 5.17% left"),
    ),
    gain("magnitudes", (arms.winning - arms.signs) @ MAIN, where=SIGNS),
    gain("signs", (arms.signs - arms.new_weights) @ MAIN, where=SIGNS),
    gain("connections", (arms.winning - arms.shuffled) @ MAIN),
    gain("inputs", (arms.shuffled - arms.random) @ MAIN),
    gain("late", (arms.late - arms.winning) @ MAIN, where="Frankle et al., rewinding"),
    gain("replayed", (arms.replayed - arms.winning) @ MAIN, where=REWINDING),
    gain("fine-tuned", (arms.fine - arms.winning) @ MAIN, where=REWINDING),
    gain("initialization-slow", (arms.ticket_slow - arms.new_slow) @ MAIN, where=RATES),
    gain("initialization-fast", (arms.ticket_fast - arms.new_fast) @ MAIN, where=RATES),
    gain("wider", arms.winning @ WIDE - arms.winning @ MAIN),
    gain("narrower", arms.winning @ MAIN - arms.winning @ NARROW),
    gain("wider-dense", arms.full @ WIDE - arms.full @ MAIN),
    gain("long", (arms.long_ticket - arms.full_6x) @ MAIN),
    out_of_scope(
        "convolutional",
        "In small convolutional nets, tickets learn faster and are more accurate than the net.",
        "Section 3",
        "needs convolutional nets trained for tens of thousands of steps on CIFAR-10",
        reported(
            "up to 3.5, 3.5 and 2.5 times faster, and 3.4, 3.5 and 3.3 points more accurate "
            "(Conv-2, Conv-4 and Conv-6 on CIFAR-10)",
            "Section 3",
        ),
    ),
    out_of_scope(
        "deep",
        "Deep nets hold tickets too, if the learning rate is low or warmed up.",
        "Section 4",
        "needs deep nets with BatchNorm, and schedules of a hundred thousand steps",
        reported(
            "VGG-19 at learning rate 0.1: no better than new weights; with warm-up, tickets down "
            "to 1.5% left",
            "Section 4",
        ),
    ),
    out_of_scope(
        "imagenet",
        "On ImageNet, survivors must be rewound to a step after the first ones.",
        "Frankle et al., rewinding",
        "needs ImageNet; rewinding late is an ablation here",
    ),
)
