"""Nothing that a file says is run, and no text from a record, a name or a label becomes markup."""

import ast
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import smallbook
import toy
from IPython.display import HTML, Markdown
from markdown_it import MarkdownIt

from reviewlib import (
    bookext,
    chapter,
    compare,
    exhibits,
    figures,
    ledger,
    records,
    runs,
    schema,
    study,
)
from reviewlib.records import RecordError
from reviewlib.study import Reported

SRC = Path(__file__).parents[1] / "src"
HOSTILE = (
    '"><img src=x onerror=alert(1)>{{71*71}} $\\alert{71*71}$',
    "' onclick='alert(1)--></text><script>alert(1)</script> [a](javascript:alert(1)) ${71*71}",
    "```{raw} html\n<script>alert(1)</script>\n``` {raw}`<b>` &lt;script> <javascript:alert(1)>",
)


# Nothing is unpickled or evaluated


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize(
    "path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC))
)
def test_no_code_comes_out_of_a_file(path):
    tree = ast.parse(path.read_text(encoding="utf8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        for alias in getattr(node, "names", ())
        if isinstance(alias, ast.alias)
    }
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    assert not unsafe & {str(name).split(".")[0] for name in names | modules}
    for name, keywords in calls(tree):
        assert name not in ("eval", "exec", "joblib.load", "yaml.load", "pd.read_pickle")
        assert name not in ("os.system", "os.popen")
        assert not (name == "torch.load" and "weights_only" not in keywords)
        assert "allow_pickle" not in keywords and "shell" not in keywords


# Record files


@pytest.fixture
def path(record, tmp_path):
    return records.save(record, tmp_path)


def put(*where):
    """Return what puts the last of `where` at the place that the others name."""

    def change(content):
        for key in where[:-2]:
            content = content[key]
        content[where[-2]] = where[-1]

    return change


def drop(*where):
    def change(content):
        for key in where[:-1]:
            content = content[key]
        del content[where[-1]]

    return change


DAMAGES = {
    "no losses": (drop("fingerprints", "sgd", "clean", "losses"), "fingerprints"),
    "no field": (drop("test"), "lacks 'test'"),
    "a strange field": (put("extra", 1), "extra"),
    "no column": (drop("rows", 1, "seed"), r"rows\[1\] lacks 'seed'"),
    "text for a number": (put("rows", 0, "accuracy", "<b>"), r"rows\[0\]: accuracy must be a num"),
    "true for a number": (put("rows", 0, "accuracy", True), "accuracy must be a number from 0"),
    "over one": (put("trials", 0, "accuracy", 1.5), r"trials\[0\]: accuracy must be a number from"),
    "text for a metric": (put("rows", 0, "nll", "x"), r"rows\[0\]: nll must be a number, got 'x'"),
    "half a seed": (put("rows", 0, "seed", 0.5), "seed must be a whole number"),
    "infinite": (put("rows", 0, "seconds", float("inf")), "numbers must be finite"),
    "no number": (put("floor", 0, "accuracy", float("nan")), "numbers must be finite"),
    "huge": (put("rows", 0, "passes", 10**400), "must be a number below"),
    "no row": (put("rows", 0, 3), r"rows\[0\] must be a mapping, got 3"),
    "no table": (put("rows", "x"), "rows must be a table"),
    "no rows": (put("rows", []), "rows must be a table"),
    "long text": (put("provenance", "device", "x" * 1001), "at most 1000 characters"),
    "long name": (put("rows", 0, "x" * 1001, 1), "at most 1000 characters"),
    "escape sequence": (put("provenance", "commit", "\x1b[31m"), "commit must be printable"),
    "deep": (put("provenance", "commit", [[[[[[[[1]]]]]]]]), "nested too deeply"),
    "a curve of text": (put("rows", 0, "curve", [[1, "x"]]), "curve must be points"),
    "settings of text": (put("trials", 0, "settings", {"lr": "x"}), "settings must be numbers by"),
    "no sizes": (put("preset", "seeds", -1), "preset must be the name, the data and the sizes"),
    "no versions": (put("provenance", "versions", {}), "provenance must be commit, device, date"),
    "fingerprints": (put("fingerprints", "sgd", "x"), "fingerprints must be lists of numbers"),
    "of another study": (put("study", "other"), "laptop.json holds the laptop records of other"),
    "not an object": (put("preset", []), "preset must be"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_record_of_wrong_content_is_refused_with_its_place(path, tmp_path, damage):
    change, message = DAMAGES[damage]
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=message):
        records.load("toy", "laptop", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00", "not a record file"),
        (b'{"format": 2, "a": 1e999}', "must be a number below"),
    ],
)
def test_a_file_that_is_meant_to_break_the_reader_is_refused(path, tmp_path, text, message):
    path.write_bytes(text)
    with pytest.raises(RecordError, match=message):
        records.load("toy", "laptop", tmp_path)


def test_a_large_file_is_not_read_to_its_end(path, tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "MOST_BYTES", 100)
    with pytest.raises(RecordError, match="larger than 100 bytes"):
        records.load("toy", "laptop", tmp_path)


def test_a_folder_in_the_place_of_a_record_is_named(tmp_path):
    (tmp_path / "toy" / "laptop.json").mkdir(parents=True)
    with pytest.raises(RecordError, match="laptop.json is not a record file"):
        records.load("toy", "laptop", tmp_path)


# Hostile texts


class Page(HTMLParser):
    """Collects what in a page could run."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tag = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src") and "javascript:" in value):
                self.found.append((tag, name, value))

    def handle_data(self, data):
        if self.tag == "script" and "alert" in data:
            self.found.append(("script", data))
        if str(71 * 71) in data:
            self.found.append(("evaluated", data))

    def handle_endtag(self, tag):
        self.tag = None


def running(html):
    """Return everything in a page that an injected text could have made run."""
    return Page(html).found


def rendered(text):
    """Return Markdown as HTML, as notebooks and the book render an output."""
    return MarkdownIt("commonmark", {"html": True}).render(text)


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """The record of a study with controls and sharpness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return compare.run_study(toy.study(**toy.CONTROLLED), toy.TINY)


def hostile_pair(text, record):
    """Return the toy study and its record with the text in every field that holds any."""
    of = toy.study(**toy.CONTROLLED)

    def named(name):
        return f"{name}{text}"

    def terms(contrast):
        return tuple((weight, named(arm), named(cell)) for weight, arm, cell in contrast)

    def claim(one):
        reported = (Reported(text, text, 3, True),)
        return replace(
            one,
            name=named(one.name),
            statement=named(one.name),
            where=text,
            margin_reason=text,
            contrast=terms(one.contrast),
            reported=reported,
        )

    out = replace(of.claims[0], kind="out of scope", primary=False, contrast=(), why=text)
    of = replace(
        of,
        title=text,
        citation=text,
        arms=tuple(
            replace(
                arm,
                name=named(arm.name),
                label=named(arm.name),
                note=text,
                knobs=tuple(map(named, arm.knobs)),
                cells=tuple(map(named, arm.cells)),
            )
            for arm in of.arms
        ),
        knobs=tuple(replace(knob, name=named(knob.name)) for knob in of.knobs),
        cells=tuple(replace(cell, name=named(cell.name), label=text) for cell in of.cells),
        claims=(*map(claim, of.claims), replace(claim(out), name="out")),
        controls=tuple(map(claim, of.controls)),
        not_applicable=dict.fromkeys(of.not_applicable, text),
    )

    def table(frame):
        changed = {name: frame[name].map(named) for name in ("arm", "cell") if name in frame}
        if "settings" in frame:
            changed["settings"] = [
                {named(knob): value for knob, value in row.items()} for row in frame["settings"]
            ]
        if "edges" in frame:
            changed["edges"] = [[text] for _ in frame["edges"]]
        return frame.assign(**changed)

    made = dict(record.provenance) | dict.fromkeys(("commit", "device", "date", "source"), text)
    made["versions"] = dict.fromkeys(made["versions"], text)
    hostile = replace(
        record,
        data={"name": text, "checksum": text},
        test=runs.test_digest(of, of.presets[0]),
        provenance=made,
        trials=table(record.trials),
        rows=table(record.rows),
        floor=table(record.floor),
    )
    return of, hostile


@pytest.fixture
def page(controlled, request, monkeypatch, own_cache, tmp_path):
    of, record = hostile_pair(request.param, controlled)
    page = chapter.Chapter(of, toy.TINY, "cpu", tmp_path)
    page._seen = [{"computed": request.param, "from_cache": True}]
    fresh = replace(record, rows=record.rows.assign(accuracy=0.0))  # disagrees everywhere
    page.__dict__ |= {"fresh": fresh, "_evidence": (record, [request.param])}
    monkeypatch.setattr(records, "load", lambda *_: record)
    monkeypatch.setattr(records, "best", lambda *_: (record, [request.param]))
    monkeypatch.setattr(study, "found", lambda: [of.name])
    monkeypatch.setattr(study, "find", lambda _: of)
    return page


@pytest.mark.filterwarnings("ignore:constrained_layout")  # hostile labels are too long to lay out
@pytest.mark.parametrize("page", HOSTILE, indirect=True, ids=range(len(HOSTILE)))
def test_no_text_of_a_record_or_a_study_runs_in_a_chapter(page, monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "display", lambda bundle, raw: shown.append(bundle))
    (clean, noise), arms = [cell.name for cell in page.study.cells], page.study.arms
    names = [arm.name for arm in arms]
    claim = page.study.claims[0].name
    outputs = [
        page.agreement(),
        page.evidence(),
        page.claims(),
        page.arms(),
        page.protocol(),
        page.settings(),
        page.contrasts(claim),
        page.controls(),
        page.verdict_table(),
        page.price(),
        page.checklist(),
        page.two_by_two(*names[:2], *names[:2], clean),
        page.show_sharpness(clean),
        Markdown(page.says(claim)),
        Markdown(page.notices(claim)),
        Markdown(page.verdict(claim)),
        Markdown(page.difference(names[0], names[1], noise)),
    ]
    page.show_trials()
    page.show_finals()
    page.show_contrasts(claim)
    page.show_curves(clean, *names[:2])
    page.show_contours(lambda w: w[0] ** 2, {names[0]: [(0, 0), (1, 1), (2, 1)]}, (0, 1, 0, 1))
    assert len(shown) == 6
    for out in outputs:
        html = out.data if isinstance(out, HTML) else rendered(out.data)
        assert running(html) == []
    for bundle in shown:
        assert running(bundle["text/html"]) == running(bundle["image/svg+xml"]) == []


BOOK = "# Ledger\n\n```{verdict-ledger}\n```\n\n```{controls}\n```\n\n```{single-seeds}\n```\n"


@pytest.mark.parametrize("page", HOSTILE, indirect=True, ids=range(len(HOSTILE)))
def test_none_runs_in_the_book(page, tmp_path, monkeypatch):
    exhibits.evidence.cache_clear()
    monkeypatch.setattr(smallbook, "LEDGER", BOOK)
    rows = ledger.ledger()
    assert all(row["statement"] != row["title"] for row in rows)
    root = tmp_path / "book"
    root.mkdir()
    rows = [row | {"paper": "a"} for row in rows]
    output = ("text/markdown", page.evidence().data + "\n\n" + page.agreement().data)
    pages, warnings = smallbook.build(root, lambda: rows, {"a": smallbook.executed(picture=output)})
    assert len(pages["ledger"]) > 5000 and "rests on the" in pages["a"]
    for text in pages.values():
        assert running(text) == []


def test_the_name_of_a_folder_does_not_run_in_the_banner():
    config = SimpleNamespace(other_data=HOSTILE[0], html_theme_options={})
    bookext.announce_other_data(None, config)
    assert running(config.html_theme_options["announcement"]) == []
    assert "&lt;img src=x" in config.html_theme_options["announcement"]
