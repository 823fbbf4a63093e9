"""Every rule is shown a chapter that keeps it and chapters that break it."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reviewlib import cli, papers
from reviewlib.author import rules, scaffold
from reviewlib.author.draft import FILES, Draft
from reviewlib.author.rules import files, notebook, records
from reviewlib.author.rules import prose as words
from reviewlib.book import pairing
from reviewlib.evidence.store import BOOK
from reviewlib.trial.claims import Reported

NOTEBOOK, STUDY = "notebooks/probe.py", "src/reviewlib/papers/probe/study.py"
METHOD, TEST = "src/reviewlib/papers/probe/method.py", "tests/papers/test_probe.py"
OTHERS = [rule for rule in rules.RULES if not rule.__name__.startswith("records")]


@pytest.fixture
def draft(tmp_path, monkeypatch):
    """A new chapter called probe, with every TODO filled in."""
    package = tmp_path / "src" / "reviewlib"
    for room in ("", "page", "papers", "trial"):  # what ruff takes for our own
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    (tmp_path / "_config.yml").touch()
    shutil.copy(Path(__file__).parents[2] / "pyproject.toml", tmp_path)  # ruff's settings
    for path in scaffold.write(tmp_path, "probe"):
        path.write_text(re.sub("TODO: ", "", path.read_text()))
    pairing.write(tmp_path / "notebooks")
    monkeypatch.setattr(papers, "__path__", [str(package / "papers")])
    for module in ("", ".method", ".study"):
        monkeypatch.delitem(sys.modules, f"reviewlib.papers.probe{module}", raising=False)
    return Draft(tmp_path, "probe")


def edit(draft, file, old, new):
    """Replace a text that stands once in a file of the draft."""
    text = (draft.root / file).read_text()
    assert text.count(old) == 1
    (draft.root / file).write_text(text.replace(old, new))


def ends(file, addition):
    """Return the edit that adds a text after the last line that skeletons of a file have."""
    last = {NOTEBOOK: "# 1. with a solution.\n", STUDY: "evaluate=evaluate,\n)\n"}[file]
    return file, last, last + addition


def cell(text):
    return ends(NOTEBOOK, f"\n# %%\n{text}\n")


def prose(text, below="what to look at."):
    """Return the edit that puts a text below the heading Results, or where else it is said."""
    return NOTEBOOK, f"# {below}", f"# {text}\n#\n# {below}"


def report(draft, number):
    """Let the first claim of the draft's study report a number."""
    of = draft.study
    draft.__dict__["study"] = replace(of, claims=(replace(of.claims[0], reported=(number,)),))


FIRST_CELL = '# %% tags=["parameters", "remove-input"]'
BREAKS = [
    (files.filled_in, prose("TODO: say more")),
    (files.filled_in, ends(STUDY, "# TODO: more arms\n")),
    (files.filled_in, (METHOD, "Reference code: ", "Reference code: TODO ")),
    (files.filled_in, (TEST, "# worked out", "# TODO: work it out")),
    (files.layering, (METHOD, "from torch import Tensor", "from reviewlib import Tensor")),
    (files.layering, (METHOD, "from torch import Tensor", "from .torch import Tensor")),
    (files.layering, ends(STUDY, "import matplotlib.pyplot\n")),
    (files.layering, ends(STUDY, "from reviewlib.page import chapter\n")),
    (files.layering, cell("import seaborn")),
    (files.core_arms, (STUDY, '"simple"', '"ablation"')),
    (files.core_arms, (STUDY, '"placebo": "add', '"none": "add')),
    (files.core_arms, (STUDY, '"say that a step costs the same, or add an arm of more"', '" "')),
    (files.claims_have_sources, (STUDY, '"the table, figure or section that makes it"', '""')),
    (files.claims_have_sources, (STUDY, '"the table, figure or section that makes it"', '"TODO"')),
    (files.lint, ends(STUDY, "import os\n")),
    (files.lint, (METHOD, "from torch import Tensor, nn", "from torch import Tensor, cuda, nn")),
    (files.lint, cell("import os\n\nundefined")),
    (notebook.nine_headings, (NOTEBOOK, "## Results", "## Our results")),
    (notebook.nine_headings, (NOTEBOOK, "## Results", "## Ablations")),
    (notebook.nine_headings, prose("## Results")),
    (notebook.answer_first, (NOTEBOOK, "page.answer()", "page.claims()")),
    (notebook.answer_first, (STUDY, "depends on no number", "depends on 3 numbers")),
    (
        notebook.answer_first,
        (STUDY, "what to do instead, in one sentence that depends on no number.", ""),
    ),
    (notebook.one_parameters_cell, (NOTEBOOK, FIRST_CELL, "# %%")),
    (notebook.one_parameters_cell, (NOTEBOOK, FIRST_CELL, f"{FIRST_CELL}\n1\n\n{FIRST_CELL}")),
    (notebook.one_parameters_cell, (NOTEBOOK, "data = None", "dataset = None")),
    (notebook.one_parameters_cell, (NOTEBOOK, "data = None", "pass")),
    (notebook.parameters_are_read, (NOTEBOOK, ", data=data)", ")")),
    (notebook.parameters_are_read, (NOTEBOOK, FIRST_CELL, "# %%")),
    (notebook.few_short_cells, cell("\n".join(["x = 1"] * 16))),
    (notebook.few_short_cells, cell("\n\n# %%\n".join(["x = 1"] * 12))),
    (notebook.no_long_definition, cell("def f():\n" + "    x = 1\n" * 10)),
    (notebook.no_long_definition, cell("class C:\n" + "    x = 1\n" * 10)),
    (words.no_typed_result, prose("It gains 1.3 points.")),
    (words.no_typed_result, prose("An error of 3.98% is low.", below="later work")),
    (words.no_typed_result, prose("It ends at 98 ± 1, a standard deviation.")),
    (words.no_typed_result, prose("The loss falls to 0.31.")),
    (words.no_typed_result, prose("It is significant (p < 0.05).")),
    (words.no_typed_result, prose("The accuracy is 93%.")),
    (words.no_typed_result, prose("SAM gains 2% on wrong labels.")),
    (words.no_typed_result, prose("The accuracy rose to 96%.")),
    (words.no_typed_result, cell('Markdown(f"{preset}: it gains 2 points")')),
    (words.no_typed_verdict, prose("The claim is **supported**.")),
    (words.no_typed_verdict, cell('Markdown("**inconclusive**")')),
    (words.titles_describe, cell('page.figure(title=f"{preset} outperforms SGD")')),
    (words.titles_describe, cell('axes.set_title("The method wins")')),
    (words.titles_describe, cell('axes.set_title("SAM is more accurate")')),
    (words.titles_describe, ends(STUDY, 'show(caption="Better at every width.")\n')),
    (notebook.paired_analysis_only, cell("from scipy.stats import ttest_ind")),
    (notebook.paired_analysis_only, cell("100 * a.mean() - 100 * np.mean(b)")),
    (notebook.paired_analysis_only, cell("stats.t_interval(rows['accuracy'])")),
    (notebook.names_are_declared, cell('page.says("claen")')),
    (notebook.names_are_declared, cell("Markdown(f'**{page.verdict(\"nothing\")}**')")),
    (notebook.names_are_declared, cell('page.compare("clean", "claen")')),
    (notebook.names_are_declared, cell('names = ("clean", "claen")\npage.contrasts(*names)')),
    (notebook.names_are_declared, cell('a = ("claen",)\na = (*a, "clean")\npage.contrasts(*a)')),
    (notebook.names_are_declared, cell('[page.notices(f"{n}-claen") for n in "ab"]')),
    (notebook.names_are_declared, cell('page.show_curves("claen", "sgd", "ours")')),
    (notebook.names_are_declared, cell('page.difference("ours", "sdg", "clean")')),
    (notebook.names_are_declared, cell('page.two_by_two("sgd", "a", "b", "ours", "clean")')),
    (notebook.names_are_declared, cell('page.sample(condition="nois")')),
    (notebook.names_are_declared, cell('page.record.of("sdg", "clean")')),
    (notebook.names_are_declared, cell('page.says(name="claen")')),
    (notebook.names_are_declared, cell('page.verdicts["claen"].interval')),
    (notebook.names_are_declared, cell('page.difference("ours", "sgd", "nll")')),
    (words.sources_are_linked, prose("- Somebody said so.", below="later work")),
    (words.spread_is_named, prose("All values are mean {x} ± {s}.")),
    (words.spread_is_named, cell('Markdown(f"{page} ± {seeds} in all")')),
]


def test_a_chapter_that_is_filled_in_keeps_every_rule(draft):
    assert [problem for rule in OTHERS for problem in rules.problems(rule, draft)] == []


@pytest.mark.parametrize(("rule", "change"), BREAKS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_chapter_that_breaks_a_rule_is_caught_and_the_file_is_named(rule, change, draft):
    edit(draft, *change)
    pairing.write(draft.root / "notebooks")
    (problem, *_) = rules.problems(rule, draft)
    assert problem.startswith(change[0].removesuffix(".py"))


def test_a_parameter_that_only_its_own_cell_reads_is_named(draft):
    edit(draft, NOTEBOOK, ", data=data)", ")")
    edit(draft, NOTEBOOK, FIRST_CELL, f"{FIRST_CELL}\nprint(data)")
    pairing.write(draft.root / "notebooks")
    problems = rules.problems(notebook.parameters_are_read, draft)
    assert problems == ["notebooks/probe.ipynb: no cell reads data"]


def test_a_test_file_without_a_test_is_named(draft):
    (draft.root / TEST).write_text("def tests_nothing():\n    pass\n")
    problems = rules.problems(files.tests_are_there, draft)
    assert problems[0] == f"{TEST}: has no test" and "in_use(change)" in problems[1]


def test_a_test_file_that_does_not_say_how_the_method_is_used_is_named(draft):
    edit(draft, TEST, "def in_use", "def unused")
    (problem,) = rules.problems(files.tests_are_there, draft)
    assert problem.startswith(f"{TEST}: has no in_use(change)")


def test_what_the_study_imports_needs_no_notebook_tools_and_what_it_does_not_may(draft):
    for name in ("arms", "figures"):
        (draft.root / draft.folder / f"{name}.py").write_text("import matplotlib.pyplot\n")
    edit(draft, STUDY, "probe import method", "probe import arms, method")
    problems = set(rules.problems(files.layering, draft))
    place = f"{draft.folder}/arms.py: must not import"
    assert problems == {f"{place} matplotlib.pyplot"}


OTHER_CLAIM = """        gain("more", (ours - smoothing) @ CLEAN),
    ),
    net=net,
"""


@pytest.mark.parametrize(
    "shown",
    [
        'page.compare("more")',
        "Markdown(f'It is {page.says(\"more\")}.')",
        'names = ("clean", "more")\npage.contrasts(*names)',
        '[page.notices(f"{start}re") for start in ("mo",)]',
    ],
)
def test_a_claim_that_no_cell_shows_is_named(shown, draft):
    edit(draft, STUDY, "    ),\n    net=net,\n", OTHER_CLAIM)
    wanting = ["notebooks/probe.ipynb: no cell shows the claim 'more'"]
    assert rules.problems(notebook.claims_are_shown, draft) == wanting
    edit(draft, *cell(shown))
    pairing.write(draft.root / "notebooks")
    assert rules.problems(notebook.claims_are_shown, Draft(draft.root, "probe")) == []


def test_a_name_that_a_cell_computes_shows_no_claim(draft):
    edit(draft, STUDY, "    ),\n    net=net,\n", OTHER_CLAIM)
    edit(draft, *cell('[page.says(f"{name}") for name in page.verdicts]'))
    pairing.write(draft.root / "notebooks")
    wanting = ["notebooks/probe.ipynb: no cell shows the claim 'more'"]
    assert rules.problems(notebook.claims_are_shown, draft) == wanting


def test_primary_claims_are_shown_by_the_closing_section(draft):
    text = (draft.root / NOTEBOOK).read_text()
    for call in ('page.compare("clean")', "page.says('clean')", "page.verdict('clean')"):
        assert call in text
        text = text.replace(call, "page")
    for closing, found in (("page.closing()", 0), ("page", 1)):
        (draft.root / NOTEBOOK).write_text(text.replace("page.closing()", closing))
        pairing.write(draft.root / "notebooks")
        fresh = Draft(draft.root, "probe")
        assert len(rules.problems(notebook.claims_are_shown, fresh)) == found


@pytest.mark.parametrize("where", ["", "TODO"])
def test_a_reported_number_without_a_source_is_named(where, draft):
    report(draft, Reported("test accuracy 96%", where, runs=3, interval=False))
    (problem,) = rules.problems(files.claims_have_sources, draft)
    assert problem.startswith(f"{STUDY}: claim clean needs a table")


@pytest.mark.parametrize("interval", [True, False])
def test_a_spread_that_the_paper_reports_is_an_interval_or_named(interval, draft):
    report(draft, Reported("test accuracy 96 ± 1%", "Table 1", runs=3, interval=interval))
    problems = rules.problems(words.spread_is_named, draft)
    assert [p.startswith(f"{STUDY}, claim clean: ") for p in problems] == [True] * (not interval)


@pytest.mark.parametrize("file", FILES)
def test_every_missing_file_is_named(file, draft):
    name = file.replace("NAME", "probe")
    (draft.root / name).unlink()
    assert rules.problems(files.complete, draft) == [f"{name}: is missing"]


def test_a_pair_out_of_step_is_named(draft):
    edit(draft, *prose("An edit."))
    (problem,) = rules.problems(files.pair_in_step, draft)
    assert problem.startswith("notebooks/probe.ipynb is not what probe.py gives")


@pytest.mark.parametrize("trace", [{"outputs": [{}]}, {"execution_count": 1}], ids=str)
def test_a_committed_output_is_named(trace, draft):
    path = draft.root / draft.notebook
    stored = json.loads(path.read_text())
    stored["cells"][1] |= trace
    path.write_text(json.dumps(stored))
    (problem,) = rules.problems(notebook.no_outputs, draft)
    assert problem.startswith("notebooks/probe.ipynb, cell 2")


PAIRED = """from reviewlib.evidence import contrasts, stats

rows = page.record.of("sgd", "clean")["accuracy"]
stats.t_interval(contrasts.by_seed(rows, page.study.claims[0].contrast, "accuracy"))
rows - rows.mean()"""
NO_FALSE_ALARMS = [
    prose("With 40% wrong labels, a radius $\\rho = 0.05$, `lr=0.1`, torch 2.13.0 and 14 pixels."),
    prose("As in Section 3.1, see [arXiv 1701.06548](https://arxiv.org/abs/1701.06548)."),
    prose("The paper's own choices lie between 0.01 and 0.2.", below="later work"),
    prose("Mean and standard deviation over seeds, {mean} ± {sd}, or a sign of ±1."),
    cell('page.figure(title="Is it better?", caption="Test error, lower is better.")'),
    cell("Markdown(f'**{page.verdict(\"clean\")}**, {seeds} ± {data} (95% interval)')"),
    cell(PAIRED),
    cell('page.says("a_a-clean")\npage.verdict("clean")\npage.says(f"{preset}-clean")'),
    cell('page.difference("ours", "sgd", "clean", "nll")\npage.sample(condition="clean")'),
    cell('page.difference("ours", "sgd", "clean", "early_accuracy")'),
    cell('page.difference("ours", "sgd", condition="clean", metric="early_accuracy")'),
    cell('print(page.verdicts["clean"].interval)\nprint(page.record.rows.sample("nois"))'),
    prose("- Users {cite}`a`.\n# - A thread (owner/name issue 3).\n# - See [it](x).", "later work"),
    prose("- **Earlier reviews.** They ask for more.", below="later work"),
    (NOTEBOOK, "by_hand = -p", "centered = p.mean() - p.mean(0)\nby_hand = -p"),
]


@pytest.mark.parametrize("change", NO_FALSE_ALARMS, ids=range(len(NO_FALSE_ALARMS)))
def test_what_only_looks_like_a_problem_passes(change, draft):
    edit(draft, *change)
    pairing.write(draft.root / "notebooks")
    assert [problem for rule in OTHERS for problem in rules.problems(rule, draft)] == []


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        (STUDY, "1 / 0", files.core_arms),
        (STUDY, "x = (", words.titles_describe),
        ("notebooks/probe.ipynb", "{", notebook.nine_headings),
        ("notebooks/probe.ipynb", "[]", notebook.no_outputs),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_no_traceback(file, text, rule, draft):
    (draft.root / file).write_text(text)
    (problem,) = rules.problems(rule, draft)
    assert problem.startswith(f"{file}: ") and "Error: " in problem


def test_a_machine_without_jupytext_is_told_so(draft, monkeypatch):
    monkeypatch.delattr("reviewlib.book.pairing")
    monkeypatch.setitem(sys.modules, "reviewlib.book.pairing", None)
    (problem,) = rules.problems(files.pair_in_step, draft)
    assert problem.startswith("notebooks/probe.ipynb: ") and "reviewlib.book.pairing" in problem


def test_code_that_cannot_be_parsed_is_named_with_its_cell(draft):
    edit(draft, *cell("x = ("))
    pairing.write(draft.root / "notebooks")
    (problem,) = rules.problems(notebook.no_outputs, draft)
    assert re.match(r"notebooks/probe.ipynb, cell \d+: SyntaxError", problem)


def test_missing_records_are_named_with_the_command_that_makes_them(draft):
    laptop, quick = rules.problems(records.records_are_valid, draft)
    assert laptop.startswith(f"{draft.folder}/records/laptop.json: RecordError: there are no")
    assert "run `reviewlib study probe --preset quick`" in quick


def save(record, preset, **provenance):
    """Store a record of another study as one of the draft's."""
    made = record.provenance | provenance
    sizes = record.preset | {"name": preset}
    BOOK.save(replace(record, study="probe", preset=sizes, provenance=made))


def test_stale_records_are_named(draft, record):
    save(record, "laptop")
    laptop, _ = rules.problems(records.records_are_valid, draft)
    why = "the preset's sizes were changed since"
    assert laptop == f"{draft.folder}/records/laptop.json: {why}"


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (records.records_kept_to_their_budget, {"cpu_seconds": 45}, {"cpu_seconds": 45.1}),
        (records.records_are_of_committed_code, {"commit": "f00"}, {"commit": "f00+"}),
        (records.records_are_of_committed_code, {"commit": "f00"}, {"commit": "unknown"}),
        (records.records_are_of_committed_code, {"commit": "f00"}, {"commit": "f00+, f01"}),
    ],
)
def test_records_out_of_bounds_are_named(rule, good, bad, draft, record):
    for provenance, expected in ((good, 0), (bad, 1)):
        save(record, "quick", **provenance)
        problems = rules.problems(rule, draft)
        assert len(problems) == expected and all("records/quick.json: " in p for p in problems)


@pytest.mark.parametrize(("has_method", "most"), [(True, 7200), (False, 10_800)])
def test_a_study_that_combines_papers_may_take_longer(has_method, most, draft, record):
    if not has_method:
        (draft.root / draft.folder / "method.py").unlink()
    for seconds, expected in ((most, 0), (most + 1, 1)):
        save(record, "laptop", cpu_seconds=seconds)
        assert len(rules.problems(records.records_kept_to_their_budget, draft)) == expected


def test_chapters_are_found_by_their_study_or_their_notebook(draft):
    (draft.root / "notebooks" / "orphan.py").touch()
    (draft.root / "notebooks" / ".ipynb_checkpoints").mkdir()
    bare = draft.root / "src" / "reviewlib" / "papers" / "bare"
    bare.mkdir()
    for file in ("__init__.py", "study.py"):
        (bare / file).touch()
    assert rules.chapters(draft.root) == ["bare", "orphan", "probe"]


def check(draft, name="probe", *options):
    return CliRunner().invoke(cli.app, ["check", name, "--root", str(draft.root), *options])


def test_check_prints_every_rule_and_fails_while_something_is_to_do(draft, monkeypatch):
    open_items = check(draft)
    assert open_items.exit_code == 1 and "probe has 2 things to do" in open_items.stderr
    lines = open_items.stdout.splitlines()
    assert sum(line.startswith("met    ") for line in lines) == len(rules.RULES) - 1
    assert sum(line.startswith("to do  ") for line in lines) == 1
    monkeypatch.setattr(rules, "RULES", OTHERS)
    assert check(draft).exit_code == 0
    unknown = check(draft, "nothing")
    assert unknown.exit_code == 1 and "no chapter is called 'nothing'; there are: probe" in (
        unknown.stderr
    )


def test_a_notebook_that_cannot_be_started_is_a_problem_and_no_traceback(draft, monkeypatch):
    monkeypatch.setattr(rules, "RULES", ())
    (draft.root / "_executed").touch()
    (problem,) = rules.problems(rules.runs, draft)
    assert problem.startswith("notebooks/probe.ipynb: ") and "_executed" in problem
    for file in ("probe.py", "probe.ipynb"):
        (draft.root / "notebooks" / file).unlink()
    done = check(draft, "probe", "--run")
    assert done.exit_code == 1 and "probe has 1 things to do" in done.stderr
    assert "       - notebooks/probe.ipynb: " in done.stdout and "Traceback" not in done.output


@pytest.mark.slow  # starts a kernel
@pytest.mark.parametrize(("code", "problem"), [("1 + 1", None), ("1 / 0", "ZeroDivisionError")])
def test_check_executes_the_notebook_if_asked(code, problem, draft, monkeypatch):
    monkeypatch.setattr(rules, "RULES", ())
    (draft.root / NOTEBOOK).write_text(f"{FIRST_CELL}\npreset = None\n\n# %%\n{code}\n")
    pairing.write(draft.root / "notebooks")
    assert check(draft).exit_code == 0
    done = check(draft, "probe", "--run")
    assert done.exit_code == bool(problem), done.output
    assert (problem or "met    The notebook runs.") in " ".join(done.stdout.split(" "))
