"""The ledger page: its rows can be linked, filtered, sorted and downloaded."""

import csv
import json
import re
import shutil
import subprocess

import pytest
import smallbook
from smallbook import ROW

from reviewlib.evidence.ledger import FIELDS

ROWS = [
    ROW | {"claim": "small", "mean": 0.002, "lo": -0.01, "hi": 0.02, "verdict": "inconclusive"},
    ROW | {"claim": "gain"},
    ROW
    | {"claim": "loss", "mean": -0.05, "verdict": "contradicted", "paper": "b", "title": "Beta"},
    ROW | {"claim": "aside", "mean": 0.03, "verdict": None, "primary": False},
    ROW
    | {"claim": "far", "verdict": "out of scope", "primary": False, "contrast": [[1, "x", "y"]]},
    ROW | {"claim": "none", "mean": None, "verdict": None, "primary": False},
    ROW | {"claim": "ratio", "scale": "log ratio", "mean": -0.3, "verdict": None, "primary": False},
]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    html = '<figure><span id="claim-gain"></span><a href="#claim-small">no anchor</a></figure>'
    copies = {
        "a": smallbook.executed(picture=("text/html", html)),
        "b": smallbook.executed(),
    }
    pages, warnings = smallbook.build(root, ROWS, copies)
    assert warnings == ""
    return root / "out", pages["ledger"]


def test_every_row_has_an_address_and_links_to_it(book):
    _, page = book
    for row in ROWS:
        name = f"{row['paper']}-{row['claim']}"
        assert re.search(rf'<tr [^>]*id="{name}"', page) and f'href="#{name}"' in page


def test_a_row_links_to_the_figure_of_its_claim_where_the_chapter_has_one(book):
    assert re.findall(r'href="([^"]*#claim-[^"]*)"', book[1]) == ["../notebooks/a.html#claim-gain"]


def test_a_row_says_the_kind_of_its_claim(book):
    assert "gain in accuracy" in book[1]


def test_the_rows_are_there_as_csv_too(book):
    out, page = book
    assert 'href="../_static/verdicts.csv"' in page
    with (out / "_static" / "verdicts.csv").open(encoding="utf8", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(FIELDS)
    assert [row["claim"] for row in read] == [row["claim"] for row in ROWS]
    assert float(read[2]["mean"]) == -0.05 and read[3]["verdict"] == ""
    assert json.loads(read[3]["primary"]) is False
    assert json.loads(read[4]["contrast"]) == [[1, "x", "y"]]


def test_the_page_says_what_every_field_means(book):
    page = book[1].replace("’", "'")
    for name, meaning in FIELDS.items():
        assert re.search(f"<p>{name}</p></td>\\s*<td><p>{re.escape(meaning)}</p>", page)


def seen(book, address="", then=""):
    """What a browser shows after a script: claims in order, the status, the table, the query."""
    page = next(book[0].rglob("ledger.html"))
    probe = page.with_name("probe.html")
    script = f"addEventListener('load', () => {{ {then}; setTimeout(() => document.body.append("
    script += "Object.assign(document.createElement('output'), {textContent: location.search}))) })"
    probe.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000")
    done = subprocess.run(
        [BROWSER, *flags, "--dump-dom", f"file://{probe}{address}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    body = re.search(r'<table class="[^"]*verdict-ledger.*?</table>', done.stdout, re.S)[0]
    rows = re.findall(r"<tr ([^>]*)>", body.partition("<tbody>")[2])
    claims = [re.search(r'id="\w+-(\w+)"', row)[1] for row in rows if "hidden" not in row]
    status = re.search(r'role="status">(.*?)</p>', done.stdout)[1]
    return claims, status, body, re.search("<output>(.*?)</output>", done.stdout)[1]


@needs_browser
def test_primary_claims_are_shown_first(book):
    claims, status, *_ = seen(book)
    assert claims == ["small", "gain", "loss"] and status == "3 of 7 claims"


EVERY = [row["claim"] for row in ROWS]


@needs_browser
@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("?all=on", EVERY),
        ("?paper=Beta", ["loss"]),
        ("?verdict=supported", ["gain"]),
        ("?verdict=out+of+scope", ["far"]),  # though it is no primary claim
        ("?words=helps&all=on&verdict=exploratory", ["aside", "none", "ratio"]),
        ("?sort=3-", ["gain", "small", "loss"]),
        ("?sort=3&all=on", ["loss", "small", "gain", "far", "aside", "ratio", "none"]),
        ("?sort=3-&all=on", ["aside", "gain", "far", "small", "loss", "ratio", "none"]),
        ("?sort=0-", ["loss", "small", "gain"]),
        ("?paper=Nope&sort=9", ["small", "gain", "loss"]),
        ("#a-aside", EVERY),
        ("?paper=Beta#a-gain", EVERY),
        ("#%E0%A4%A", ["small", "gain", "loss"]),
    ],
)
def test_an_address_gives_a_view(address, shown, book):
    assert seen(book, address)[0] == shown


CLICK = "document.querySelectorAll('thead button')[3].click();"


@needs_browser
@pytest.mark.parametrize(
    ("clicks", "shown", "query", "direction"),
    [
        (1, ["gain", "small", "loss"], "?sort=3-", "descending"),
        (2, ["loss", "small", "gain"], "?sort=3", "ascending"),
        (3, ["small", "gain", "loss"], "", None),
    ],
)
def test_a_click_on_a_heading_sorts_and_a_third_one_does_not(clicks, shown, query, direction, book):
    claims, status, body, address = seen(book, then=clicks * CLICK)
    assert (claims, address) == (shown, query)
    assert re.findall('aria-sort="(.*?)"', body) == ([direction] if direction else [])
    assert status.endswith("by measured") == bool(direction)


@needs_browser
def test_a_sort_of_the_address_is_turned_and_ended_by_clicks_too(book):
    assert seen(book, "?sort=3", then=CLICK)[3] == ""


@needs_browser
def test_what_is_chosen_is_in_the_address_and_a_reset_clears_it(book):
    choose = "const box = document.querySelector('[name=words]'); box.value = 'nothing';"
    choose += "box.dispatchEvent(new Event('input'));"
    claims, status, _, query = seen(book, then=choose)
    assert claims == [] and query == "?words=nothing"
    assert status.startswith("0 of 7 claims: none fits.") and "tick" in status
    reset = "document.querySelector('[type=reset]').click()"
    claims, _, _, query = seen(book, "?words=nothing&sort=1", then=reset)
    assert claims == ["small", "gain", "loss"] and query == ""


@needs_browser
def test_a_link_on_the_page_shows_its_row(book):
    assert seen(book, "?paper=Beta", then="location.hash = '#a-aside'")[0] == EVERY


@needs_browser
def test_a_choice_that_no_row_has_leaves_the_menu_at_all(book):
    chosen = "document.querySelector('[name=paper]').selectedIndex"
    then = f"document.querySelector('[role=status]').textContent = {chosen}"
    assert seen(book, "?paper=Nope", then=then)[1] == "0"
