"""The author's commands: pair, new, check and time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reviewlib.options import Device, Name, Root, place
from reviewlib.terminal import book_folder, fail, note, out, running, say, timing_table


def pair(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if out of step.")] = (
        False
    ),
    pull: Annotated[
        Path | None,
        typer.Option(
            parser=place,
            metavar="<path>",
            help="A .ipynb edited in Jupyter: rewrite its .py from it.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite notebooks that were edited, too.")
    ] = False,
    root: Root = None,
) -> None:
    """Write notebooks/NAME.ipynb from NAME.py where contents differ; file times do not matter."""
    from reviewlib.book import pairing

    folder = book_folder(root) / "notebooks"
    if check and pull:
        raise fail("--check changes nothing and --pull does; give one of them", 2)
    try:
        if pull is not None:
            pairing.pull(pull)
        if not check:
            for path in pairing.write(folder, force=force):
                typer.echo(f"wrote {path}")
    except (OSError, ValueError) as error:
        raise fail(error) from error
    if problems := pairing.check(folder):
        raise fail("\n".join(problems))


def new(
    name: Annotated[str, typer.Argument(help="The paper in a word, such as lottery_tickets.")],
    root: Root = None,
) -> None:
    """Write the skeleton of a chapter: method, study, notebook pair and test. It runs as it is."""
    from reviewlib.author import scaffold

    try:
        for path in scaffold.write(book_folder(root), name):
            typer.echo(f"wrote {path}")
    except (OSError, ValueError) as error:
        raise fail(error) from error
    say(f"`reviewlib check {name}` says what to fill in")


def check(
    name: Name,
    run: Annotated[bool, typer.Option("--run", help="Execute the notebook too.")] = False,
    root: Root = None,
) -> None:
    """Check a chapter against every rule; exit code 1 if something is left to do."""
    from reviewlib.author import rules
    from reviewlib.author.draft import Draft

    folder = book_folder(root)
    if name not in (known := rules.chapters(folder)):
        raise fail(f"no chapter is called {name!r}; there are: {', '.join(known)}")
    draft, left = Draft(folder, name), 0
    for rule in (*rules.RULES, *((rules.runs,) if run else ())):
        problems = rules.problems(rule, draft)
        left += len(problems)
        typer.echo(f"{'to do' if problems else 'met  '}  {rule.__doc__}")
        for problem in problems:
            typer.echo(f"       - {problem}")
    if left:
        raise fail(f"{name} has {left} things to do")


def time_steps(
    name: Name,
    count: Annotated[
        int, typer.Option("--launches", min=5, help="Processes to start, one after another.")
    ] = 10,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=place,
            metavar="<path>",
            help="Write DIR/NAME/PRESET-timings.json, not the package's.",
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Time the steps of a paper's arms on this machine, print them and write the timings.

    Steps take turns within a process, and the shortest of several rounds counts. Still, let the
    machine do nothing else meanwhile.
    """
    from reviewlib import papers
    from reviewlib.evidence import timings
    from reviewlib.train.device import resolve
    from reviewlib.trial.timings import launches

    try:
        study, where, found = papers.find(name), resolve(device), []
        timings.preset_of(study, where)
        with running(f"{name}, launches", count) as advance:
            for rows in launches(study, where, count):
                found.append(rows)
                advance({})
        made = timings.make(study, where, found)
        path = timings.save(made, out_dir)
    except KeyboardInterrupt:
        raise fail("stopped; no timings were written", 130) from None
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        raise fail(error) from error
    out.print(timing_table(made.lines(study)))
    typer.echo(path)
    if not out_dir and (wrong := timings.problems(study, made)):
        note(f"the book does not show these: {'; '.join(wrong)}")
