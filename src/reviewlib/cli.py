"""The command line: reviewlib list | study | execute | build | verdicts | pair | new | check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reviewlib.book.notebooks import CELL_SECONDS, NOTEBOOK_SECONDS

app = typer.Typer(
    help="Fair Trial: deep-learning papers put to the test. Every paper has a study (tuned "
    "baselines, paired seeds), records of its runs, and a notebook that turns them into verdicts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other tools.")]
Root = Annotated[
    Path | None,
    typer.Option(
        help="The book's folder; by default the nearest one above that has a _config.yml."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="A notebook by name, such as sam; give it again for more. All by default."),
]
CellTimeout = Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")]
Timeout = Annotated[int, typer.Option(min=1, help="Seconds that one notebook may take.")]
Jobs = Annotated[int, typer.Option(min=1, help="How many at once on this machine.")]
Force = Annotated[bool, typer.Option(help="Do it even where nothing has changed.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Other data: cifar10, or a folder of images with a folder per class. Their records "
        "are kept apart from the package's, and every preset tunes for itself.",
    ),
]
Engine = Literal["local", "processes", "ray"]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", help="name=value for the notebooks' parameters cell."),
]


def fail(message: object, code: int = 1) -> typer.Exit:
    """Return the exit of a command after saying on stderr what went wrong."""
    notes = "".join(f"; {note}" for note in getattr(message, "__notes__", ()))
    err.print(
        f"[red]error:[/red] {_escape(message)}{_escape(notes)}", highlight=False, soft_wrap=True
    )
    return typer.Exit(code)


@app.command("list")
def list_studies(as_json: AsJson = False) -> None:
    """List the reviewed papers and which of their records are valid today."""
    from reviewlib import records, study

    rows = []
    for name in _watched(study.found(), "replaying fingerprints"):
        of = study.find(name)
        valid, quick = [], None
        for preset in of.presets:
            try:
                record = records.load(name, preset.name)
            except records.RecordError:
                continue
            if preset.name == "quick":
                quick = record.provenance["cpu_seconds"]
            if not records.faults(record, of):
                valid.append(preset.name)
        rows.append({"paper": name, "title": of.title, "presets": valid, "quick_seconds": quick})
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("paper", "title", "valid records", "quick run, CPU-s")
    for row in rows:
        seconds = "–" if row["quick_seconds"] is None else f"{row['quick_seconds']:.0f}"
        table.add_row(row["paper"], row["title"], ", ".join(row["presets"]) or "none", seconds)
    out.print(table)


@app.command("study")
def run_study(
    name: Annotated[str, typer.Argument(help="A paper, as `reviewlib list` names it.")],
    preset: Annotated[str, typer.Option(help="Sizes: quick, laptop or gpu.")] = "quick",
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Write DIR/NAME/PRESET.json, not the package's own records."),
    ] = None,
    data_name: Data = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = (
        "auto"
    ),
    engine: Annotated[
        Engine | None,
        typer.Option(
            help="local: this process. processes: of this machine. ray: a cluster, or one of "
            "--jobs CPUs started here. By default processes if --jobs is more than 1."
        ),
    ] = None,
    jobs: Jobs = 1,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Replay the fingerprints of the stored records; rerun only arms that went stale.",
        ),
    ] = False,
) -> None:
    """Run a paper's study and write its records.

    Finished runs are kept in your cache as they come: stop it at any time and start it again.
    """
    from reviewlib import compare, data, engines, records, study

    seen: list[bool] = []
    try:
        of = study.find(name)
        size, where = compare.resize(of.preset(preset), name=data_name), compare.resolve(device)
        of, folder = compare.on_data(of, data_name)
        out_dir = out_dir or folder
        records.writable(name, preset, out_dir)
        data.load(size.data)
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(f"{name}, {preset}", total=compare.runs_in(of, size))

            def finished(row: dict) -> None:
                seen.append(row["from_cache"])
                bar.advance(task)

            how = {
                "device": where,
                "engine": engine or ("processes" if jobs > 1 else "local"),
                "jobs": jobs,
                "folder": out_dir,
                "progress": finished,
            }
            if verify:
                record, rerun = compare.verify(of, size, **how)
            else:
                record = compare.run_study(of, size, **how)
        path = records.save(record, out_dir)
    except KeyboardInterrupt:
        message = "stopped; finished runs are kept, the same command goes on from here"
        raise fail(message, 130) from None
    except (ValueError, OSError, ImportError, data.DataError, engines.WorkerError) as error:
        raise fail(error) from error
    if verify:
        news = f"rerun because they went stale: {', '.join(rerun)}" if rerun else "nothing is stale"
        err.print(f"verified {len(record.fingerprints)} arms; {news}", highlight=False)
    seconds = record.provenance["cpu_seconds"]
    err.print(
        f"{len(seen)} runs, {sum(seen)} of them from the cache; {seconds:.0f} s of training in all",
        highlight=False,
    )
    typer.echo(path)


@app.command()
def verdicts(
    as_json: AsJson = False,
    record: Annotated[
        str | None,
        typer.Option(metavar="WHY", help="Write verdicts that changed into the history, and why."),
    ] = None,
) -> None:
    """Print what the records say of every claim; exit code 1 if a study has no valid records."""
    from reviewlib import ledger, study

    if record is not None and not record.strip():
        raise fail('--record takes the reason of the change: --record "why"', 2)
    papers = _watched(study.found(), "judging claims")
    rows = [row for name in papers for row in ledger.entries(name)]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        for paper in dict.fromkeys(row["paper"] for row in rows):
            out.print(_verdict_table([row for row in rows if row["paper"] == paper]))
    for reason in dict.fromkeys(row["reason"] for row in rows if row["reason"]):
        err.print(f"[yellow]note:[/yellow] {_escape(reason)}", highlight=False, soft_wrap=True)
    for paper in dict.fromkeys(row["paper"] for row in rows):
        _keep_history(paper, [row for row in rows if row["paper"] == paper], record)
    if any(row["stale"] for row in rows):
        raise typer.Exit(1)


def _keep_history(paper: str, rows: list[dict], why: str | None) -> None:
    """Record the verdicts of a paper that changed, or say that its history is behind."""
    from reviewlib import history, provenance

    try:
        changed = history.changes(history.read(paper), rows)
        if changed and why:
            made = provenance.today()
            if "+" in made["commit"] or made["commit"] == "unknown":
                raise fail("commit the code and its records first: the history names the commit")
            history.append(paper, changed, made["date"], made["commit"], why)
    except (ValueError, OSError) as error:
        raise fail(error) from error
    if not changed:
        return
    done = "recorded" if why else 'not in the history yet; run `reviewlib verdicts --record "why"`'
    news = f"verdicts of {paper} that changed: {', '.join(row['claim'] for row in changed)}; {done}"
    err.print(f"[yellow]note:[/yellow] {_escape(news)}", highlight=False, soft_wrap=True)


def _verdict_table(rows: list[dict]) -> Table:
    """Return one paper's claims; every cell folds rather than being cut."""
    from reviewlib import units

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
        word = row["verdict"] or ("no valid records" if row["stale"] else "exploratory")
        table.add_row(*map(Text, (row["claim"], *shown, word)))
    return table


@app.command()
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

    A notebook that fails stops no other and keeps its last good copy; _executed/NAME.log has all
    that papermill said.
    """
    from reviewlib.book.execute import execute as run_notebooks

    book = _root(root)
    with _reporting(book, as_json) as report:
        run_notebooks(
            book,
            only,
            jobs=jobs,
            parameters=_for_the_book(parameter),
            force=force,
            cell_seconds=cell_timeout,
            seconds=timeout,
            report=report,
        )


@app.command()
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
    from reviewlib.book.private import build_on

    book, parameters = _root(root), _for_the_book(parameter)
    with _reporting(book, as_json) as report:
        options = {
            "jobs": jobs,
            "parameters": parameters,
            "force": force,
            "cell_seconds": cell_timeout,
            "seconds": timeout,
            "report": report,
        }
        if data_name:
            page = build_on(book, data_name, only, **options)
        else:
            page = build_book(book, only, **options)
    if not as_json:
        typer.echo(f"The book is ready: open {page}")


@app.command()
def pair(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if out of step.")] = (
        False
    ),
    pull: Annotated[
        Path | None, typer.Option(help="A .ipynb edited in Jupyter: rewrite its .py from it.")
    ] = None,
    root: Root = None,
) -> None:
    """Write notebooks/NAME.ipynb from NAME.py, by content and never by file times."""
    from reviewlib.book import pairing

    folder = _root(root) / "notebooks"
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
    if faults := pairing.check(folder):
        raise fail("\n".join(faults))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The paper in a word, such as lottery_tickets.")],
    root: Root = None,
) -> None:
    """Write the skeleton of a chapter: method, study, notebook pair and test. It runs as it is."""
    from reviewlib import scaffold

    try:
        for path in scaffold.write(_root(root), name):
            typer.echo(f"wrote {path}")
    except (OSError, ValueError) as error:
        raise fail(error) from error
    err.print(f"`reviewlib check {name}` says what to fill in", highlight=False)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A chapter, as `reviewlib list` names it.")],
    root: Root = None,
) -> None:
    """Hold a chapter to its contract, rule by rule; exit code 1 if something is left to do."""
    from reviewlib import contract, drafts

    folder = _root(root)
    if name not in (known := contract.chapters(folder)):
        raise fail(f"no chapter is called {name!r}; there are: {', '.join(known)}")
    draft, left = drafts.Draft(folder, name), 0
    for rule in contract.RULES:
        faults = contract.faults(rule, draft)
        left += len(faults)
        typer.echo(f"{'to do' if faults else 'met  '}  {rule.__doc__}")
        for fault in faults:
            typer.echo(f"       - {fault}")
    if left:
        raise fail(f"{name} has {left} things to do")


def _watched(items: list[str], doing: str) -> Iterator[str]:
    """Yield the items under a progress bar."""
    yield from progress.track(items, doing, console=err, transient=True)


def _root(root: Path | None) -> Path:
    """Return the book's folder: the one given, or the nearest above that has a _config.yml."""
    places = [root] if root else [Path.cwd(), *Path.cwd().parents]
    for place in places:
        if (place / "_config.yml").exists():
            return place.resolve()
    where = f"{root}" if root else f"{Path.cwd()} or above"
    raise fail(f"no _config.yml in {where}: run this in the book's folder, or name it with --root")


def _pairs(parameters: list[str] | None) -> dict[str, str]:
    """Return name=value options as a mapping."""
    wrong = [text for text in parameters or [] if "=" not in text]
    if wrong:
        raise fail(f"a parameter is name=value, got {wrong[0]!r}", 2)
    return dict(text.split("=", 1) for text in parameters or [])


def _for_the_book(parameters: list[str] | None) -> dict[str, str]:
    """Return name=value options that may change what the book's own pages show."""
    given = _pairs(parameters)
    if "data" in given:
        message = "the book is about its own data; `reviewlib build --data` makes one on yours"
        raise fail(message, 2)
    return given


@contextmanager
def _reporting(book: Path, as_json: bool) -> Iterator[Callable[[Any], None]]:
    """Show notebooks while they run, then what became of them; exit with 1 if one failed."""
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


def _escape(message: object) -> str:
    return str(message).replace("[", r"\[")
