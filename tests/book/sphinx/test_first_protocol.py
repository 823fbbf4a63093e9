"""What the first protocol said beside what this one says, and our own calibration."""

import json
import re
from dataclasses import asdict, replace
from types import SimpleNamespace

import smallbook
import toy

from reviewlib import papers
from reviewlib.book.sphinx.first_protocol import FirstProtocol, of_first_protocol
from reviewlib.book.sphinx.protocol import calibrated
from reviewlib.evidence import history, verdicts
from reviewlib.evidence.make import make

PAGE = "# Then and now\n\n```{first-protocol}\n```\n\n```{calibration}\n```\n"
FIRST = history.Entry(
    "2026-01-01", "0123456789", "laptop", 1, "better", "inconclusive", 0.01, -0.02, 0.04, 7, "why"
)
ENTRIES = [
    replace(FIRST, verdict="supported", mean=0.02),
    FIRST,
    replace(FIRST, claim="withdrawn", verdict="contradicted"),
    replace(FIRST, claim="words", verdict="out of scope", mean=None, lo=None, hi=None, n=0),
    replace(FIRST, verdict="real but small", registration=1),
]
THEN = "+1.00 points [−2.00, +4.00], n = 7"


def page(tmp_path, entries, **settings):
    """Return the cells of the table, the page and the warnings."""
    text = entries if isinstance(entries, str) else json.dumps(list(map(asdict, entries)))
    (papers.folder_of("toy") / "records").mkdir(exist_ok=True)
    history.path_of("toy").write_text(text)
    copies = {"a": smallbook.executed()}
    pages, warnings = smallbook.build(tmp_path, [], copies, top=PAGE, **settings)
    cells = re.findall("<td>(.*?)</td>", pages["index"])
    return [re.sub("<.*?>", "", cell) for cell in cells], pages["index"], warnings


def test_the_last_measured_entry_without_a_registration_is_of_the_first_protocol():
    assert of_first_protocol(ENTRIES) == {"better": FIRST, "withdrawn": ENTRIES[2]}
    assert of_first_protocol(ENTRIES[4:]) == {}


def test_both_protocols_stand_side_by_side_and_baselines_are_counted(
    tmp_path, shelf, published, own_cache
):
    of = toy.study(**toy.CONTROLLED)
    record = published(of, make(of, toy.TINY))
    cells, shown, warnings = page(tmp_path, ENTRIES)
    assert warnings == ""
    (out,) = verdicts.judge_all(of, record)
    now = f"{out.interval.mean:+.2%}".replace("%", " points").replace("-", "−")
    assert cells[:4] == ["The method is better.", "inconclusive", THEN, out.verdict]
    assert cells[4].startswith(now) and cells[4].endswith("n = 3")
    assert cells[5:] == ["withdrawn", "contradicted", "–", "no longer tested", "–"]
    assert "of 1 intervals at 95% exclude zero. Chance alone gives 0.05 on average." in shown

    shelf(replace(of, awaiting="its net is too small"))
    cells, shown, warnings = page(tmp_path, ENTRIES[:2])
    assert warnings == ""
    assert cells == ["The method is better.", "inconclusive", THEN, "awaiting", "–"]
    assert "No study has an A/A control in valid records yet." in shown


def test_without_records_there_is_no_evidence_and_without_a_history_no_table(tmp_path, shelf):
    shelf(toy.study())
    assert page(tmp_path, ENTRIES[:2])[0][3:] == ["no evidence yet", "–"]
    assert "No verdict of the first protocol is kept." in page(tmp_path, ENTRIES[4:])[1]


def test_a_damaged_history_warns(tmp_path, shelf):
    shelf(toy.study())
    assert "history.json is not a history" in page(tmp_path, "{")[2]


def test_a_private_book_does_not_show_verdicts_on_other_data():
    private = SimpleNamespace(config=SimpleNamespace(other_data="digits"))
    (said,) = FirstProtocol.run(private)
    assert said.astext() == "The first protocol's verdicts are on the book's own data."


def test_the_calibration_counts_what_excludes_zero_of_how_many():
    found = verdicts.calibration([])
    said = calibrated(found._replace(excluding=2, total=30, expected=1.5))
    assert "2 of 30 intervals" in said and "gives 1.5 on average" in said
