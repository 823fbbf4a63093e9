"""What a notebook calls: run its preset, load the evidence, show source, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from reviewlib import data as datasets
from reviewlib import papers
from reviewlib.evidence.checklist import checklist
from reviewlib.evidence.make import make
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.store import BOOK, Store, on_data
from reviewlib.evidence.validity import EVIDENCE, best, waiting
from reviewlib.page import costs, curves, figures, plane, prose, search, sizes, tables
from reviewlib.page.agreement import agreement, evidence
from reviewlib.page.answer import opening
from reviewlib.page.chosen import chosen
from reviewlib.page.drawing import Drawn, show
from reviewlib.page.markup import folded, source, stamped
from reviewlib.page.missing import needs_evidence, nothing_yet
from reviewlib.page.quotes import Quotes
from reviewlib.page.versions import versions
from reviewlib.train import device as devices
from reviewlib.trial.inputs import Sample
from reviewlib.trial.other_data import resize
from reviewlib.trial.runs import draw
from reviewlib.trial.study import Preset, Study

__all__ = ["Chapter", "open_chapter", "source"]


@dataclass
class Chapter(Quotes):
    """One notebook's view of its study.

    Attributes:
        study: the study of the chapter.
        preset: the sizes that this notebook runs.
        device: the device that it runs on: "cpu" or "cuda".
        store: where the records are stored.
    """

    study: Study
    preset: Preset
    device: str
    store: Store = BOOK

    @cached_property
    def fresh(self) -> Record:
        """The record of the notebook's preset, made on this machine at the first access."""
        self._runs: list[dict] = []
        how = {"store": self.store, "device": self.device, "progress": self._runs.append}
        return make(self.study, self.preset, **how)

    @cached_property
    def _evidence(self) -> tuple[Record, list[str]]:
        if self.preset.name in EVIDENCE:
            return self.fresh, []
        return best(self.study, self.store)

    @property
    def record(self) -> Record:
        """The record that the page shows: the largest valid one, or this machine's own.

        Raises:
            RecordError: there is none (see `needs_evidence`), or none that is valid.
        """
        return self._evidence[0]

    @property
    def awaits(self) -> str:
        """What the page says of older records that it shows without verdicts; "" for others."""
        return "" if self.preset.name in EVIDENCE else waiting(self.study, self.store)

    def answer(self) -> None:
        """Display the answer box, and below it the forest plot of the primary claims.

        Without a valid record, and where the chapter awaits new ones, the box says why there is no
        answer.
        """
        display(HTML(opening(self)))

    def claims(self) -> None:
        """Display the claim card: each claim, its source and its test."""
        display(Markdown(prose.CLAIMS), stamped(tables.claims(self.study)))

    def experiment(self) -> None:
        """Display *The experiment*: this machine's run, the evidence, arms, sizes and search."""
        fresh = self.fresh
        try:
            stored = self.store.load(self.study.name, self.preset.name)
        except RecordError:
            stored = None
        display(Markdown(agreement(self.study, fresh, stored, self._runs)))
        if line := nothing_yet(self):
            display(Markdown(line))
            return
        display(
            Markdown(evidence(*self._evidence, self.store.data)),
            Markdown(prose.FIRST_PROTOCOL if self.awaits else prose.EXPERIMENT),
            stamped(tables.arms(self.study, self.record), self.stamp),
            stamped(sizes.protocol(self.study, self.record, first=bool(self.awaits)), self.stamp),
        )
        if drawn := chosen(self.study, self.record):
            show(drawn, self.stamp)
        if self.store == BOOK and len(listed := versions(self.study)):
            display(HTML(folded("What was registered, and what had been seen before", listed)))

    @needs_evidence
    def show_search(self, *names: str) -> None:
        """Display the contrast against the length of the search, by default of all primary claims.

        Claims about ablations are left out, and all claims where the records have no search.
        """
        outs = [self._out(name) for name in names or (c.name for c in self.study.primary)]
        if drawn := search.length(self.study, self.record, outs):
            show(drawn, self.stamp)

    @needs_evidence
    def closing(self) -> None:
        """Display *Verdict*: verdicts, controls, costs and checklist."""
        outs = self.verdicts.values(), self.control_verdicts.values()
        display(
            Markdown(prose.NO_VERDICT if self.study.awaiting else prose.VERDICT),
            stamped(tables.verdicts(self.study, outs[0]), self.stamp_of(outs[0])),
            stamped(tables.contrasts(self.study, outs[1]), self.stamp_of(outs[1])),
        )
        price = costs.price(self.study, self.record)
        if len(price) > 1:
            display(stamped(price, self.stamp))
        if self.record.timings is not None:
            display(stamped(costs.steps(self.study, self.record), self.timing_stamp))
        rules = checklist(self.study, self.record, self.store)
        display(HTML(folded("The rules of the protocol that code can check", rules)))

    @needs_evidence
    def compare(self, *names: str) -> None:
        """Display the paired differences of the named claims, as a figure and as a table."""
        outs = [self._out(name) for name in names]
        drawn = figures.contrasts(self.study, outs)._replace(anchors=self._anchors(names))
        show(drawn, self.stamp_of(outs))
        display(self.contrasts(*names))

    def sample(self, seed: int = 0, condition: str | None = None) -> Sample:
        """Return the images that a run of the `quick` preset gets, to be shown in a picture.

        Args:
            seed: seed of the draw.
            condition: name of the condition that sets the label noise; by default the first one.
        """
        preset = self.study.preset("quick")
        where = self.study.condition(condition) if condition else self.study.conditions[0]
        return draw(datasets.load(preset.data).development, preset, where, seed)

    @needs_evidence
    def show_finals(self) -> None:
        """Display the test accuracy of every arm."""
        show(figures.finals(self.study, self.record), self.stamp)

    @needs_evidence
    def show_costs(self, condition: str, *arms: str) -> None:
        """Display the test accuracy of the named arms over what they cost."""
        show(plane.over_cost(self.study, self.record, condition, arms), self.stamp)

    @needs_evidence
    def show_curves(self, condition: str, *arms: str) -> None:
        """Display validation accuracy along training for the named arms."""
        show(curves.along_training(self.study, self.record, condition, arms), self.stamp)

    def show_over(
        self,
        lines: Mapping[str, pd.Series],
        x: str,
        y: str,
        *,
        caption: str,
        marks: Mapping[str, float | None] | None = None,
    ) -> None:
        """Display lines over a numeric axis (see `curves.over`), without marks that are None."""
        placed = {label: at for label, at in (marks or {}).items() if at is not None}
        show(curves.over(lines, x, y, placed, caption), self.stamp)

    def show_images(self, pictures: Mapping[str, np.ndarray], what: str, *, caption: str) -> None:
        """Display small images that the notebook computed (see `figures.images`)."""
        self.show(figures.images(pictures, what, caption))

    def show(self, drawn: Drawn) -> None:
        """Display a figure of what the notebook computed."""
        show(drawn, "Computed by this notebook.")

    @property
    def stamp(self) -> str:
        """One line that says where the page's numbers come from."""
        made = self.record.provenance
        return (
            f"Preset {self.record.preset['name']}, {made['device']}, "
            f"n = {self.record.n} seeds, commit {made['commit']}."
            + (f" Other data than the book's: {self.record.data['name']}." * bool(self.store.data))
            + " The book's first protocol, no verdicts." * bool(self.awaits)
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
        name: the name of the study.
        preset: the sizes that this notebook runs: quick, laptop or gpu.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
        seeds: number of final seeds; the preset's own if None.
        data: name of a data set, or a folder of images; the preset's own if None. On other data
            the page shows the records that `reviewlib study NAME --data DATA` made.

    Raises:
        ValueError: the study, preset, device or data set is unknown, or `seeds` is not possible.
        DataError: the data cannot be read, or have too few images.
    """
    of, where = papers.find(name), devices.resolve(device)
    usual = of.preset(preset)
    size = resize(usual, seeds, data)
    if size.data == usual.data:
        return Chapter(of, size, where)
    study, store = on_data(of, data)
    return Chapter(study, size, where, store)
