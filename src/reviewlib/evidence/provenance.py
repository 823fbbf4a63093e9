"""Provenance: when, where and by which code a record was made; no digest or cache key covers it."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reviewlib import sources

VERSIONS = ("torch", "numpy", "pandas", "scipy")


def of(rows: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """Return the provenance of a record.

    Args:
        rows: its final runs, with what the cache adds to them.
        seconds: wall time of making it.
    """
    return {
        **today(),
        "commit": ", ".join(sorted({row["commit"] for row in rows})),
        "device": "; ".join(sorted({row["device"] for row in rows})),
        "seconds": round(seconds, 1),
        "first_run": min(row["computed"] for row in rows),
        "last_run": max(row["computed"] for row in rows),
    }


def today() -> dict[str, Any]:
    """Return the current commit, source hash and library versions, and the date (UTC)."""
    return {
        "commit": commit(),
        "source": sources.source_hash(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in VERSIONS},
        "date": datetime.now(UTC).date().isoformat(),
    }


def commit() -> str:
    """Return the commit of the package, with "+" if what it runs by differs, or "unknown".

    That is the code and the registrations; the records and the history are what came out.
    """
    here = sources.PACKAGE
    records = f"{here}/papers/*/records"
    head = git(here, "rev-parse", "--short=12", "HEAD")
    code = git(here, "status", "--porcelain", "--", str(here), f":(exclude){records}/*")
    tests = git(here, "status", "--porcelain", "--", f":(glob){records}/registrations.json")
    if None in (head, code, tests):
        return "unknown"
    return f"{head}{'+' if code or tests else ''}"


def git(folder: Path, *words: str) -> str | None:
    """Return what git prints when it runs in a folder; None if it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
