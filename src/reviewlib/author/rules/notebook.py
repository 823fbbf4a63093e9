"""Rules on a notebook's cells: headings, parameters, length, names, paired analysis."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import dropwhile, zip_longest

from reviewlib.author.draft import Draft, called, calls, headings, strings
from reviewlib.sources import imports

HEADINGS = (
    "What the paper claims",
    "What others found",
    "The idea, by hand",
    "The idea, as code",
    "The experiment",
    "Results",
    "Ablations",
    "In combination",
    "Verdict",
)
IDEA = HEADINGS[2:4]
PARAMETERS = ("preset", "device", "seeds", "data")
MOST_CELLS, MOST_LINES, LONGEST_DEFINITION = 13, 15, 10
# What takes names of claims, and what takes names of arms and conditions: methods and mappings of
# a page. Other libraries have methods called `sample` and `runs`.
TAKE_CLAIMS = {"says", "verdict", "notices", "compare", "contrasts", "verdicts", "control_verdicts"}
TAKE_ARMS = {"difference", "two_by_two", "show_curves", "page.sample", "page.record.of"}
TAKEN_AS = {"name", "arm", "other", "condition", "neither", "first", "second", "both"}
MOST_NAMES = {"difference": 3}  # a metric follows


def nine_headings(draft: Draft) -> list[str]:
    """The notebook has the nine headings, in order."""
    texts = [cell.text for cell in draft.cells if cell.kind == "markdown"]
    there = enumerate(zip_longest(headings("\n".join(texts)), HEADINGS), 1)
    return [
        f"{draft.notebook}: heading {number} is {got!r}, must be {right!r}"
        for number, (got, right) in there
        if got != right
    ][:1]


def answer_first(draft: Draft) -> list[str]:
    """The answer stands before the first heading, and the study says what to do instead."""
    opening = [tree for cell, tree in draft.code if not cell.section]
    first = any(ast.unparse(call.func) == "page.answer" for tree in opening for call in calls(tree))
    text = draft.study.instead
    found = (
        [] if first else [f"{draft.notebook}: no cell before the first heading has page.answer()"]
    )
    if not text:
        found.append(f"{draft.declaration}: the study must say what to do instead")
    if re.search(r"\d", text):
        found.append(f"{draft.declaration}: `instead` must depend on no number, got {text!r}")
    return found


def one_parameters_cell(draft: Draft) -> list[str]:
    """One cell is tagged `parameters`, and assigns preset, device, seeds and data."""
    tagged = [(cell, tree) for cell, tree in draft.code if cell.parameters]
    if len(tagged) != 1:
        return [f"{draft.notebook}: {len(tagged)} cells are tagged parameters, must be 1"]
    ((cell, tree),) = tagged
    assigned = [
        ast.unparse(target)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
    ]
    if tuple(assigned) == PARAMETERS:
        return []
    return [f"{cell.place}: must assign {', '.join(PARAMETERS)}, got {', '.join(assigned)}"]


def parameters_are_read(draft: Draft) -> list[str]:
    """Every parameter is read after its cell; one that is not would be ignored silently."""
    after = list(dropwhile(lambda pair: not pair[0].parameters, draft.code))[1:]
    read = {
        node.id
        for _, tree in after
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return [f"{draft.notebook}: no cell reads {name}" for name in PARAMETERS if name not in read]


def no_outputs(draft: Draft) -> list[str]:
    """Outputs are never committed."""
    return [
        f"{cell.place}: has an output or an execution count; run `reviewlib pair`"
        for cell, _ in draft.code
        if cell.stored.get("outputs") or cell.stored.get("execution_count") is not None
    ]


def few_short_cells(draft: Draft) -> list[str]:
    """At most thirteen code cells of at most fifteen lines, not counting the parameters cell."""
    cells = [cell for cell, _ in draft.code if not cell.parameters]
    long = [
        f"{cell.place}: {lines} lines of code, at most {MOST_LINES}"
        for cell in cells
        if (lines := sum(bool(line.strip()) for line in cell.text.splitlines())) > MOST_LINES
    ]
    many = [f"{draft.notebook}: {len(cells)} code cells, at most {MOST_CELLS}"]
    return long + (many if len(cells) > MOST_CELLS else [])


def no_long_definition(draft: Draft) -> list[str]:
    """No definition in the notebook has more than ten lines; longer ones belong in the library."""
    return [
        f"{cell.place}: {node.name} has {lines} lines, at most {LONGEST_DEFINITION}"
        for cell, tree in draft.code
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (lines := node.end_lineno - node.lineno + 1) > LONGEST_DEFINITION
    ]


def paired_analysis_only(draft: Draft) -> list[str]:
    """Effects are paired by seed: no test from another library, no difference of two means."""
    return [
        f"{cell.place}: `{ast.unparse(node)}` does not pair by seed; see page.difference"
        for cell, tree in draft.code
        if cell.section not in IDEA
        for node in ast.walk(tree)
        if _unpaired(node)
    ]


def _unpaired(node: ast.AST) -> bool:
    """Return whether a node subtracts means, tests no contrast, or imports a statistics library."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return all("mean" in map(called, calls(side)) for side in (node.left, node.right))
    if isinstance(node, ast.Call) and called(node) == "t_interval":
        return "by_seed" not in map(called, calls(node))
    return isinstance(node, ast.Import | ast.ImportFrom) and any(
        name.split(".")[0] in ("scipy", "statsmodels") for name in imports(node)
    )


def names_are_declared(draft: Draft) -> list[str]:
    """Every claim, arm and condition that a cell names is declared in the study."""
    study = draft.study
    claims = {claim.name for claim in (*study.claims, *study.controls)}
    places = {each.name for each in (*study.arms, *study.conditions)}
    return [
        f"{cell.place}: the study declares no {what} {name!r}"
        for cell, tree in draft.code
        for takers, known, what in (
            (TAKE_CLAIMS, claims, "claim"),
            (TAKE_ARMS, places, "arm or condition"),
        )
        for name in _named(tree, takers)
        if not any(re.fullmatch(name, each) for each in known)
    ]


def claims_are_shown(draft: Draft) -> list[str]:
    """Every claim that can be tested is shown in a cell; page.closing() shows the primary ones."""
    shown = [name for _, tree in draft.code for name in _named(tree, TAKE_CLAIMS)]
    closes = any(called(call) == "closing" for _, tree in draft.code for call in calls(tree))
    return [
        f"{draft.notebook}: no cell shows the claim {claim.name!r}"
        for claim in draft.study.claims
        if claim.kind != "out of scope" and not (claim.primary and closes)
        if not any(re.fullmatch(name, claim.name) for name in shown)
    ]


def _named(tree: ast.Module, takers: set[str]) -> Iterator[str]:
    """Yield the names that a cell passes to methods or looks up, as regular expressions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and takers & {called(node), ast.unparse(node.func)}:
            by_keyword = [given.value for given in node.keywords if given.arg in TAKEN_AS]
            yield from _names([*node.args[: MOST_NAMES.get(called(node))], *by_keyword], tree)
        elif isinstance(node, ast.Subscript) and getattr(node.value, "attr", "") in takers:
            yield from _names([node.slice], tree)


def _names(arguments: list[ast.expr], tree: ast.Module) -> Iterator[str]:
    """Yield the strings among arguments as regular expressions.

    An argument that names a tuple of the cell stands for the strings in the tuple. A replaced
    expression of an f-string matches any text; an f-string of nothing else says no name.
    """
    tuples, expanded = list(_tuples(tree)), set()
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop()
        names = {node.id for node in ast.walk(argument) if isinstance(node, ast.Name)} - expanded
        expanded |= names  # a tuple may be added to itself
        waiting += [value for name, value in tuples if name in names]
        for text in strings(argument):
            if not re.fullmatch(r"(\{\})+", text):
                yield re.escape(text).replace(r"\{\}", ".+")


def _tuples(tree: ast.Module) -> Iterator[tuple[str, ast.Tuple]]:
    """Yield the tuples that a cell assigns to a name."""
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            pairs = [(target, statement.value)]
            if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                pairs = zip(target.elts, statement.value.elts, strict=False)
            for name, value in pairs:
                if isinstance(name, ast.Name) and isinstance(value, ast.Tuple):
                    yield name.id, value
