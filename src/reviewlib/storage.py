"""Files on the user's machine: atomic writes, checks for disk space, digests, user folders."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import platformdirs

ROOM = 2**20  # bytes of a test file: an empty file would fit on a full disk
# Writing one file never takes this long: an older .part file is from a process that was killed.
ABANDONED = 24 * 3600  # seconds


def cache_folder(*parts: str) -> Path:
    """Return a folder of the user's cache, which may be deleted at any time."""
    return platformdirs.user_cache_path("reviewlib").joinpath(*parts)


def data_folder(*parts: str) -> Path:
    """Return a folder of the user's data."""
    return platformdirs.user_data_path("reviewlib").joinpath(*parts)


def write(path: Path, text: str) -> None:
    """Write a file atomically; create its folder if needed.

    Raises:
        OSError: the folder is not writable or is full; no partial file remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=path.name, suffix=".part", delete=False, encoding="utf8"
    )
    try:
        with part:
            part.write(text)
        os.replace(part.name, path)
    finally:
        Path(part.name).unlink(missing_ok=True)


def require_room(folder: Path, what: str, remedy: str = "free some space") -> None:
    """Create a folder and check that it is writable and has space, before a long computation.

    Args:
        folder: the folder to write to later.
        what: subject and verb of the error message, for example "records go".
        remedy: what the user can do; the end of the error message.

    Raises:
        OSError: the folder cannot be created or written, or has no space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(ROOM))
    except OSError as error:
        raise OSError(
            f"{what} to {folder}, which must be writable and have room: {error}; {remedy}"
        ) from error


def sweep(folder: Path) -> None:
    """Remove the partial files that killed processes left behind."""
    for part in folder.glob("*.part"):
        with contextlib.suppress(FileNotFoundError):  # another process may sweep too
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def digest(value: Any) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of a value's `meaning`."""
    text = json.dumps(meaning(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256, in hex, of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def undigested(**options: Any) -> Any:
    """Return a dataclass field that `digest` ignores: text, or code that fingerprints cover."""
    return field(metadata={"undigested": True}, **options)


def meaning(value: Any) -> Any:
    """Return the part of a value that `digest` covers, as JSON types.

    A dataclass loses its `undigested` fields and the fields at their default, so a changed text or
    a new field changes no digest.
    """
    if is_dataclass(value):
        return {
            part.name: meaning(getattr(value, part.name))
            for part in fields(value)
            if not part.metadata.get("undigested") and getattr(value, part.name) != _default(part)
        }
    if isinstance(value, Mapping):
        return {str(key): meaning(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [meaning(part) for part in value]
    return value


def _default(part: Any) -> Any:
    return part.default if part.default_factory is MISSING else part.default_factory()
