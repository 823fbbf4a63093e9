"""What a page says in place of its records where it has none to show."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.display import HTML, Markdown, display

from reviewlib.evidence.store import Store
from reviewlib.evidence.validity import EVIDENCE
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.page.chapter import Chapter

# By the annotation of what a function returns: how it says one line instead.
INSTEAD: dict[str, Callable[[str], Any]] = {
    "None": lambda line: display(Markdown(line)),
    "str": lambda line: line,
    "HTML": lambda line: HTML(f"<p>{line}</p>"),
    "Markdown": Markdown,
}


def needs_evidence(show: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that says, while its page has no record, that there is none.

    So the notebook of a new chapter runs before its evidence is made. Records that are there and
    invalid remain an error.

    Args:
        show: takes a page first; it is annotated to return None (it displays), str, HTML or
            Markdown.
    """
    say = INSTEAD[show.__annotations__["return"]]

    @functools.wraps(show)
    def shown(page: Chapter, *args: Any, **options: Any) -> Any:
        line = nothing_yet(page)
        return say(line) if line else show(page, *args, **options)

    return shown


def nothing_yet(page: Chapter) -> str:
    """Return a line that says that a page has no records yet; empty if it has some."""
    if page.preset.name in EVIDENCE or has_records(page.study, page.store):
        return ""
    return "No records yet."


def why_missing(study: Study, store: Store) -> str:
    """Return why a study has no valid record, without a path of this machine."""
    command = f"reviewlib study {study.name}{store.options} --preset laptop"
    if has_records(study, store):
        return f"the records are stale or damaged; `{command} --verify` says why"
    return f"no records yet; `{command}` makes them"


def has_records(study: Study, store: Store) -> bool:
    """Return whether there is a record that could be evidence, valid or not."""
    return any(store.has(study.name, preset) for preset in EVIDENCE)
