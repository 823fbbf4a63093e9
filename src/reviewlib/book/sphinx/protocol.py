"""Controls, their calibration, and what single seeds would have said."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from docutils import nodes
from matplotlib.ticker import FixedLocator
from sphinx.util.docutils import SphinxDirective

from reviewlib.book.sphinx.elements import evidence, heading, raw, stamp
from reviewlib.evidence import controls, units, verdicts
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import tables
from reviewlib.page.drawing import BLUE, GREEN, INK, MUTED, ORANGE, STYLE, Drawn, block, panels
from reviewlib.page.markup import markup

# The axis of single seeds is linear up to this many points: one claim moves 40, most move less.
LINEAR = 5
TICKS = (-50, -20, -10, -5, -2, 0, 2, 5, 10, 20, 50)
LABEL = 88  # characters a line


class Controls(SphinxDirective):
    """The verdicts on all controls, which are comparisons whose truth is known."""

    def run(self) -> list[nodes.Node]:
        """Return one table per study."""
        self.env.note_reread()
        found: list[nodes.Node] = []
        for study, record in evidence(self.env.app):
            if outs := verdicts.judge_controls(study, record):
                found.append(heading(self.env, study, f": {stamp(record)}"))
                found.append(raw(markup(tables.contrasts(study, outs))))
        return found or [nodes.paragraph("", "No study has controls in valid records yet.")]


class Calibration(SphinxDirective):
    """How many A/A intervals exclude zero over the whole book, and how many should."""

    def run(self) -> list[nodes.Node]:
        """Return one paragraph."""
        self.env.note_reread()
        outs = [
            out
            for study, record in evidence(self.env.app)
            for out in verdicts.judge_controls(study, record)
        ]
        return [nodes.paragraph("", calibrated(verdicts.calibration(outs)))]


class SingleSeeds(SphinxDirective):
    """What each seed alone would say about the primary claims, next to all seeds together."""

    def run(self) -> list[nodes.Node]:
        """Return a figure of all studies' primary claims that are measured in accuracy points."""
        self.env.note_reread()
        outs, stamps = {}, []
        for study, record in evidence(self.env.app):
            for claim in study.primary:
                if units.drawn(*claim.measure) == units.drawn("accuracy"):
                    out = verdicts.judge(study, record, claim)
                    outs[claim.statement] = out
            stamps.append(f"{study.title.split(':')[0]}: {stamp(record)}")
        if not outs:
            return [nodes.paragraph("", "No study has valid records yet.")]
        _, page = block(single_seeds(outs), f"{'. '.join(stamps)}")
        return [raw(page)]


def calibrated(found: controls.Calibration) -> str:
    """Return in words how well our own intervals are calibrated."""
    if not found.total:
        return "No study has an A/A control in valid records yet."
    return (
        f"Baselines compared with themselves, over the whole book: {found.excluding} of "
        f"{found.total} intervals at 95% exclude zero. Chance alone gives {found.expected:.2g} on "
        "average."
    )


@plt.rc_context(STYLE)
def single_seeds(verdicts: Mapping[str, Verdict]) -> Drawn:
    """Draw the difference of each seed alone, as a paper with one seed would report it.

    Args:
        verdicts: verdicts by the label of their claim, all in the same unit.
    """
    fig, axes = panels(0.72 * len(verdicts) + 0.7)
    axis, table = axes[0, 0], []
    for place, (label, out) in zip(range(len(verdicts), 0, -1), verdicts.items(), strict=True):
        margin = out.claim.margin
        times, axis_label = units.drawn(*out.claim.measure)
        says = np.where(out.values >= margin, 1, np.where(out.values <= -margin, -1, 0))
        for what, color in ((1, GREEN), (0, MUTED), (-1, ORANGE)):
            part = times * out.values[says == what]
            axis.scatter(part, [place] * len(part), s=200, color=color, marker="|", linewidths=1.6)
        lo, hi = times * out.interval.lo, times * out.interval.hi
        axis.plot([lo, hi], [place - 0.25] * 2, color=BLUE, lw=2.4)
        words = textwrap.fill(label, LABEL)
        text = axis.text(
            0, place + 0.28, words, transform=axis.get_yaxis_transform(), fontsize=8, va="bottom"
        )
        text.set_in_layout(False)  # beside a long label, the axes would shrink
        table.append(
            {
                "claim": label,
                "seeds": len(says),
                "alone say: a gain": int((says == 1).sum()),
                "alone say: a loss": int((says == -1).sum()),
                "alone say: neither": int((says == 0).sum()),
                "together": out.verdict,
            }
        )
    axis.axvline(0, color=INK, lw=1)
    axis.set_yticks([])
    axis.set_ylim(0.5, len(verdicts) + 0.9)
    axis.set_xscale("symlog", linthresh=LINEAR)
    axis.xaxis.set_major_locator(FixedLocator(TICKS))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(xlabel=f"{axis_label}; logarithmic beyond {LINEAR}")
    counts = "; ".join(
        f"{row['claim']} {row['alone say: a gain']} of {row['seeds']} seeds alone say a gain, "
        f"{row['alone say: a loss']} a loss, together: {row['together']}"
        for row in table
    )
    return Drawn(
        fig,
        pd.DataFrame(table),
        "What single seeds would have said. Each stroke is one seed's own difference: green is a "
        "gain of at least the margin, orange a loss of at least the margin, gray neither; blue is "
        "the interval of all seeds together.",
        counts,
    )
