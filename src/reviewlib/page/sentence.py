"""The answer of a chapter as one sentence, computed from the verdicts on its primary claims.

The first words depend on the verdicts alone:

| there is | first words |
|---|---|
| nothing that is judged | Not judged |
| nothing but "inconclusive" | Not settled |
| "supported", and nothing that speaks against it | Yes |
| "supported", and something that speaks against it | Only |
| "real but small" or "small loss", and nothing worse | Not quite |
| anything else | No |

"Real but small", "small loss", "no meaningful gain" and "contradicted" speak against "supported",
and so does a loss whose size alone is open.
Yes, Not quite and No go on with "at this scale", and "so far" where a claim is inconclusive or not
judged. Only names its cases first where all support is of one kind and every claim is settled; else
it is "Only in part". Every claim is named once, in the clause of its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reviewlib.evidence import units
from reviewlib.evidence.verdicts import Verdict
from reviewlib.trial.claims import Claim
from reviewlib.trial.study import Study


class Clause(NamedTuple):
    """How a sentence says one verdict.

    Attributes:
        does: of a method, the verb in the third person and what follows.
        do: the same with the verb's base form, after "does".
        there_is: of a chapter without a method, what follows "there is".
        joined: the word before the last case.
    """

    does: str
    do: str
    there_is: str
    joined: str = "and"


# In the order in which a sentence says them.
CLAUSES = {
    ("gain", "supported"): Clause(
        "gains enough to matter", "gain enough to matter", "an effect large enough to matter"
    ),
    ("no loss", "supported"): Clause(
        "loses nothing that matters", "lose nothing that matters", "no loss that matters", "or"
    ),
    ("gain", "real but small"): Clause(
        "gains a little but too little to matter",
        "gain a little but too little to matter",
        "an effect too small to matter",
    ),
    ("no loss", "small loss"): Clause(
        "loses a little but too little to matter",
        "lose a little but too little to matter",
        "a loss too small to matter",
    ),
    ("gain", "no meaningful gain"): Clause(
        "gains nothing that matters", "gain nothing that matters", "no effect that matters", "or"
    ),
    ("gain", "contradicted"): Clause("loses", "lose", "an effect against the claim"),
    ("no loss", "contradicted"): Clause(
        "loses enough to matter", "lose enough to matter", "a loss large enough to matter"
    ),
}
OPEN, UNJUDGED = "inconclusive", "not judged"
SMALL = ("real but small", "small loss")
AGAINST = (*SMALL, "no meaningful gain", "contradicted")


def sentence(study: Study, outs: Sequence[Verdict]) -> str:
    """Return the answer to the study's question as one sentence, with one effect a clause.

    A claim that is not judged has no effect to tell.

    Args:
        study: the study, which names its subject and its cases.
        outs: the verdicts on the primary claims, at least one, each with its word and interval.

    Raises:
        ValueError: there is no verdict, or one that the sentence has no words for.
    """
    if not outs:
        raise ValueError(f"study {study.name} must have a verdict on a primary claim, got none")
    groups = _groups(outs)
    words = [_short(out) for out in outs]
    settled = not {OPEN, UNJUDGED} & set(words)
    cases = Cases(study)
    if set(words) == {UNJUDGED}:
        return f"Not judged: a net did not learn {cases.listed(outs)}."
    if set(words) <= {OPEN, UNJUDGED}:
        return f"Not settled: {'; '.join(_clauses(study, groups, cases))}."
    against = set(words) & set(AGAINST)
    if "supported" not in words:
        head = "Not quite" if against <= set(SMALL) else "No"
    elif not against and not any(map(_loses, outs)):
        head = "Yes"
    else:
        kinds = [clause for clause in groups if clause[1] == "supported"]
        if settled and len(kinds) == 1:
            first = _inverted(study, kinds[0], cases.listed(groups.pop(kinds[0])))
            return f"{first}; {'; '.join(_clauses(study, groups, cases, first=False))}."
        return f"Only in part: {'; '.join(_clauses(study, groups, cases))}."
    so_far = "" if settled else " so far"
    return f"{head}, at this scale{so_far}: {'; '.join(_clauses(study, groups, cases))}."


class Cases:
    """Lists of claims by their cases; the first of each list is followed by its effect.

    The very first effect comes with its interval.
    """

    def __init__(self, study: Study) -> None:
        """Take the study that names the cases."""
        self._study, self._said = study, False

    def listed(self, outs: Sequence[Verdict], joined: str = "and") -> str:
        """Return cases as a list: "with clean labels (+0.02 points, ...) and against SGD"."""
        texts = [case(self._study, out.claim) for out in outs]
        if _short(outs[0]) != UNJUDGED:
            of = outs[0].claim.measure
            mean = units.with_unit(outs[0].interval.mean, *of)
            texts[0] += f" ({mean if self._said else effect_text(outs[0])})"
            self._said = True
        *most, last = texts
        return f"{', '.join(most)} {joined} {last}" if most else last


def case(study: Study, claim: Claim) -> str:
    """Return what a claim is about, as a phrase after a verb: "with clean labels"."""
    if claim.case:
        return claim.case
    arms = {arm.name: arm for arm in study.arms}
    where = {name: study.condition(name).label for *_, name in claim.contrast}
    named = [
        (arms[arm], where[condition])
        for weight, arm, condition in sorted(claim.contrast, key=lambda term: -term[0])
    ]
    (first, _), *_, (other, _) = named
    places = " and ".join(dict.fromkeys(label for _, label in named))
    if first == other:
        text = f"for {first.label} under {named[0][1]} against {named[-1][1]}"
    else:
        cost = first.role == "method" and other.role == "baseline at equal cost"
        text = f"{'at equal cost' if cost else f'against {other.label}'} with {places}"
        text = text if first.role == "method" else f"for {first.label} {text}"
    by = "" if claim.metric == "accuracy" else f" by {claim.metric.replace('_', ' ')}"
    return text.replace(", ", " with ") + by


def subject(study: Study) -> str:
    """Return what the sentence is about: the study's own word or its method; "" without one."""
    methods = [arm.label for arm in study.arms if arm.role == "method"]
    return study.subject or (methods[0] if methods else "")


def effect_text(out: Verdict) -> str:
    """Return a mean with its unit and the ends of its interval: "+0.02 points, −0.30 to +0.34"."""
    of = out.claim.measure
    lo, hi = (units.effect(end, *of) for end in (out.interval.lo, out.interval.hi))
    return f"{units.with_unit(out.interval.mean, *of)}, {lo} to {hi}"


def _loses(out: Verdict) -> bool:
    """Return whether a claim of no loss is open although a loss, of whatever size, is there."""
    if _short(out) != OPEN:
        return False
    return out.claim.kind == "no loss" and out.interval.hi < 0


def _short(out: Verdict) -> str:
    """Return a verdict without the reason that follows a colon."""
    return (out.verdict or "no verdict").split(":")[0]


def _groups(outs: Sequence[Verdict]) -> dict[tuple[str, str], list[Verdict]]:
    """Return verdicts by kind and word, in the order of a sentence; open ones of any kind last."""
    groups: dict[tuple[str, str], list[Verdict]] = {key: [] for key in CLAUSES}
    groups |= {("", OPEN): [], ("", UNJUDGED): []}
    for out in outs:
        word = _short(out)
        key = ("" if word in (OPEN, UNJUDGED) else out.claim.kind, word)
        if key not in groups:
            raise ValueError(
                f"the verdict on claim {out.claim.name} must be one of {out.claim.kind!r} that a "
                f"sentence can say, got {word!r}"
            )
        groups[key].append(out)
    return {key: group for key, group in groups.items() if group}


def _clauses(
    study: Study, groups: dict[tuple[str, str], list[Verdict]], cases: Cases, first: bool = True
) -> list[str]:
    """Return one clause a group; the subject is named in the first clause that has it."""
    texts, named = [], not first
    for key, outs in groups.items():
        if key[1] == OPEN and all(_loses(out) for out in outs) and subject(study):
            who = "it" if named else subject(study)
            texts.append(f"{who} loses, and whether enough to matter is open, {cases.listed(outs)}")
            named = True
        elif key[1] == OPEN:
            texts.append(f"the verdict is open {cases.listed(outs)}")
        elif key[1] == UNJUDGED:
            texts.append(f"a net did not learn {cases.listed(outs)}")
        else:
            clause = CLAUSES[key]
            listed = cases.listed(outs, clause.joined)
            who = "it" if named else subject(study)
            does = f"{who} {clause.does}" if subject(study) else f"there is {clause.there_is}"
            texts.append(f"{does} {listed}")
            named = True
    return texts


def _inverted(study: Study, key: tuple[str, str], listed: str) -> str:
    clause = CLAUSES[key]
    if not subject(study):
        return f"Only {listed} is there {clause.there_is}"
    return f"Only {listed} does {subject(study)} {clause.do}"
