"""Registrations: what one holds, when a study matches it, and what the file must be."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import toy
from typer.testing import CliRunner

from reviewlib import cli, papers, train
from reviewlib.evidence import history, ledger, registration
from reviewlib.evidence.registration import RegistrationError, matching, problems, read, register
from reviewlib.evidence.store import BOOK
from reviewlib.trial.fingerprints import test_digest as digest_of_test

pytestmark = pytest.mark.usefixtures("own_cache", "shelf")
GPU = replace(toy.TINY, name="gpu", seeds=2)
LR, DAMPING = toy.study().hyperparameters
FINER = (replace(toy.CLAIM, margin=0.2),)


def heavier(model, config):
    return train.sgd(model, replace(config, momentum=config.momentum - 0.1))


def edited(edit):
    """Register the toy study, edit the entries in its file and return why they are refused."""
    register(toy.study(), "the first")
    path = registration.path_of("toy")
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    with pytest.raises(RegistrationError) as caught:
        read("toy")
    return str(caught.value)


def test_an_entry_holds_the_test_the_arithmetic_and_what_was_seen_before():
    study = toy.study(presets=(toy.TINY, GPU), arms=(*toy.ARMS, toy.AGAIN))
    register(study, "the first", ["a prototype: +1 point", "another: nothing"])
    (entry,) = read("toy")
    assert (entry.version, entry.why) == (1, "the first")
    assert entry.pilots == ("a prototype: +1 point", "another: nothing")
    assert entry.test == {p.name: digest_of_test(study, p) for p in study.presets}
    assert list(entry.fingerprints) == ["sgd", "slow", "again"]
    assert entry.fingerprints["sgd"].keys() == {"clean", "noise"}
    assert matching(study) == entry and problems(study) == []


def test_an_exploratory_arm_needs_no_registration():
    other = replace(toy.SLOW, name="other", role="ablation")
    register(toy.study(arms=(*toy.ARMS, other)), "the first")
    assert list(read("toy")[0].fingerprints) == ["sgd", "slow"]
    changed = toy.study(arms=(*toy.ARMS, *toy.broken(heavier, (other,))))
    assert problems(changed) == []


def test_the_parent_of_a_tested_arm_is_tested_too():
    other = replace(toy.SLOW, name="other", role="ablation")
    child = replace(toy.PART, name="child", search=(), parent="other")
    register(toy.study(arms=(*toy.ARMS, other, child)), "the first")
    assert list(read("toy")[0].fingerprints) == ["sgd", "slow", "other", "child"]


def test_words_change_no_registration():
    register(toy.study(), "the first")
    assert matching(toy.study(title="Another", claims=(replace(toy.CLAIM, where="page 7"),)))


@pytest.mark.parametrize(
    "change",
    [
        {"claims": FINER},
        {"arms": (toy.SGD, replace(toy.SLOW, fixed={"momentum": 0.4}))},
        {"hyperparameters": (replace(LR, high=0.2), DAMPING)},
        {"presets": (replace(toy.TINY, seeds=2),)},
        {"presets": (replace(toy.TINY, trials=5),)},
    ],
    ids=["margin", "arm", "range", "seeds", "trials"],
)
def test_a_changed_test_no_longer_matches(change):
    register(toy.study(), "the first")
    (why,) = problems(toy.study(**change))
    assert "sizes or folds of laptop changed since registration 1 (digest " in why
    assert "results_version = 2" in why and matching(toy.study(**change)) is None


def test_changed_arithmetic_no_longer_matches_and_names_its_arms():
    register(toy.study(), "the first")
    (why,) = problems(toy.study(arms=(toy.SGD, *toy.broken(heavier, (toy.SLOW,)))))
    assert why.startswith("arithmetic changed since registration 1: arm slow (losses")
    assert "sgd" not in why


def test_a_preset_that_was_dropped_is_missed_and_a_new_one_harms_no_other():
    register(toy.study(), "the first")
    both = toy.study(presets=(toy.TINY, GPU))
    assert problems(both, "laptop") == []
    for asked in (None, "gpu"):
        assert "preset gpu was added since registration 1" in problems(both, asked)[0]
    register(replace(both, results_version=2), "with a GPU")
    (why,) = problems(toy.study(results_version=2), "laptop")
    assert "preset gpu was dropped since registration 2" in why


@pytest.mark.parametrize(
    ("version", "why"),
    [(1, "registration 2 has replaced 1"), (3, "the last registration is 2"), (4, "= 3 in")],
)
def test_only_the_last_version_is_registered(version, why):
    register(toy.study(), "the first")
    register(toy.study(results_version=2), "the second")
    assert why in problems(toy.study(results_version=version))[0]


def test_without_any_registration_the_reason_says_what_to_do():
    (why,) = problems(toy.study())
    assert why.endswith('there is no registration; run `reviewlib register toy "why"` and commit')


def test_a_version_is_registered_once_and_none_is_skipped():
    register(toy.study(), "the first")
    day = read("toy")[0].date
    for study, why in (
        (toy.study(), f"version 1 of toy was registered on {day}: nothing changed since"),
        (toy.study(claims=FINER), "sizes or folds of laptop changed"),
        (toy.study(claims=FINER), "a change needs results_version = 2 in its study.py"),
        (toy.study(results_version=3), "the next registration of toy is 2"),
    ):
        with pytest.raises(RegistrationError) as caught:
            register(study, "again")
        assert why in str(caught.value)
    assert len(read("toy")) == 1


@pytest.mark.parametrize("why", ["", " ", "two\nlines", "x" * 1001])
def test_a_reason_or_a_pilot_is_one_line(why):
    for words in ((why,), ("the first", [why])):
        with pytest.raises(RegistrationError, match="must be one line that says something"):
            register(toy.study(), *words)
    assert not registration.path_of("toy").exists()


def test_a_study_without_evidence_has_nothing_to_register():
    with pytest.raises(RegistrationError, match="toy cannot be registered"):
        register(toy.study(presets=(replace(toy.TINY, name="quick"),)), "the first")


def test_the_file_has_one_entry_a_line_and_only_grows():
    register(toy.study(), "the first")
    before = registration.path_of("toy").read_text().splitlines()
    register(toy.study(results_version=2), "the second")
    after = registration.path_of("toy").read_text().splitlines()
    assert after[1] == f"{before[1]}," and len(after) == len(before) + 1


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda rows: rows * 2, "must hold versions 1, 2, ... in this order, got 1, 1"),
        (lambda rows: [rows[0] | {"version": 2}, rows[0]], "in this order, got 2, 1"),
        (lambda rows: [rows[0] | {"version": 2}], "in this order, got 2"),
        (lambda rows: rows[0], "Expected `array`"),
        (lambda rows: [rows[0] | {"version": True}], "Expected `int`"),
        (lambda rows: [rows[0] | {"mood": "good"}], "unknown field `mood`"),
        (lambda rows: [rows[0] | {"date": "today"}], "Invalid isoformat"),
        (lambda rows: [rows[0] | {"why": " "}], "must be one line"),
        (lambda rows: [rows[0] | {"test": {"laptop": "x"}}], "matching regex"),
        (lambda rows: [rows[0] | {"fingerprints": {"sgd": {"clean": {}}}}], "`losses`"),
    ],
)
def test_a_damaged_or_merged_file_is_refused_and_says_what_to_do(edit, why):
    said = edited(edit)
    assert why in said and "papers/toy/records/registrations.json" in said
    assert "After a merge" in said and "--pilot" in said
    assert problems(toy.study()) == [said]
    with pytest.raises(RegistrationError):
        register(toy.study(results_version=2), "the next")


def test_the_marks_of_a_conflict_are_refused():
    register(toy.study(), "the first")
    path = registration.path_of("toy")
    path.write_text(f"<<<<<<< HEAD\n{path.read_text()}=======\n[]\n>>>>>>> other\n")
    with pytest.raises(RegistrationError, match="After a merge of two branches"):
        read("toy")


RACE = """
import sys
sys.path.append(sys.argv[1])
import toy
from reviewlib import papers
from reviewlib.evidence.registration import RegistrationError, register
papers.__path__[:] = [sys.argv[2]]
print("ready", flush=True)
sys.stdin.readline()
try:
    register(toy.study(), sys.argv[3])
except RegistrationError as error:
    sys.exit(str(error))
"""


def test_of_two_that_register_at_once_one_loses_and_says_so():
    tests = str(Path(toy.__file__).parent)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tests, papers.__path__[0], why],
            env=os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for why in ("one", "other")
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=120)[1] for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 1]
    assert "version 1 of toy was registered on" in "".join(said)
    (entry,) = read("toy")
    assert entry.why == ("one", "other")[[racer.returncode for racer in racers].index(0)]


# What versions said


def command(*words):
    return CliRunner().invoke(cli.app, words)


def test_the_command_registers_and_says_what_to_commit(shelf):
    shelf(toy.study())
    done = command("register", "toy", "the first", "--pilot", "+1 point", "--pilot", "nothing")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(registration.path_of("toy"))
    assert "commit that file before you run the study" in done.stderr
    assert read("toy")[0].pilots == ("+1 point", "nothing")
    again = command("register", "toy", "once more")
    assert again.exit_code == 1 and "nothing changed since" in again.stderr
    assert command("register", "nobody", "why").exit_code == 1


def test_every_version_is_told_with_what_it_said_and_none_can_hide(shelf, published, record):
    published(toy.study(), record)
    row = ledger.entries(toy.study(), BOOK)[0]
    old = row | {"registration": None, "verdict": "contradicted"}
    before = [finding(old), finding(old | {"claim": "older"})]
    history.append("toy", before, "2026-01-01", "c0", "before there were registrations")
    history.append("toy", [finding(row)], "2026-01-02", "c1", "the first")
    register(toy.study(results_version=2), "the first did not please", ["no gain"])
    first, second = ledger.story(toy.study())
    assert (first["version"], first["why"], first["pilots"]) == (1, "the first", [])
    assert (second["pilots"], second["verdicts"]) == (["no gain"], {})
    assert first["verdicts"] == {"better": row["verdict"]} and row["verdict"] != "contradicted"
    shelf(toy.study(results_version=2))
    (row,) = json.loads(command("verdicts", "--json").stdout)
    assert row["versions"] == [first, second] and row["versions_before"] == 1
    lines = " ".join(command("verdicts").stdout.split())
    assert f"the first. It said: better: {first['verdicts']['better']}" in lines
    assert "did not please. It said: nothing on record" in lines


def finding(row):
    """Return a row's fields that a history entry has."""
    names = history.Entry.__dataclass_fields__.keys() - {"date", "commit", "why"}
    return {name: row[name] for name in names}


def test_the_ledger_names_the_registration_and_the_history_keeps_it(published, record):
    published(toy.study(), record)
    rows = ledger.entries(toy.study(), BOOK)
    assert rows[0]["registration"] == 1 and rows[0]["versions_before"] == 0
    before = [row | {"registration": None} for row in rows]
    history.append("toy", history.changes([], before), "2026-01-01", "c0", "unregistered")
    old = history.path_of("toy").read_text().splitlines()[1]
    assert '"registration"' not in old  # as the entries from before there were any
    changed = history.changes(history.read("toy"), rows)  # the same verdict, now registered
    history.append("toy", changed, "2026-01-02", "c1", "registered")
    assert [entry.registration for entry in history.read("toy")] == [None, 1]
    assert history.path_of("toy").read_text().splitlines()[1] == f"{old},"


def test_unregistered_records_have_no_registration_and_no_verdict(published, record):
    published(toy.study(), record, registration="unregistered")
    (row,) = ledger.entries(toy.study(), BOOK)
    assert row["registration"] is None and row["verdict"] is None
    assert "made under no registration" in row["reason"]


def test_damaged_registrations_do_not_hide_the_ledger(shelf, record):
    shelf(toy.study())
    BOOK.save(record)
    registration.path_of("toy").write_text("[")
    (row,) = ledger.entries(toy.study(), BOOK)
    assert row["versions"] is None and row["versions_before"] is None
