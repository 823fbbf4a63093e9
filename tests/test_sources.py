import ast

import pytest

from reviewlib import sources


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two papers, each with a module of its own, on a shared one."""
    texts = {
        "__init__.py": "",
        "shared.py": "def f():\n    from reviewlib.deep import last",
        "deep/__init__.py": "",
        "deep/last.py": "",
        "deep/subset.xz": "images",
        "idle.py": "",
        "a/__init__.py": "from reviewlib.a import history",
        "a/history.py": "from .. import shared",
        "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import reviewlib.idle",
    }
    for name, text in texts.items():
        (tmp_path / "reviewlib" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "reviewlib" / name).write_text(text)
    monkeypatch.setattr(sources, "PACKAGE", tmp_path / "reviewlib")
    return tmp_path / "reviewlib"


def names(package, *modules):
    return [path.relative_to(package).as_posix() for path in sources.files(modules)]


def test_a_module_rests_on_all_that_it_imports_at_any_depth(package):
    deep = ["deep/__init__.py", "deep/last.py", "deep/subset.xz"]
    mine = ["__init__.py", "a/__init__.py", "a/history.py", *deep, "shared.py"]
    assert names(package, "reviewlib.a", "torch.nn") == mine


def test_what_only_type_checkers_import_does_not_count(package):
    assert names(package, "reviewlib.b") == ["__init__.py", "b.py"]


@pytest.mark.parametrize("edited", ["a/history.py", "deep/last.py", "deep/subset.xz", "shared.py"])
def test_the_digest_follows_what_is_imported_and_nothing_else(package, edited):
    before = {name: sources.digest_of([f"reviewlib.{name}"]) for name in "ab"}
    (package / "idle.py").write_text("x = 1")
    assert sources.digest_of(["reviewlib.a"]) == before["a"]
    (package / edited).write_text("y = 1")
    assert sources.digest_of(["reviewlib.a"]) != before["a"]
    assert sources.digest_of(["reviewlib.b"]) == before["b"]


def test_every_way_to_import_is_read():
    text = "import a.b as c\nfrom d import e\nfrom . import g\ntry:\n    import h\nexcept: pass"
    assert sources.imports(ast.parse(text)) == ["a.b", "d", "d.e", ".", ".g", "h"]
