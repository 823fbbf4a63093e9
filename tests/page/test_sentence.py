"""The answer's sentence: grammatical, complete and true for every combination of verdicts."""

import re
from dataclasses import replace
from itertools import product

import pytest
import toy

from reviewlib.evidence.rules import GAIN_VERDICTS, NO_LOSS_VERDICTS, NOT_LEARNED, Verdict
from reviewlib.evidence.stats import Interval
from reviewlib.page import sentence
from reviewlib.page.sentence import CLAUSES, case

WORDS = [
    *(("gain", word) for word in (*GAIN_VERDICTS, NOT_LEARNED)),
    *(("no loss", word) for word in (*NO_LOSS_VERDICTS, NOT_LEARNED)),
]
AGAINST = {"real but small", "small loss", "no meaningful gain", "contradicted"}
OPEN = {"inconclusive", NOT_LEARNED}
CASES = ("with clean labels", "with wrong labels", "against random directions", "on larger nets")
GAIN = replace(toy.CLAIM, case="with clean labels")
NO_LOSS = replace(GAIN, kind="no loss", control=toy.CLAIM.contrast)
SAM = toy.study(subject="SAM")
PHENOMENON = toy.study(
    arms=(toy.SGD, replace(toy.SLOW, role="ablation")),
    not_applicable=dict.fromkeys(
        ("baseline at equal cost", "method", "simple", "placebo"), "it is a toy"
    ),
)
INTERVAL = Interval(0.0123, 0.0045, 0.0201, level=0.9875, n=20, sd=0.01)
MEAN = "+1.23 points"
EFFECT = f"{MEAN}, +0.45 to +2.01"


def verdicts(*words):
    """Return verdicts of these kinds and words, each on a case of its own."""
    claims = {"gain": GAIN, "no loss": NO_LOSS}
    return [
        Verdict(replace(claims[kind], name=f"claim{i}", case=CASES[i]), word, INTERVAL)
        for i, (kind, word) in enumerate(words)
    ]


def every(study):
    """Yield the words and the sentence of one to four primary claims, in every combination."""
    for count in (1, 2, 3, 4):
        for words in product(WORDS, repeat=count):
            yield words, sentence.sentence(study, verdicts(*words))


@pytest.fixture(scope="module", params=[SAM, PHENOMENON], ids=["method", "phenomenon"])
def sentences(request):
    return list(every(request.param))


def test_every_sentence_is_well_formed(sentences):
    for words, text in sentences:
        assert re.match(
            r"(Yes|No|Not quite), at this scale( so far)?: |Only (in part: )?|"
            r"Not (settled|judged): ",
            text,
        )
        assert text.endswith(".") and re.sub(r"\d\.\d", "", text).count(".") == 1, text
        assert not re.search(r"\s\s|\s[,;:.]|[,;:.]\s*[,;:.]", text), text
        assert len(text.split()) <= 60, text
        assert len(words) == 4 or len(text.split()) <= 50, text


def test_every_claim_is_named_once_in_the_clause_of_its_verdict(sentences):
    for words, text in sentences:
        clauses = text.removesuffix(".").split("; ")
        for (kind, word), where in zip(words, CASES, strict=False):
            assert text.count(where) == 1, text
            (clause,) = (clause for clause in clauses if where in clause)
            if word in OPEN:
                said = ["the verdict is open" if word == "inconclusive" else "a net did not learn"]
            else:
                said = CLAUSES[kind, word][:3]
            assert any(f"{part} " in clause or f"{part};" in f"{clause};" for part in said), text
        assert text.count(EFFECT) == any(word != NOT_LEARNED for _, word in words)
        assert text.count(MEAN) == sum("a net did not learn" not in clause for clause in clauses)


def test_the_first_words_never_contradict_a_verdict(sentences):
    for pairs, text in sentences:
        words = {word for _, word in pairs}
        yes, against, unsettled = "supported" in words, words & AGAINST, words & OPEN
        assert text.startswith("Yes") == (yes and not against), text
        assert text.startswith("Only") == bool(yes and against), text
        assert text.startswith("Not quite") == (
            not yes and bool(against) and against <= {"real but small", "small loss"}
        )
        assert text.startswith("No,") == (
            not yes and bool(against & {"no meaningful gain", "contradicted"})
        )
        if not yes and not against:
            assert text.startswith("Not judged" if words == {NOT_LEARNED} else "Not settled")
        assert ("so far" in text) == bool(unsettled and bool(yes) != bool(against)), text
        if re.match("Only (?!in part)", text):
            assert not unsettled and len({kind for kind, word in pairs if word == "supported"}) == 1


def test_the_subject_is_named_once(sentences):
    for words, text in sentences:
        judged = any(word not in OPEN for _, word in words)
        if "SAM" in text:
            assert text.count("SAM") == 1
        else:
            assert not judged or re.search(r"\bthere is\b|\bis there\b", text), text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            [("gain", "no meaningful gain")] * 2,
            "No, at this scale: SAM gains nothing that matters with clean labels ({}) or with "
            "wrong labels.",
        ),
        (
            [("gain", "no meaningful gain"), ("gain", "supported")],
            "Only with wrong labels ({}) does SAM gain enough to matter; it gains nothing that "
            "matters with clean labels (+1.23 points).",
        ),
        (
            [("no loss", "supported"), ("gain", "supported"), ("gain", "inconclusive")],
            "Yes, at this scale so far: SAM gains enough to matter with wrong labels ({}); it "
            "loses nothing that matters with clean labels (+1.23 points); the verdict is open "
            "against random directions (+1.23 points).",
        ),
        (
            [("gain", "inconclusive")],
            "Not settled: the verdict is open with clean labels ({}).",
        ),
        (
            [("gain", "contradicted"), ("gain", NOT_LEARNED), ("gain", "supported")],
            "Only in part: SAM gains enough to matter against random directions ({}); it loses "
            "with clean labels (+1.23 points); a net did not learn with wrong labels.",
        ),
    ],
)
def test_the_sentences_read_like_this(words, text):
    assert sentence.sentence(SAM, verdicts(*words)) == text.format(EFFECT)


@pytest.mark.parametrize("word", [None, "out of scope"])
def test_a_verdict_without_words_is_an_error(word):
    with pytest.raises(ValueError, match="must be one of 'gain' that a sentence can say, got"):
        sentence.sentence(SAM, verdicts(("gain", word)))
    with pytest.raises(ValueError, match="must have a verdict on a primary claim, got none"):
        sentence.sentence(SAM, [])


def test_a_case_without_words_is_made_from_the_contrast():
    bare, label = replace(GAIN, case=""), "SGD, twice the steps"
    equal = replace(toy.SGD, name="sgd_2x", label=label, role="baseline at equal cost")
    study = toy.study(arms=(*toy.ARMS, equal), not_applicable=SAM.not_applicable)
    noisy = replace(toy.NOISE, label="CNN, wrong labels")
    study = replace(study, conditions=(toy.CLEAN, noisy))
    made = {
        (toy.SLOW - toy.SGD) @ toy.CLEAN: "against SGD with clean labels",
        (toy.SLOW - equal) @ noisy: "at equal cost with CNN with wrong labels",
        (equal - toy.SGD) @ toy.CLEAN: "for SGD with twice the steps against SGD with clean labels",
        toy.SGD @ toy.CLEAN
        - toy.SGD @ noisy: "for SGD under clean labels against CNN with wrong labels",
    }
    for contrast, text in made.items():
        assert case(study, replace(bare, contrast=contrast)) == text
    assert case(study, replace(bare, metric="top_eigenvalue")).endswith(" by top eigenvalue")
    assert sentence.subject(toy.study()) == toy.SLOW.label and sentence.subject(PHENOMENON) == ""


def test_a_loss_of_open_size_is_called_a_loss():
    below = Interval(-0.0045, -0.0065, -0.0025, level=0.9875, n=20, sd=0.01)
    gained, lost = verdicts(("gain", "supported"), ("no loss", "inconclusive"))
    lost = replace(lost, interval=below)
    assert sentence.sentence(SAM, [gained, lost]) == (
        f"Only in part: SAM gains enough to matter with clean labels ({EFFECT}); it "
        "loses, and whether enough to matter is open, with wrong labels (−0.45 points)."
    )
    assert sentence.sentence(SAM, [lost]) == (
        "Not settled: SAM loses, and whether enough to matter is open, with wrong labels "
        "(−0.45 points, −0.65 to −0.25)."
    )
    beside = replace(gained, verdict="inconclusive")  # of a gain, the verdict is open as before
    assert "the verdict is open with clean labels" in sentence.sentence(SAM, [beside, lost])
    assert "the verdict is open" in sentence.sentence(PHENOMENON, [lost])
