"""The author's commands: pair, new and check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reviewlib.options import Name, Root
from reviewlib.terminal import book_folder, fail, say


def pair(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if out of step.")] = (
        False
    ),
    pull: Annotated[
        Path | None, typer.Option(help="A .ipynb edited in Jupyter: rewrite its .py from it.")
    ] = None,
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
            for path in pairing.write(folder):
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
