"""The command line: reviewlib list | study | register | verdicts | execute | build | ..."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from reviewlib import building
from reviewlib.author import commands
from reviewlib.options import (
    AsJson,
    Data,
    Device,
    Engine,
    Jobs,
    Name,
    Out,
    TrialRun,
    Verify,
)
from reviewlib.terminal import (
    Commands,
    fail,
    note,
    out,
    running,
    say,
    study_table,
    verdict_table,
    version_lines,
    watched,
)

app = typer.Typer(
    cls=Commands,
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
        row = {"paper": name, "title": None, "presets": [], "quick_seconds": None, "error": None}
        row["awaiting"] = ""
        rows.append(row)
        try:
            study = papers.find(name)
            status = {each["preset"]: each for each in record_status(study, BOOK)}
        except Exception as error:  # a draft's own code may raise anything, and hides no other row
            row["error"] = f"{type(error).__name__}: {error}; see `reviewlib check {name}`"
            continue
        row |= {"title": study.title, "awaiting": study.awaiting}
        row["presets"] = [preset for preset in status if status[preset]["state"] == "valid"]
        row["quick_seconds"] = status.get("quick", {}).get("cpu_seconds")
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
    from reviewlib.evidence import make, validity
    from reviewlib.evidence.committed import UNREGISTERED
    from reviewlib.evidence.store import BOOK, on_data
    from reviewlib.train.device import resolve
    from reviewlib.trial import experiment, forecast, other_data
    from reviewlib.trial.engines import WorkerError

    if trial_run:
        _refuse_with_trial_run(preset, out_dir, engine, jobs, verify)
    seen: list[bool] = []
    try:
        study, where = papers.find(name), resolve(device)
        if trial_run:
            for line in forecast.lines(on_data(study, data_name)[0], where):
                typer.echo(line)
            return
        size = other_data.resize(study.preset(preset), name=data_name)
        study, store = on_data(study, data_name)
        store = replace(store, folder=out_dir) if out_dir else store
        data.load(size.data)
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
        wrong = validity.problems(record, study, store)
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
    if store == BOOK and record.provenance.get("registration") == UNREGISTERED:
        note(f"these runs are unregistered, so the book does not show them: {'; '.join(wrong)}")
    elif wrong:
        what = f"the record is saved but not valid, so no page shows it: {'; '.join(wrong)}"
        raise fail(f"{what}; undo that change or raise results_version, and run it again")


@app.command()
def register(
    name: Name,
    why: Annotated[str, typer.Argument(help="The reason for this version of the study, one line.")],
    pilot: Annotated[
        list[str] | None,
        typer.Option(help="What you have seen of it before, one line; repeat it for more."),
    ] = None,
) -> None:
    """Write down what a study tests, and by which arithmetic, before its final runs.

    Commit the file that it prints, then run the study: only such records are shown in the book.
    """
    from reviewlib import papers
    from reviewlib.evidence import registration

    try:
        entry = registration.register(papers.find(name), why, pilot or ())
    except (ValueError, OSError) as error:
        raise fail(error) from error
    typer.echo(registration.path_of(name))
    say(f"registered {name} as version {entry.version}; commit that file before you run the study")


@app.command()
def verdicts(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="name", help="Papers; all of them by default."),
    ] = None,
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
    try:
        studies = {name: papers.find(name) for name in names or papers.found()}
    except ValueError as error:
        raise fail(error) from error
    found = {
        name: ledger.entries(studies[name], BOOK)
        for name in watched(list(studies), "judging claims")
    }
    rows = [row for mine in found.values() for row in mine]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        for mine in filter(None, found.values()):
            out.print(verdict_table(mine))
            for line in version_lines(mine[0]["versions"] or []):
                out.print(Text(line), soft_wrap=True)
    for reason in dict.fromkeys(row["reason"] for row in rows if row["reason"]):
        note(reason)
    for paper, mine in found.items():
        try:
            controls = ledger.failed_controls(studies[paper], BOOK)
            if news := history.keep(paper, [*mine, *controls], record):
                note(news)
        except (ValueError, OSError) as error:
            raise fail(error) from error
    if any(row["stale"] for row in rows):
        raise typer.Exit(1)


for command in (building.execute, building.build, commands.pair, commands.new, commands.check):
    app.command()(command)
app.command("time")(commands.time_steps)


def _refuse_with_trial_run(
    preset: str, out_dir: Path | None, engine: str | None, jobs: int, verify: bool
) -> None:
    """End the command if it has options that a trial run would not use."""
    given = {
        "--preset": preset != "quick",
        "--out": out_dir,
        "--engine": engine,
        "--jobs": jobs > 1,
        "--verify": verify,
    }
    if unused := [option for option, value in given.items() if value]:
        what = "a trial run has the sizes of quick, in this process, and saves nothing"
        raise fail(f"{what}; got {', '.join(unused)}: leave that out", 2)
