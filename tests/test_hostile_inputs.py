"""A table of hostile inputs: each gets the right answer, or one line that says what to do.

`pytest tests/test_hostile_inputs.py -s` prints the table.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import images
import numpy as np
import pytest
import toy
from PIL import Image
from typer.testing import CliRunner

from reviewlib import cli
from reviewlib.book import pairing
from reviewlib.data import image_folder
from reviewlib.data.errors import DataError
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import Store
from reviewlib.page.chapter import open_chapter

MOST_SECONDS = 15
ASKED = (ValueError, OSError, DataError, RecordError)  # what the command line turns into one line


def told(what, answer, seconds):
    """Print a row of the table, and check what every answer must be."""
    line = " ".join(answer.split())
    print(f"| {what} | {line[:150]} |")
    assert seconds < MOST_SECONDS, f"{what} took {seconds:.0f} s"
    assert "Traceback" not in answer and " at 0x" not in answer, answer
    return line


def refusal(call):
    """The message of what a call raises, which must be of the kinds that end in one line."""
    start = time.monotonic()
    with pytest.raises(ASKED) as caught:
        call()
    return str(caught.value), time.monotonic() - start


# The command line

HERE = "<here>"  # stands for a file in the test's folder
ROOT = "--root", HERE
LAPTOP = "study", "toy", "--preset", "laptop"
USAGE, FAILED = 2, 1


@dataclass(frozen=True)
class Words:
    """Words on the command line, with the exit code and a pattern of the answer."""

    words: tuple
    code: int
    says: str


COMMANDS = [
    Words(("study", ""), FAILED, "no study is called ''; there are: toy"),
    Words(("study", "nosuch"), FAILED, "no study is called 'nosuch'; there are: toy"),
    Words(("study", "../toy"), FAILED, "no study is called '../toy'"),
    Words(("study", "toy", "--preset", "huge"), FAILED, "no preset 'huge'; it has laptop"),
    Words(("study", "toy", "--preset", ""), FAILED, "no preset ''"),
    Words((*LAPTOP, "--jobs", "0"), USAGE, "greater than or equal to 1"),
    Words((*LAPTOP, "--jobs", "two"), USAGE, "valid integer"),
    Words((*LAPTOP, "--jobs", "1e3"), USAGE, "valid integer"),
    Words((*LAPTOP, "--engine", "cluster"), USAGE, "'cluster' is not one of"),
    Words((*LAPTOP, "--device", "gpu9"), FAILED, "device must be 'auto', 'cpu' or 'cuda'"),
    Words((*LAPTOP, "--device", ""), FAILED, "device must be 'auto', 'cpu' or 'cuda', got ''"),
    Words((*LAPTOP, "--data", ""), USAGE, "must not be empty; leave the option out"),
    Words((*LAPTOP, "--data", " "), USAGE, "must not be empty"),
    Words((*LAPTOP, "--data", "nosuch"), FAILED, "data must be one of fashion-mnist.*'nosuch'"),
    Words((*LAPTOP, "--data", HERE), FAILED, "file must be a folder with one folder of images"),
    Words((*LAPTOP, "--data", "~/nosuch"), FAILED, "nosuch must be a folder"),
    Words((*LAPTOP, "--data", "~nobody-at-all/x"), USAGE, "names the home folder of nobody"),
    Words((*LAPTOP, "--data", "a\0b"), FAILED, "data must be one of"),
    Words((*LAPTOP, "--data", "/" + "x" * 5000), FAILED, "File name too long"),
    Words((*LAPTOP, "--out", HERE), FAILED, "must be writable and have room.*name another folder"),
    Words((*LAPTOP, "--out", "/proc/x"), FAILED, "must be writable and have room"),
    Words((*LAPTOP, "--out", ""), USAGE, "must not be empty"),
    Words((*LAPTOP, "--out", "/dev/null"), FAILED, "must be writable and have room"),
    Words((*LAPTOP, "--verify"), FAILED, "there are no records at .*; run `reviewlib study toy"),
    Words(("study", "toy", "--trial-run", "--jobs", "2"), USAGE, "got --jobs: leave that out"),
    Words(("study", "toy", "--frob"), USAGE, "No such option: --frob"),
    Words(("study",), USAGE, "Missing argument"),
    Words(("verdicts", "nosuch"), FAILED, "no study is called 'nosuch'"),
    Words(("verdicts", ""), FAILED, "no study is called ''"),
    Words(("verdicts", "--record", " "), USAGE, "--record takes the reason"),
    Words(("register", "nosuch", "why"), FAILED, "no study is called 'nosuch'"),
    Words(("register", "toy", ""), FAILED, "one line that says something"),
    Words(("register", "toy", "a\nb"), FAILED, "one line that says something"),
    Words(("register", "toy", "x" * 100_000), FAILED, "of at most 1000 characters"),
    Words(("register", "toy", "why", "--pilot", ""), FAILED, "one line that says something"),
    Words(("time", "toy"), FAILED, "toy times nothing: declare `timings`"),
    Words(("time", "toy", "--launches", "1"), USAGE, "greater than or equal to 5"),
    Words(("time", "nosuch"), FAILED, "no study is called 'nosuch'"),
    Words(("build", "--only", "nosuch", *ROOT), FAILED, "no notebook is called 'nosuch'"),
    Words(("build", "--only", "", *ROOT), FAILED, "no notebook is called ''"),
    Words(("build", "--only", "../x", *ROOT), FAILED, "no notebook is called '../x'"),
    Words(("build", "-p", "seeds", *ROOT), USAGE, "a parameter is name=value, got 'seeds'"),
    Words(("build", "-p", "=3", *ROOT), FAILED, "no parameter ''"),
    Words(("build", "-p", "nosuch=1", *ROOT), FAILED, "no parameter 'nosuch'"),
    Words(("build", "-p", "data=x", *ROOT), USAGE, "the book has its own data"),
    Words(("build", "-p", "seeds=five", *ROOT), USAGE, "seeds must be a whole number.*'five'"),
    Words(("build", "-p", "seeds=2.5", *ROOT), USAGE, "seeds must be a whole number.*'2.5'"),
    Words(("execute", "-p", "seeds=-3", *ROOT), USAGE, "seeds must be a whole number.*'-3'"),
    Words(("execute", "-p", "seeds=", *ROOT), USAGE, "seeds must be a whole number.*''"),
    Words(("build", "--data", "", *ROOT), USAGE, "must not be empty"),
    Words(("build", "--data", "nosuch", *ROOT), FAILED, "data must be one of"),
    Words(("build", "--root", "/nosuch"), FAILED, "no _config.yml in /nosuch: run this in"),
    Words(("build", "--root", ""), USAGE, "must not be empty"),
    Words(("build", "--cell-timeout", "0", *ROOT), USAGE, "greater than or equal to 1"),
    Words(("execute", "--timeout", "x", *ROOT), USAGE, "valid integer"),
    Words(("pair", "--check", "--pull", "x.ipynb", *ROOT), USAGE, "give one of them"),
    Words(("pair", "--pull", "nosuch.ipynb", *ROOT), FAILED, "No such file.*nosuch.ipynb"),
    Words(("pair", "--pull", "", *ROOT), USAGE, "must not be empty"),
    Words(("pair", "--pull", HERE, *ROOT), FAILED, r"a notebook ends in \.ipynb"),
    Words(("new", "", *ROOT), FAILED, "must be a lower-case identifier"),
    Words(("new", "Bad Name", *ROOT), FAILED, "must be a lower-case identifier"),
    Words(("new", "../x", *ROOT), FAILED, "must be a lower-case identifier"),
    Words(("new", "class", *ROOT), FAILED, "and no keyword, got 'class'"),
    Words(("new", "méthode", *ROOT), FAILED, "must be a lower-case identifier"),
    Words(("check", "nosuch", *ROOT), FAILED, "no chapter is called 'nosuch'; there are: a, toy"),
    Words(("frobnicate",), USAGE, "No such command 'frobnicate'"),
]


@pytest.fixture
def book(tmp_path):
    """A book with one notebook, and a file beside it."""
    for folder in ("book", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_config.yml").write_text("sphinx: {config: {language: en}}\n")
    (tmp_path / "notebooks" / "a.py").write_text("# %%\n1\n")
    pairing.write(tmp_path / "notebooks")
    (tmp_path / "file").write_text("x")
    return tmp_path


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: repr(row.words)[:60])
def test_words_on_the_command_line(row, book, shelf, own_cache):
    shelf(toy.study())
    words = [
        word if word != HERE else str(book if before == "--root" else book / "file")
        for before, word in zip(("", *row.words), row.words, strict=False)
    ]
    start = time.monotonic()
    done = CliRunner().invoke(cli.app, words)
    line = told(f"reviewlib {' '.join(words)[:60]!r}", done.output, time.monotonic() - start)
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == row.code
    assert re.search(row.says, re.sub(r"[│╭╮╰╯─ ]+", " ", line)), line


# Parameters of a notebook

PARAMETERS = {
    "no such paper": ({"name": "nosuch"}, "no study is called 'nosuch'"),
    "preset huge": ({"preset": "huge"}, "no preset 'huge'"),
    "preset of another type": ({"preset": 3}, "no preset 3"),
    "seeds 1": ({"seeds": 1}, "a whole number of at least 2"),
    "seeds five": ({"seeds": "five"}, "a whole number of at least 2.*'five'"),
    "seeds 2.5": ({"seeds": 2.5}, "a whole number of at least 2.*2.5"),
    "seeds true": ({"seeds": True}, "a whole number of at least 2.*True"),
    "seeds nan": ({"seeds": float("nan")}, "a whole number of at least 2.*nan"),
    "device tpu": ({"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda'"),
    "data empty": ({"data": ""}, "data must be one of.*got ''"),
    "data nowhere": ({"data": "/nowhere/at/all"}, "/nowhere/at/all must be a folder"),
    "data of nobody": ({"data": "~nobody-at-all/x"}, "names the home folder of nobody"),
}


@pytest.mark.parametrize("what", PARAMETERS)
def test_parameters_of_a_notebook(what):
    given, says = PARAMETERS[what]
    message, seconds = refusal(lambda: open_chapter(**{"name": "sam"} | given))
    assert re.search(says, told(what, message, seconds)), message


# Records


def cut(text):
    return text[: len(text) // 2]


def changed(**fields):
    return lambda text: json.dumps(json.loads(text) | fields)


RECORDS = {
    "empty": lambda text: "",
    "cut in half": cut,
    "a list": lambda text: "[]",
    "a number": lambda text: "3",
    "null": lambda text: "null",
    "not JSON": lambda text: "{'a': 1}",
    "marks of a merge": lambda text: f"<<<<<<< HEAD\n{text}",
    "nested deeply": lambda text: "[" * 100_000,
    "infinite": lambda text: re.sub(r'"seconds":\s*[0-9.]+', '"seconds": 1e999', text, count=1),
    "no format": changed(format=None),
    "another format": changed(format=99),
    "a field too many": changed(more=1),
    "another study": changed(study="other"),
    "a preset of text": changed(preset="laptop"),
    "rows of text": changed(runs="none"),
    "an edited score": lambda text: re.sub(r'(?s)("scores".*?0\.)', r"\g<1>9", text, count=1),
    "not text": lambda text: b"\xff\xfe\x00",
}


@pytest.mark.parametrize("what", RECORDS)
def test_records(what, record, tmp_path):
    store = Store(tmp_path)
    path = store.save(record)
    damaged = RECORDS[what](path.read_text())
    assert damaged != path.read_text()
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    message, seconds = refusal(lambda: store.load("toy", "laptop"))
    line = told(f"record: {what}", message, seconds)
    assert "laptop.json" in line and ("reviewlib study toy" in line or "restore" in line), line


# Images


def save(picture, name, **options):
    return lambda folder: picture.save(folder / "cat" / name, **options)


def written(name, content):
    return lambda folder: (folder / "cat" / name).write_bytes(content)


GIF = Image.fromarray(images.noise(0, 9, 9))
RIGHT = "two classes"
IMAGES = {
    "text called png": (written("x.png", b"hello"), "x.png cannot be read as an image"),
    "no bytes": (written("x.png", b""), "x.png cannot be read as an image"),
    "a script": (written("x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n"), "x.eps cannot be read"),
    "HEIC": (written("x.heic", b"\0\0\0\x18ftypheic" + bytes(40)), "x.heic cannot.*no such format"),
    "SVG": (written("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "x.svg cannot be read"),
    "16 bits": (
        save(Image.fromarray(np.zeros((9, 9), np.uint16)), "x.png"),
        "not 8 bits a channel",
    ),
    "floats": (
        save(Image.fromarray(np.zeros((9, 9), np.float32)), "x.tiff"),
        "not 8 bits a channel",
    ),
    "a bomb": (save(Image.new("1", (8000, 8000)), "x.png"), "are over 50,000,000 pixels"),
    "a folder in a class": (lambda f: (f / "cat" / "more").mkdir(), "more must be an image file"),
    "an empty class": (lambda f: (f / "empty").mkdir(), "the class folder .*empty is empty"),
    "a loose file": (lambda f: (f / "labels.csv").touch(), "labels.csv must be a folder"),
    "a broken link": (
        lambda f: (f / "cat" / "x.png").symlink_to("nowhere"),
        "x.png must be an image",
    ),
    "a link to itself": (lambda f: (f / "loop").symlink_to(f / "loop"), "loop must be a folder"),
    "a pipe": (lambda f: os.mkfifo(f / "cat" / "x.png"), "x.png must be an image file"),
    "a train folder": (
        lambda f: [(f / "train" / "cat").mkdir(parents=True)],
        "train looks like a part of the data",
    ),
    "litter of systems": (lambda f: [(f / "__MACOSX").mkdir(), (f / ".DS_Store").touch()], RIGHT),
    "CMYK": (save(Image.new("CMYK", (9, 9)), "x.jpg"), RIGHT),
    "a palette with holes": (save(GIF.convert("P"), "x.png", transparency=0), RIGHT),
    "an animation": (save(GIF, "x.gif", save_all=True, append_images=[GIF]), RIGHT),
    "one pixel": (save(Image.new("L", (1, 1)), "x.png"), RIGHT),
    "a line of pixels": (save(Image.new("L", (3000, 1)), "x.png"), RIGHT),
    "a name with quotes": (save(GIF, "x '\" $(rm) \n é.png"), RIGHT),
}


@pytest.mark.parametrize("what", IMAGES)
def test_images(what, tmp_path):
    folder = images.photos(tmp_path / "pets", count=20)
    harm, says = IMAGES[what]
    harm(folder)
    if says is RIGHT:
        start = time.monotonic()
        _, _, classes = image_folder.read(folder)
        told(f"images: {what}", f"{len(classes)} classes", time.monotonic() - start)
        assert classes == ("cat", "dog & co")
        return
    message, seconds = refusal(lambda: image_folder.read(folder))
    assert re.search(says, told(f"images: {what}", message, seconds)), message


# Notebooks

NOTEBOOKS = {
    "empty": "",
    "not JSON": "# %%\n1\n",
    "a list": "[]",
    "no cells": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "cells of text": '{"cells": "x", "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "a version to come": '{"cells": [], "nbformat": 99, "nbformat_minor": 0, "metadata": {}}',
    "marks of a merge": '<<<<<<< HEAD\n{"cells": []}\n=======\n{"cells": []}\n>>>>>>> x\n',
    "a source that is a number": json.dumps(
        {
            "cells": [{"cell_type": "code", "source": 3, "metadata": {}, "outputs": []}],
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {},
        }
    ),
    "nested deeply": "[" * 100_000,
}


@pytest.mark.parametrize("what", NOTEBOOKS)
def test_notebooks(what, book):
    path = book / "notebooks" / "a.ipynb"
    path.write_text(NOTEBOOKS[what])
    before = (book / "notebooks" / "a.py").read_text()
    message, seconds = refusal(lambda: pairing.pull(path))
    assert "a.ipynb" in told(f"notebook: {what}", message, seconds)
    assert path.read_text() == NOTEBOOKS[what]
    assert (book / "notebooks" / "a.py").read_text() == before
    assert "a.ipynb" in pairing.problem(book / "notebooks", "a")


# Environment

SURROUNDINGS = {
    "a cache that is a file": ({"XDG_CACHE_HOME": HERE}, 1, "finished runs go to .*writable"),
    "a cache that cannot be": ({"XDG_CACHE_HOME": "/proc/x"}, 1, "finished runs go to .*writable"),
    "images nowhere": ({"REVIEWLIB_DATA": "/nowhere"}, 0, "toy/laptop.json"),
    "a terminal of cp1252": ({"PYTHONIOENCODING": "cp1252"}, 0, "toy/laptop.json"),
    "a terminal of ASCII": ({"PYTHONIOENCODING": "ascii"}, 0, "toy/laptop.json"),
    "no home": ({"HOME": ""}, 0, "toy/laptop.json"),
    "five columns": ({"COLUMNS": "5"}, 0, "toy/laptop.json"),
    "threads of text": ({"OMP_NUM_THREADS": "many"}, 0, "toy/laptop.json"),
    "a locale that is not there": ({"LANG": "xx_XX", "LC_ALL": "xx_XX"}, 0, "toy/laptop.json"),
    "no terminal": ({"TERM": "dumb", "NO_COLOR": "1"}, 0, "toy/laptop.json"),
}
PROGRAM = """
import sys
from reviewlib import cli, papers
import toy
papers.found, papers.find = lambda: ["toy"], lambda name: toy.study()
sys.argv = ["reviewlib", "study", "toy", "--preset", "laptop", "--out", sys.argv[1]]
cli.app()
"""


@pytest.mark.parametrize("what", SURROUNDINGS)
def test_surroundings(what, tmp_path):
    (tmp_path / "file").touch()
    given, code, says = SURROUNDINGS[what]
    given = {name: str(tmp_path / "file") if of == HERE else of for name, of in given.items()}
    tests = str(Path(__file__).parent)
    usual = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": tests}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "out")],
        env=usual | given,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    line = told(f"surroundings: {what}", done.stdout + done.stderr, 0)
    assert done.returncode == code and re.search(says, line), line


def test_the_table_has_a_hundred_rows():
    tables = (COMMANDS, PARAMETERS, RECORDS, IMAGES, NOTEBOOKS, SURROUNDINGS)
    assert sum(map(len, tables)) >= 100
