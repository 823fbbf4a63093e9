"""The paper's claims for lottery tickets, and our own questions."""

from __future__ import annotations

from typing import Any

from reviewlib.papers.lottery_tickets import arms
from reviewlib.papers.lottery_tickets.arms import MAIN, NARROW, SPARSER, SPARSEST
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.declare import Claim, Reported, gain, no_loss, out_of_scope

SECTION_2 = "Section 2, LeNet on MNIST"
SIGNS = "Zhou et al., deconstructing lottery tickets"
REWINDING = "Renda et al., rewinding"


def reported(text: str, where: str = SECTION_2) -> tuple[Reported, ...]:
    """Return a number of the paper: a mean of five trials, with error bars from min to max."""
    return (Reported(text, where, runs=5, interval=False),)


def matches(
    name: str, contrast: Contrast, statement: str, where: str = SECTION_2, **fields: Any
) -> Claim:
    """Return the claim that a sparse net matches the dense one, while a small net does not."""
    return no_loss(
        name,
        contrast,
        statement,
        where,
        control=(arms.small_net - arms.full) @ MAIN,
        margin=0.005,
        margin_reason="the protocol's default for no loss: 0.5 points",
        **fields,
    )


CLAIMS = (
    matches(
        "matches",
        (arms.winning - arms.full) @ MAIN,
        "With 20% of its weights left, a ticket is as accurate as the dense net at equal steps of "
        "the last training.",
        primary=True,
        case="against the dense net when rewound",
        reported=reported("tickets match the dense net down to 3.6% of its weights"),
    ),
    matches(
        "fine-tuned",
        (arms.fine - arms.full) @ MAIN,
        "Pruned to 20% of its weights and fine-tuned, a net is as accurate as the dense one.",
        REWINDING,
        primary=True,
        case="against the dense net when fine-tuned",
    ),
    gain(
        "initialization",
        (arms.winning - arms.new_weights) @ MAIN,
        "With 20% left, a ticket's own initial weights do better than new ones under its mask.",
        SECTION_2,
        primary=True,
        margin=0.005,
        margin_reason="0.5 points: what the paper reports at this sparsity",
        case="from its own initial weights instead of new ones",
        reported=reported("at 21% left, 0.5 points more than with new weights, 2.51 times faster"),
    ),
    gain(
        "equal-cost",
        (arms.winning - arms.full_4x) @ MAIN,
        "A ticket with 20% left is more accurate than the dense net trained at the cost of finding "
        "and training the ticket.",
        primary=True,
        case="against the dense net at the whole cost",
    ),
    gain("fine-tuned-against-ticket", (arms.fine - arms.winning) @ MAIN, where=REWINDING),
    gain("fine-tuned-equal-cost", (arms.fine - arms.full_4x) @ MAIN),
    gain("replayed", (arms.replayed - arms.full) @ MAIN, where=REWINDING),
    gain("replayed-against-ticket", (arms.replayed - arms.winning) @ MAIN, where=REWINDING),
    gain("mask", (arms.winning - arms.random) @ MAIN, where="Appendix E"),
    gain("mask-equal-cost", (arms.winning - arms.random_4x) @ MAIN),
    gain("small", (arms.winning - arms.small_net) @ MAIN),
    gain("small-equal-cost", (arms.winning - arms.small_4x) @ MAIN),
    gain("rewinding-without-decay", (arms.ticket_wd0 - arms.fine_wd0) @ MAIN),
    gain("decay-ticket", (arms.winning - arms.ticket_wd0) @ MAIN),
    gain("decay-fine-tuned", (arms.fine - arms.fine_wd0) @ MAIN),
    gain("decay-dense", (arms.full - arms.dense_wd0) @ MAIN),
    matches(
        "matches-sparser",
        arms.winning @ SPARSER - arms.full @ MAIN,
        "With 7% left, a ticket against the dense net.",
    ),
    matches(
        "fine-tuned-sparser",
        arms.fine @ SPARSER - arms.full @ MAIN,
        "With 7% left, a fine-tuned net against the dense one.",
        REWINDING,
    ),
    gain("initialization-sparser", (arms.winning - arms.new_weights) @ SPARSER, where=SECTION_2),
    gain("mask-sparser", (arms.winning - arms.random) @ SPARSER, where="Appendix E"),
    matches(
        "matches-sparsest",
        arms.winning @ SPARSEST - arms.full @ MAIN,
        "With 2.4% left, a ticket against the dense net.",
    ),
    gain("fine-tuned-sparsest", (arms.fine - arms.winning) @ SPARSEST, where=REWINDING),
    gain("mask-sparsest", (arms.winning - arms.random) @ SPARSEST, where="Appendix E"),
    gain(
        "iterative",
        (arms.winning - arms.one_shot) @ MAIN,
        "With 20% left, iterative pruning against pruning once.",
        SECTION_2,
        reported=reported("pruned once, tickets beat the dense net from 95% down to 5.17% left"),
    ),
    gain(
        "faster",
        (arms.brief_ticket - arms.brief) @ MAIN,
        where=SECTION_2,
        reported=reported("at 21% left, the least validation loss comes 38% earlier"),
    ),
    gain("magnitudes", (arms.winning - arms.signs) @ MAIN, where=SIGNS),
    gain("signs", (arms.signs - arms.new_weights) @ MAIN, where=SIGNS),
    gain("late", (arms.late - arms.winning) @ MAIN, where="Frankle et al., rewinding"),
    gain("narrower", arms.winning @ MAIN - arms.winning @ NARROW),
    gain("narrower-dense", arms.full @ MAIN - arms.full @ NARROW),
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
