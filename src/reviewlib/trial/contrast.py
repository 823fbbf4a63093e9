"""Contrasts as an algebra: `(sam - sgd) @ NOISE`, `sam @ WIDE - sam @ MAIN`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewlib.trial.arms import Condition

Term = tuple[float, str, str]  # weight, arm, condition


class Operand:
    """Base class of what can be added and weighted into contrasts; a subclass has `terms`."""

    terms: tuple[tuple[float, str, str | None], ...]

    def __add__(self, other: Operand) -> Contrast:
        """Return the sum."""
        return Contrast((*self.terms, *other.terms))

    def __sub__(self, other: Operand) -> Contrast:
        """Return the difference."""
        return self + -1 * other

    def __rmul__(self, weight: float) -> Contrast:
        """Return the weighted contrast."""
        return Contrast(tuple((weight * own, *where) for own, *where in self.terms))

    def __matmul__(self, condition: Condition | str) -> Contrast:
        """Return the contrast in a condition, given as an object or by name.

        Raises:
            ValueError: a term has a condition already.
        """
        if taken := [name for _, _, name in self.terms if name is not None]:
            raise ValueError(f"a term must have one condition, and has {taken[0]} already")
        where = condition if isinstance(condition, str) else condition.name
        return Contrast(tuple((weight, arm, where) for weight, arm, _ in self.terms))


@dataclass(frozen=True)
class Contrast(Operand):
    """A weighted sum over (weight, arm, condition)."""

    terms: tuple[tuple[float, str, str | None], ...] = ()

    def __iter__(self) -> Iterator[Term]:
        """Yield the terms."""
        return iter(self.terms)

    def __len__(self) -> int:
        """Return the number of terms."""
        return len(self.terms)

    def require_comparison(self, of: str) -> None:
        """Raise ValueError unless the weights sum to 0 and every term has its condition."""
        if not self.terms or abs(sum(weight for weight, *_ in self.terms)) > 1e-12:
            raise ValueError(f"{of} needs a contrast whose weights sum to 0, got {self.terms}")
        if bare := [arm for _, arm, condition in self.terms if condition is None]:
            raise ValueError(
                f"{of} compares {bare[0]} in no condition: write ({bare[0]} - ...) @ CONDITION"
            )


def two_by_two(
    neither: Operand, first: Operand, second: Operand, both: Operand, condition: Condition
) -> dict[str, Contrast]:
    """Return the contrasts of a 2x2 design of two methods: main effects and interaction.

    A main effect is a method's gain, averaged over runs without and with the other method. The
    interaction is a method's gain on top of the other one minus its gain alone: positive if they
    help each other.

    Args:
        neither: the arm with neither method.
        first: the arm with the first method alone.
        second: the arm with the second method alone.
        both: the arm with both.
        condition: the condition of all four arms.
    """
    without, on_top = first - neither, both - second
    return {
        "first": 0.5 * (without + on_top) @ condition,
        "second": 0.5 * ((second - neither) + (both - first)) @ condition,
        "interaction": (on_top - without) @ condition,
    }
