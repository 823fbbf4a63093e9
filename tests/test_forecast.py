"""What the book would take on many workers, computed from the records and shown in it."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import toy
from docutils import nodes

from reviewlib import exhibits, forecast, records
from reviewlib.forecast import Chapter
from reviewlib.study import Cell

OF = toy.study(cells=(Cell("clean", "clean labels"), Cell("noise", "wrong", 0.4, stack=4)))
MEASURED = {
    "study": "sam",
    "preset": "quick",
    "runs": 60,
    "rounds": 3,
    "device": "CPU (x86_64), one thread a run",
    "cpus": 2,
    "load": 0.07,
    "ray": "2.60.0",
    "date": "2026-11-22",
    "commit": "0123456789ab",
    "rows": [
        {"engine": "ray", "workers": 2, "start": 6.21, "wall": 9.5, "rate": 6.1, "speedup": 1.934}
    ],
}


def record(**changes):
    """Return a record of two arms: trials on two seeds, then three final runs of a second."""
    trial = {"settings": {}, "accuracies": [0.5, 0.6], "chosen": False, "edges": []}
    pairs = [(arm.name, cell.name) for cell in OF.cells for arm in OF.arms]
    trials = [{"arm": arm, "cell": cell, "seconds": 3.0} | trial for arm, cell in pairs]
    rows = [{"arm": arm, "cell": cell, "seconds": 1.0} for arm, cell in pairs for _ in range(3)]
    fields = {
        "study": "toy",
        "preset": toy.TINY.plain(),
        "numerics": OF.numerics,
        "provenance": {"device": "CPU", "date": "2026-11-22"},
        "trials": pd.DataFrame(trials),
        "rows": pd.DataFrame(rows),
    }
    return SimpleNamespace(**fields | changes)


@pytest.fixture
def stored(monkeypatch):
    """Return a mapping of (study, preset) to records, which stands in for the package's."""
    found = {}

    def load(name, preset):
        if (name, preset) not in found:
            raise records.RecordError("missing")
        return found[name, preset]

    monkeypatch.setattr(forecast.records, "load", load)
    monkeypatch.setattr(forecast.study, "found", lambda: ["other", "toy"])
    monkeypatch.setattr(forecast.study, "find", lambda name: replace(OF, name=name))
    return found


def test_more_workers_help_until_a_wave_is_its_longest_piece():
    chapter = Chapter("a", "A", 5, ((4.0, 2.0, 2.0), (1.0, 1.0)), "CPU", "today")
    assert chapter.seconds(1) == 10
    assert chapter.seconds(2) == 4 + 1
    assert chapter.seconds(100) == 4 + 1
    assert chapter.longest() == 4
    assert replace(chapter, waves=((), (1.0, 1.0))).seconds(2) == 1


def test_runs_that_are_trained_together_are_one_piece(stored):
    stored["toy", "laptop"] = record()
    preset, (chapter,), left_out = forecast.book()
    assert (preset, left_out) == ("laptop", ["other"])
    assert chapter.runs == 8 + 12
    # both seeds of the noisy cell's one trial, and its three final seeds, are a stack each
    assert list(map(sorted, chapter.waves)) == [[1.5] * 4 + [3.0] * 2, [1.0] * 6 + [3.0] * 2]
    assert chapter.seconds(1) == pytest.approx(4 * 3.0 + 12 * 1.0)


def test_the_gpu_preset_is_preferred_as_soon_as_a_chapter_has_it(stored, monkeypatch):
    gpu = replace(toy.TINY, name="gpu")
    monkeypatch.setattr(
        forecast.study, "find", lambda name: replace(OF, name=name, presets=(toy.TINY, gpu))
    )
    stored["toy", "laptop"] = stored["other", "laptop"] = record()
    stored["other", "gpu"] = record(preset=gpu.plain())
    preset, chapters, left_out = forecast.book()
    assert (preset, [chapter.study for chapter in chapters], left_out) == (
        "gpu",
        ["other"],
        ["toy"],
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"numerics": OF.numerics + 1},
        {"preset": replace(toy.TINY, train=61).plain()},
        {"rows": pd.DataFrame([{"arm": "gone", "cell": "clean", "seconds": 1.0}])},
        {"rows": pd.DataFrame([{"arm": "sgd", "cell": "gone", "seconds": 1.0}])},
    ],
    ids=["numerics", "sizes", "arm", "cell"],
)
def test_records_of_another_study_do_not_count(stored, changes):
    stored["toy", "laptop"] = record(**changes)
    assert forecast.book() == ("laptop", [], ["other", "toy"])


def shown(parts):
    """Return the text of paragraphs, and the cells of tables row by row."""
    return [
        [[cell.astext() for cell in row] for row in part.findall(nodes.row)]
        if isinstance(part, nodes.table)
        else part.astext()
        for part in parts
    ]


def test_the_page_says_that_there_are_no_gpu_records_and_who_is_missing():
    long = Chapter("a", "A: more", 2, ((7200.0,), (600.0,)), "CPU", "2026-11-22")
    short = Chapter("b", "B", 3, ((), (20.0, 20.0, 5.0)), "CPU", "2026-11-22")
    said, table = shown(exhibits.projection("laptop", [long, short], ["c"], (1, 100)))
    assert said.startswith("No chapter has records of the gpu preset yet. Computed from the ")
    assert said.endswith("(CPU, 2026-11-22). Without such records, and so not counted: c.")
    assert table == [
        ["Chapter", "Runs", "Longest piece", "1 CPU core", "100 CPU cores"],
        ["A", "2", "2.0 h", "2.2 h", "2.2 h"],
        ["B", "3", "20 s", "45 s", "20 s"],
        ["All of them, one after another", "5", "2.0 h", "2.2 h", "2.2 h"],
    ]


def test_the_page_speaks_of_gpus_when_there_are_records_of_them():
    chapter = Chapter("a", "A", 2, ((60.0,), (60.0,)), "H100", "2026-11-22")
    said, table = shown(exhibits.projection("gpu", [chapter], [], (1, 10)))
    assert said == "Computed from the records of the gpu preset (H100, 2026-11-22)."
    assert table[0][-2:] == ["1 GPU", "10 GPUs"] and table[1][-1] == "2 min"


def test_without_any_records_there_is_no_table():
    assert shown(exhibits.projection("laptop", [], ["a"], (1,))) == [
        "No chapter has records yet whose seconds could be used."
    ]


def test_the_measured_table_carries_its_origin():
    table, origin = shown(exhibits.scaling(MEASURED))
    assert table[1:] == [["ray", "2", "6.2 s", "9.5 s", "6.10", "×1.93"]]
    for part in ("60 runs of the study sam", "3 interleaved", "wanted 0.1", "commit 0123456789ab"):
        assert part in origin


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.25, "4.2 s"), (45, "45 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_a_duration_has_the_unit_that_suits_it(seconds, text):
    assert exhibits.duration(seconds) == text
