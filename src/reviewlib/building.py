"""The commands that make the book: execute and build."""

from __future__ import annotations

import re
from functools import partial

import typer

from reviewlib.book.notebooks import CELL_SECONDS, NOTEBOOK_SECONDS
from reviewlib.options import (
    AsJson,
    CellTimeout,
    Data,
    Force,
    Jobs,
    Only,
    Parameters,
    Root,
    Timeout,
)
from reviewlib.terminal import book_folder, fail, reporting


def execute(
    only: Only = None,
    jobs: Jobs = 2,
    parameter: Parameters = None,
    force: Force = False,
    cell_timeout: CellTimeout = CELL_SECONDS,
    timeout: Timeout = NOTEBOOK_SECONDS,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Run notebooks through papermill into _executed/; unchanged ones are skipped.

    A notebook that fails does not stop the others and keeps its last good copy. The log of
    papermill is in _executed/NAME.log.
    """
    from reviewlib.book.execute import execute as execute_book

    book, parameters = book_folder(root), _for_the_book(parameter)
    with reporting(book, as_json) as report:
        execute_book(
            book,
            only,
            jobs=jobs,
            parameters=parameters,
            force=force,
            cell_seconds=cell_timeout,
            seconds=timeout,
            report=report,
        )


def build(
    only: Only = None,
    jobs: Jobs = 2,
    parameter: Parameters = None,
    force: Force = False,
    cell_timeout: CellTimeout = CELL_SECONDS,
    timeout: Timeout = NOTEBOOK_SECONDS,
    data_name: Data = None,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Execute what changed and build the book; the last line says which file to open."""
    from reviewlib.book.build import build as build_book

    book, parameters = book_folder(root), _for_the_book(parameter)
    if data_name is not None:
        from reviewlib.book.private import build_on  # imports torch, which takes seconds

        build_book = partial(build_on, data_name=data_name)
    with reporting(book, as_json) as report:
        page = build_book(
            book,
            names=only,
            jobs=jobs,
            parameters=parameters,
            force=force,
            cell_seconds=cell_timeout,
            seconds=timeout,
            report=report,
        )
    if not as_json:
        typer.echo(f"The book is ready: open {page}")


def _for_the_book(parameters: list[str] | None) -> dict[str, str]:
    """Return name=value options as a mapping; `data` is refused, as the book has its own."""
    if wrong := [text for text in parameters or [] if "=" not in text]:
        raise fail(f"a parameter is name=value, got {wrong[0]!r}", 2)
    given = dict(text.split("=", 1) for text in parameters or [])
    if "data" in given:
        message = "the book has its own data; `reviewlib build --data DATA` builds one on yours"
        raise fail(message, 2)
    if not re.fullmatch(r"\d+|None", given.get("seeds", "None")):
        raise fail(f"seeds must be a whole number of at least 2, got {given['seeds']!r}", 2)
    return given
