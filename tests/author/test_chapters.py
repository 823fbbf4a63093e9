"""Every chapter keeps the rules of `reviewlib.author.rules`, which `reviewlib check` prints."""

from pathlib import Path

import pytest

from reviewlib.author import rules
from reviewlib.author.draft import Draft

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # replays fingerprints
@pytest.mark.parametrize("name", rules.chapters(ROOT))
def test_a_chapter_keeps_every_rule(name):
    draft = Draft(ROOT, name)
    assert [problem for rule in rules.RULES for problem in rules.problems(rule, draft)] == []
