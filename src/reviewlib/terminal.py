"""Output of the command line: errors, progress and tables on a terminal."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

# What a terminal shows that has no Unicode, such as cp1252; anything else becomes a question mark.
PLAIN = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "x"})


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream cannot encode; an error handler of `codecs`."""
    lost = error.object[error.start : error.end].translate(PLAIN)
    return lost.encode("ascii", "replace").decode(), error.end


codecs.register_error("plain", _plain)
for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):  # a notebook's is none
        stream.reconfigure(errors="plain")

out = Console()
err = Console(stderr=True)


def fail(message: object, code: int = 1) -> typer.Exit:
    """Print an error on stderr and return the exception that ends the command.

    Args:
        message: what went wrong: an exception, with its notes, or a text.
        code: exit code of the command.
    """
    notes = "".join(f"; {note}" for note in getattr(message, "__notes__", ()))
    say(f"[red]error:[/red] {escape(message)}{escape(notes)}")
    return typer.Exit(code)


def note(message: object) -> None:
    """Print a note on stderr."""
    say(f"[yellow]note:[/yellow] {escape(message)}")


def say(text: str) -> None:
    """Print a line on stderr, with rich markup in square brackets."""
    err.print(text, highlight=False, soft_wrap=True)


def escape(message: object) -> str:
    """Return a message with its square brackets escaped, so that they are not markup."""
    return str(message).replace("[", r"\[")


def watched(items: list[str], doing: str) -> Iterator[str]:
    """Yield the items under a progress bar."""
    yield from progress.track(items, doing, console=err, transient=True)


@contextmanager
def running(what: str, runs: int) -> Iterator[Callable[[dict], None]]:
    """Show a progress bar over a study's runs; call the yielded function after each run.

    A run from the cache is none to wait for, so it leaves the total, and the time that is left is
    estimated from new runs. What follows the last run is logistic regression.
    """
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=runs)
        done, cached = 0, 0

        def advance(row: dict) -> None:
            nonlocal done, cached
            new = not row.get("from_cache")
            done, cached = done + new, cached + (not new)
            text = f"{what}, {cached} from the cache" if cached else what
            text += ", logistic regression" if row and done + cached == runs else ""
            bar.update(task, completed=done, total=runs - cached, description=text)

        yield advance


@contextmanager
def reporting(book: Path, as_json: bool) -> Iterator[Callable[[Any], None]]:
    """Show notebooks while they run, then their outcomes; exit with 1 if one failed."""
    from reviewlib.book.build import BuildError
    from reviewlib.book.execute import last_runs
    from reviewlib.book.progress import Display, table

    display, trouble, code = Display(last_runs(book), err), None, 1
    try:
        with display:
            yield display
    except KeyboardInterrupt:
        trouble = "stopped; what has finished is kept, the same command goes on from here"
        code = 130
    except (BuildError, ValueError, OSError) as error:
        trouble = error
    outcomes = display.ended()
    if as_json:
        typer.echo(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    elif outcomes:
        out.print(table(outcomes))
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    for outcome in failed:
        fail(outcome.error)
        typer.echo(outcome.traceback, err=True)
    if trouble and not (failed and isinstance(trouble, BuildError)):
        raise fail(trouble, code)
    if failed:
        raise typer.Exit(1)


class Commands(TyperGroup):
    """The commands; one that needs a package of an extra says so in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in ("", "reviewlib"):
                raise
            what = f"this command needs the package {package}, which the extra `book` brings"
            raise fail(f"{what}: pip install 'reviewlib[book]'") from error


def study_table(rows: list[dict]) -> Table:
    """Return a table with one row per paper, with its valid records or its error."""
    table = Table("paper", "title", "valid records", "quick run, CPU-s")
    for row in rows:
        seconds = "–" if row["quick_seconds"] is None else f"{row['quick_seconds']:.0f}"
        title = Text(row["error"] or row["title"])
        none = "none, awaiting new ones" if row["awaiting"] else "none"
        table.add_row(row["paper"], title, ", ".join(row["presets"]) or none, seconds)
    return table


def verdict_table(rows: list[dict]) -> Table:
    """Return a table of one paper's claims; long texts wrap and are not cut."""
    from reviewlib.evidence import units

    made = [str(rows[0][key]) for key in ("preset", "device", "commit") if rows[0][key]]
    title = Text(f"{rows[0]['paper']}: {', '.join(made)}")
    table = Table(title=title, title_justify="left")
    for heading in ("claim", "effect", "interval", "n", "verdict"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        shown = ["–", "–", "–"]
        if row["mean"] is not None:
            of = row["metric"], row["scale"]
            lo, hi = (units.effect(row[key], *of) for key in ("lo", "hi"))
            shown = [units.with_unit(row["mean"], *of), f"{lo} to {hi}", str(row["n"])]
        awaits = row["state"] == "awaiting" and row["primary"]
        none = "no valid records" if row["stale"] else "awaiting" if awaits else "exploratory"
        word = row["verdict"] or none
        word += " (no loss)" if row["kind"] == "no loss" else ""
        table.add_row(*map(Text, (row["claim"], *shown, word)))
    return table


def timing_table(lines: list[tuple[str, str, str, str]]) -> Table:
    """Return a table of what the steps of arms cost, net by net."""
    table = Table(title="A step: the medians over launches", title_justify="left")
    for heading, side in (("net", "left"), ("arm", "left"), ("ms", "right"), ("×", "right")):
        table.add_column(heading, justify=side, overflow="fold")
    last = ""
    for net, *cells in lines:
        table.add_row(*map(Text, ("" if net == last else net, *cells)))
        last = net
    return table


def version_lines(versions: list[dict]) -> list[str]:
    """Return one line per registered version of a study: its reason, and what it said."""
    lines = []
    for each in versions:
        said = "; ".join(f"{claim}: {verdict}" for claim, verdict in each["verdicts"].items())
        made = f"version {each['version']}, registered {each['date']}: {each['why']}"
        lines.append(f"{made}. It said: {said or 'nothing on record'}")
    return lines


def book_folder(root: Path | None) -> Path:
    """Return the book's folder: the given one, or the nearest one above with a _config.yml."""
    places = [root] if root else [Path.cwd(), *Path.cwd().parents]
    for place in places:
        if (place / "_config.yml").exists():
            return place.resolve()
    where = f"{root}" if root else f"{Path.cwd()} or above"
    raise fail(f"no _config.yml in {where}: run this in the book's folder, or name it with --root")
