"""What a record file may hold, whoever wrote it: nothing else reaches a table or a page."""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, defstruct

MOST_BYTES = 50_000_000
MOST_TEXT = 1000  # characters
MOST_DEPTH = 6


def read(path: Path) -> Any:
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
    _require_plain(content, "$", MOST_DEPTH)
    return content


def check(content: Any) -> None:
    """Raise ValueError, naming the place, unless this is the content of a record file."""
    try:
        convert(content, FILE)
    except ValidationError as error:
        raise ValueError(str(error)) from error
    if "torch" not in content["provenance"]["versions"]:
        raise ValueError("$.provenance.versions lacks torch")
    for table, columns in (("trials", TRIAL), ("rows", ROW), ("floor", FLOOR)):
        for place, row in enumerate(content[table]):
            for name in row.keys() - set(columns.__struct_fields__):  # a study's own metrics
                if type(row[name]) not in (int, float, NoneType):
                    raise ValueError(f"$.{table}[{place}].{name} must be a number")


def _no_number(text: str) -> None:
    raise ValueError(f"numbers must be finite, got {text}")


def _require_plain(value: Any, where: str, depth: int) -> None:
    """Raise ValueError for a text with control characters, or for anything too long or too deep."""
    if depth < 0:
        raise ValueError(f"{where} is nested too deeply")
    if isinstance(value, str) and (len(value) > MOST_TEXT or not value.isprintable()):
        raise ValueError(f"{where} must be printable text of at most {MOST_TEXT} characters")
    if isinstance(value, int | float) and not abs(value) < 2**63:  # 1e999 is infinite
        raise ValueError(f"{where} must be a number below 2^63")
    if isinstance(value, dict):
        for key, part in value.items():
            _require_plain(key, f"a name in {where}", 0)
            _require_plain(part, f"{where}.{key}", depth - 1)
    if isinstance(value, list):
        for place, part in enumerate(value):
            _require_plain(part, f"{where}[{place}]", depth - 1)


def _object(**fields: Any) -> type[Struct]:
    """Return the type of a mapping that has at least these fields."""
    return defstruct("Object", list(fields.items()))


COUNT, SHARE = Annotated[int, Meta(ge=0)], Annotated[float, Meta(ge=0, le=1)]
SIZES = "image_size train validation batch_size steps trials tuning_seeds seeds".split()
TRIAL = _object(
    arm=str,
    condition=str,
    trial=COUNT,
    settings=dict[str, float],
    accuracy=SHARE,
    accuracies=list[SHARE],
    diverged=COUNT,
    seconds=float,
    chosen=bool,
    edges=list[str],
)
ROW = _object(
    arm=str,
    condition=str,
    seed=int,
    settings=dict[str, float],
    accuracy=SHARE,
    train_accuracy=SHARE,
    diverged_at=COUNT | None,
    passes=float,
    seconds=float,
    peak_bytes=float | None,
    curve=list[tuple[float, float]],
)
FLOOR = _object(condition=str, seed=int, accuracy=SHARE)
FINGERPRINT = _object(losses=list[float], scores=list[float])
FIELDS = {
    "digest": str,
    "study": str,
    "preset": _object(name=str, data=str, **dict.fromkeys(SIZES, COUNT)),
    "results_version": int,
    "data": _object(name=str, checksum=str),
    "test": str,
    "provenance": _object(
        commit=str, device=str, date=str, versions=dict[str, str], cpu_seconds=float
    ),
    "trials": Annotated[list[TRIAL], Meta(min_length=1)],
    "rows": Annotated[list[ROW], Meta(min_length=1)],
    "floor": list[FLOOR],
    "fingerprints": dict[str, dict[str, FINGERPRINT]],
}
FILE = defstruct("RecordFile", list(FIELDS.items()), forbid_unknown_fields=True)
