"""Every figure of the book: one SVG that follows the page's light or dark theme, alt text, data.

Titles and axes describe; what a figure shows is for the verdicts to say.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator

from reviewlib import stats, units
from reviewlib.records import Record
from reviewlib.study import Cell, Study
from reviewlib.tables import folded, settings_text
from reviewlib.verdicts import Verdict

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


def show(fig: Figure, *, caption: str, alt: str, table: pd.DataFrame) -> None:
    """Display a figure with its caption, alternative text and the data behind it (see `block`)."""
    svg, page = block(fig, caption=caption, alt=alt, table=table)
    display({"text/html": page, "image/svg+xml": svg, "text/plain": alt}, raw=True)


def block(fig: Figure, *, caption: str, alt: str, table: pd.DataFrame) -> tuple[str, str]:
    """Return a figure as SVG, and as a block of HTML with caption, alternative text and data.

    Args:
        fig: closed afterwards.
        caption: what is drawn, with preset, device, n and commit; plain text.
        alt: what someone who cannot see it needs to know; plain text.
        table: the numbers that are drawn.
    """
    svg = themed(fig)
    plt.close(fig)
    image = base64.b64encode(svg.encode()).decode()
    what = re.split("[.;]", caption)[0].lower()
    page = (
        f'<figure class="trial-figure"><img class="dark-light" alt="{html.escape(alt)}" '
        f'src="data:image/svg+xml;base64,{image}">'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f"{folded(f'The numbers: {what}', table)}"
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
    """Return a figure of the book's width with one panel of each height, in inches: axes (n, 1)."""
    return plt.subplots(
        len(heights),
        1,
        figsize=(WIDTH, sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )


def cells_and_arms(study: Study, table: pd.DataFrame) -> list[tuple[Cell, list[str]]]:
    """Return the cells of a table of runs or trials, each with the names of its arms, in order."""
    return [
        (cell, list(dict.fromkeys(table.loc[table["cell"] == cell.name, "arm"])))
        for cell in study.cells
        if cell.name in set(table["cell"])
    ]


@plt.rc_context(STYLE)
def contours(
    loss: Callable[[np.ndarray], np.ndarray],
    paths: Mapping[str, Sequence[Sequence[float]]],
    around: tuple[float, float, float, float],
) -> tuple[Figure, pd.DataFrame]:
    """Draw paths over the contours of a loss of two parameters whose minimum is 0.

    Args:
        loss: maps an array (2, ...) of parameters to losses (...).
        paths: a label and the points of a path; one of two points is drawn as an arrow.
        around: (left, right, bottom, top) of the picture.
    """
    left, right, bottom, top = around
    grid = np.array(np.meshgrid(np.linspace(left, right, 301), np.linspace(bottom, top, 301)))
    fig, axes = panels(4.2)
    axis, heights = axes[0, 0], loss(grid)
    axis.contour(*grid, np.sqrt(heights), levels=24, colors=GRID, linewidths=0.8)
    axis.contour(*grid, heights, levels=[2e-4], colors=INK, linewidths=0.8, linestyles="dashed")
    for (label, path), color in zip(paths.items(), (BLUE, ORANGE, GREEN), strict=False):
        x, y = np.transpose(path)
        if len(path) == 2:
            options = {"color": color, "length_includes_head": True}
            options |= {"width": 0.015, "head_width": 0.05, "zorder": 4}
            axis.arrow(x[0], y[0], x[1] - x[0], y[1] - y[0], label=label, **options)
        else:
            axis.plot(x, y, color=color, lw=0.9, marker="o", ms=2.5, label=label)
    axis.set(xlabel="first parameter", ylabel="second parameter", xlim=around[:2], ylim=around[2:])
    axis.grid(False)
    axis.legend(loc="upper right")
    table = [
        {"path": label, "step": step, "first": round(x, 3), "second": round(y, 3)}
        for label, path in paths.items()
        for step, (x, y) in enumerate(path)
    ]
    return fig, pd.DataFrame(table)


@plt.rc_context(STYLE)
def trials(study: Study, record: Record) -> tuple[Figure, pd.DataFrame]:
    """Draw the validation accuracy of every trial of every arm, the chosen ones marked."""
    table = record.trials.assign(points=100 * record.trials["accuracy"])
    shown_in = cells_and_arms(study, table)
    fig, axes = panels(*(0.28 * len(names) + 0.9 for _, names in shown_in))
    for axis, (cell, names) in zip(axes[:, 0], shown_in, strict=True):
        part = table[table["cell"] == cell.name]
        left = max(part["points"].min(), part["points"].quantile(0.2) - 8)
        shown = part["points"].clip(lower=left)
        height = part["arm"].map({name: len(names) - i for i, name in enumerate(names)})
        chosen = part["chosen"]
        axis.scatter(shown, height, s=16, color=BLUE, alpha=0.45, linewidths=0)
        axis.scatter(
            shown[chosen],
            height[chosen],
            s=46,
            facecolors="none",
            edgecolors=ORANGE,
            linewidths=1.6,
            label="chosen",
        )
        _name_arms(axis, study, names)
        axis.set(title=cell.label, xlabel="validation accuracy, %")
        axis.set_xlim(left=left - 1)
    axes[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    listed = table.assign(
        cell=[study.cell(cell).label for cell in table["cell"]],
        arm=[study.arm(arm).label for arm in table["arm"]],
        settings=[settings_text(row) for row in table["settings"]],
        accuracy=table["points"].round(2),
        edges=[", ".join(edges) for edges in table["edges"]],
        chosen=table["chosen"].map({True: "yes", False: ""}),
    )
    columns = ["cell", "arm", "trial", "settings", "accuracy", "diverged", "chosen", "edges"]
    return fig, listed[columns].rename(columns={"accuracy": "validation accuracy, %"})


@plt.rc_context(STYLE)
def finals(study: Study, record: Record) -> tuple[Figure, pd.DataFrame]:
    """Draw each arm's test accuracy: a point a seed, and the mean with its 95% interval."""
    shown_in, table = cells_and_arms(study, record.rows), []
    fig, axes = panels(*(0.3 * len(names) + 0.9 for _, names in shown_in))
    for axis, (cell, names) in zip(axes[:, 0], shown_in, strict=True):
        for place, name in enumerate(reversed(names), start=1):
            rows = record.rows
            part = rows[(rows["arm"] == name) & (rows["cell"] == cell.name)]
            values = 100 * part["accuracy"]
            _seeds_and_interval(axis, values, place, stats.t_interval(values))
            interval = stats.t_interval(values)
            table.append(
                {
                    "cell": cell.label,
                    "arm": study.arm(name).label,
                    "mean, %": round(interval.mean, 2),
                    "95% low": round(interval.lo, 2),
                    "95% high": round(interval.hi, 2),
                    "sd over seeds": round(interval.sd, 2),
                    "on its training labels, %": round(100 * part["train_accuracy"].mean(), 1),
                    "test NLL, nats": round(part["nll"].mean(), 3),
                    "n": interval.n,
                }
            )
        if len(record.floor):
            floor = 100 * record.floor.groupby("cell")["accuracy"].mean()[cell.name]
            axis.axvline(floor, color=MUTED, linestyle="--", label="logistic regression")
        _name_arms(axis, study, names)
        axis.set(title=cell.label, xlabel="test accuracy, %")
    if axes[0, 0].get_legend_handles_labels()[0]:
        axes[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return fig, pd.DataFrame(table)


@plt.rc_context(STYLE)
def contrasts(verdicts: Sequence[Verdict], labels: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """Draw each claim's paired contrast: a point a seed, the interval, zero and the margin."""
    fig, axes = panels(0.56 * len(verdicts) + 0.7)
    axis, table, places = axes[0, 0], [], range(len(verdicts), 0, -1)
    for place, label, out in zip(places, labels, verdicts, strict=True):
        claim, interval = out.claim, out.interval
        times, axis_label = units.drawn(claim.metric, claim.scale)
        _seeds_and_interval(axis, times * out.values, place, interval, times)
        axis.plot([times * claim.margin] * 2, [place - 0.28, place + 0.28], color=GREEN, lw=2)
        # above its row: beside it, a long label would shrink the picture on a phone
        axis.text(0, place + 0.36, label, transform=axis.get_yaxis_transform(), fontsize=8)
        ends = {"mean": interval.mean, "low": interval.lo, "high": interval.hi}
        of = claim.metric, claim.scale
        table.append(
            {"contrast": label}
            | {name: units.effect(value, *of) for name, value in ends.items()}
            | {"level, %": round(100 * interval.level, 2), "n": interval.n}
            | {"margin": units.effect(claim.margin, *of)}
        )
    axis.axvline(0, color=INK, lw=1)
    axis.set_yticks([])
    axis.set_ylim(0.5, len(verdicts) + 0.7)
    axis.set(xlabel=axis_label)
    return fig, pd.DataFrame(table)


@plt.rc_context(STYLE)
def curves(study: Study, record: Record, cell: str, arms: Sequence[str]) -> tuple:
    """Draw validation accuracy along training: mean over seeds with its 95% interval."""
    fig, axes = panels(3.2)
    axis, table = axes[0, 0], []
    for name, color in zip(arms, sns.color_palette("colorblind"), strict=False):
        rows = record.rows[(record.rows["arm"] == name) & (record.rows["cell"] == cell)]
        values = np.array([[value for _, value in curve] for curve in rows["curve"]]) * 100
        share = np.linspace(100 / values.shape[1], 100, values.shape[1])
        intervals = [stats.t_interval(column) for column in values.T]
        axis.plot(share, values.mean(0), color=color, label=study.arm(name).label)
        axis.fill_between(
            share,
            [interval.lo for interval in intervals],
            [interval.hi for interval in intervals],
            color=color,
            alpha=0.2,
            linewidth=0,
        )
        table += [
            {"arm": study.arm(name).label, "% of training": at, "mean, %": round(i.mean, 2)}
            for at, i in zip(share.round(), intervals, strict=True)
        ]
    axis.set(xlabel="% of the arm's training steps", ylabel="validation accuracy, %")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return fig, pd.DataFrame(table)


@plt.rc_context(STYLE)
def sharpness(table: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draw test error against the Hessian's top eigenvalue: a point a run, a number an arm's mean.

    Args:
        table: as `tables.sharpness` returns it.
        runs: the final runs of a cell.
    """
    fig, axes = panels(3.6)
    axis = axes[0, 0]
    axis.scatter(
        runs["top_eigenvalue"],
        100 * (1 - runs["accuracy"]),
        s=9,
        color=MUTED,
        alpha=0.6,
        linewidths=0,
    )
    at = table["top eigenvalue"], table["test error, %"]
    axis.scatter(*at, s=110, color=BLUE, zorder=3)
    for number, x, y in zip(table["no."], *at, strict=True):
        axis.text(x, y, number, color="white", fontsize=7, ha="center", va="center", zorder=4)
    axis.set(xscale="log", xlabel="top eigenvalue of the training loss's Hessian")
    for ticks in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        ticks(LogFormatter(minor_thresholds=(1, 0.4)))  # the usual one writes formulas
    axis.set(ylabel="test error, %")
    return fig


@plt.rc_context(STYLE)
def single_seeds(verdicts: Mapping[str, Verdict]) -> tuple[Figure, pd.DataFrame]:
    """Draw each seed's own difference for claims, as one paper would report it, by label."""
    fig, axes = panels(0.72 * len(verdicts) + 0.7)
    axis, table = axes[0, 0], []
    for place, (label, out) in zip(range(len(verdicts), 0, -1), verdicts.items(), strict=True):
        margin = out.claim.margin
        times, axis_label = units.drawn(out.claim.metric, out.claim.scale)
        says = np.where(out.values >= margin, 1, np.where(out.values <= -margin, -1, 0))
        for what, color in ((1, GREEN), (0, MUTED), (-1, ORANGE)):
            part = times * out.values[says == what]
            axis.scatter(part, [place] * len(part), s=200, color=color, marker="|", linewidths=1.6)
        lo, hi = times * out.interval.lo, times * out.interval.hi
        axis.plot([lo, hi], [place - 0.25] * 2, color=BLUE, lw=2.4)
        axis.text(0, place + 0.32, label, transform=axis.get_yaxis_transform(), fontsize=8)
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
    axis.set_ylim(0.5, len(verdicts) + 0.7)
    axis.set(xlabel=axis_label)
    return fig, pd.DataFrame(table)


@plt.rc_context(STYLE)
def over(
    lines: Mapping[str, pd.Series], x: str, y: str, marks: Mapping[str, float]
) -> tuple[Figure, pd.DataFrame]:
    """Draw lines over a numeric axis: the mean over seeds with its 95% interval.

    Args:
        lines: a label, and the values of all seeds, indexed by where on the axis they belong.
        x: what the axis is; it is logarithmic.
        y: what the values are.
        marks: a label, and where a vertical line is drawn.
    """
    fig, axes = panels(3.6)
    axis, table = axes[0, 0], []
    for (label, values), color in zip(lines.items(), sns.color_palette("colorblind"), strict=False):
        intervals = {at: stats.t_interval(part) for at, part in values.groupby(level=0)}
        low, mean, high = (
            [getattr(interval, end) for interval in intervals.values()]
            for end in ("lo", "mean", "hi")
        )
        axis.plot(list(intervals), mean, color=color, marker="o", ms=3, lw=1.4, label=label)
        axis.fill_between(list(intervals), low, high, color=color, alpha=0.2, linewidth=0)
        table += [
            {"line": label, x: at, f"{y}, mean": round(i.mean, 2)}
            | {"95% low": round(i.lo, 2), "95% high": round(i.hi, 2), "n": i.n}
            for at, i in intervals.items()
        ]
    for (label, at), style in zip(marks.items(), ("--", ":", "-."), strict=False):
        axis.axvline(at, color=MUTED, linestyle=style, label=label)
    axis.set(xscale="log", xlabel=x, ylabel=y)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return fig, pd.DataFrame(table)


@plt.rc_context(STYLE)
def images(pictures: Mapping[str, np.ndarray], what: str) -> tuple[Figure, pd.DataFrame]:
    """Draw small images side by side, all on one scale from 0 to the largest value.

    Args:
        pictures: a label, and the values of an image (H, W), none below 0.
        what: the values are.
    """
    columns, top = min(len(pictures), 4), max(picture.max() for picture in pictures.values())
    rows = -(-len(pictures) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 1.55 * rows), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (label, picture) in zip(axes.flat, pictures.items(), strict=False):
        image = axis.imshow(picture, cmap="viridis", vmin=0, vmax=top)
        axis.set_title(label, fontsize=8)
    fig.colorbar(image, ax=axes, shrink=0.8, label=what)
    table = [
        {"image": label, "mean": picture.mean(), "least": picture.min(), "most": picture.max()}
        | {"at 0": (picture == 0).mean()}
        for label, picture in pictures.items()
    ]
    return fig, pd.DataFrame(table).round(3)


def _seeds_and_interval(
    axis: Axes, values: pd.Series, place: float, interval: stats.Interval, scale: float = 1
) -> None:
    """Draw one point a seed at height `place`, and the mean with its interval on top."""
    spread = np.linspace(-0.22, 0.22, len(values))
    axis.scatter(values, place + spread, s=9, color=MUTED, alpha=0.7, linewidths=0)
    axis.plot([scale * interval.lo, scale * interval.hi], [place] * 2, color=BLUE, lw=2.4)
    axis.scatter([scale * interval.mean], [place], s=30, color=BLUE, zorder=3)


def _name_arms(axis: Axes, study: Study, names: Sequence[str]) -> None:
    labels = [study.arm(name).label for name in reversed(names)]
    axis.set_yticks(range(1, len(names) + 1), labels)
    axis.set_ylim(0.4, len(names) + 0.6)
