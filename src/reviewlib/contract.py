"""The contract that every chapter keeps: `reviewlib check` prints it, the tests enforce it.

One function a rule. Each takes a draft and returns its faults, one line each, which name the file
and the place; without a fault the rule is met.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from itertools import dropwhile, zip_longest
from pathlib import Path

from reviewlib import records, study
from reviewlib.drafts import Draft, Unreadable, called, calls, headings, imports, reading, strings

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
IDEA, MEASURED = HEADINGS[2:4], HEADINGS[5:8]
PARAMETERS = ("preset", "device", "seeds", "data")
MOST_CELLS, MOST_LINES, LONGEST_DEFINITION = 12, 15, 10
BUDGETS = {"laptop": 2400, "quick": 45}  # CPU-seconds

# What only a run can know: numbers with a unit of results, spreads, p-values.
RESULT = re.compile(
    r"[-+−]?\d+(?:\.\d+)?\s?(?:points?\b|percentage|pp\b)|\d+\.\d+\s?%"
    r"|\d\s?%?\s?±\s?\d|±\s?\d*\.\d|\bp\s?[<=]\s?0?\.\d+"
    r"|\b(?:accuracy|error)(?: rate)? (?:of|is|was) \d[\d.]*"
    r"|\b(?:gains?|loses?|reach(?:es)?|(?:rose|fell|rises?|falls?) to) (?:about )?\d[\d.]*\s?%",
    re.IGNORECASE,
)
# In the sections about results every decimal is one, unless it is code or mathematics.
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
TODO = re.compile(r"\bTODO\b:?\s*([^\"]*)")

TORCH_ALONE = frozenset({*sys.stdlib_module_names, "torch"})
# Figures and statistics come from the library.
NOTEBOOK_IMPORTS = TORCH_ALONE | {"reviewlib", "IPython", "numpy", "pandas"}
# A study runs where none of what these need is installed.
NOTEBOOK_TOOLS = frozenset(
    {"IPython", "matplotlib", "seaborn", "papermill", "sphinx", "jupytext", "torchvision"}
    | {"reviewlib.chapter", "reviewlib.figures"}
)


def complete(draft: Draft) -> list[str]:
    """The chapter has a study, a pair of notebooks and a test file."""
    return [f"{file}: is missing" for file in draft.files if not (draft.root / file).exists()]


def filled_in(draft: Draft) -> list[str]:
    """Nothing is left to fill in."""
    texts = (file for file in draft.files if file.endswith(".py") and (draft.root / file).exists())
    return [
        f"{file}, line {number}: {todo[1] or todo[0]}"
        for file in sorted({*texts, *draft.modules})
        for number, line in enumerate(draft.read(file).splitlines(), 1)
        if (todo := TODO.search(line))
    ]


def layering(draft: Draft) -> list[str]:
    """The method imports torch alone, the study no notebook tools, the notebook little else."""
    found = [
        (cell.place, name)
        for cell, tree in draft.code
        for name in imports(tree)
        if _top(name) not in NOTEBOOK_IMPORTS
    ]
    for file in draft.modules:
        names = imports(draft.tree(file))
        if file == f"{draft.folder}/method.py":
            found += [(file, name) for name in names if _top(name) not in TORCH_ALONE]
        if file == draft.declaration:
            found += [(file, name) for name in names if {name, _top(name)} & NOTEBOOK_TOOLS]
    return [f"{place}: must not import {name}" for place, name in found]


def core_arms(draft: Draft) -> list[str]:
    """Every core arm is there, or a reason why it makes no sense."""
    return [
        f"{draft.declaration}: say in not_applicable why there is no arm {role!r}"
        for role, why in draft.study.not_applicable.items()
        if not _said(why)
    ]


def claims_have_sources(draft: Draft) -> list[str]:
    """Every claim, and every number that the paper reports, has a source."""
    return [
        f"{draft.declaration}: claim {claim.name} needs a table, figure or section as source"
        for claim in (*draft.study.claims, *draft.study.controls)
        if not all(map(_said, [claim.where, *(number.where for number in claim.reported)]))
    ]


def pair_in_step(draft: Draft) -> list[str]:
    """The two notebooks of the pair say the same."""
    with reading(draft.notebook):
        from reviewlib.book import pairing  # a machine that only runs studies has no jupytext

        fault = pairing.fault(draft.root / "notebooks", draft.name)
    return [f"notebooks/{fault}"] if fault else []


def nine_headings(draft: Draft) -> list[str]:
    """The nine headings stand there, in order."""
    texts = [cell.text for cell in draft.cells if cell.kind == "markdown"]
    there = enumerate(zip_longest(headings("\n".join(texts)), HEADINGS), 1)
    return [
        f"{draft.notebook}: heading {number} is {got!r}, must be {right!r}"
        for number, (got, right) in there
        if got != right
    ][:1]


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
    """Every parameter is read after its cell; one that nothing reads would be taken in silence."""
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
        f"{cell.place}: holds an output or a count; run `reviewlib pair`"
        for cell, _ in draft.code
        if cell.stored.get("outputs") or cell.stored.get("execution_count") is not None
    ]


def few_short_cells(draft: Draft) -> list[str]:
    """At most twelve code cells of at most fifteen lines, the parameters aside."""
    cells = [cell for cell, _ in draft.code if not cell.parameters]
    long = [
        f"{cell.place}: {lines} lines of code, at most {MOST_LINES}"
        for cell in cells
        if (lines := sum(bool(line.strip()) for line in cell.text.splitlines())) > MOST_LINES
    ]
    many = [f"{draft.notebook}: {len(cells)} code cells, at most {MOST_CELLS}"]
    return long + (many if len(cells) > MOST_CELLS else [])


def no_long_definition(draft: Draft) -> list[str]:
    """The notebook defines nothing of more than ten lines; that belongs into the library."""
    return [
        f"{cell.place}: {node.name} has {lines} lines, at most {LONGEST_DEFINITION}"
        for cell, tree in draft.code
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (lines := node.end_lineno - node.lineno + 1) > LONGEST_DEFINITION
    ]


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
    """Titles and captions of figures describe, they never announce a winner."""
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


def paired_analysis_only(draft: Draft) -> list[str]:
    """Effects are paired by seed: no test from elsewhere, no difference of two means."""
    return [
        f"{cell.place}: `{ast.unparse(node)}` does not pair by seed; see page.difference"
        for cell, tree in draft.code
        if cell.section not in IDEA
        for node in ast.walk(tree)
        if _unpaired(node)
    ]


def _unpaired(node: ast.AST) -> bool:
    """Return whether two means are subtracted, or a test is of anything but a contrast."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return all("mean" in map(called, calls(side)) for side in (node.left, node.right))
    if isinstance(node, ast.Call) and called(node) == "t_interval":
        return "contrast" not in map(called, calls(node))
    return isinstance(node, ast.Import | ast.ImportFrom) and any(
        _top(name) in ("scipy", "statsmodels") for name in imports(node)
    )


def spread_is_named(draft: Draft) -> list[str]:
    """Every ± says of what."""
    shown = [(place, text) for place, _, text in draft.passages]
    shown += [
        (f"{draft.declaration}, claim {claim.name}", number.text)
        for claim in draft.study.claims
        for number in claim.reported
        if not number.interval  # else the claim card says that it is one
    ]
    return [
        f"{place}: say what the ± is, an interval or a standard deviation, in {part.strip()!r}"
        for place, text in shown
        for part in text.split("\n\n")
        if SPREAD.search(part) and not SPREAD_OF.search(part)
    ]


def records_are_valid(draft: Draft) -> list[str]:
    """Quick and laptop records are there, and today's code would produce them."""
    found = []
    for preset in BUDGETS:
        place = _record(draft, preset)
        try:
            with reading(place):
                reasons = records.faults(records.load(draft.name, preset), draft.study)
            found += [f"{place}: {reason}" for reason in reasons]
        except Unreadable as error:
            found.append(str(error))
    return found


def records_kept_to_their_budget(draft: Draft) -> list[str]:
    """No record took more CPU-seconds than its preset may."""
    return [
        f"{_record(draft, preset)}: took {made['cpu_seconds']} CPU-seconds, at most {most}"
        for preset, made in _provenances(draft)
        if made["cpu_seconds"] > (most := BUDGETS[preset])
    ]


def records_are_of_committed_code(draft: Draft) -> list[str]:
    """All records were made by committed code."""
    return [
        f"{_record(draft, preset)}: made by {made['commit']}; commit the code and make it anew"
        for preset, made in _provenances(draft)
        if made["commit"] == "unknown" or "+" in made["commit"]
    ]


def _provenances(draft: Draft) -> Iterator[tuple[str, dict]]:
    """Yield (preset, provenance) of the records that are there."""
    for preset in BUDGETS:
        if (draft.root / _record(draft, preset)).exists():
            try:
                yield preset, records.load(draft.name, preset).provenance
            except records.RecordError:
                continue  # `records_are_valid` says it


def _record(draft: Draft, preset: str) -> str:
    return f"{draft.folder}/records/{preset}.json"


RULES = (
    complete,
    filled_in,
    layering,
    core_arms,
    claims_have_sources,
    pair_in_step,
    nine_headings,
    one_parameters_cell,
    parameters_are_read,
    no_outputs,
    few_short_cells,
    no_long_definition,
    no_typed_result,
    no_typed_verdict,
    titles_describe,
    paired_analysis_only,
    spread_is_named,
    records_are_valid,
    records_kept_to_their_budget,
    records_are_of_committed_code,
)


def chapters(root: Path) -> list[str]:
    """Return the names of all chapters: of what has a study, and of what has a notebook."""
    files = (root / "notebooks").iterdir()
    return sorted({*study.found(), *(f.stem for f in files if f.suffix in (".py", ".ipynb"))})


def faults(rule: Callable[[Draft], list[str]], draft: Draft) -> list[str]:
    """Return what keeps a draft from a rule; a file that cannot be read does too."""
    try:
        return list(dict.fromkeys(rule(draft)))
    except Unreadable as error:
        return [str(error)]


def _top(module: str) -> str:
    return module.split(".")[0]


def _said(text: str) -> bool:
    return bool(text.strip()) and not TODO.search(text)
