"""Build a private book on other data, in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from reviewlib import data, papers
from reviewlib.book import execute
from reviewlib.book.build import BuildError, build
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import on_data, store_on
from reviewlib.evidence.validity import best


def build_on(
    root: Path,
    data_name: str,
    names: Iterable[str] | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    **options: Any,
) -> Path:
    """Build a book on other data, from the chapters that have records of runs on these data.

    The sources are copied to _build/private/NAME, and the book itself is not touched. Every
    notebook runs again; its finished runs come from the cache.

    Args:
        root: folder of the book.
        data_name: as `data.load` accepts it.
        names: as for `build`.
        parameters: values for the notebooks' parameters cells.
        options: the other options of `build`.

    Raises:
        BuildError: the data cannot be read, no chapter has records on them, or `build` fails.
        ValueError: a name or a parameter is unknown.
    """
    try:
        dataset = data.load(data_name)
    except (data.DataError, ImportError) as error:
        raise BuildError(str(error)) from error
    ready, missing = [], []
    for name in papers.found():
        try:
            best(*on_data(papers.find(name), dataset.name))
            ready.append(name)
        except RecordError as error:
            missing.append(str(error))
    if not ready:
        raise BuildError("\n".join(missing))
    private = root / "_build" / "private" / store_on(dataset).folder.name
    private.mkdir(parents=True, exist_ok=True)
    given = {**(parameters or {}), "data": dataset.name}
    with execute.alone(private, options.get("report") or (lambda outcome: None)):
        _copy_sources(root, private, ready, dataset.name)
        return build(private, names, parameters=given, **options | {"force": True})


def _copy_sources(root: Path, private: Path, chapters: Sequence[str], data_name: str) -> None:
    """Copy the sources of these chapters and of the prose pages; set the data in _config.yml."""
    for name in ("book", "notebooks"):
        shutil.rmtree(private / name, ignore_errors=True)
    shutil.copytree(root / "book", private / "book")
    (private / "notebooks").mkdir()
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf8"))
    (private / "_toc.yml").write_text(yaml.safe_dump(_only(toc, chapters)), encoding="utf8")
    for name in chapters:
        shutil.copy(root / "notebooks" / f"{name}.ipynb", private / "notebooks")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))
    config["sphinx"]["config"]["other_data"] = data_name
    (private / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf8")


def _only(toc: dict[str, Any], chapters: Sequence[str]) -> dict[str, Any]:
    """Return a table of contents without the notebooks that it names beyond these chapters.

    A glob of notebooks that would then find nothing goes too.
    """
    named = {
        Path(each["file"]).stem
        for part in toc.get("parts", ())
        for each in part["chapters"]
        if str(each.get("file")).startswith("notebooks/")
    }

    def stays(each: dict[str, str]) -> bool:
        if "glob" in each:
            return bool(set(chapters) - named)
        file = Path(each["file"])
        return file.parts[0] != "notebooks" or file.stem in chapters

    parts = [
        part | {"chapters": [each for each in part["chapters"] if stays(each)]}
        for part in toc.get("parts", ())
    ]
    return toc | {"parts": [part for part in parts if part["chapters"]]} if parts else toc
