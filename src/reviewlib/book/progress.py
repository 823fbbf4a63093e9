"""Show notebooks on a terminal: one line each while they run, and a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reviewlib.book.execute import WHOLE_BOOK, Outcome


class _Left(progress.ProgressColumn):
    """The time left if the notebook takes as long as its last run did."""

    def render(self, task: progress.Task) -> Text:
        """Return the time left as text; empty if there was no last run."""
        expected = task.fields["expected"]
        if task.finished or expected is None:
            return Text()
        left = expected - (task.elapsed or 0)
        return Text(f"about {left:.0f} s left" if left > 0 else "longer than last time")


class Display(progress.Progress):
    """A line for each running notebook; call it with outcomes, from any thread."""

    def __init__(self, last_runs: Mapping[str, Mapping[str, Any]], console: Console) -> None:
        columns = (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.TextColumn("{task.fields[where]}"),
            progress.TimeElapsedColumn(),
            _Left(),
        )
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._ended: dict[str, Outcome] = {}
        self._last_runs = last_runs
        self._lines: dict[str, progress.TaskID] = {}

    def __call__(self, outcome: Outcome) -> None:
        """Show the progress of a notebook."""
        if outcome.state == "waiting":
            self.console.print(outcome.cause)
            return
        if outcome.name not in self._lines:
            expected = self._last_runs.get(outcome.name, {}).get("seconds")
            fields = {"expected": expected, "where": "", "total": 1}
            self._lines[outcome.name] = self.add_task(outcome.name, **fields)
        running = outcome.state == "running"
        where = _where(outcome) if running else outcome.state
        self.update(self._lines[outcome.name], where=where, completed=0 if running else 1)
        if not running:
            self._ended[outcome.name] = outcome

    def ended(self) -> list[Outcome]:
        """Return the outcomes of finished notebooks, sorted by name, with the book last."""
        return sorted(self._ended.values(), key=lambda of: (of.name == WHOLE_BOOK, of.name))


def table(outcomes: Iterable[Outcome]) -> Table:
    """Return a table with one row per notebook; long texts wrap and are not cut."""
    shown = Table()
    for heading in ("notebook", "state", "seconds", "cells", "cause"):
        right = "right" if heading in ("seconds", "cells") else "left"
        shown.add_column(heading, justify=right, overflow="fold")
    for of in outcomes:
        cells = "" if of.cells is None else str(of.cells)
        if of.cell is not None:
            cells = f"{of.cell} of {cells}"
        texts = of.name, of.state, f"{of.seconds:.1f}", cells, of.cause or ""
        shown.add_row(*map(Text, texts))
    return shown


def _where(outcome: Outcome) -> str:
    if outcome.cell is None:
        return "starting" if outcome.cells else "running"
    return f"cell {outcome.cell} of {outcome.cells}"
