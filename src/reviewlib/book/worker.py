"""The process that executes one notebook with papermill: `python -m reviewlib.book.worker`.

It sends the position of each cell that it starts, then the text of the executed notebook or a
Failure. Papermill's log goes to stderr.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from reviewlib import sources
from reviewlib.book import notebooks
from reviewlib.book.failures import Failure, raised

START_SECONDS = 120  # time limit for a kernel to start


def execute(
    path: Path, parameters: Mapping[str, str], cell_seconds: int, started: Callable[[int], None]
) -> str | Failure:
    """Execute a notebook and return its text, or why it failed.

    Args:
        path: the notebook.
        parameters: values for its parameters cell, which must exist if any are given.
        cell_seconds: time limit of one cell.
        started: called with the position of each cell, counted from 1.
    """
    cells = notebooks.read(path)["cells"]
    tagged = [index for index, cell in enumerate(cells) if "parameters" in notebooks.tags(cell)]

    def position(index: int) -> int:
        # papermill adds a cell below the one that is tagged
        return index + 1 - bool(parameters and index > tagged[0])

    try:
        done = papermill.execute_notebook(
            path,
            None,
            {name: value(text) for name, text in parameters.items()},
            kernel_name="python3",
            progress_bar=False,
            log_output=True,
            start_timeout=START_SECONDS,
            execution_timeout=cell_seconds,
            cwd=path.parent,
            on_cell_start=lambda cell, cell_index: started(position(cell_index)),
        )
    except PapermillExecutionError as error:
        return raised(position(error.cell_index), error.ename, error.evalue, error.traceback)
    except DeadKernelError:
        return Failure("the kernel died (out of memory?)")
    except CellTimeoutError:
        return Failure(f"the cell took more than {cell_seconds} s")
    except Exception as error:
        logging.exception("papermill failed")
        return Failure(f"{type(error).__name__}: {error}")
    quieten(done["cells"])
    return _unfinished(done["cells"], position) or nbformat.writes(done)


def quieten(cells: list[dict[str, Any]]) -> None:
    """Drop what other libraries printed on stderr; the log has it.

    A warning of this package stays, and fails the book.
    """
    for cell in cells:
        if "outputs" in cell:
            cell["outputs"] = [each for each in cell["outputs"] if not _of_others(each)]


def _of_others(output: Mapping[str, Any]) -> bool:
    return output.get("name") == "stderr" and str(sources.PACKAGE) not in output["text"]


def value(text: str) -> Any:
    """Return what a parameter's text means in Python: "3" is 3. Other text stays as it is."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _unfinished(cells: list[dict[str, Any]], position: Callable[[int], int]) -> Failure | None:
    """Return a failure that papermill does not report, as after sys.exit(0) in a cell."""
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error":
                parts = output["ename"], output["evalue"], output["traceback"]
                return raised(position(index), *parts)
        if cell["source"].strip() and not cell.get("execution_count", 1):
            return Failure("the cell was never run", position(index), cell["source"])
    return None


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    notebook, values, limit = json.loads(sys.argv[1])
    channel = Connection(int(sys.argv[2]), readable=False)
    with channel as pipe, tempfile.TemporaryDirectory() as folder:
        os.environ |= notebooks.own_kernel(Path(folder))
        pipe.send(execute(Path(notebook), values, limit, pipe.send))
