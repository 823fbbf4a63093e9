"""The options that the commands of `reviewlib` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def place(text: str) -> Path:
    """Return a path that somebody gave, with ~ for the home folder.

    Raises:
        BadParameter: it is empty, or names the home folder of nobody.
    """
    if not text.strip():
        raise typer.BadParameter("a path must not be empty; leave the option out for its default")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text} names the home folder of nobody: {error}") from error


def data_named(text: str) -> str:
    """Return the name of a data set or a folder of images, with ~ for the home folder."""
    return str(place(text))


Name = Annotated[str, typer.Argument(help="A paper, as `reviewlib list` names it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other tools.")]
Root = Annotated[
    Path | None,
    typer.Option(
        parser=place,
        metavar="<path>",
        help="The book's folder; by default the nearest one above that has a _config.yml.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Name of a notebook, such as sam; repeat it for more. All by default."),
]
CellTimeout = Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")]
Timeout = Annotated[int, typer.Option(min=1, help="Seconds that one notebook may take.")]
Jobs = Annotated[int, typer.Option(min=1, help="How many to run at once on this machine.")]
Force = Annotated[bool, typer.Option(help="Run even if nothing has changed.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        parser=data_named,
        metavar="<str>",
        help="Other data: cifar10, or a folder of images with a folder per class. Records on "
        "other data are kept outside the package, and every preset tunes for itself.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        parser=place,
        metavar="<path>",
        help="Write DIR/NAME/PRESET.json instead of the package's records.",
    ),
]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")]
Engine = Annotated[
    Literal["local", "processes", "ray"] | None,
    typer.Option(
        help="local: this process. processes: several on this machine. ray: a Ray cluster, or a "
        "new one here with --jobs CPUs. By default processes if --jobs is above 1, else local."
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Replay the fingerprints of the stored records; rerun only stale arms.",
    ),
]
TrialRun = Annotated[
    bool,
    typer.Option(
        "--trial-run",
        help="Run one seed and two trials, save nothing, and forecast what quick and laptop cost.",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", help="name=value for the notebooks' parameters cell."),
]
