"""The history of verdicts: what is a change, what an entry must be, and that none is missing."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import toy
from typer.testing import CliRunner

from reviewlib import cli, papers
from reviewlib.evidence import history, ledger
from reviewlib.evidence.store import BOOK

ROW = {
    "claim": "gain",
    "verdict": "supported",
    "preset": "laptop",
    "results_version": 1,
    "mean": 0.0123456789,
    "lo": 0.004,
    "hi": 0.02,
    "n": 10,
    "stale": False,
}
EXPLORED = ROW | {"claim": "explored", "verdict": None}
OUT = (
    ROW | {"claim": "far", "verdict": "out of scope", "n": 0} | dict.fromkeys(("mean", "lo", "hi"))
)
ROWS = [ROW, EXPLORED, OUT]


def keep(*batches):
    """Append the changes of each batch of rows as of another day; return the history."""
    for day, rows in enumerate(batches, 1):
        found = history.changes(history.read("toy"), rows)
        history.append("toy", found, f"2026-01-0{day}", f"c{day}", f"reason {day}")
    return history.read("toy")


def changed(rows):
    """Return what rows would add to the history of ROWS: claim and verdict."""
    keep(ROWS)
    return [(row["claim"], row["verdict"]) for row in history.changes(history.read("toy"), rows)]


@pytest.mark.slow  # replays fingerprints
@pytest.mark.parametrize("name", papers.found())
def test_the_history_says_what_the_committed_records_say(name):
    behind = history.changes(history.read(name), ledger.entries(papers.find(name), BOOK))
    assert not behind, 'verdicts changed: run `reviewlib verdicts --record "why"`'


@pytest.mark.parametrize("name", papers.found())
def test_the_history_was_made_by_committed_code(name):
    assert all(e.commit != "unknown" and not e.commit.endswith("+") for e in history.read(name))


def test_the_first_records_give_every_verdict_an_entry_and_the_same_ones_none(shelf):
    first = keep(ROWS, ROWS)
    assert [(entry.claim, entry.verdict) for entry in first] == [
        ("gain", "supported"),
        ("far", "out of scope"),
    ]
    expected = ROW | {"date": "2026-01-01", "commit": "c1", "why": "reason 1", "mean": 0.012346}
    assert asdict(first[0]) | {"stale": False} == expected | {"registration": None}


@pytest.mark.parametrize(
    "change", [{"verdict": "inconclusive"}, {"results_version": 2}, {"preset": "gpu"}]
)
def test_another_verdict_results_version_or_preset_is_a_change(shelf, change):
    assert changed([ROW | change, EXPLORED, OUT]) == [("gain", (ROW | change)["verdict"])]


def test_other_numbers_under_the_same_verdict_are_none(shelf):
    again = [row | {"n": 20, "lo": 0.001} for row in (ROW, EXPLORED)]
    assert changed([*again, OUT | {"results_version": 2}]) == []


def test_a_primary_claim_leaves_a_trace_when_it_is_demoted_or_withdrawn(shelf):
    assert changed([ROW | {"verdict": None}, OUT]) == [("gain", None)]
    assert changed([EXPLORED, OUT]) == [("gain", None)]
    ended = keep([EXPLORED, OUT], [EXPLORED, OUT], [ROW, OUT])
    verdicts = [entry.verdict for entry in ended if entry.claim == "gain"]
    assert verdicts == ["supported", None, "supported"]


def test_an_exploratory_claim_that_becomes_primary_gets_its_first_entry(shelf):
    assert changed([ROW, EXPLORED | {"verdict": "supported"}, OUT]) == [("explored", "supported")]


def test_older_records_that_await_new_ones_change_nothing(shelf):
    assert changed([row | {"verdict": None, "state": "awaiting"} for row in ROWS]) == []


def test_without_valid_records_nothing_has_changed(shelf):
    stale = {"stale": True} | dict.fromkeys(
        ("verdict", "preset", "results_version", "mean", "lo", "hi")
    )
    assert changed([row | stale for row in ROWS]) == []


def test_events_are_what_was_recorded_together_the_latest_first(shelf):
    entries = keep(ROWS, [ROW | {"verdict": "inconclusive"}, OUT])
    found = [
        [(before and before.verdict, now.verdict) for before, now in event]
        for event in history.events(entries)
    ]
    assert found == [
        [("supported", "inconclusive")],
        [(None, "supported"), (None, "out of scope")],
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("{", "after 0 entries: Expecting"),
        ("{}", "a history is a list, got dict"),
        ("[1]", "must be a mapping"),
        ({"why": " "}, "after 1 entries: why must be one line that says something, got ' '"),
        ({"commit": 7}, "commit must be one line that says something, got 7"),
        ({"date": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
        ({"n": -1}, "n must be a count, got -1"),
        ({"results_version": "1"}, "results_version must be a count, got '1'"),
        ({"verdict": "great"}, "verdict must be one of the protocol's words, got 'great'"),
        ({"mean": 0.5}, "the mean must lie in its interval, got lo, mean, hi = (0.004, 0.5, 0.02)"),
        ({"hi": float("inf")}, "numbers must be finite, got Infinity"),
        ({"mood": "good"}, "unexpected keyword argument 'mood'"),
    ],
)
def test_a_damaged_history_is_refused_with_its_place(shelf, damage, message):
    keep(ROWS)
    path = history.path_of("toy")
    if isinstance(damage, dict):
        good = json.loads(path.read_text())
        damage = json.dumps([good[0], good[0] | damage])
    path.write_text(damage)
    with pytest.raises(history.HistoryError) as caught:
        history.read("toy")
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_history_has_one_entry_a_line_and_only_grows(shelf):
    keep(ROWS)
    path = history.path_of("toy")
    before = path.read_text().splitlines()
    keep([ROW | {"verdict": "inconclusive"}, OUT])
    after = path.read_text().splitlines()
    assert after[1] == before[1] and len(after) == len(before) + 1
    assert [item.name for item in path.parent.iterdir()] == ["history.json"]


@pytest.mark.parametrize("why", ["", "two\nlines", "x" * 1001])
def test_a_reason_that_could_not_be_read_back_is_refused_before_it_is_written(shelf, why):
    with pytest.raises(ValueError, match="why must be"):
        history.append("toy", history.changes([], ROWS), "2026-01-01", "c1", why)
    assert not history.path_of("toy").exists()


def test_the_history_knows_no_torch():
    code = "import sys, reviewlib.evidence.history; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture
def recorded(published, record, checkout):
    """The toy study on the shelf with its record, at a commit that can be looked up."""
    checkout("c0ffee")
    return published(toy.study(), record)


def verdicts(*words):
    return CliRunner().invoke(cli.app, ["verdicts", *words])


def test_the_command_says_what_the_history_lacks_and_records_it_with_its_reason(recorded):
    before = verdicts("--json")
    assert before.exit_code == 0 and json.loads(before.stdout)[0]["results_version"] == 1
    assert (
        'better; not in the history yet; run `reviewlib verdicts --record "why"`' in before.stderr
    )
    assert history.read("toy") == []
    assert "better; recorded" in verdicts("--record", "the first records").stderr
    (entry,) = history.read("toy")
    assert (entry.claim, entry.why, entry.n) == ("better", "the first records", 3)
    assert entry.registration == 1
    assert entry.commit == "c0ffee"
    for again in (verdicts("--record", "once more"), verdicts()):
        assert again.exit_code == 0 and again.stderr.strip() == ""
    assert history.read("toy") == [entry]


@pytest.mark.parametrize(("head", "edited"), [("c0ffee", " M src/x.py"), ("", "")])
def test_the_command_refuses_code_that_nobody_can_look_up(recorded, checkout, head, edited):
    checkout(head, edited)
    done = verdicts("--record", "the first records")
    assert done.exit_code == 1 and "the history names the commit" in " ".join(done.stderr.split())
    assert history.read("toy") == []


def test_the_command_refuses_an_empty_reason_and_names_a_damaged_history(recorded):
    done = verdicts("--record", " ")
    assert done.exit_code == 2 and "--record takes the reason of the change" in done.stderr
    history.path_of("toy").write_text("[")
    done = verdicts()
    assert done.exit_code == 1 and "history.json is not a history" in " ".join(done.stderr.split())


def test_records_and_history_share_a_folder_and_nothing_else(recorded):
    verdicts("--record", "the first records")
    assert BOOK.load("toy", "laptop").digest() == recorded.digest()
    there = {path.name for path in history.path_of("toy").parent.iterdir()}
    assert there == {"history.json", "laptop.json", "registrations.json"}
