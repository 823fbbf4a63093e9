"""Text, tables and source code are escaped on a page."""

import pandas as pd
import pytest

from reviewlib.page import markup
from reviewlib.page.chapter import Chapter

HOSTILE = '<script>alert("x")</script>'


def test_source_is_what_runs_and_its_body_stays_indented():
    text = markup.source(Chapter.claims).data
    assert text.startswith('```python\ndef claims(self) -> None:\n    """Display')


def test_escaped_text_has_no_markup_and_no_line_of_its_own():
    assert markup.escaped("*a*\n\n# [b](c) <d> $e$") == r"\*a\* \# \[b\](c) \<d\> \$e\$"


@pytest.mark.parametrize(
    "page",
    [
        markup.markup(pd.DataFrame({HOSTILE: [HOSTILE]})),
        markup.folded(HOSTILE, pd.DataFrame({"a": [1]})),
        markup.stamped(pd.DataFrame({"a": [1]}), HOSTILE).data,
    ],
)
def test_every_text_around_and_in_a_table_is_escaped(page):
    assert "<script" not in page and "&lt;script" in page


@pytest.mark.parametrize("word", ["real but small", "out of scope"])
def test_a_verdict_wears_its_badge_where_it_stands_alone(word):
    html = markup.markup(pd.DataFrame({"verdict": [word, f"{word} (1 of 2 runs diverged)"]}))
    assert html.count(f'class="verdict verdict-{word.replace(" ", "-")}">{word}<') == 1


def test_a_table_without_a_stamp_has_none():
    assert "table-stamp" not in markup.stamped(pd.DataFrame({"a": [1]})).data
