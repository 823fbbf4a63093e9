"""The last good book stays until a better one is there."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from reviewlib import sources
from reviewlib.book import build, execute


@pytest.fixture(autouse=True)
def small_package(tmp_path_factory, monkeypatch):
    # the digest then depends on nothing that another test run may be writing
    monkeypatch.setattr(sources, "PACKAGE", tmp_path_factory.mktemp("package"))
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)


def test_build_keeps_the_last_good_book_and_skips_what_did_not_change(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("title: x")
    calls = []

    def sphinx(page):
        def render(root, work):
            calls.append(page)
            site = work / "_build" / "html"
            site.mkdir(parents=True)
            (site / "index.html").write_text(page)
            return ["WARNING: undefined label"] if "warn" in page else []

        return render

    index = build.build(tmp_path, render=sphinx("good"))
    assert index.read_text() == "good"
    build.build(tmp_path, render=sphinx("better"))
    assert calls == ["good"]

    (tmp_path / "_config.yml").write_text("title: y")
    with pytest.raises(build.BuildError, match="undefined label"):
        build.build(tmp_path, render=sphinx("warn"))
    assert index.read_text() == "good"
    assert (tmp_path / "_build.failed" / "_build" / "html" / "index.html").read_text() == "warn"

    with pytest.raises(build.BuildError, match="index.html: gone.html leads nowhere"):
        build.build(tmp_path, render=sphinx('<a href="gone.html">x</a>'))
    assert index.read_text() == "good"

    assert build.build(tmp_path, render=sphinx("better")).read_text() == "better"
    assert not (tmp_path / "_build.failed").exists()
    assert sorted(path.name for path in (tmp_path / "_build").iterdir()) == ["html"]
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/else")
    build.build(tmp_path, render=sphinx("better"))
    assert calls == ["good", "warn", '<a href="gone.html">x</a>', "better", "better"]


def warns(root, work):
    return ["WARNING: no"]


def test_a_build_killed_between_two_renames_loses_no_book(tmp_path):
    (tmp_path / "_config.yml").touch()
    (tmp_path / "_build" / "html.old").mkdir(parents=True)
    (tmp_path / "_build" / "html.old" / "index.html").write_text("good")
    with pytest.raises(build.BuildError, match="WARNING: no"):
        build.build(tmp_path, render=warns)
    assert (tmp_path / "_build" / "html" / "index.html").read_text() == "good"


def test_what_a_build_is_asked_for_reaches_the_notebooks_under_one_lock(tmp_path, monkeypatch):
    seen = {}

    def run_notebooks(root, names, **options):
        with execute.alone(root, pytest.fail):  # of one process, so it does not wait for itself
            seen.update(options, names=names)
        with pytest.raises(Timeout):
            FileLock(root / "_executed" / ".lock").acquire(timeout=0)
        return []

    told = []
    monkeypatch.setattr(execute, "execute", run_notebooks)
    with pytest.raises(build.BuildError):
        how = {"jobs": 3, "seconds": 9, "force": True, "report": told.append}
        build.build(tmp_path, ["sam"], render=warns, **how)
    assert seen == how | {"names": ["sam"]}
    assert [(of.name, of.state) for of in told] == [("book", "running"), ("book", "failed")]
    assert told[-1].error.startswith("book: the book has problems; the failing build is in")
    assert told[-1].traceback == "WARNING: no"


def test_build_names_every_failed_notebook(tmp_path, monkeypatch):
    failed = [execute.Outcome(name, "failed", 1.0, cause="no") for name in "ab"]
    monkeypatch.setattr(execute, "execute", lambda *args, **kwargs: failed)
    with pytest.raises(build.BuildError, match="notebook a: no\nnotebook b: no"):
        build.build(tmp_path)


@pytest.mark.parametrize(
    ("code", "printed", "expected"),
    [
        (0, "/src/a.md:1: WARNING: is no problem when -W lets it pass", []),
        (
            1,
            "reading\n\x1b[91m/src/book/a.md:3: WARNING: no label\x1b[0m\nthe end",
            ["book/a.md:3: WARNING: no label"],
        ),
        (2, "odd\n\n", ["jupyter-book ended with 2: odd"]),
        (None, "", ["jupyter-book took more than 600 s"]),
    ],
)
def test_what_sphinx_warns_of_is_told_without_colors(code, printed, expected):
    assert build.warnings(code, printed, Path("/src")) == expected


def test_the_command_does_without_torch_whose_import_takes_seconds(tmp_path):
    (tmp_path / "_config.yml").touch()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from reviewlib import building, cli\n"
        "from reviewlib.book import build\n"
        "build.build = lambda *_, **__: Path('index.html')\n"
        "building.build(root=Path(sys.argv[1]))\n"
        "assert not {'torch', 'sphinx', 'papermill'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
