"""The command line, as a newcomer and as another tool meets it."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import timed
import toy
from typer.testing import CliRunner

from reviewlib import cli, papers, terminal, train
from reviewlib.book import build, execute
from reviewlib.evidence.store import BOOK, Store
from reviewlib.evidence.validity import problems
from reviewlib.trial import engines
from reviewlib.trial.fingerprints import test_digest as digest_of_test

pytestmark = pytest.mark.usefixtures("own_cache")


def call(*words):
    return CliRunner().invoke(cli.app, words)


@pytest.fixture
def toy_study(shelf):
    """Put the toy study on the shelf, alone; return what puts it there with other fields."""

    def put(**changes):
        shelf(toy.study(**changes))

    put()
    return put


COMMANDS = [
    "list",
    "study",
    "time",
    "register",
    "verdicts",
    "execute",
    "build",
    "pair",
    "new",
    "check",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    assert command in call("--help").stdout
    done = call(command, "--help")
    assert done.exit_code == 0 and len(done.stdout) > 200


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("jupytext", ("pair", "--check")),
        ("jupytext", ("pair", "--pull", "nosuch.ipynb")),
        ("psutil", ("execute", "--only", "nosuch")),
        ("psutil", ("build", "--only", "nosuch")),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(package, words):
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from reviewlib import cli\n"
        f"sys.argv = ['reviewlib', *{words!r}]\n"
        "cli.app()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    wanted = f"needs the package {package}, which the extra `book` brings: pip install"
    assert wanted in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
    assert done.returncode == 1


def test_runs_from_the_cache_are_no_measure_of_speed(monkeypatch):
    shown = []

    class Watched(terminal.progress.Progress):
        def update(self, task, **fields):
            shown.append((fields["completed"], fields["total"], fields["description"]))

    monkeypatch.setattr(terminal.progress, "Progress", Watched)
    with terminal.running("toy, laptop", 3) as advance:
        for cached in (False, True, False):
            advance({"from_cache": cached})
    assert shown == [
        (1, 3, "toy, laptop"),
        (1, 2, "toy, laptop, 1 from the cache"),
        (2, 2, "toy, laptop, 1 from the cache, logistic regression"),
    ]


def test_a_study_runs_writes_its_records_and_prints_where(toy_study, tmp_path):
    done = call("study", "toy", "--preset", "laptop", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "toy" / "laptop.json")
    store = Store(tmp_path)
    assert problems(store.load("toy", "laptop"), toy.study(), store) == []


def test_a_record_that_is_not_valid_is_saved_and_fails_with_the_reason(toy_study, tmp_path):
    words = ("study", "toy", "--preset", "laptop", "--out", str(tmp_path))
    call(*words)
    toy_study(claims=(replace(toy.CLAIM, margin=0.5),))  # after the final seeds have run
    done = call(*words)
    assert done.exit_code == 1
    assert "no page shows it: what defines the test was changed after" in done.stderr
    assert done.stdout.strip() == str(tmp_path / "toy" / "laptop.json")


QUICK = replace(toy.TINY, name="quick", trials=2, tries=2, settings_from="laptop")


def test_quick_searches_for_itself_before_there_are_records(toy_study):
    toy_study(presets=(QUICK, toy.TINY))
    done = call("study", "toy", "--preset", "quick")
    assert done.exit_code == 0, done.output
    trials = BOOK.load("toy", "quick").trials
    assert len(trials) == 2 * 2 * 3  # arms, conditions, seeds, each at the chosen settings


def test_a_trial_run_saves_nothing_and_says_what_ran_and_what_presets_would_cost(
    toy_study, own_cache
):
    long = replace(toy.TINY, name="laptop", steps=1000 * QUICK.steps)
    gpu = replace(long, name="gpu", data="data that nothing loads")
    toy_study(presets=(QUICK, long, gpu))
    done = call("study", "toy", "--trial-run")
    assert done.exit_code == 0, done.output
    arms, costs = done.stdout.splitlines()[:4], done.stdout.splitlines()[4:]
    places = [f"{where}, {arm}" for where in ("clean", "noise") for arm in ("sgd", "slow")]
    assert [line.split(":")[0] for line in arms] == places
    assert all(line.count("0.") >= 2 and line.endswith("s a trial") for line in arms)
    quick, laptop = (float(line.split()[2].replace(",", "")) for line in costs)
    assert quick < 2 and laptop > 100 * quick
    assert not BOOK.has("toy", "quick") and not list(own_cache.rglob("*.json"))


@pytest.mark.parametrize(
    "words",
    [("--out", "x"), ("--jobs", "2"), ("--engine", "local"), ("--verify",), ("--preset", "gpu")],
)
def test_a_trial_run_refuses_what_it_would_not_use(words):
    done = call("study", "sam", "--trial-run", *words)
    assert done.exit_code == 2 and f"got {words[0]}: leave that out" in done.stderr


def test_verify_reruns_nothing_or_names_what_it_reran(toy_study, tmp_path):
    words = ("study", "toy", "--preset", "laptop", "--out", str(tmp_path), "--verify")
    missing = call(*words)
    assert missing.exit_code == 1 and "there are no records at" in missing.stderr
    call(*words[:-1])
    again = call(*words)
    assert again.exit_code == 0, again.output
    assert "verified 2 arms; nothing is stale" in again.stderr

    def slower(model, config):
        return train.sgd(model, replace(config, momentum=config.momentum * config.momentum))

    toy_study(arms=toy.broken(slower))
    assert "rerun because they went stale: sgd, slow" in call(*words).stderr
    assert Store(tmp_path).load("toy", "laptop").provenance["verified"]["commit"]


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


def test_an_interrupted_study_says_how_to_go_on(toy_study, tmp_path):
    def interrupted(run):
        raise KeyboardInterrupt

    toy_study(arms=tuple(replace(arm, train=interrupted) for arm in toy.ARMS))
    done = call("study", "toy", "--preset", "laptop", "--out", str(tmp_path))
    assert done.exit_code == 130 and "the same command goes on from here" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("study", "nothing"), "no study is called 'nothing'; there are: augmix"),
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


@pytest.fixture(scope="module")
def of_the_book(tmp_path_factory):
    """What two commands print of the book's own papers, whose fingerprints are replayed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return {command: call(command, "--json") for command in ("verdicts", "list")}


@pytest.mark.slow  # replays the fingerprints of all papers
def test_verdicts_as_json_have_what_other_tools_rely_on(of_the_book):
    done = of_the_book["verdicts"]
    rows = json.loads(done.stdout)
    assert done.exit_code == 0 and len(rows) > 10
    assert all(row.keys() >= CLAIM_KEYS for row in rows)


def test_verdicts_without_valid_records_fail(toy_study):
    done = call("verdicts", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["stale"] is True


@pytest.mark.slow  # replays the fingerprints of all papers
def test_the_list_as_json_has_what_other_tools_rely_on(of_the_book):
    rows = json.loads(of_the_book["list"].stdout)
    assert [row["paper"] for row in rows] == papers.found()
    for row in rows:
        assert row["title"]
        if not row["awaiting"]:
            assert {"quick", "laptop"} <= set(row["presets"])
            assert 0 < row["quick_seconds"] <= 45


def test_an_unwritable_place_is_named_before_anything_runs(toy_study, tmp_path):
    toy_study(arms=tuple(replace(arm, train=lambda run: pytest.fail("ran")) for arm in toy.ARMS))
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


def test_a_study_that_awaits_records_shows_older_ones_without_verdicts(toy_study):
    toy_study()
    done = call("study", "toy", "--preset", "laptop")
    assert done.exit_code == 0 and "these runs are unregistered" in " ".join(done.stderr.split())
    toy_study(awaiting="its nets are small", results_version=2)
    done = call("verdicts", "--json")
    (row,) = json.loads(done.stdout)
    assert done.exit_code == 0 and row["state"] == "awaiting" and row["verdict"] is None
    assert row["mean"] is not None and not row["stale"]
    shown = call("verdicts")
    assert "awaiting" in shown.stdout and "its nets are small" in " ".join(shown.stderr.split())
    assert "awaiting new ones" in " ".join(call("list").stdout.split())


def test_a_draft_that_cannot_be_imported_is_listed_with_its_error(toy_study):
    draft = papers.folder_of("draft")
    draft.mkdir()
    (draft / "__init__.py").touch()
    (draft / "study.py").write_text("raise RuntimeError('[/no] claims')")
    broken, whole = json.loads(call("list", "--json").stdout)
    assert broken["paper"] == "draft" and broken["error"].startswith("RuntimeError: [/no] claims")
    assert (whole["title"], whole["error"]) == ("A toy", None)
    shown = call("list")
    assert shown.exit_code == 0 and "[/no]" in shown.stdout and "A toy" in shown.stdout


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


def test_verdicts_print_what_looks_like_markup_as_it_is(published, record):
    study = toy.study(claims=(replace(toy.CLAIM, name="[/x]"),))
    published(study, replace(record, test=digest_of_test(study, toy.TINY)), device="[/y]")
    done = call("verdicts")
    assert done.exit_code == 0, done.output
    assert "[/x]" in done.output and "[/y]" in done.output


def test_verdicts_of_named_papers_only(toy_study):
    done = call("verdicts", "toy", "--json")
    assert {row["paper"] for row in json.loads(done.stdout)} == {"toy"}
    wrong = call("verdicts", "nothing")
    assert wrong.exit_code == 1 and "no study is called 'nothing'" in wrong.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_terminal_without_unicode_gets_signs_that_it_has(encoding):
    code = (
        "from reviewlib.terminal import out; out.print('\\N{MINUS SIGN}1.5 \\N{EN DASH} \\u4e2d')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode(encoding).strip()
    expected = {"cp1252": "-1.5 \N{EN DASH} ?", "ascii": "-1.5 - ?"}
    assert said == expected.get(encoding, "\N{MINUS SIGN}1.5 \N{EN DASH} \u4e2d")


def test_steps_are_timed_printed_and_written(shelf, tmp_path):
    shelf(timed.study())
    done = call("time", "toy", "--launches", "5", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    path = tmp_path / "toy" / "laptop-timings.json"
    assert done.stdout.splitlines()[-1] == str(path) and path.exists()
    assert "Half the momentum" in done.stdout and "1.00" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("toy", "--launches", "4"), "--launches"),
        (("nothing",), "no study is called 'nothing'"),
        (("toy", "--device", "tpu"), "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
    ],
)
def test_what_cannot_be_timed_is_one_line(shelf, words, says):
    shelf(timed.study())
    done = call("time", *words)
    assert done.exit_code != 0 and says in done.stderr and "Traceback" not in done.output


def test_a_study_without_timings_says_how_to_declare_some(toy_study):
    done = call("time", "toy")
    assert done.exit_code == 1 and "declare `timings` in its study.py" in done.stderr
