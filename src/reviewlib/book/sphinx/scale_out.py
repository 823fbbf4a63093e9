"""The table of the scale-out page: how a study scales with workers, from the benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from reviewlib.book.sphinx.elements import line, plain_table


class Scaling(SphinxDirective):
    """The results of benchmarks/scaling.py."""

    def run(self) -> list[nodes.Node]:
        """Return a table, with a paragraph that says where its numbers come from."""
        _, path = self.env.relfn2path("scaling.json")
        self.env.note_dependency(path)
        return scaling(json.loads(Path(path).read_text(encoding="utf8")))


def scaling(found: dict[str, Any]) -> list[nodes.Node]:
    """Return the results of benchmarks/scaling.py as a table, and a line on their origin."""
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
        f"cores, with a load average of {found['load']:.1f} at the start. "
        f"Ray {found['ray']}, {found['date']}, commit {found['commit']}."
    )
    return [plain_table(headings, rows), line(origin, "ledger-detail")]
