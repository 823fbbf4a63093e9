"""The directives of the protocol and scale-out pages, which show what records say in passing."""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reviewlib.directives import chapter_link, line, plain_table


class Controls(SphinxDirective):
    """What the rule says of effects whose truth is known, in every study that has controls."""

    def run(self) -> list[nodes.Node]:
        """Return a table a study."""
        from reviewlib import tables, verdicts

        self.env.note_reread()
        found: list[nodes.Node] = []
        for of, record in evidence(self.env.app):
            if outs := verdicts.judge_controls(of, record.rows):
                title = chapter_link(self.env, of.name, of.title.split(":")[0])
                stamp = nodes.Text(f": {_stamp(record)}")
                found.append(nodes.paragraph("", "", title, stamp))
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
    from reviewlib import records, study

    found = []
    for name in study.found():
        of = study.find(name)
        with contextlib.suppress(records.RecordError):  # the ledger names what is wrong with it
            found.append((of, records.best(of)[0]))
    return found


def _stamp(record: Any) -> str:
    made = record.provenance
    return (
        f"preset {record.preset['name']}, {made['device']}, n = {record.preset['seeds']} seeds, "
        f"commit {made['commit']}"
    )


def _html(page: str) -> nodes.raw:
    return nodes.raw("", page, format="html")
