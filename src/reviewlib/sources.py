"""The files of this package that a module depends on, from its imports, and their digests."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name
from pathlib import Path

from reviewlib.storage import digest, file_digest

PACKAGE = Path(__file__).parent


def imports(tree: ast.AST) -> list[str]:
    """Return each module that a syntax tree imports, and `module.name` for each imported name.

    Imports inside functions count, those under `if TYPE_CHECKING` do not. Relative names keep their
    dots.
    """
    found = []
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            dot = "" if module.endswith(".") else "."
            found += [module, *(f"{module}{dot}{alias.name}" for alias in node.names)]
    return found


def files(names: Iterable[str]) -> list[Path]:
    """Return the files of this package that these modules depend on, including their own.

    Modules of other packages are skipped. An imported subpackage counts with its data files.
    """
    waiting, seen = list(names), set()
    while waiting:
        parts = waiting.pop().split(".")
        for length in range(1, len(parts) + 1):  # importing a.b imports a first
            for path in _files_of(tuple(parts[:length])):
                if path not in seen:
                    seen.add(path)
                    waiting += _imports_of(path) if path.suffix == ".py" else []
    return sorted(seen)


def digest_of(names: Iterable[str]) -> str:
    """Return the digest of the files that these modules depend on."""
    return contents(files(names))


def source_hash() -> str:
    """Return the digest of all Python files of the package, 12 hex digits."""
    return contents(sorted(PACKAGE.rglob("*.py")))[:12]


def contents(paths: Iterable[Path], root: Path | None = None) -> str:
    """Return the digest of files: their contents and their paths below `root` (the package)."""
    root = root or PACKAGE
    return digest([(path.relative_to(root).as_posix(), file_digest(path)) for path in paths])


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except those under `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _running(child)


def _files_of(parts: tuple[str, ...]) -> list[Path]:
    """Return the file of a module; of a package, its __init__.py and the data files beside it."""
    if parts[0] != PACKAGE.name:
        return []
    place = PACKAGE.joinpath(*parts[1:])
    if (init := place / "__init__.py").is_file():
        return [init, *(path for path in place.iterdir() if path.is_file() and _is_data(path))]
    module = place.with_suffix(".py")
    return [module] if len(parts) > 1 and module.is_file() else []


def _is_data(path: Path) -> bool:
    return path.suffix not in (".py", ".part") and not path.name.startswith(".")


def _imports_of(path: Path) -> list[str]:
    package = ".".join((PACKAGE.name, *path.relative_to(PACKAGE).parent.parts))
    return [resolve_name(name, package) for name in _parsed(path, path.stat().st_mtime_ns)]


@functools.cache
def _parsed(path: Path, changed: int) -> tuple[str, ...]:
    """Return a file's imports; parse it again only after it has changed."""
    return tuple(imports(ast.parse(path.read_text(encoding="utf8"))))
