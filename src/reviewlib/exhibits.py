"""The directives of the protocol, scale-out and status pages: what records say in passing."""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reviewlib.book import execute
from reviewlib.directives import chapter_link, executed_copy, line, measured, plain_table

if TYPE_CHECKING:
    from reviewlib.history import Entry
    from reviewlib.study import Claim, Study

    Event = list[tuple[Entry | None, Entry]]

# The versions that a record's numbers depend on most.
SHOWN = ("torch", "python", "numpy")


class Controls(SphinxDirective):
    """What the rule says of effects whose truth is known, in every study that has controls."""

    def run(self) -> list[nodes.Node]:
        """Return a table a study."""
        from reviewlib import tables, verdicts

        self.env.note_reread()
        found: list[nodes.Node] = []
        for of, record in evidence(self.env.app):
            if outs := verdicts.judge_controls(of, record.rows):
                found.append(_heading(self.env, of, f": {_stamp(record)}"))
                found.append(_html(tables.markup(tables.contrasts(outs))))
        return found or [nodes.paragraph("", "No study has controls in valid records yet.")]


class SingleSeeds(SphinxDirective):
    """What each seed alone would have said of the primary claims, next to all seeds together."""

    def run(self) -> list[nodes.Node]:
        """Return a figure over the claims in points of accuracy of all studies."""
        from reviewlib import figures, units, verdicts

        self.env.note_reread()
        outs, stamps = {}, []
        for of, record in evidence(self.env.app):
            judged = [verdicts.judge(claim, record.rows, len(of.primary)) for claim in of.primary]
            for out in judged:
                if units.drawn(out.claim.metric, out.claim.scale) == units.drawn("accuracy"):
                    outs[out.claim.statement] = out
            stamps.append(f"{of.title.split(':')[0]}: {_stamp(record)}")
        if not outs:
            return [nodes.paragraph("", "No study has valid records yet.")]
        fig, table = figures.single_seeds(outs)
        counts = "; ".join(
            f"{row['claim']} {row['alone say: a gain']} of {row['seeds']} seeds alone say a gain, "
            f"{row['alone say: a loss']} a loss, together: {row['together']}"
            for row in table.to_dict("records")
        )
        _, page = figures.block(
            fig,
            caption="What single seeds would have said. Each stroke is one seed's own difference: "
            "green is a gain of at least the margin, orange a loss of at least the margin, gray "
            f"neither; blue is the interval of all seeds together. {'. '.join(stamps)}",
            alt=counts,
            table=table,
        )
        return [_html(page)]


class ScaleOut(SphinxDirective):
    """How studies scale over workers: `measured` by the benchmark, or `projected` for the book."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a table, with a paragraph on where its numbers are from."""
        if self.arguments[0] == "measured":
            _, path = self.env.relfn2path("scaling.json")
            self.env.note_dependency(path)
            return scaling(json.loads(Path(path).read_text(encoding="utf8")))
        if self.arguments[0] == "projected":
            from reviewlib import forecast

            # The records lie outside the page's own source.
            self.env.note_reread()
            return projection(*forecast.book(), forecast.WORKERS)
        raise self.error(f"scale-out takes measured or projected, got {self.arguments[0]!r}")


class Status(SphinxDirective):
    """When each chapter was last executed, and how the records of its presets stand."""

    def run(self) -> list[nodes.Node]:
        """Return a heading and a table a study."""
        from reviewlib import tables

        # Executed copies and records lie outside the page's own source.
        self.env.note_reread()
        found: list[nodes.Node] = []
        for of, rows in standing(self.env.app):
            found.append(_heading(self.env, of, f": {last_execution(self.env.app, of.name)}"))
            found.append(_html(tables.markup(side_by_side(rows))))
        return found or [nodes.paragraph("", "There is no study yet.")]


class VerdictHistory(SphinxDirective):
    """When verdicts changed, at which commit, and why."""

    def run(self) -> list[nodes.Node]:
        """Return, a study that has a history, each change with its reason and a table.

        Raises:
            docutils.utils.DirectiveError: a history is damaged.
        """
        from reviewlib import history, study

        if self.config.other_data:
            return [nodes.paragraph("", "Verdicts on other data than the book's have no history.")]
        self.env.note_reread()
        found: list[nodes.Node] = []
        for of in map(study.find, study.found()):
            try:
                entries = history.read(of.name)
            except history.HistoryError as error:
                raise self.error(str(error)) from error
            for event in history.events(entries):
                found += self._event(of, event)
        return found or [nodes.paragraph("", "No verdict has been recorded yet.")]

    def _event(self, of: Study, event: Event) -> list[nodes.Node]:
        from reviewlib import tables

        now = event[0][1]
        when = f", {now.date}, commit {now.commit[:7]}, {now.preset} records, numerics "
        heading = _heading(self.env, of, f"{when}{now.numerics}: {now.why}")
        return [heading, _html(tables.markup(turns(of, event)))]


def last_execution(app: Sphinx, name: str) -> str:
    """Return when a chapter was last executed and what that took, as far as it is known."""
    copy = executed_copy(app, f"{name}.ipynb")
    if not copy.exists():
        return "not executed yet"
    try:
        run = execute.last_runs(Path(app.srcdir))[name]
        took = duration(run["seconds"])
        return f"last executed {run['finished'][:10]}, {run['cells']} cells in {took}"
    except (ValueError, TypeError, LookupError):  # a run of another version, or an edited file
        return "executed; when, and how long it took, is not known"


def side_by_side(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return what is stored of a study (see `ledger.standing`), a column a preset."""
    return pd.DataFrame(
        {"preset": ("records", "made", "by commit", "on", "CPU time", "with")}
        | {row["preset"]: _stored(row) for row in rows}
    )


def _stored(row: dict[str, Any]) -> list[str]:
    seconds, versions = row["cpu_seconds"], row["versions"] or {}
    found = [
        f"{row['state']}: {row['why']}" if row["why"] else row["state"],
        row["date"],
        row["commit"],
        row["device"],
        seconds and f"{seconds:,.0f} s",
        ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions),
    ]
    return [text or "–" for text in found]


def turns(of: Study, event: Event) -> pd.DataFrame:
    """Return what each verdict was before an event and after it."""
    claims = {claim.name: claim for claim in of.claims}
    return pd.DataFrame(
        {
            "claim": claims[now.claim].statement if now.claim in claims else now.claim,
            "from": (before.verdict or "no verdict") if before else "–",
            "to": now.verdict or "no verdict",
            "measured": _effect(now, claims.get(now.claim)),
        }
        for before, now in event
    )


def _effect(entry: Entry, claim: Claim | None) -> str:
    """Return an entry's effect and interval, whose unit only its claim knows."""
    if entry.mean is None or claim is None:
        return "–"
    mean, interval = measured(vars(entry) | {"metric": claim.metric, "scale": claim.scale})
    return f"{mean} {interval}, n = {entry.n}"


def scaling(found: dict[str, Any]) -> list[nodes.Node]:
    """Return what benchmarks/scaling.py found, as a table and its origin."""
    rows = [
        (
            row["engine"],
            str(row["workers"]),
            f"{row['start']:.1f} s",
            f"{row['wall']:.1f} s",
            f"{row['rate']:.2f}",
            f"×{row['speedup']:.2f}",
        )
        for row in found["rows"]
    ]
    headings = ("Engine", "Workers", "First results after", "The rest took", "Runs/s", "Speed-up")
    origin = (
        f"{found['runs']} runs of the study {found['study']} at the preset {found['preset']}, the "
        f"minimum of {found['rounds']} interleaved rounds. {found['device']}, {found['cpus']} CPU "
        f"cores, of which other programs wanted {found['load']:.1f} at the start. "
        f"Ray {found['ray']}, {found['date']}, commit {found['commit']}."
    )
    return [plain_table(headings, rows), line(origin, "ledger-detail")]


def projection(
    preset: str, chapters: list[Any], left_out: list[str], workers: tuple[int, ...]
) -> list[nodes.Node]:
    """Return what the chapters would take on so many workers, and what that is computed from."""
    if not chapters:
        return [line("No chapter has records yet whose seconds could be used.")]
    worker = "GPU" if preset == "gpu" else "CPU core"
    headings = ["Chapter", "Runs", "Longest piece"]
    headings += [f"{number} {worker}{'s' if number > 1 else ''}" for number in workers]
    rows = [
        (
            chapter.title.split(":")[0],
            str(chapter.runs),
            duration(chapter.longest()),
            *(duration(chapter.seconds(number)) for number in workers),
        )
        for chapter in chapters
    ]
    whole = [sum(chapter.seconds(number) for chapter in chapters) for number in workers]
    total = str(sum(chapter.runs for chapter in chapters))
    longest = duration(max(chapter.longest() for chapter in chapters))
    rows.append(("All of them, one after another", total, longest, *map(duration, whole)))
    said = []
    if preset != "gpu":
        said.append("No chapter has records of the gpu preset yet.")
    places = "; ".join(dict.fromkeys(f"{of.device}, {of.date}" for of in chapters))
    said.append(f"Computed from the records of the {preset} preset ({places}).")
    if left_out:
        said.append(f"Without such records, and so not counted: {', '.join(left_out)}.")
    return [line(" ".join(said)), plain_table(headings, rows)]


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it: "45 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@lru_cache(maxsize=1)
def evidence(app: Sphinx) -> list[tuple[Any, Any]]:
    """Return (study, record) of every study that has valid records."""
    from reviewlib import compare, records, study

    found = []
    for name in study.found():
        of, folder = compare.on_data(study.find(name), app.config.other_data)
        with contextlib.suppress(records.RecordError):  # the ledger names what is wrong with it
            found.append((of, records.best(of, folder)[0]))
    return found


@lru_cache(maxsize=1)
def standing(app: Sphinx) -> list[tuple[Study, list[dict[str, Any]]]]:
    """Return every study with how the records of its presets stand."""
    from reviewlib import ledger, study

    data = app.config.other_data
    return [(study.find(name), ledger.standing(name, data)) for name in study.found()]


def _heading(env: Any, of: Study, more: str = "") -> nodes.paragraph:
    """Return a study's title, which leads to its chapter, above a table."""
    title = chapter_link(env, of.name, of.title.split(":")[0])
    return nodes.paragraph("", "", title, nodes.Text(more))


def _stamp(record: Any) -> str:
    made = record.provenance
    return (
        f"preset {record.preset['name']}, {made['device']}, n = {record.preset['seeds']} seeds, "
        f"commit {made['commit']}"
    )


def _html(page: str) -> nodes.raw:
    return nodes.raw("", page, format="html")
