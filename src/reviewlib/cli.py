"""The command line: reviewlib list | study | execute | build | verdicts | pair | new | check."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from reviewlib.author import commands
from reviewlib.book.notebooks import CELL_SECONDS, NOTEBOOK_SECONDS
from reviewlib.options import (
    AsJson,
    CellTimeout,
    Data,
    Device,
    Engine,
    Force,
    Jobs,
    Name,
    Only,
    Out,
    Parameters,
    Root,
    Timeout,
    TrialRun,
    Verify,
)
from reviewlib.terminal import (
    book_folder,
    fail,
    note,
    out,
    reporting,
    running,
    say,
    study_table,
    verdict_table,
    watched,
)

app = typer.Typer(
    help="Fair Trial: deep-learning papers put to the test. Every paper has a study (tuned "
    "baselines, paired seeds), records of its runs, and a notebook that turns them into verdicts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_studies(as_json: AsJson = False) -> None:
    """List the reviewed papers and which of their records are valid today."""
    from reviewlib import papers
    from reviewlib.evidence.ledger import record_status
    from reviewlib.evidence.store import BOOK

    rows = []
    for name in watched(papers.found(), "replaying fingerprints"):
        study = papers.find(name)
        status = record_status(study, BOOK)
        valid = [row["preset"] for row in status if row["state"] == "valid"]
        quick = next((row["cpu_seconds"] for row in status if row["preset"] == "quick"), None)
        rows.append({"paper": name, "title": study.title, "presets": valid, "quick_seconds": quick})
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        out.print(study_table(rows))


@app.command("study")
def run_study(
    name: Name,
    preset: Annotated[str, typer.Option(help="Sizes: quick, laptop or gpu.")] = "quick",
    out_dir: Out = None,
    data_name: Data = None,
    device: Device = "auto",
    engine: Engine = None,
    jobs: Jobs = 1,
    verify: Verify = False,
    trial_run: TrialRun = False,
) -> None:
    """Run a paper's study and write its records.

    Finished runs are kept in your cache: you can stop at any time and start again.
    """
    from reviewlib import data, papers
    from reviewlib.evidence import make
    from reviewlib.evidence.store import Store, on_data
    from reviewlib.train.device import resolve
    from reviewlib.trial import experiment, forecast, other_data
    from reviewlib.trial.engines import WorkerError

    seen: list[bool] = []
    try:
        study = papers.find(name)
        size, where = other_data.resize(study.preset(preset), name=data_name), resolve(device)
        study, store = on_data(study, data_name)
        store = Store(out_dir) if out_dir else store
        data.load(size.data)
        if trial_run:
            for line in forecast.lines(study, where):
                typer.echo(line)
            return
        store.require_room(name)
        how = {
            "store": store,
            "device": where,
            "engine": engine or ("processes" if jobs > 1 else "local"),
            "jobs": jobs,
        }
        with running(f"{name}, {preset}", experiment.count_runs(study, size)) as advance:

            def finished(row: dict) -> None:
                seen.append(row["from_cache"])
                advance(row)

            if verify:
                record, rerun = make.verify(study, size, progress=finished, **how)
            else:
                record = make.make(study, size, progress=finished, **how)
        path = store.save(record)
    except KeyboardInterrupt:
        message = "stopped; finished runs are kept, the same command goes on from here"
        raise fail(message, 130) from None
    except (ValueError, OSError, ImportError, data.DataError, WorkerError) as error:
        raise fail(error) from error
    if verify:
        news = f"rerun because they went stale: {', '.join(rerun)}" if rerun else "nothing is stale"
        say(f"verified {len(record.fingerprints)} arms; {news}")
    seconds = record.provenance["cpu_seconds"]
    say(f"{len(seen)} runs, {sum(seen)} of them from the cache; {seconds:.0f} s of training in all")
    typer.echo(path)


@app.command()
def verdicts(
    as_json: AsJson = False,
    record: Annotated[
        str | None,
        typer.Option(metavar="WHY", help="Add changed verdicts to the history, with this reason."),
    ] = None,
) -> None:
    """Print the verdict on every claim; exit code 1 if a study has no valid records."""
    from reviewlib import papers
    from reviewlib.evidence import history, ledger
    from reviewlib.evidence.store import BOOK

    if record is not None and not record.strip():
        raise fail('--record takes the reason of the change: --record "why"', 2)
    found = {
        name: ledger.entries(papers.find(name), BOOK)
        for name in watched(papers.found(), "judging claims")
    }
    rows = [row for mine in found.values() for row in mine]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        for mine in filter(None, found.values()):
            out.print(verdict_table(mine))
    for reason in dict.fromkeys(row["reason"] for row in rows if row["reason"]):
        note(reason)
    for paper, mine in found.items():
        try:
            if news := history.keep(paper, mine, record):
                note(news)
        except (ValueError, OSError) as error:
            raise fail(error) from error
    if any(row["stale"] for row in rows):
        raise typer.Exit(1)


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

    A notebook that fails does not stop the others and keeps its last good copy. The log of
    papermill is in _executed/NAME.log.
    """
    from reviewlib.book.execute import execute as execute_book

    book, parameters = book_folder(root), _for_the_book(parameter)
    with reporting(book, as_json) as report:
        options = _limits(jobs, parameters, force, cell_timeout, timeout)
        execute_book(book, only, report=report, **options)


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

    book, parameters = book_folder(root), _for_the_book(parameter)
    with reporting(book, as_json) as report:
        options = _limits(jobs, parameters, force, cell_timeout, timeout) | {"report": report}
        if data_name:
            from reviewlib.book.private import build_on  # imports torch, which takes seconds

            page = build_on(book, data_name, only, **options)
        else:
            page = build_book(book, only, **options)
    if not as_json:
        typer.echo(f"The book is ready: open {page}")


for command in (commands.pair, commands.new, commands.check):
    app.command()(command)


def _for_the_book(parameters: list[str] | None) -> dict[str, str]:
    """Return name=value options as a mapping; `data` is refused, as the book has its own."""
    if wrong := [text for text in parameters or [] if "=" not in text]:
        raise fail(f"a parameter is name=value, got {wrong[0]!r}", 2)
    given = dict(text.split("=", 1) for text in parameters or [])
    if "data" in given:
        message = "the book has its own data; `reviewlib build --data DATA` builds one on yours"
        raise fail(message, 2)
    return given


def _limits(
    jobs: int, parameters: dict[str, str], force: bool, cell_seconds: int, seconds: int
) -> dict[str, Any]:
    """Return the options that `execute` and `build` share."""
    return {
        "jobs": jobs,
        "parameters": parameters,
        "force": force,
        "cell_seconds": cell_seconds,
        "seconds": seconds,
    }
