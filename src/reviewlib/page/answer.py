"""The answer of a chapter as a box: the question, a sentence, its price, its scope, and advice."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from reviewlib import papers
from reviewlib.evidence import units
from reviewlib.evidence.record import Record, RecordError
from reviewlib.evidence.verdicts import Verdict
from reviewlib.page import costs
from reviewlib.page.forest import forest
from reviewlib.page.markup import stamp_line
from reviewlib.page.missing import why_missing
from reviewlib.page.sentence import case, sentence
from reviewlib.page.sizes import by_condition
from reviewlib.trial.study import Study

if TYPE_CHECKING:
    from reviewlib.page.chapter import Chapter

FIRST_WORDS = (
    *("No answer yet", "Not judged", "Not settled", "Not quite"),
    *("Yes", "Only in part", "Only", "No"),
)


@dataclass(frozen=True)
class Answer:
    """What the box says, as plain texts.

    Attributes:
        question: the question that a reader asks.
        sentence: the answer.
        facts: by heading: controls, price, scope, instead; empty while there is no answer.
    """

    question: str
    sentence: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def brief(self) -> Answer:
        """Return the answer without its scope, for a card."""
        kept = {heading: text for heading, text in self.facts.items() if heading != "Scope"}
        return replace(self, facts=kept)


def opening(page: Chapter) -> str:
    """Return what opens a chapter as HTML: the box, and the forest plot if there is an answer."""
    try:
        outs = list(page.verdicts.values())
    except RecordError:
        return box(no_answer(page.study, why_missing(page.study, page.store)))
    found = answer(page.study, outs, page.record)
    if page.awaits:
        found = no_answer(page.study, page.awaits[0].lower() + page.awaits[1:])
    if not found.facts:
        return box(found)
    shown = primaries(outs)
    return box(found) + forest({"": shown}) + stamp_line(page.stamp_of(shown))


def answer(study: Study, outs: Sequence[Verdict], record: Record) -> Answer:
    """Return the answer of a study, from the verdicts on its claims and the record they rest on."""
    primary = primaries(outs)
    if reason := _not_yet(study, primary):
        return no_answer(study, reason)
    facts = {
        "Controls": _marked(study, primary),
        "Price": _price(study, record),
        "Scope": _scope(study, primary, record),
        "Instead": study.instead,
    }
    told = {heading: text for heading, text in facts.items() if text}
    return Answer(question(study), sentence(study, primary), told)


def no_answer(study: Study, reason: str) -> Answer:
    """Return the box of a study that has no answer, with the reason."""
    return Answer(question(study), f"No answer yet: {reason}.")


def primaries(outs: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts on primary claims."""
    return [out for out in outs if out.claim.primary]


def question(study: Study) -> str:
    """Return the study's question, else the one in its title: "SAM: does it pay?"."""
    asked = study.title.partition(": ")[2] or study.title
    return study.question or asked[0].upper() + asked[1:]


def box(of: Answer) -> str:
    """Return an answer as escaped HTML."""
    facts = "".join(
        f"<div><dt>{heading}</dt><dd>{_text(text)}</dd></div>" for heading, text in of.facts.items()
    )
    more = f"<dl>{facts}</dl>" if facts else ""
    return (
        '<div class="answer-box" role="group" aria-label="The answer">'
        f'<p class="answer-question">{_text(of.question)}</p>'
        f'<p class="answer-sentence">{_lead(of.sentence)}</p>{more}</div>'
    )


def _not_yet(study: Study, primary: Sequence[Verdict]) -> str:
    """Return why verdicts give no answer; empty if they do."""
    if waits := study.awaiting:
        return waits.rstrip(".")
    if any(out.verdict is None for out in primary) or not primary:
        return "everything in this chapter is exploratory"
    return ""


def _marked(study: Study, primary: Sequence[Verdict]) -> str:
    """Return which marks the verdicts have, and on which claims."""
    marked: dict[str, list[str]] = {}
    for out in primary:
        for mark in out.marks:
            marked.setdefault(mark, []).append(case(study, out.claim))
    listed = (f"{mark} (read with care: {'; '.join(cases)})" for mark, cases in marked.items())
    return _sentence("; ".join(listed))


def _price(study: Study, record: Record) -> str:
    """Return what the method costs: passes, hyperparameters, lines; empty without a method."""
    methods = [arm for arm in study.arms if arm.role == "method"]
    if not methods:
        return ""
    arm, base = methods[0], study.role("baseline")
    cost = costs.passes(study, record)[arm.name]
    passes = [_passes(cost, base.label)] if cost > 0 else []
    new = [name for name in arm.search if name not in base.search]
    parts = [
        *passes,
        *costs.of_a_step(study, record, arm),
        f"new to tune: {', '.join(new) or 'nothing'}",
    ]
    code = papers.folder_of(study.name) / "method.py"
    if code.exists():
        parts.append(f"{len(code.read_text(encoding='utf8').splitlines())} lines in method.py")
    return _sentence("; ".join(parts))


def _passes(cost: float, of: str) -> str:
    """Return a cost in passes as text."""
    return f"as many passes as {of}" if cost == 1 else f"{cost:.2g} times the passes of {of}"


def _scope(study: Study, primary: Sequence[Verdict], record: Record) -> str:
    """Return what the answer holds for, and how many claims of the paper were not tested."""
    sizes, interval = record.preset, primary[0].interval
    size = sizes["image_size"]
    images, seeds = (by_condition(study, record, itemgetter(of)) for of in ("train", "seeds"))
    untested = sum(claim.kind == "out of scope" for claim in study.claims)
    text = (
        f"on {record.data['name']} at {size} × {size} pixels, {images} training images, {seeds} "
        "paired seeds, "
        f"{units.percent(interval.level)} intervals; "
        "other data, nets and schedules may differ"
    )
    if record.timings is not None:
        text += f"; steps timed on {record.timings.provenance['device']}"
    claims = "claim of the paper is" if untested == 1 else "claims of the paper are"
    return _sentence(f"{text}; {untested} {claims} not tested here" if untested else text)


def _sentence(text: str) -> str:
    """Return text with a capital and a period."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _lead(text: str) -> str:
    """Return a sentence as escaped HTML with its first words in bold."""
    word = next(word for word in FIRST_WORDS if text.startswith(word))
    return f"<strong>{word}</strong>{_text(text.removeprefix(word))}"


def _text(text: str) -> str:
    """Return escaped HTML; text between backticks is code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
