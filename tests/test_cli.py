"""The command line, as a newcomer and as another tool meets it."""

import json
from dataclasses import replace

import pytest
import toy
from typer.testing import CliRunner

from reviewlib import cli, engines, ledger, records, study, train
from reviewlib.book import build, execute

pytestmark = pytest.mark.usefixtures("own_cache")


def call(*words):
    return CliRunner().invoke(cli.app, words)


@pytest.fixture
def toy_study(monkeypatch):
    monkeypatch.setattr(study, "found", lambda: ["toy"])
    monkeypatch.setattr(study, "find", lambda name: toy.study())


COMMANDS = ["list", "study", "verdicts", "execute", "build", "pair", "new", "check"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    assert command in call("--help").stdout
    done = call(command, "--help")
    assert done.exit_code == 0 and len(done.stdout) > 200


def test_a_study_runs_writes_its_records_and_prints_where(toy_study, tmp_path):
    done = call("study", "toy", "--preset", "laptop", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "toy" / "laptop.json")
    assert records.faults(records.load("toy", "laptop", tmp_path), toy.study()) == []


def test_verify_reruns_nothing_or_names_what_it_reran(toy_study, tmp_path, monkeypatch):
    words = ("study", "toy", "--preset", "laptop", "--out", str(tmp_path), "--verify")
    missing = call(*words)
    assert missing.exit_code == 1 and "there are no records at" in missing.stderr
    call(*words[:-1])
    again = call(*words)
    assert again.exit_code == 0, again.output
    assert "verified 2 arms; nothing is stale" in again.stderr

    def slower(model, config):
        return train.sgd(model, replace(config, momentum=config.momentum * config.momentum))

    changed = toy.study(run=toy.broken(slower))
    monkeypatch.setattr(study, "find", lambda name: changed)
    assert "rerun because they went stale: sgd, slow" in call(*words).stderr
    assert records.load("toy", "laptop", tmp_path).provenance["verified"]["commit"]


def test_several_jobs_mean_processes_unless_an_engine_is_named(toy_study, tmp_path, monkeypatch):
    seen = []

    def map_tasks(function, tasks, *, engine, jobs, gpus):
        seen.append((engine, jobs))
        return real(function, tasks)

    real = engines.map_tasks
    monkeypatch.setattr(engines, "map_tasks", map_tasks)
    for words in ((), ("--jobs", "2"), ("--engine", "ray", "--jobs", "3")):
        call("study", "toy", "--preset", "laptop", "--out", str(tmp_path), *words)
    assert list(dict.fromkeys(seen)) == [("local", 1), ("processes", 2), ("ray", 3)]
    assert call("study", "toy", "--engine", "slurm").exit_code == 2


def test_an_interrupted_study_says_how_to_go_on(toy_study, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("reviewlib.compare.run_study", interrupted)
    done = call("study", "toy", "--preset", "laptop", "--out", str(tmp_path))
    assert done.exit_code == 130 and "the same command goes on from here" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("study", "nothing"), "no study is called 'nothing'; there are: double_descent"),
        (("study", "sam", "--preset", "huge"), "no preset 'huge'; it has quick, laptop, gpu"),
        (("study", "sam", "--device", "tpu"), "device must be 'auto', 'cpu' or 'cuda'"),
        (("execute", "--root", "/nowhere"), "no _config.yml in /nowhere"),
        (("build", "-p", "preset"), "a parameter is name=value, got 'preset'"),
    ],
)
def test_a_wrong_call_gets_one_clear_line_and_a_bad_exit_code(words, message):
    done = call(*words)
    assert done.exit_code != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


CLAIM_KEYS = {
    "paper", "claim", "kind", "primary", "metric", "mean", "lo", "hi", "level", "n", "margin",
    "verdict", "preset", "device", "commit", "stale",
}  # fmt: skip


def test_verdicts_as_json_have_what_other_tools_rely_on():
    done = call("verdicts", "--json")
    rows = json.loads(done.stdout)
    assert done.exit_code == 0 and len(rows) > 10
    assert all(row.keys() >= CLAIM_KEYS for row in rows)


def test_verdicts_without_valid_records_fail(toy_study):
    done = call("verdicts", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["stale"] is True


def test_the_list_as_json_has_what_other_tools_rely_on():
    rows = json.loads(call("list", "--json").stdout)
    assert [row["paper"] for row in rows] == study.found()
    for row in rows:
        assert {"quick", "laptop"} <= set(row["presets"])
        assert 0 < row["quick_seconds"] <= 45 and row["title"]


def test_an_unwritable_place_is_named_before_anything_runs(toy_study, monkeypatch, tmp_path):
    monkeypatch.setattr("reviewlib.compare.run_study", lambda *_, **__: pytest.fail("ran"))
    (tmp_path / "toy").write_text("a file where the folder should be")
    done = call("study", "toy", "--preset", "laptop", "--out", str(tmp_path))
    assert done.exit_code == 1 and "name another folder with --out" in " ".join(done.stderr.split())


def test_what_cannot_be_shown_is_said_with_its_reason(toy_study):
    done = call("verdicts")
    assert "study toy has no valid records: none were made" in " ".join(done.stderr.split())


@pytest.mark.parametrize("words", [("--check", "--pull", "x.ipynb"), ("--pull", "x.py")])
def test_pairing_refuses_what_would_lose_an_edit(words):
    done = call("pair", *words)
    assert done.exit_code != 0 and "Traceback" not in done.output


def test_tables_for_people(toy_study):
    assert "A toy" in call("list").stdout
    assert "no valid records" in call("verdicts").stdout


def test_a_failed_notebook_fails_the_command_and_is_named(monkeypatch):
    def run(root, names, *, report, **options):
        report(execute.Outcome("sam", "failed", 1.5, 3, 31, "ValueError: [no]", "line 7"))

    monkeypatch.setattr(execute, "execute", run)
    done = call("execute")
    assert done.exit_code == 1
    assert "error: notebook sam, cell 3: ValueError: [no]\nline 7\n" in done.stderr
    assert "3 of 31" in done.stdout
    (row,) = json.loads(call("execute", "--json").stdout)
    assert (row["name"], row["state"], row["cell"], row["cells"]) == ("sam", "failed", 3, 31)


def test_options_reach_the_notebooks(monkeypatch):
    seen = {}

    def run(root, names, **options):
        seen.update(options, names=names)

    monkeypatch.setattr(execute, "execute", run)
    words = ("--only", "sam", "--only", "b", "-p", "preset=laptop", "-p", "seeds=5", "--force")
    assert call("execute", *words, "--cell-timeout", "7", "--timeout", "9").exit_code == 0
    assert seen["names"] == ["sam", "b"]
    assert seen["parameters"] == {"preset": "laptop", "seeds": "5"}
    assert (seen["force"], seen["cell_seconds"], seen["seconds"]) == (True, 7, 9)


def test_a_build_ends_with_the_file_to_open(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "build", lambda *_, **__: tmp_path / "index.html")
    assert call("build").stdout.splitlines()[-1] == f"The book is ready: open {tmp_path}/index.html"


def test_a_build_that_fails_says_why(monkeypatch):
    def fails(*_, **__):
        raise build.BuildError("notebook sam, cell 3: ValueError: [brackets] survive")

    monkeypatch.setattr(build, "build", fails)
    done = call("build")
    assert done.exit_code == 1 and "[brackets] survive" in done.stderr


def test_other_data_do_not_get_into_the_book_as_a_parameter():
    for command in ("build", "execute"):
        done = call(command, "-p", "data=cifar10")
        assert done.exit_code == 2 and "build --data" in done.output


def test_verdicts_print_what_looks_like_markup_as_it_is(toy_study, monkeypatch):
    row = dict.fromkeys(("commit", "mean", "lo", "hi", "n", "reason", "numerics"))
    row |= {"paper": "toy", "claim": "[/x]", "preset": "laptop", "device": "[/y]"}
    row |= {"verdict": "inconclusive", "stale": False, "metric": "accuracy", "scale": "difference"}
    monkeypatch.setattr(ledger, "entries", lambda name: [row])
    done = call("verdicts")
    assert "[/x]" in done.output and "[/y]" in done.output
