"""What a record file may hold, whoever wrote it: nothing else reaches a table or a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, defstruct

MOST_BYTES = 50_000_000
MOST_TEXT = 1000  # characters
MOST_DIGITS, HEX = 100_000, re.compile("[0-9a-f]*")  # one digit a test image
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
    for place, group in enumerate(content["runs"]):
        seeds = len(group["seed"])
        if odd := [name for name, column in group.items() if _rows(column) not in (None, seeds)]:
            raise ValueError(f"$.runs[{place}].{odd[0]} must have one entry a seed, {seeds}")
        for i, diverged in enumerate(group["diverged_at"]):
            for name in ("scores", "settings"):
                for metric, values in group[name][i].items():
                    where = f"$.runs[{place}].{name}[{i}].{metric}"
                    if len(values) != len(diverged):
                        raise ValueError(f"{where} must have one entry a trial, {len(diverged)}")
                    if metric.endswith("accuracy") and any(not 0 <= v <= 1 for v in values if v):
                        raise ValueError(f"{where} must hold fractions in [0, 1]")
            if missing := REQUIRED - group["scores"][i].keys():
                raise ValueError(f"$.runs[{place}].scores[{i}] lacks {sorted(missing)}")
            for metric, value in group["best"][i].items():
                if metric.endswith("accuracy") and not 0 <= value <= 1:
                    raise ValueError(
                        f"$.runs[{place}].best[{i}].{metric} must be a fraction in [0, 1]"
                    )


def _rows(column: Any) -> int | None:
    return len(column) if isinstance(column, list) else None


def _no_number(text: str) -> None:
    raise ValueError(f"numbers must be finite, got {text}")


def _require_plain(value: Any, where: str, depth: int) -> None:
    """Raise ValueError for a text with control characters, or for anything too long or too deep."""
    if depth < 0:
        raise ValueError(f"{where} is nested too deeply")
    if isinstance(value, str) and (
        len(value) > (MOST_DIGITS if HEX.fullmatch(value) else MOST_TEXT) or not value.isprintable()
    ):
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
SIZES = "image_size train validation batch_size steps trials tries seeds".split()
REQUIRED = {"validation_accuracy", "validation_nll", "accuracy", "nll"}
SCORES = dict[str, list[float | None]]  # of all trials, by metric
RUNS = defstruct(
    "Runs",
    {
        "arm": str,
        "condition": str,
        "seed": Annotated[list[int], Meta(min_length=1)],
        "fixed": dict[str, float],
        "settings": list[dict[str, list[float]]],
        "scores": list[SCORES],
        "diverged_at": list[Annotated[list[COUNT | None], Meta(min_length=1)]],
        "best": list[dict[str, float]],
        "curve": list[list[tuple[float, SHARE]]],
        "passes": list[float],
        "seconds": list[float],
        "peak_bytes": list[float | None],
        "correct": list[Annotated[str, Meta(pattern="^[0-9a-f]+$")] | None],
    }.items(),
    forbid_unknown_fields=True,
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
    "runs": Annotated[list[RUNS], Meta(min_length=1)],
    "floor": list[FLOOR],
    "fingerprints": dict[str, dict[str, FINGERPRINT]],
}
FILE = defstruct("RecordFile", list(FIELDS.items()), forbid_unknown_fields=True)
