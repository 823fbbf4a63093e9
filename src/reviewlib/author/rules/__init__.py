"""The rules for every chapter: `reviewlib check` prints them, the tests enforce them.

A rule is a function. It takes a draft and returns problems, one line each, which name the file and
the place. If it returns none, the rule is met. Its docstring is what `reviewlib check` prints.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reviewlib import papers
from reviewlib.author.draft import Draft, Unreadable
from reviewlib.author.rules import files, notebook, prose, records

Rule = Callable[[Draft], list[str]]

RULES: tuple[Rule, ...] = (
    files.complete,
    files.filled_in,
    files.layering,
    files.core_arms,
    files.claims_have_sources,
    files.pair_in_step,
    files.tests_are_there,
    files.lint,
    notebook.answer_first,
    notebook.nine_headings,
    notebook.one_parameters_cell,
    notebook.parameters_are_read,
    notebook.no_outputs,
    notebook.few_short_cells,
    notebook.no_long_definition,
    notebook.paired_analysis_only,
    notebook.names_are_declared,
    notebook.claims_are_shown,
    prose.no_typed_result,
    prose.no_typed_verdict,
    prose.titles_describe,
    prose.spread_is_named,
    prose.sources_are_linked,
    records.records_are_valid,
    records.records_kept_to_their_budget,
    records.records_are_of_committed_code,
)


def runs(draft: Draft) -> list[str]:
    """The notebook runs."""
    from reviewlib.book.execute import execute

    try:
        outcomes = execute(draft.root, [draft.name])
    except (ValueError, OSError) as error:  # it cannot be started: no notebook, or no room
        return [f"{draft.notebook}: {error}"]
    return [outcome.error for outcome in outcomes if outcome.state == "failed"]


def chapters(root: Path) -> list[str]:
    """Return the names of all chapters: papers that have a study, a notebook, or both."""
    found = (root / "notebooks").iterdir()
    return sorted({*papers.found(), *(f.stem for f in found if f.suffix in (".py", ".ipynb"))})


def problems(rule: Rule, draft: Draft) -> list[str]:
    """Return the problems of a draft with a rule; a file that cannot be read is one."""
    try:
        return list(dict.fromkeys(rule(draft)))
    except Unreadable as error:
        return [str(error)]
