"""Every chapter keeps its contract: the rules of `reviewlib.contract`, which `check` prints."""

from pathlib import Path

import pytest

from reviewlib import contract, drafts

ROOT = Path(__file__).parents[1]
DRAFTS = [drafts.Draft(ROOT, name) for name in contract.chapters(ROOT)]


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
@pytest.mark.parametrize("rule", contract.RULES, ids=lambda rule: rule.__name__)
def test_a_chapter_keeps_the_contract(rule, draft):
    assert contract.faults(rule, draft) == []
