"""`python -m reviewlib` is the command line."""

from reviewlib.cli import app

app()
