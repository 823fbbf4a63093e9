"""What a record file may hold, whoever wrote it: nothing else reaches a table or a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 50_000_000
MOST_TEXT = 1000  # characters
MOST_DEPTH = 6

Check = Callable[[Any], bool]


def read(path: Path) -> dict[str, Any]:
    """Return the content of a file of JSON, read no further than MOST_BYTES.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is too large, not JSON, or has what `check` could not look through.
    """
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES:,} bytes")
    try:
        content = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _require_plain(content, "the file", MOST_DEPTH)
    return content


def check(content: Any) -> None:
    """Raise ValueError, naming the place, unless this is the content of a record file."""
    _require(content, FIELDS, "the file")
    for name, columns in TABLES.items():
        for place, row in enumerate(content[name]):
            _require(row, columns, f"{name}[{place}]")
            _require_metrics(row, columns, f"{name}[{place}]")


def _no_number(text: str) -> None:
    raise ValueError(f"numbers must be finite, got {text}")


def _require_plain(value: Any, where: str, depth: int) -> None:
    """Raise ValueError for a text with control characters, or for anything too long or too deep."""
    if depth < 0:
        raise ValueError(f"{where} is nested too deeply")
    if isinstance(value, str) and (len(value) > MOST_TEXT or not value.isprintable()):
        raise ValueError(f"{where} must be printable text of at most {MOST_TEXT} characters")
    if _number(value) and not abs(value) < 2**63:  # 1e999 is infinite
        raise ValueError(f"{where} must be a number below 2^63")
    if isinstance(value, dict):
        for key, part in value.items():
            _require_plain(key, f"a name in {where}", 0)
            _require_plain(part, f"{where}: {key}", depth - 1)
    if isinstance(value, list):
        for place, part in enumerate(value):
            _require_plain(part, f"{where}[{place}]", depth - 1)


def _require(value: Any, fields: Mapping[str, tuple[str, Check]], where: str) -> None:
    """Raise ValueError if a mapping lacks a field, or has one that is not what it must be."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a mapping, got {_shown(value)}")
    for name, (what, check) in fields.items():
        if name not in value:
            raise ValueError(f"{where} lacks {name!r}")
        if not check(value[name]):
            raise ValueError(f"{where}: {name} must be {what}, got {_shown(value[name])}")


def _require_metrics(row: Mapping[str, Any], columns: Mapping[str, Any], where: str) -> None:
    """Raise ValueError if a column that a study added, a metric, is no number."""
    for name, value in row.items():
        if name not in columns and value is not None and not _number(value):
            raise ValueError(f"{where}: {name} must be a number, got {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:60]}…"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return _whole(value) and value >= 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _list_of(check: Check) -> Check:
    return lambda value: _list(value) and all(check(part) for part in value)


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(check(part) for part in value.values())


def _has(fields: Mapping[str, Check]) -> Check:
    return lambda value: (
        isinstance(value, dict)
        and all(name in value and check(value[name]) for name, check in fields.items())
    )


def _curve(value: Any) -> bool:
    points = _list_of(_list_of(_number))
    return points(value) and all(len(point) == 2 for point in value)


TEXT, COUNT = ("text", _text), ("a whole number of 0 or more", _count)
WHOLE, SECONDS = ("a whole number", _whole), ("a number", _number)
SHARE = ("a number from 0 to 1", _share)
SETTINGS = ("numbers by name", _mapping_of(_number))
SIZES = dict.fromkeys(
    ("side", "train", "validation", "batch_size", "steps", "trials", "tuning_seeds", "seeds"),
    _count,
)
PRINT = dict.fromkeys(("losses", "scores"), _list_of(_number))
FINGERPRINT = _mapping_of(_mapping_of(_has(PRINT)))
FIELDS = {
    "digest": TEXT,
    "study": TEXT,
    "preset": ("the name, the data and the sizes", _has({"name": _text, "data": _text} | SIZES)),
    "numerics": WHOLE,
    "data": ("a name and a checksum", _has({"name": _text, "checksum": _text})),
    "test": TEXT,
    "provenance": (
        "commit, device, date, versions and seconds",
        _has(
            {
                **dict.fromkeys(("commit", "device", "date"), _text),
                "versions": lambda value: _mapping_of(_text)(value) and "torch" in value,
                "cpu_seconds": _number,
            }
        ),
    ),
    **dict.fromkeys(("trials", "rows"), ("a table with rows", lambda rows: rows and _list(rows))),
    "floor": ("a table", _list),
    "fingerprints": ("lists of numbers by arm, cell and kind", FINGERPRINT),
}
TABLES = {
    "trials": {
        "arm": TEXT,
        "cell": TEXT,
        "trial": COUNT,
        "settings": SETTINGS,
        "accuracy": SHARE,
        "accuracies": ("a list of numbers from 0 to 1", _list_of(_share)),
        "diverged": COUNT,
        "seconds": SECONDS,
        "chosen": ("true or false", lambda value: isinstance(value, bool)),
        "edges": ("a list of names", _list_of(_text)),
    },
    "rows": {
        "arm": TEXT,
        "cell": TEXT,
        "seed": WHOLE,
        "settings": SETTINGS,
        "accuracy": SHARE,
        "train_accuracy": SHARE,
        "diverged_at": ("a step or null", lambda value: value is None or _count(value)),
        "passes": SECONDS,
        "seconds": SECONDS,
        "peak_bytes": ("a number of bytes or null", lambda value: value is None or _number(value)),
        "curve": ("points (step, value)", _curve),
    },
    "floor": {"cell": TEXT, "seed": WHOLE, "accuracy": SHARE},
}
