"""Files on the user's machine: whole writes, room to write, digests, cache and data folders."""

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

ROOM = 2**20  # bytes; an empty file fits on a full disk
# Nobody takes this long over one file: an older part was left by a process that was killed.
ABANDONED = 24 * 3600  # seconds


def cache_folder(*parts: str) -> Path:
    """Return a folder of the user's cache, which may be deleted at any time."""
    return platformdirs.user_cache_path("reviewlib").joinpath(*parts)


def data_folder(*parts: str) -> Path:
    """Return a folder of the user's data."""
    return platformdirs.user_data_path("reviewlib").joinpath(*parts)


def write(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it, in a folder that is made if need be.

    Raises:
        OSError: the folder cannot be written or is full; nothing is left behind.
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
    """Make a folder and write a trial file there, before anything is computed for it.

    Args:
        folder: to be written to later.
        what: goes there, for the message: "records go".
        remedy: what the user can do, for the message.

    Raises:
        OSError: the folder cannot be made or written, or has no room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(ROOM))
    except OSError as error:
        raise OSError(
            f"{what} to {folder}, which must be writable and have room: {error}; {remedy}"
        ) from error


def sweep(folder: Path) -> None:
    """Remove the half-written files of processes that were killed while they wrote."""
    for part in folder.glob("*.part"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
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
    """Return a dataclass field that no digest covers: words, or code that fingerprints cover."""
    return field(metadata={"undigested": True}, **options)


def meaning(value: Any) -> Any:
    """Return a value as JSON knows it; of a dataclass, only what it defines.

    `undigested` fields and fields at their default are left out, so that better words and new
    fields change no digest.
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
