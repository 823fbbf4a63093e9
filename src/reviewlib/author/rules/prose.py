"""Rules on a chapter's text: no typed results, titles that describe, named spreads, sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from reviewlib.author.draft import Draft, called, calls, strings
from reviewlib.author.rules.notebook import HEADINGS

MEASURED = HEADINGS[5:8]
# Results of runs: numbers in a unit of results, spreads, p-values.
RESULT = re.compile(
    r"[-+−]?\d+(?:\.\d+)?\s?(?:points?\b|percentage|pp\b)|\d+\.\d+\s?%"
    r"|\d\s?%?\s?±\s?\d|±\s?\d*\.\d|\bp\s?[<=]\s?0?\.\d+"
    r"|\b(?:accuracy|error)(?: rate)? (?:of|is|was) \d[\d.]*"
    r"|\b(?:gains?|loses?|reach(?:es)?|(?:rose|fell|rises?|falls?) to) (?:about )?\d[\d.]*\s?%",
    re.IGNORECASE,
)
# In the sections about results, every decimal number counts as one, except in code and formulas.
DECIMAL = re.compile(r"(?<![\w./])(?<!Section )(?<!arXiv )[-+−]?\d+\.\d+(?!\.?\w)")
CODE_OR_MATH = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
VERDICT = re.compile(
    r"\*\*(?:supported|real but small|contradicted|no meaningful gain|inconclusive)\*\*",
    re.IGNORECASE,
)
# "lower is better" explains an axis, and a question states nothing.
WINNER = re.compile(
    r"(?<!higher is )(?<!lower is )\b(?:better|best|worse|beats?|wins?|won|winners?|helps?|hurts?"
    r"|reduces?|(?:more|less) accurate|improve\w*|outperform\w*|surpass\w*|superior|inferior)\b"
    r"(?!.*\?$)",
    re.IGNORECASE,
)
SPREAD = re.compile(r"[\d}%]\s?±")
SPREAD_OF = re.compile(r"\b(?:standard (?:deviation|error)|interval|range)s?\b", re.IGNORECASE)


# A citation, a link, or a repository.
SOURCE = re.compile(r"\{cite\}|https?://|\]\(|\b[\w.-]+/[\w.-]+\b")
# The reviews that this book grew out of have no address.
NO_ADDRESS = "Earlier reviews"


def no_typed_result(draft: Draft) -> list[str]:
    """Numbers that came out of a run are printed by a cell, never typed."""
    return [
        f"{place}: {number.strip()!r} is typed; let a cell print it"
        for place, section, text in draft.passages
        for number in _results(text, every_decimal=section in MEASURED)
    ]


def _results(text: str, every_decimal: bool) -> list[str]:
    found = [match[0] for match in RESULT.finditer(text)]
    rest = CODE_OR_MATH.sub("", RESULT.sub("", text))
    return found + (DECIMAL.findall(rest) if every_decimal else [])


def no_typed_verdict(draft: Draft) -> list[str]:
    """Verdicts are printed by a cell, never typed."""
    return [
        f"{place}: {word} is typed; let a cell print it"
        for place, _, text in draft.passages
        for word in VERDICT.findall(text)
    ]


def titles_describe(draft: Draft) -> list[str]:
    """Titles and captions of figures describe and never announce a winner."""
    trees = [(cell.place, tree) for cell, tree in draft.code]
    trees += [(file, draft.tree(file)) for file in draft.modules]
    return [
        f"{place}: the title {title!r} states a result"
        for place, tree in trees
        for title in _titles(tree)
        if WINNER.search(title)
    ]


def _titles(tree: ast.Module) -> Iterator[str]:
    for call in calls(tree):
        titles = [word.value for word in call.keywords if word.arg in ("title", "caption")]
        if called(call) in ("title", "set_title", "suptitle"):
            titles += call.args
        for title in titles:
            yield from strings(title)


def spread_is_named(draft: Draft) -> list[str]:
    """Every ± says what it is: an interval or a standard deviation."""
    shown = [(place, text) for place, _, text in draft.passages]
    shown += [
        (f"{draft.declaration}, claim {claim.name}", number.text)
        for claim in draft.study.claims
        for number in claim.reported
        if not number.interval  # the claim card says which numbers have an interval
    ]
    return [
        f"{place}: say what the ± is, an interval or a standard deviation, in {part.strip()!r}"
        for place, text in shown
        for part in text.split("\n\n")
        if SPREAD.search(part) and not SPREAD_OF.search(part)
    ]


def sources_are_linked(draft: Draft) -> list[str]:
    """Each point of *What others found* has a citation, a link or a repository."""
    return [
        f"{place}: no source in {point.split('.')[0].strip()!r}"
        for place, section, text in draft.passages
        if section == HEADINGS[1] and text.startswith(f"## {HEADINGS[1]}")
        for point in re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        if not SOURCE.search(point) and NO_ADDRESS not in point
    ]
