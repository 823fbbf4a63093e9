"""Claims and their tests, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reviewlib.storage import undigested
from reviewlib.trial.contrast import Contrast

NOTHING = Contrast()
# The metrics of a `Timing`.
TIMED = ("step_seconds", "activation_bytes", "peak_bytes")


@dataclass(frozen=True)
class Reported:
    """A number that the paper reports.

    Attributes:
        text: the number with its context, in words.
        where: where the paper gives it.
        runs: number of runs behind it, None if the paper does not say.
        interval: whether the paper gives an interval.
    """

    text: str
    where: str
    runs: int | None
    interval: bool


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and its test.

    Attributes:
        name: identifier.
        statement: the claim in our words.
        where: where the paper makes it.
        kind: "gain", "no loss", or "out of scope".
        primary: whether it gets a verdict.
        metric: a column of the records.
        better: which direction of the metric is better.
        contrast: what is compared; weights sum to 0.
        scale: scale of the contrast: a difference, or a difference of logarithms.
        margin: smallest effect that would matter, on that scale.
        margin_reason: why this margin, where it is not the protocol's default.
        reported: the paper's numbers.
        control: for "no loss", the contrast that must show a loss.
        why: for "out of scope", the reason.
        shifted: whether its test images have another distribution than the training images.
        case: what the claim is about, as a phrase that ends a sentence: "with clean labels",
            "against a random mask". Made from the contrast if empty.
    """

    name: str
    statement: str = undigested()
    where: str = undigested()
    kind: Literal["gain", "no loss", "out of scope"]
    primary: bool = False
    metric: str = "accuracy"
    better: Literal["higher", "lower"] = "higher"
    contrast: Contrast = NOTHING
    scale: Literal["difference", "log ratio"] = "difference"
    margin: float = 0.01
    margin_reason: str = undigested(default="the protocol's default for accuracy: 1.0 point")
    reported: tuple[Reported, ...] = undigested(default=())
    control: Contrast = NOTHING
    why: str = undigested(default="")
    shifted: bool = False
    case: str = undigested(default="")

    @property
    def boundary(self) -> float:
        """The effect that the rule compares with: the margin of a gain, minus that of no loss."""
        return -self.margin if self.kind == "no loss" else self.margin

    @property
    def timed(self) -> bool:
        """Whether it rests on timed steps, not on trained nets."""
        return self.metric in TIMED

    @property
    def measure(self) -> tuple[str, str]:
        """The metric and the scale of the contrast."""
        return self.metric, self.scale

    def __post_init__(self) -> None:
        """Raise ValueError for a claim that cannot be tested as declared."""
        if self.kind == "out of scope":
            if not self.why or self.primary:
                raise ValueError(
                    f"claim {self.name} is out of scope: it needs a reason and must not be primary"
                )
            return
        self.contrast.require_comparison(f"claim {self.name}")
        if not self.margin > 0:
            raise ValueError(f"claim {self.name} needs a margin above 0, got {self.margin}")
        if self.kind == "no loss" and self.primary and not self.control:
            raise ValueError(f"claim {self.name} says 'no loss': it needs a control with a loss")
