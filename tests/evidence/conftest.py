"""Fixtures of the tests of evidence."""

import pytest


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Return what lets the source tree look like one of another commit, edited or not."""

    def pretend(head, edited=""):
        git = tmp_path / "bin" / "git"
        git.parent.mkdir(exist_ok=True)
        said = f'*rev-parse*) echo "{head}";; *status*) echo "{edited}";; *) exit 128;;'
        said = f'case "$*" in {said} esac'
        git.write_text(f"#!/bin/sh\n{said if head else 'exit 128'}\n")
        git.chmod(0o755)
        monkeypatch.setenv("PATH", str(git.parent), prepend=":")

    return pretend
