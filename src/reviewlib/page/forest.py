"""The forest plot of primary claims: a table with one drawn interval a row, in HTML and SVG.

All claims share one scale, because each effect is divided by its own margin. Drawn in SVG with
positions in percent, it fits any width, and its text stays text.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from reviewlib.evidence import units
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page.drawing import BLUE, GREEN, MUTED
from reviewlib.page.markup import badge
from reviewlib.page.sentence import effect_text

LINEAR = 2  # margins; beyond, each doubling takes as much room as a margin
HEIGHT, MIDDLE = 26, 13  # pixels of a row
ROW = '<tr role="row"{}>{}</tr>'


def forest(groups: Mapping[str, Sequence[Verdict]]) -> str:
    """Return the forest plot of primary claims as HTML.

    Args:
        groups: verdicts with intervals by the heading of their rows, which is HTML; a heading may
            be empty.
    """
    outs = [out for group in groups.values() for out in group]
    ends = [end for out in outs for end in _in_margins(out)] + [-1.0, 1.0]
    axis = Axis(min(ends), max(ends))
    head = "".join(
        f'<th scope="col" role="columnheader">{name}</th>'
        for name in ("Claim", "Effect, in margins", "Effect and interval", "Verdict")
    )
    body = "".join(_group(axis, heading, group) for heading, group in groups.items())
    foot = f'<td role="cell"></td><td role="cell" class="forest-plot">{axis.ticks()}</td>'
    return (
        f'<table role="table" class="forest"><caption>{html.escape(_caption(outs))}</caption>'
        f'<thead role="rowgroup">{ROW.format("", head)}</thead>{body}'
        f'<tfoot aria-hidden="true">{ROW.format("", foot)}</tfoot></table>'
    )


class Axis:
    """A scale in margins that is linear around zero and logarithmic beyond."""

    def __init__(self, lo: float, hi: float) -> None:
        """Take the least and the largest value that is drawn."""
        self._lo, self._hi = _bent(lo) - 0.3, _bent(hi) + 0.3

    def at(self, value: float) -> str:
        """Return the position of a value, in percent of the width."""
        return f"{100 * (_bent(value) - self._lo) / (self._hi - self._lo):.2f}%"

    def ticks(self) -> str:
        """Return the labels below the axis as SVG."""
        powers = [1.0 * 2**power for power in range(12)]
        values = [value for value in (*(-each for each in powers), 0.0, *powers)]
        inside = [value for value in values if self._lo <= _bent(value) <= self._hi]
        return _svg(
            *(
                f'<text x="{self.at(value)}" y="{MIDDLE}" text-anchor="middle" font-size="11" '
                f'fill="currentColor">{f"{value:g}".replace("-", units.MINUS)}</text>'
                for value in inside
            )
        )

    def interval(self, out: Verdict) -> str:
        """Return a verdict's interval, mean and margin, and the line at zero, as SVG."""
        lo, mean, hi = (self.at(value) for value in _in_margins(out))
        boundary = self.at(out.claim.boundary / out.claim.margin)
        return _svg(
            _line(self.at(0), self.at(0), 0, HEIGHT, MUTED, 1),
            _line(boundary, boundary, 3, HEIGHT - 3, GREEN, 3),
            _line(lo, hi, MIDDLE, MIDDLE, BLUE, 3),
            f'<circle cx="{mean}" cy="{MIDDLE}" r="5" fill="{BLUE}"/>',
        )


def _group(axis: Axis, heading: str, outs: Sequence[Verdict]) -> str:
    """Return the rows below one heading."""
    first = f'<th scope="rowgroup" role="rowheader" colspan="4">{heading}</th>'
    rows = ROW.format(' class="forest-group"', first) if heading else ""
    for out in outs:
        mean, ends = effect_text(out).split(", ")
        margin = units.effect(out.claim.boundary, *out.claim.measure)
        cells = (
            f'<td role="cell" class="forest-plot">{axis.interval(out)}</td>'
            f'<td role="cell" class="forest-effect"><span>{mean},</span> <span>{ends};</span> '
            f"<span>margin {margin}</span></td>"
            f'<td role="cell">{badge(out.verdict)}</td>'
        )
        name = f'<th scope="row" role="rowheader">{html.escape(out.claim.statement)}</th>'
        rows += ROW.format("", name + cells)
    return f'<tbody role="rowgroup">{rows}</tbody>'


def _caption(outs: Sequence[Verdict]) -> str:
    """Return what was found, and how to read the plot."""
    counted = Counter(out.verdict for out in outs)
    found = ", ".join(f"{count} {word}" for word, count in counted.items())
    levels = " or ".join(sorted({units.percent(out.interval.level) for out in outs}))
    loss = any(out.claim.kind == "no loss" for out in outs)
    of = "paired seeds"
    if any(out.claim.timed for out in outs):
        of += ", or over launches of a process where a step is measured"
    far = any(abs(end) > LINEAR for out in outs for end in _in_margins(out))
    return (
        f"Primary claims: {found}. A dot is the mean over {of}; its line is the {levels} "
        "interval, wide enough for all intervals of a chapter to hold together at 95%. Both are "
        "divided by the margin, the smallest effect that matters, which is green. Right of the "
        "gray zero favors the claim"
        f"{'; the margin of no loss lies left of it' if loss else ''}."
        f"{f' The scale is logarithmic beyond {LINEAR} margins.' if far else ''}"
    )


def _in_margins(out: Verdict) -> tuple[float, float, float]:
    """Return lower end, mean and upper end as multiples of the margin."""
    interval, margin = out.interval, out.claim.margin
    return interval.lo / margin, interval.mean / margin, interval.hi / margin


def _bent(value: float) -> float:
    size = abs(value)
    bent = size if size <= LINEAR else LINEAR + math.log2(size / LINEAR)
    return math.copysign(bent, value)


def _line(x1: str, x2: str, y1: float, y2: float, color: str, width: float) -> str:
    return (
        f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" stroke="{color}" stroke-width="{width}"/>'
    )


def _svg(*parts: str) -> str:
    return f'<svg width="100%" height="{HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
