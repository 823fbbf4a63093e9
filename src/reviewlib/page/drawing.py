"""Figures as the book shows them: an SVG that follows light and dark mode, alt text and data."""

from __future__ import annotations

import base64
import html
import io
import re
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from reviewlib.page.markup import folded

# Stand-ins that `themed` turns into CSS variables: (light, dark).
INK, INK_DARK = "#1b1f24", "#e6edf3"
GRID, GRID_DARK = "#d0d7de", "#3d444d"
# Contrast of at least 3:1 on white and on the dark page.
MUTED, BLUE, ORANGE, GREEN = "#7d8590", "#2f81c7", "#c8621b", "#2e9e6b"
WIDTH = 5.6  # inches: text stays readable when a phone shrinks the picture

STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "reviewlib",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a label may have dollar signs
}


class Drawn(NamedTuple):
    """A figure with its data, caption and alternative text.

    Attributes:
        fig: the figure; `block` closes it.
        table: the numbers that are drawn.
        caption: what is drawn, as plain text.
        alt: alternative text for those who cannot see the figure, as plain text.
        anchors: targets of links to the figure, as HTML.
    """

    fig: Figure
    table: pd.DataFrame
    caption: str
    alt: str
    anchors: str = ""


def show(drawn: Drawn, stamp: str) -> None:
    """Display a figure with its caption, alternative text and data (see `block`)."""
    svg, page = block(drawn, stamp)
    display({"text/html": page, "image/svg+xml": svg, "text/plain": drawn.alt}, raw=True)


def block(drawn: Drawn, stamp: str) -> tuple[str, str]:
    """Return a figure as SVG, and as a block of HTML with caption, alternative text and data.

    Args:
        drawn: the figure.
        stamp: last sentence of the caption, which says where the numbers come from; plain text.
    """
    svg = themed(drawn.fig)
    plt.close(drawn.fig)
    image = base64.b64encode(svg.encode()).decode()
    caption = f"{drawn.caption} {stamp}"
    what = re.split("[.;]", caption)[0].lower()
    page = (
        f'<figure class="trial-figure">{drawn.anchors}'
        f'<img class="dark-light" alt="{html.escape(drawn.alt)}" '
        f'src="data:image/svg+xml;base64,{image}">'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f"{folded(f'The numbers: {what}', drawn.table)}"
        "</figure>"
    )
    return svg, page


@plt.rc_context(STYLE)
def themed(fig: Figure) -> str:
    """Return the figure as an SVG whose ink and grid follow `prefers-color-scheme`."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for light, name in ((INK, "ink"), (GRID, "grid")):
        svg = re.sub(light, f"var(--{name}, {light})", svg, flags=re.IGNORECASE)
    dark = f"svg {{ --ink: {INK_DARK}; --grid: {GRID_DARK} }}"
    style = f"<style>@media (prefers-color-scheme: dark) {{ {dark} }}</style>"
    return svg.replace(">", f">{style}", 1)


def panels(*heights: float) -> tuple[Figure, np.ndarray]:
    """Return a figure of the book's width with panels of these heights (inches), and its axes.

    The axes have shape (n, 1) for n heights.
    """
    return plt.subplots(
        len(heights),
        1,
        figsize=(WIDTH, sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
