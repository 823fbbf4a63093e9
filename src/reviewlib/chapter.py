"""What a notebook calls: run its preset, load the evidence, show source, tables and figures."""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from reviewlib import (
    checklist,
    compare,
    figures,
    records,
    runs,
    stats,
    study,
    tables,
    units,
    verdicts,
)
from reviewlib.study import Preset, Study


def source(thing: Any) -> Markdown:
    """Return the source of a function, class or method as the library runs it."""
    return Markdown(f"```python\n{textwrap.dedent(inspect.getsource(thing)).rstrip()}\n```")


def _plain(text: str) -> str:
    """Return text as Markdown that says just that: no markup, no HTML, no formula."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~&!])", r"\\\1", " ".join(text.split()))


def _html(frame: pd.DataFrame, stamp: str = "") -> HTML:
    """Return a table, and below it where its numbers come from."""
    origin = f'<p class="table-stamp">{html.escape(stamp)}</p>' if stamp else ""
    return HTML(tables.markup(frame) + origin)


@dataclass
class Chapter:
    """One notebook's view of its study.

    Attributes:
        study: what is on trial.
        preset: what this notebook runs.
        device: where.
        folder: where the records lie, for other data than the book's.
    """

    study: Study
    preset: Preset
    device: str
    folder: Path | None = None

    @cached_property
    def fresh(self) -> records.Record:
        """This machine's run of the notebook's preset."""
        self._seen: list[runs.Row] = []
        return compare.run_study(
            self.study, self.preset, device=self.device, progress=self._seen.append
        )

    @cached_property
    def _evidence(self) -> tuple[records.Record, list[str]]:
        if self.preset.name in records.EVIDENCE:
            return self.fresh, []
        return records.best(self.study, self.folder, self.preset.data)

    @property
    def record(self) -> records.Record:
        """The records that the page rests on: the largest valid preset's, or this run's own."""
        return self._evidence[0]

    @cached_property
    def verdicts(self) -> dict[str, verdicts.Verdict]:
        """The verdict on every claim, by name."""
        return {out.claim.name: out for out in verdicts.judge_all(self.study, self.record.rows)}

    @cached_property
    def control_verdicts(self) -> dict[str, verdicts.Verdict]:
        """What the rule says of the study's controls, by name."""
        outs = verdicts.judge_controls(self.study, self.record.rows)
        return {out.claim.name: out for out in outs}

    def agreement(self) -> Markdown:
        """Run the notebook's preset and say whether this machine agrees with the stored records."""
        fresh = self.fresh
        cached = [row["computed"] for row in self._seen if row["from_cache"]]
        count = f"{len(self._seen)} runs of the `{self.preset.name}` preset"
        if cached:
            first = _plain(min(cached))
            count += f", {len(cached)} of them from this machine's cache (first of {first})"
        try:
            stored = records.load(self.study.name, self.preset.name, self.folder)
        except records.RecordError:
            return Markdown(f"{count}. There are no stored records of it to compare with.")
        if stored.preset != fresh.preset or stored.data != fresh.data:
            return Markdown(f"{count}, at other sizes or on other data than the stored records.")
        keys = ["arm", "cell", "seed"]
        both = fresh.rows.merge(stored.rows, on=keys, suffixes=("", "_stored"))
        equal = (both["accuracy"] == both["accuracy_stored"]).sum()
        gap = (both["accuracy"] - both["accuracy_stored"]).abs().max()
        outside = [
            _plain(f"{self.study.arm(arm).label}, {self.study.cell(cell).label}")
            for (arm, cell), part in both.groupby(["arm", "cell"])
            if not _inside(part["accuracy"].mean(), stats.t_interval(part["accuracy_stored"]))
        ]
        word = "agrees" if not outside else f"**disagrees** ({'; '.join(outside)})"
        return Markdown(
            f"{count}. {equal} of {len(both)} final runs have the same test accuracy as the stored "
            f"ones, the largest difference is {100 * gap:.2f} points: this machine {word} with the "
            f"stored records (each arm's mean against the stored 95% interval over "
            f"{self.preset.seeds} seeds)."
        )

    def evidence(self) -> Markdown:
        """Say which records the page shows, and why not larger ones."""
        record, notes = self._evidence
        made = record.provenance
        text = (
            f"Everything below rests on the **{_plain(record.preset['name'])}** records: "
            f"{len(record.rows)} final runs and {len(record.trials)} trials, "
            f"{made['cpu_seconds']:,.0f} seconds of training on {_plain(made['device'])}, torch "
            f"{_plain(made['versions']['torch'])}, commit {_plain(made['commit'])}, "
            f"{_plain(made['date'])}."
        )
        if self.folder:
            text = (
                f"**Other data than the book's:** {_plain(record.data['name'])}. All numbers of "
                f"this page are on these; its prose describes the book's experiment. {text}"
            )
        notes = [f"**Note:** {_plain(note)}." for note in notes]
        return Markdown("\n\n".join([text, *notes]))

    def claims(self) -> HTML:
        """Return the claim card."""
        return _html(tables.claims(self.study))

    def arms(self) -> HTML:
        """Return the table of arms."""
        return _html(tables.arms(self.study, self.record), self._stamp)

    def protocol(self) -> HTML:
        """Return the sizes of the experiment."""
        return _html(tables.protocol(self.study, self.record), self._stamp)

    def settings(self) -> HTML:
        """Return the chosen settings."""
        return HTML(tables.folded("The chosen settings", tables.settings(self.study, self.record)))

    def contrasts(self, *names: str) -> HTML:
        """Return the paired differences of the named claims."""
        return _html(tables.contrasts(self.verdicts[name] for name in names), self._stamp)

    def two_by_two(self, neither: str, first: str, second: str, both: str, cell: str) -> HTML:
        """Return main effects and interaction of two methods, from the four arms of a 2 x 2."""
        arms = (neither, first, second, both)
        return _html(tables.two_by_two(self.study, self.record, arms, cell), self._stamp)

    def controls(self) -> HTML:
        """Return what the rule says of the controls on ourselves."""
        return _html(tables.contrasts(self.control_verdicts.values()), self._stamp)

    def verdict_table(self) -> HTML:
        """Return the verdicts."""
        return _html(tables.verdicts(self.verdicts.values()), self._stamp)

    def price(self) -> HTML:
        """Return the price tag of each core arm."""
        return _html(tables.price(self.study, self.record), self._stamp)

    def checklist(self) -> HTML:
        """Return the protocol's checklist."""
        frame = checklist.checklist(self.study, self.record, self.folder)
        return HTML(tables.folded("The rules of the protocol that code can check", frame))

    def says(self, name: str) -> str:
        """Return a claim's or control's paired difference in words, for a sentence of the page."""
        out = self.verdicts.get(name) or self.control_verdicts[name]
        claim, interval = out.claim, out.interval
        of = claim.metric, claim.scale
        lo, hi = (units.effect(end, *of) for end in (interval.lo, interval.hi))
        return (
            f"{units.with_unit(interval.mean, *of)} ({units.percent(interval.level)} interval "
            f"{lo} to {hi}, n = {interval.n})"
        )

    def notices(self, name: str) -> str:
        """Return the smallest gain that would mostly be called supported, in words."""
        claim, effect = self.verdicts[name].claim, self.verdicts[name].detectable
        if effect is None:
            return "no gain reliably"
        return units.with_unit(effect, claim.metric, claim.scale)

    def difference(self, arm: str, other: str, cell: str, metric: str = "accuracy") -> str:
        """Return a paired difference that no claim declares, in words, marked as such."""
        values = stats.contrast(self.record.rows, ((1, arm, cell), (-1, other, cell)), metric)
        interval = stats.t_interval(values)
        return (
            f"{units.with_unit(interval.mean, metric)} (looked at after the fact; "
            f"{tables.interval_text(interval, metric)}, n = {interval.n})"
        )

    def verdict(self, name: str) -> str:
        """Return the verdict's word on a primary claim."""
        return self.verdicts[name].verdict

    def show_contours(
        self,
        loss: Callable,
        paths: Mapping[str, Sequence[Sequence[float]]],
        around: tuple[float, float, float, float],
    ) -> None:
        """Display paths over the contours of a loss of two parameters."""
        fig, data = figures.contours(loss, paths, around)
        ends = "; ".join(
            f"{label} from ({path[0][0]:.2f}, {path[0][1]:.2f}) "
            f"to ({path[-1][0]:.2f}, {path[-1][1]:.2f})"
            for label, path in paths.items()
        )
        figures.show(
            fig,
            caption="Steps over the contours of the loss. Dashed: the floor of the valley.",
            alt=f"Contour plot of a loss of two parameters with paths: {ends}",
            table=data,
        )

    def show_trials(self) -> None:
        """Display every tuning trial."""
        fig, data = figures.trials(self.study, self.record)
        chosen = "; ".join(
            f"{row['cell']}, {row['arm']} {row['validation accuracy, %']}"
            for row in data[data["chosen"] == "yes"].to_dict("records")
        )
        figures.show(
            fig,
            caption=f"All {len(data)} tuning trials. A point is the mean validation accuracy over "
            f"{self.record.preset['tuning_seeds']} tuning seeds; the chosen trial of each arm is "
            f"circled; trials far below the others are drawn at the left border. {self._stamp}",
            alt=f"Strip chart of validation accuracy by arm, one panel a cell; chosen: {chosen}",
            table=data,
        )

    def show_finals(self) -> None:
        """Display the test accuracy of every arm."""
        fig, data = figures.finals(self.study, self.record)
        means = "; ".join(
            f"{row['cell']}, {row['arm']} {row['mean, %']}" for row in data.to_dict("records")
        )
        figures.show(
            fig,
            caption="Test accuracy. Each gray point is one seed on its own fold of the test set; "
            "blue is the mean with its 95% interval over seeds; the dashed line is scikit-learn's "
            f"logistic regression, its mean over the same seeds. {self._stamp}",
            alt=f"Mean test accuracy in percent: {means}",
            table=data,
        )

    def show_contrasts(self, *names: str) -> None:
        """Display the paired contrasts of the named claims."""
        outs = [self.verdicts[name] for name in names]
        fig, data = figures.contrasts(outs, [tables.contrast_label(self.study, o) for o in outs])
        levels = ", ".join(sorted({units.percent(out.interval.level) for out in outs}))
        means = "; ".join(
            f"{row['contrast']} {row['mean']} ({row['low']} to {row['high']})"
            for row in data.to_dict("records")
        )
        figures.show(
            fig,
            caption="Paired differences. Each gray point is one seed; blue is the mean with its "
            f"interval ({levels}); green is the margin, the smallest effect that would matter. "
            f"{self._stamp}",
            alt=f"Paired differences: {means}",
            table=data,
        )

    def show_curves(self, cell: str, *arms: str) -> None:
        """Display validation accuracy along training for the named arms."""
        fig, data = figures.curves(self.study, self.record, cell, arms)
        figures.show(
            fig,
            caption="Accuracy on validation images along training, "
            f"{self.study.cell(cell).label}; the band is the 95% interval of the mean over seeds. "
            f"{self._stamp}",
            alt="Line chart of validation accuracy along training: " + _ranges(data, "mean, %"),
            table=data,
        )

    def show_sharpness(self, cell: str) -> Markdown:
        """Display test error against sharpness in a cell, and say how the two rank together."""
        data = tables.sharpness(self.study, self.record, cell)
        rows = self.record.rows[self.record.rows["cell"] == cell]
        across = tables.rank_correlation(data["top eigenvalue"], data["test error, %"])
        within = data["rank correlation over seeds"]
        figures.show(
            figures.sharpness(data, rows),
            caption="Test error against sharpness, "
            f"{self.study.cell(cell).label}; a gray point is a run, a number the mean of the arm "
            f"of that number in the table below. {self._stamp}",
            alt="Scatter chart of test error against the top eigenvalue; arms from flat to sharp: "
            + "; ".join(
                f"{row['arm']} {row['top eigenvalue']:.2g}, {row['test error, %']:.1f}%"
                for row in data.to_dict("records")
            ),
            table=data,
        )
        text = (
            f"Spearman's rank correlation of top eigenvalue and test error is {across:+.2f} across "
            f"the {len(data)} arms (their means), and {within.median():+.2f} within an arm (the "
            f"median over arms; from {within.min():+.2f} to {within.max():+.2f}, each over "
            f"{data['n'].max()} seeds). Exploratory."
        )
        return Markdown(text.replace("-0", f"{units.MINUS}0"))

    def show_over(
        self,
        lines: Mapping[str, pd.Series],
        x: str,
        y: str,
        *,
        caption: str,
        marks: Mapping[str, float | None] | None = None,
    ) -> None:
        """Display lines over a numeric axis and the marks that have a place (`figures.over`)."""
        placed = {label: at for label, at in (marks or {}).items() if at is not None}
        fig, data = figures.over(lines, x, y, placed)
        marked = "".join(f"; {label} at {at:g}" for label, at in placed.items())
        figures.show(
            fig,
            caption=f"{caption} The band is the 95% interval of the mean over seeds. {self._stamp}",
            alt=f"Line chart of {y} over {x}: "
            + "; ".join(
                f"{label} from {part[f'{y}, mean'].iloc[0]:g} to {part[f'{y}, mean'].iloc[-1]:g}, "
                f"at most {part[f'{y}, mean'].max():g}"
                for label, part in data.groupby("line", sort=False)
            )
            + marked,
            table=data,
        )

    def show_images(self, pictures: Mapping[str, np.ndarray], what: str, *, caption: str) -> None:
        """Display small images that the notebook itself computed (see `figures.images`)."""
        fig, data = figures.images(pictures, what)
        ranges = "; ".join(
            f"{row['image']} from {row['least']:g} to {row['most']:g}"
            for row in data.to_dict("records")
        )
        figures.show(
            fig,
            caption=f"{caption} Computed by this notebook.",
            alt=f"Small images of {what}: {ranges}",
            table=data,
        )

    @property
    def _stamp(self) -> str:
        made = self.record.provenance
        return (
            f"Preset {self.record.preset['name']}, {made['device']}, "
            f"n = {self.record.preset['seeds']} seeds, commit {made['commit']}."
            + (f" Other data than the book's: {self.record.data['name']}." if self.folder else "")
        )


def open_chapter(
    name: str,
    *,
    preset: str = "quick",
    device: str = "auto",
    seeds: int | None = None,
    data: str | None = None,
) -> Chapter:
    """Return the chapter of a paper, from the notebook's parameters.

    Args:
        name: the study.
        preset: quick, laptop or gpu; what this notebook runs.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        seeds: final seeds; the preset's own if None.
        data: name of a data set or a folder of images; the preset's own if None. On other data
            the page rests on the records that `reviewlib study NAME --data DATA` made.

    Raises:
        ValueError: an unknown study, preset, device, number of seeds or data set.
        DataError: the data cannot be read, or are too few.
    """
    of, where = study.find(name), compare.resolve(device)
    usual = of.preset(preset)
    size = compare.resize(usual, seeds, data)
    if size.data == usual.data:
        return Chapter(of, size, where)
    on_data, folder = compare.on_data(of, data)
    return Chapter(on_data, size, where, folder)


def _inside(mean: float, interval: stats.Interval) -> bool:
    return interval.lo - 1e-9 <= mean <= interval.hi + 1e-9


def _ranges(data: pd.DataFrame, column: str) -> str:
    lows_and_highs = data.groupby("arm", sort=False)[column].agg(["min", "max"])
    return "; ".join(f"{arm} {low} to {high}" for arm, (low, high) in lows_and_highs.iterrows())
