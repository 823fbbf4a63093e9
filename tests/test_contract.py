"""Every rule of the contract is shown a chapter that keeps it and chapters that break it."""

import json
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from reviewlib import cli, contract, drafts, papers, records, scaffold, study
from reviewlib.book import pairing
from reviewlib.study import Reported

NOTEBOOK, STUDY = "notebooks/probe.py", "src/reviewlib/papers/probe/study.py"
METHOD, TEST = "src/reviewlib/papers/probe/method.py", "tests/papers/test_probe.py"
RECORDS = [rule for rule in contract.RULES if rule.__name__.startswith("records")]
OTHERS = [rule for rule in contract.RULES if rule not in RECORDS]


@pytest.fixture
def draft(tmp_path, monkeypatch):
    """A new chapter called probe, with every TODO filled in."""
    folder = tmp_path / "src" / "reviewlib" / "papers"
    folder.mkdir(parents=True)
    (tmp_path / "_config.yml").touch()
    for path in scaffold.write(tmp_path, "probe"):
        path.write_text(re.sub("TODO: ", "", path.read_text()))
    pairing.write(tmp_path / "notebooks")
    monkeypatch.setattr(papers, "__path__", [str(folder)])
    for module in ("", ".method", ".study"):
        monkeypatch.delitem(sys.modules, f"reviewlib.papers.probe{module}", raising=False)
    return drafts.Draft(tmp_path, "probe")


def edit(draft, file, old, new):
    """Replace a text that stands once in a file of the draft."""
    text = (draft.root / file).read_text()
    assert text.count(old) == 1
    (draft.root / file).write_text(text.replace(old, new))


def ends(file, addition):
    """Return the edit that adds a text after the last line that skeletons of a file have."""
    last = {NOTEBOOK: "# 1. with a solution.\n", STUDY: "evaluate=train.evaluate,\n)\n"}[file]
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


FIRST_CELL = '# %% tags=["parameters"]'
BREAKS = [
    (contract.filled_in, prose("TODO: say more")),
    (contract.filled_in, ends(STUDY, "# TODO: more arms\n")),
    (contract.filled_in, (METHOD, "Reference code: ", "Reference code: TODO ")),
    (contract.filled_in, (TEST, "# worked out", "# TODO: work it out")),
    (contract.layering, (METHOD, "from torch import Tensor", "from reviewlib import Tensor")),
    (contract.layering, (METHOD, "from torch import Tensor", "from .torch import Tensor")),
    (contract.layering, ends(STUDY, "import matplotlib.pyplot\n")),
    (contract.layering, ends(STUDY, "from reviewlib import chapter\n")),
    (contract.layering, cell("import seaborn")),
    (contract.core_arms, (STUDY, '"simple"', '"ablation"')),
    (contract.core_arms, (STUDY, '"placebo": "add', '"none": "add')),
    (contract.core_arms, (STUDY, '"say that a step costs the same, or add an arm of more"', '" "')),
    (contract.claims_have_sources, (STUDY, '"the table, figure or section that makes it"', '""')),
    (contract.claims_have_sources, (STUDY, '"our control"', '"TODO"')),
    (contract.nine_headings, (NOTEBOOK, "## Results", "## Our results")),
    (contract.nine_headings, (NOTEBOOK, "## Results", "## Ablations")),
    (contract.nine_headings, prose("## Results")),
    (contract.one_parameters_cell, (NOTEBOOK, FIRST_CELL, "# %%")),
    (contract.one_parameters_cell, (NOTEBOOK, FIRST_CELL, f"{FIRST_CELL}\n1\n\n{FIRST_CELL}")),
    (contract.one_parameters_cell, (NOTEBOOK, "data = None", "dataset = None")),
    (contract.one_parameters_cell, (NOTEBOOK, "data = None", "pass")),
    (contract.parameters_are_read, (NOTEBOOK, ", data=data)", ")")),
    (contract.parameters_are_read, (NOTEBOOK, FIRST_CELL, "# %%")),
    (contract.few_short_cells, cell("\n".join(["x = 1"] * 16))),
    (contract.few_short_cells, cell("\n\n# %%\n".join(["x = 1"] * 12))),
    (contract.no_long_definition, cell("def f():\n" + "    x = 1\n" * 10)),
    (contract.no_long_definition, cell("class C:\n" + "    x = 1\n" * 10)),
    (contract.no_typed_result, prose("It gains 1.3 points.")),
    (contract.no_typed_result, prose("An error of 3.98% is low.", below="later work")),
    (contract.no_typed_result, prose("It ends at 98 ± 1, a standard deviation.")),
    (contract.no_typed_result, prose("The loss falls to 0.31.")),
    (contract.no_typed_result, prose("It is significant (p < 0.05).")),
    (contract.no_typed_result, prose("The accuracy is 93%.")),
    (contract.no_typed_result, prose("SAM gains 2% on wrong labels.")),
    (contract.no_typed_result, prose("The accuracy rose to 96%.")),
    (contract.no_typed_result, cell('Markdown(f"{preset}: it gains 2 points")')),
    (contract.no_typed_verdict, prose("The claim is **supported**.")),
    (contract.no_typed_verdict, cell('Markdown("**inconclusive**")')),
    (contract.titles_describe, cell('page.figure(title=f"{preset} outperforms SGD")')),
    (contract.titles_describe, cell('axes.set_title("The method wins")')),
    (contract.titles_describe, cell('axes.set_title("SAM is more accurate")')),
    (contract.titles_describe, ends(STUDY, 'show(caption="Better at every width.")\n')),
    (contract.paired_analysis_only, cell("from scipy.stats import ttest_ind")),
    (contract.paired_analysis_only, cell("100 * a.mean() - 100 * np.mean(b)")),
    (contract.paired_analysis_only, cell("stats.t_interval(rows['accuracy'])")),
    (contract.spread_is_named, prose("All values are mean {x} ± {s}.")),
    (contract.spread_is_named, cell('Markdown(f"{page} ± {seeds} in all")')),
]


@pytest.mark.parametrize("rule", OTHERS, ids=lambda rule: rule.__name__)
def test_a_chapter_that_is_filled_in_keeps_every_rule(rule, draft):
    assert contract.faults(rule, draft) == []


@pytest.mark.parametrize(("rule", "change"), BREAKS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_chapter_that_breaks_a_rule_is_caught_and_the_file_named(rule, change, draft):
    edit(draft, *change)
    pairing.write(draft.root / "notebooks")
    (fault, *_) = contract.faults(rule, draft)
    assert fault.startswith(change[0].removesuffix(".py"))


def test_a_parameter_that_only_its_own_cell_reads_is_named(draft):
    edit(draft, NOTEBOOK, ", data=data)", ")")
    edit(draft, NOTEBOOK, FIRST_CELL, f"{FIRST_CELL}\nprint(data)")
    pairing.write(draft.root / "notebooks")
    faults = contract.faults(contract.parameters_are_read, draft)
    assert faults == ["notebooks/probe.ipynb: no cell reads data"]


@pytest.mark.parametrize("where", ["", "TODO"])
def test_a_reported_number_without_a_source_is_named(where, draft):
    report(draft, Reported("test accuracy 96%", where, runs=3, interval=False))
    (fault,) = contract.faults(contract.claims_have_sources, draft)
    assert fault.startswith(f"{STUDY}: claim clean needs a table")


@pytest.mark.parametrize("interval", [True, False])
def test_a_spread_that_the_paper_reports_is_an_interval_or_named(interval, draft):
    report(draft, Reported("test accuracy 96 ± 1%", "Table 1", runs=3, interval=interval))
    faults = contract.faults(contract.spread_is_named, draft)
    assert [f.startswith(f"{STUDY}, claim clean: ") for f in faults] == [True] * (not interval)


@pytest.mark.parametrize("file", drafts.FILES)
def test_every_missing_file_is_named(file, draft):
    name = file.replace("NAME", "probe")
    (draft.root / name).unlink()
    assert contract.faults(contract.complete, draft) == [f"{name}: is missing"]


def test_a_pair_out_of_step_is_named(draft):
    edit(draft, *prose("An edit."))
    (fault,) = contract.faults(contract.pair_in_step, draft)
    assert fault.startswith("notebooks/probe.ipynb is not what probe.py gives")


@pytest.mark.parametrize("trace", [{"outputs": [{}]}, {"execution_count": 1}], ids=str)
def test_a_committed_output_is_named(trace, draft):
    path = draft.root / draft.notebook
    notebook = json.loads(path.read_text())
    notebook["cells"][1] |= trace
    path.write_text(json.dumps(notebook))
    (fault,) = contract.faults(contract.no_outputs, draft)
    assert fault.startswith("notebooks/probe.ipynb, cell 2")


NO_FALSE_ALARMS = [
    prose("With 40% wrong labels, a radius $\\rho = 0.05$, `lr=0.1`, torch 2.13.0 and 14 pixels."),
    prose("As in Section 3.1, see [arXiv 1701.06548](https://arxiv.org/abs/1701.06548)."),
    prose("The paper's own choices lie between 0.01 and 0.2.", below="later work"),
    prose("Mean and standard deviation over seeds, {mean} ± {sd}, or a sign of ±1."),
    cell('page.figure(title="Is it better?", caption="Test error, lower is better.")'),
    cell('Markdown(f"**{page.verdict(1)}**, {x} ± {y} (95% interval)")'),
    cell("stats.t_interval(stats.contrast(rows, terms, 'accuracy'))\nx - x.mean()"),
    (NOTEBOOK, "by_hand = -p", "centered = p.mean() - p.mean(0)\nby_hand = -p"),
]


@pytest.mark.parametrize("change", NO_FALSE_ALARMS, ids=range(len(NO_FALSE_ALARMS)))
def test_what_only_looks_like_a_fault_passes(change, draft):
    edit(draft, *change)
    pairing.write(draft.root / "notebooks")
    assert [fault for rule in OTHERS for fault in contract.faults(rule, draft)] == []


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        (STUDY, "1 / 0", contract.core_arms),
        (STUDY, "x = (", contract.titles_describe),
        ("notebooks/probe.ipynb", "{", contract.nine_headings),
        ("notebooks/probe.ipynb", "[]", contract.no_outputs),
    ],
)
def test_what_cannot_be_read_is_a_fault_and_no_traceback(file, text, rule, draft):
    (draft.root / file).write_text(text)
    (fault,) = contract.faults(rule, draft)
    assert fault.startswith(f"{file}: ") and "Error: " in fault


def test_a_machine_without_jupytext_is_told_so(draft, monkeypatch):
    monkeypatch.delattr("reviewlib.book.pairing")
    monkeypatch.setitem(sys.modules, "reviewlib.book.pairing", None)
    (fault,) = contract.faults(contract.pair_in_step, draft)
    assert fault.startswith("notebooks/probe.ipynb: ") and "reviewlib.book.pairing" in fault


def test_code_that_cannot_be_parsed_is_named_with_its_cell(draft):
    edit(draft, *cell("x = ("))
    pairing.write(draft.root / "notebooks")
    (fault,) = contract.faults(contract.no_outputs, draft)
    assert re.match(r"notebooks/probe.ipynb, cell \d+: SyntaxError", fault)


def test_missing_records_are_named_with_the_command_that_makes_them(draft):
    laptop, quick = contract.faults(contract.records_are_valid, draft)
    assert laptop.startswith(f"{draft.folder}/records/laptop.json: RecordError: there are no")
    assert "run `reviewlib study probe --preset quick`" in quick


def test_stale_records_are_named(draft, monkeypatch):
    monkeypatch.setattr(records, "load", lambda *_: None)
    monkeypatch.setattr(records, "faults", lambda record, of: [f"{of.name} went stale"])
    laptop, _ = contract.faults(contract.records_are_valid, draft)
    assert laptop == f"{draft.folder}/records/laptop.json: probe went stale"


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (contract.records_kept_to_their_budget, {"cpu_seconds": 45}, {"cpu_seconds": 45.1}),
        (contract.records_are_of_committed_code, {"commit": "f00"}, {"commit": "f00+"}),
        (contract.records_are_of_committed_code, {"commit": "f00"}, {"commit": "unknown"}),
        (contract.records_are_of_committed_code, {"commit": "f00"}, {"commit": "f00+, f01"}),
    ],
)
def test_records_out_of_bounds_are_named(rule, good, bad, draft, monkeypatch):
    record = draft.root / draft.folder / "records" / "quick.json"
    record.parent.mkdir()
    record.touch()
    for provenance, expected in ((good, 0), (bad, 1)):
        monkeypatch.setattr(records, "load", lambda *_, p=provenance: SimpleNamespace(provenance=p))
        faults = contract.faults(rule, draft)
        assert len(faults) == expected and all("records/quick.json: " in f for f in faults)


def test_chapters_are_found_by_their_study_or_their_notebook(draft, monkeypatch):
    (draft.root / "notebooks" / "orphan.py").touch()
    (draft.root / "notebooks" / ".ipynb_checkpoints").mkdir()
    monkeypatch.setattr(study, "found", lambda: ["bare"])
    assert contract.chapters(draft.root) == ["bare", "orphan", "probe"]


def test_check_prints_every_rule_and_fails_while_something_is_to_do(draft, monkeypatch):
    def check(name):
        return CliRunner().invoke(cli.app, ["check", name, "--root", str(draft.root)])

    open_items = check("probe")
    assert open_items.exit_code == 1 and "probe has 2 things to do" in open_items.stderr
    lines = open_items.stdout.splitlines()
    assert sum(line.startswith("met    ") for line in lines) == len(contract.RULES) - 1
    assert sum(line.startswith("to do  ") for line in lines) == 1
    monkeypatch.setattr(contract, "RULES", OTHERS)
    assert check("probe").exit_code == 0
    unknown = check("nothing")
    assert unknown.exit_code == 1 and "no chapter is called 'nothing'; there are: probe" in (
        unknown.stderr
    )
