"""The scale-out page: how a study scales over workers, as the benchmark measured it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from reviewlib.book.sphinx.elements import line, plain_table


class Scaling(SphinxDirective):
    """What benchmarks/scaling.py found."""

    def run(self) -> list[nodes.Node]:
        """Return a table, with a paragraph on where its numbers are from."""
        _, path = self.env.relfn2path("scaling.json")
        self.env.note_dependency(path)
        return scaling(json.loads(Path(path).read_text(encoding="utf8")))


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
