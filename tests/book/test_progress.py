"""What a terminal shows of notebooks that run, and the table at the end."""

import io

import pytest
from rich.console import Console

from reviewlib.book import progress
from reviewlib.book.execute import Outcome


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def shown(terminal, renderable):
    with terminal.capture() as capture:
        terminal.print(renderable)
    return capture.get()


def test_a_running_notebook_shows_its_cell_and_an_estimate_from_the_last_time(terminal):
    display = progress.Display({"a": {"seconds": 60.0}, "b": {"seconds": 0.0}}, terminal)
    for name in "abc":
        display(Outcome(name, "running", cells=31))
        display(Outcome(name, "running", 1.0, 7, 31))
    display(Outcome("c", "executed", 1.0, cells=31))
    a, b, c = shown(terminal, display.get_renderable()).splitlines()
    assert "cell 7 of 31" in a and "0:00:00" in a and "about 60 s left" in a
    assert "longer than last time" in b
    assert "executed" in c and "left" not in c and "time" not in c


def test_waiting_is_told_even_where_there_is_no_terminal():
    console = Console(file=io.StringIO())
    with progress.Display({}, console) as display:
        display(Outcome("book", "waiting", cause="waiting for another"))
        display(Outcome("a", "executed", 1.0))
    assert console.file.getvalue() == "waiting for another\n"
    assert [of.name for of in display.ended()] == ["a"]


def test_the_table_has_a_row_for_each_notebook_and_the_book_last(terminal):
    display = progress.Display({}, terminal)
    display(Outcome("book", "unchanged"))
    display(Outcome("b", "failed", 1.25, 3, 31, "ValueError: [red]no[/red]"))
    display(Outcome("a", "executed", 2.0, cells=4))
    rows = shown(terminal, progress.table(display.ended())).splitlines()
    a, b, book = (" ".join(row.replace("│", " ").split()) for row in rows[3:6])
    assert a == "a executed 2.0 4"
    assert b == "b failed 1.2 3 of 31 ValueError: [red]no[/red]"
    assert book == "book unchanged 0.0"
