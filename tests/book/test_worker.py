"""What papermill reports and what it passes over, in this process."""

import json

import pytest
import smallbook

from reviewlib.book import worker
from reviewlib.book.failures import Failure, without_colors


@pytest.mark.slow  # starts a kernel
@pytest.mark.parametrize("status", ["", "0", "3"])
def test_a_cell_that_leaves_the_kernel_has_failed_whatever_its_status(tmp_path, status):
    leaves = f"import sys\n\nsys.exit({status})"
    smallbook.write(tmp_path, {"a": ["1", leaves, "2"]})
    started = []
    failure = worker.execute(tmp_path / "notebooks" / "a.ipynb", {}, 60, started.append)
    assert failure.cell == 2 and failure.cause.startswith("SystemExit")
    assert started == [1, 2]


@pytest.mark.slow  # starts a kernel
def test_what_libraries_print_on_stderr_is_in_the_log_and_not_on_the_page(tmp_path, caplog):
    caplog.set_level("INFO")
    ours = str(worker.sources.PACKAGE / "page" / "chapter.py")
    cell = "import sys\n\nprint('seen')\nprint('noise of a library', file=sys.stderr)"
    smallbook.write(tmp_path, {"a": [cell, f"print({ours + ': ours'!r}, file=sys.stderr)"]})
    text = worker.execute(tmp_path / "notebooks" / "a.ipynb", {}, 60, [].append)
    first, second = (cell["outputs"] for cell in json.loads(text)["cells"])
    assert [output["name"] for output in first] == ["stdout"]
    assert [output["name"] for output in second] == ["stderr"]
    assert "".join(second[0]["text"]) == f"{ours}: ours\n"
    assert "noise of a library" in caplog.text


@pytest.mark.slow  # starts a kernel
def test_a_cell_that_papermill_skips_has_failed(tmp_path):
    smallbook.write(tmp_path, {"a": ["1", ""]})
    path = tmp_path / "notebooks" / "a.ipynb"
    text = path.read_text().replace(
        '"metadata": {},', '"metadata": {"tags": ["skip-execution"]},', 1
    )
    path.write_text(text)
    failure = worker.execute(path, {}, 60, [].append)
    assert failure == Failure("the cell was never run", 1, "1")


@pytest.mark.slow  # starts a kernel
def test_positions_are_those_of_the_notebook_though_papermill_adds_a_cell(tmp_path):
    smallbook.write(tmp_path, {"a": ["0", "n = 1", "1 / (n - 5)"]})
    path = tmp_path / "notebooks" / "a.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(notebook))
    started = []
    failure = worker.execute(path, {"n": "5"}, 60, started.append)
    assert (failure.cell, failure.cause) == (3, "ZeroDivisionError: division by zero")
    assert started == [1, 2, 2, 3]


@pytest.mark.slow  # starts a kernel
def test_what_papermill_does_not_expect_is_a_failure_with_its_traceback_in_the_log(
    tmp_path, caplog
):
    smallbook.write(tmp_path, {"a": ["1"]})

    def fails(cell):
        raise BrokenPipeError("nobody listens")

    failure = worker.execute(tmp_path / "notebooks" / "a.ipynb", {}, 60, fails)
    assert failure == Failure("BrokenPipeError: nobody listens")
    assert "in fails" in caplog.text


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.5", 0.5), ("True", True), ("None", None), ("quick", "quick"), ("/a b", "/a b")],
)
def test_a_parameter_is_a_python_literal_or_text(text, value):
    assert worker.value(text) == value


def test_colors_are_cut_off():
    assert without_colors("\x1b[0;31mred\x1b[0m [0m") == "red [0m"
