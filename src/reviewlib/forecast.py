"""What the book's studies would take on many workers, from the seconds that their records hold.

Tuning comes before the final runs, so a study has two waves. A wave is shared out perfectly among
the workers, except that it takes no less than its longest piece: a run, or a stack of runs that are
trained together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reviewlib import records, runs, study
from reviewlib.study import Preset, Study

WORKERS = (1, 10, 100)


@dataclass(frozen=True)
class Chapter:
    """The training seconds of one study.

    Attributes:
        study: its name.
        title: of the chapter.
        runs: how many there are.
        waves: the seconds of every piece of the tuning, and of the final runs.
        device: where they were measured.
        date: when.
    """

    study: str
    title: str
    runs: int
    waves: tuple[Sequence[float], ...]
    device: str
    date: str

    def longest(self) -> float:
        """Return the seconds of the longest piece."""
        return max(max(wave, default=0.0) for wave in self.waves)

    def seconds(self, workers: int) -> float:
        """Return the seconds that the study takes on so many workers."""
        return sum(max(sum(wave) / workers, max(wave)) for wave in self.waves if wave)


def book() -> tuple[str, list[Chapter], list[str]]:
    """Return the largest preset of which there are records, its chapters, and who has none.

    Records that are not of today's sizes and arms do not count; without any, the list is empty.
    """
    names = study.found()
    for preset in records.EVIDENCE:
        chapters = [found for name in names if (found := _chapter(study.find(name), preset))]
        if chapters:
            break
    have = {chapter.study for chapter in chapters}
    return preset, chapters, [name for name in names if name not in have]


def _chapter(of: Study, name: str) -> Chapter | None:
    try:
        record, preset = records.load(of.name, name), of.preset(name)
    except ValueError:
        return None
    if record.preset != preset.plain() or record.numerics != of.numerics:
        return None
    tried = [
        (row["arm"], row["cell"], row["seconds"] / len(row["accuracies"]))
        for row in record.trials.to_dict("records")
        for _ in row["accuracies"]
    ]
    final = [(row["arm"], row["cell"], row["seconds"]) for row in record.rows.to_dict("records")]
    arms, cells = {arm.name for arm in of.arms}, {cell.name for cell in of.cells}
    if any(arm not in arms or cell not in cells for arm, cell, _ in (*tried, *final)):
        return None
    waves = (_pieces(of, preset, "tuning", tried), _pieces(of, preset, "final", final))
    made = record.provenance
    number = len(tried) + len(final)
    return Chapter(of.name, of.title, number, waves, made["device"], made["date"])


def _pieces(
    of: Study, preset: Preset, phase: str, timed: Sequence[tuple[str, str, float]]
) -> list[float]:
    """Return the seconds of each stack, composed as the study composes them."""
    asked = [runs.Run(of.arm(arm), of.cell(cell), (), 0, preset, phase) for arm, cell, _ in timed]
    return [sum(timed[index][2] for index in stack) for stack in runs.stacks(asked)]
