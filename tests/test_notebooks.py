"""The contract that every chapter keeps; each check is shown a chapter that breaks it."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from reviewlib import pairing, study

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HEADINGS = [
    "What the paper claims",
    "What others found",
    "The idea, by hand",
    "The idea, as code",
    "The experiment",
    "Results",
    "Ablations",
    "In combination",
    "Verdict",
]
PARAMETERS = ("preset", "device", "seeds", "data")
MOST_CELLS, MOST_LINES, LONGEST_DEFINITION = 12, 15, 10
# A decimal or signed number with a unit of results: what only a run can know.
RESULT = re.compile(r"[-+−]?\d+(?:\.\d+)?\s?(?:points?\b|percentage|pp\b)|\d+\.\d+\s?%|[±]")


def code(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb):
    return "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def trees(nb):
    return [ast.parse(cell.source) for cell in code(nb)]


def headings(nb):
    """The nine headings stand there, in order."""
    return [] if [h for h in _second_level(nb) if h in HEADINGS] == HEADINGS else ["headings"]


def _second_level(nb):
    return re.findall(r"^## (.+)$", prose(nb), re.MULTILINE)


def one_parameters_cell(nb):
    """One cell is tagged parameters, and assigns exactly the four."""
    cells = [cell for cell in code(nb) if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        return [f"{len(cells)} parameters cells"]
    names = [
        t.id
        for s in ast.parse(cells[0].source).body
        if isinstance(s, ast.Assign)
        for t in s.targets
    ]
    return [] if tuple(names) == PARAMETERS else [f"parameters {names}"]


def every_parameter_is_read(nb):
    """A parameter that nothing reads would be taken in silence."""
    read = {
        node.id
        for tree in trees(nb)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return [name for name in PARAMETERS if name not in read]


def no_outputs(nb):
    """Outputs are never committed."""
    return [c.id for c in code(nb) if c.outputs or c.execution_count is not None]


def few_short_cells(nb):
    """At most a dozen code cells of at most fifteen lines, the parameters aside."""
    cells = [c for c in code(nb) if "parameters" not in c.metadata.get("tags", [])]
    long = [c.source.splitlines()[0] for c in cells if _lines(c.source) > MOST_LINES]
    return long + ([f"{len(cells)} code cells"] if len(cells) > MOST_CELLS else [])


def _lines(source):
    return sum(bool(line.strip()) for line in source.splitlines())


def no_long_definition(nb):
    """What is longer belongs into the library."""
    return [
        node.name
        for tree in trees(nb)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_DEFINITION
    ]


def no_typed_result(nb):
    """Numbers that came out of a run are printed by a cell, never typed."""
    return RESULT.findall(prose(nb))


def no_typed_verdict(nb):
    """No verdict stands in the prose as one: bold verdict words are printed by a cell."""
    words = "supported|real but small|contradicted|no meaningful gain|inconclusive"
    return re.findall(rf"\*\*(?:{words})\*\*", prose(nb), re.IGNORECASE)


CHECKS = (
    headings,
    one_parameters_cell,
    every_parameter_is_read,
    no_outputs,
    few_short_cells,
    no_long_definition,
    no_typed_result,
    no_typed_verdict,
)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_chapter_keeps_the_contract(check, path):
    assert check(nbformat.read(path, 4)) == []


def good():
    """Return a minimal chapter that keeps the contract."""
    text = "\n".join(f"## {heading}" for heading in HEADINGS)
    cell = nbformat.v4.new_code_cell("\n".join(f"{name} = None" for name in PARAMETERS))
    cell.metadata["tags"] = ["parameters"]
    use = nbformat.v4.new_code_cell(f"print({', '.join(PARAMETERS)})")
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), cell, use])


def run_on(nb):
    code(nb)[-1].execution_count = 1


def say(text):
    return lambda nb: nb.cells.append(nbformat.v4.new_markdown_cell(text))


def do(text):
    return lambda nb: nb.cells.append(nbformat.v4.new_code_cell(text))


BREAKS = [
    (headings, lambda nb: nb.cells.pop(0)),
    (headings, say("## Results")),
    (one_parameters_cell, lambda nb: nb.cells[1].metadata.pop("tags")),
    (one_parameters_cell, lambda nb: nb.cells[1].update(source="preset = None")),
    (every_parameter_is_read, lambda nb: nb.cells[2].update(source="print(preset, device, seeds)")),
    (no_outputs, run_on),
    (few_short_cells, do("\n".join(["x = 1"] * 16))),
    (few_short_cells, lambda nb: [do("x = 1")(nb) for _ in range(12)]),
    (no_long_definition, do("def f():\n" + "    x = 1\n" * 10)),
    (no_typed_result, say("SAM gains 1.3 points.")),
    (no_typed_result, say("An error of 3.98% is low.")),
    (no_typed_result, say("98 ± 1")),
    (no_typed_verdict, say("The claim is **supported**.")),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_good_chapter_passes(check):
    assert check(good()) == []


@pytest.mark.parametrize(("check", "harm"), BREAKS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_chapter_that_breaks_the_contract_is_caught(check, harm):
    nb = good()
    harm(nb)
    assert check(nb)


def test_pairs_are_in_step():
    assert pairing.check(ROOT / "notebooks") == []


def test_every_study_has_a_chapter_records_and_a_test():
    for name in study.found():
        assert (ROOT / "notebooks" / f"{name}.py").exists()
        assert (ROOT / "notebooks" / f"{name}.ipynb").exists()
        assert (ROOT / "tests" / "papers" / f"test_{name}.py").exists()
    assert {path.stem for path in CHAPTERS} == set(study.found())
