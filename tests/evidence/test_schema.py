"""A record file of wrong content is refused with its place, whoever wrote it."""

import json

import pytest

from reviewlib.evidence import schema
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import Store


@pytest.fixture
def path(record, tmp_path):
    return Store(tmp_path).save(record)


@pytest.fixture
def load(path, tmp_path):
    return lambda: Store(tmp_path).load("toy", "laptop")


GONE = object()
SCORES, SETTINGS = ("runs", 0, "scores", 1), ("runs", 0, "settings", 1)
DAMAGES = [
    # what is put where, and what the message says
    (("fingerprints", "sgd", "clean", "losses"), GONE, r"`losses` - at `\$.fingerprints\["),
    (("fingerprints", "sgd"), "x", r"Expected `object`, got `str` - at `\$.fingerprints\["),
    (("test",), GONE, "missing required field `test`"),
    (("extra",), 1, "unknown field `extra`"),
    (("runs", 1, "seed"), GONE, r"missing required field `seed` - at `\$.runs\[1\]`"),
    (("runs", 1, "extra"), [1, 2, 3], r"unknown field `extra` - at `\$.runs\[1\]`"),
    (("runs", 1, "seed"), [], r"of length >= 1 - at `\$.runs\[1\].seed`"),
    (("runs", 1, "seed"), [1, 2], r"\$.runs\[1\].settings must have one entry a seed, 2"),
    (("runs", 1, "scores"), [{}], r"\$.runs\[1\].scores must have one entry a seed, 3"),
    (("runs", 0, "curve"), [[]] * 4, r"\$.runs\[0\].curve must have one entry a seed, 3"),
    ((*SCORES, "nll"), [1.0, 2.0], r"\$.runs\[0\].scores\[1\].nll must have one entry a trial, 3"),
    ((*SETTINGS, "lr"), [0.1] * 4, r"runs\[0\].settings\[1\].lr must have one entry a trial, 3"),
    (("runs", 0, "diverged_at", 1), [], r"of length >= 1 - at `\$.runs\[0\].diverged_at\[1\]`"),
    ((*SCORES, "nll"), GONE, r"\$.runs\[0\].scores\[1\] lacks \['nll'\]"),
    ((*SCORES, "validation_nll"), GONE, r"scores\[1\] lacks \['validation_nll'\]"),
    ((*SCORES, "accuracy", 2), "<b>", r"got `str` - at `\$.runs\[0\].scores\["),
    ((*SCORES, "accuracy", 2), True, r"got `bool` - at `\$.runs\[0\].scores\["),
    ((*SCORES, "accuracy", 2), 1.5, r"scores\[1\].accuracy must hold fractions in \[0, 1\]"),
    ((*SCORES, "validation_accuracy", 0), -0.1, r"validation_accuracy must hold fractions in"),
    ((*SCORES, "early_accuracy", 0), 2, r"early_accuracy must hold fractions in"),
    (("runs", 0, "best", 0, "train_accuracy"), 1.1, r"train_accuracy must be a fraction in"),
    (("runs", 0, "correct", 0), "0g", r"matching regex .* at `\$.runs\[0\].correct\["),
    (("floor", 1, "accuracy"), 2, r"<= 1.0 - at `\$.floor\[1\].accuracy`"),
    (("runs", 0, "best", 0, "mood"), [1], r"got `array` - at `\$.runs\[0\].best\["),
    (("runs", 0, "seed", 1), 0.5, r"Expected `int`, got `float` - at `\$.runs\[0\].seed\["),
    (("runs", 0, "diverged_at", 0, 0), -1, r">= 0 - at `\$.runs\[0\].diverged_at\["),
    (("runs", 0, "peak_bytes", 0), "x", r"got `str` - at `\$.runs\[0\].peak_bytes\["),
    (("runs", 0, "seconds", 0), float("inf"), "numbers must be finite"),
    (("floor", 0, "accuracy"), float("nan"), "numbers must be finite"),
    (("runs", 0, "passes", 1), 10**400, r"\$.runs\[0\].passes\[1\] must be a number below 2\^63"),
    (("runs", 0, "passes", 1), -(2**63), r"\$.runs\[0\].passes\[1\] must be a number below 2\^63"),
    (("runs", 0), 3, r"Expected `object`, got `int` - at `\$.runs\[0\]`"),
    (("runs",), "x", r"Expected `array`, got `str` - at `\$.runs`"),
    (("runs",), [], r"of length >= 1 - at `\$.runs`"),
    (("provenance", "device"), "x" * 1001, r"\$.provenance.device must be .*at most 1000 char"),
    (("runs", 0, "x" * 1001), 1, r"a name in \$.runs\[0\] must be .*at most 1000 characters"),
    (("provenance", "commit"), "\x1b[31m", r"\$.provenance.commit must be printable"),
    (("provenance", "extra"), "a\nb", r"\$.provenance.extra must be printable"),
    (("provenance", "commit"), [[[[[[[[1]]]]]]]], "nested too deeply"),
    (("runs", 0, "curve", 0), [[1, "x"]], r"got `str` - at `\$.runs\[0\].curve\[0\]"),
    (("runs", 0, "curve", 0), [[1, 0.2, 3]], r"length 2, got 3 - at `\$.runs\[0\].curve\["),
    (("runs", 0, "curve", 0), [[1, 1.2]], r"<= 1.0 - at `\$.runs\[0\].curve\["),
    ((*SETTINGS, "lr", 0), "x", r"got `str` - at `\$.runs\[0\].settings\["),
    (("runs", 0, "fixed"), {"lr": "x"}, r"got `str` - at `\$.runs\[0\].fixed\["),
    (("preset", "tries"), GONE, r"missing required field `tries` - at `\$.preset`"),
    (("preset", "seeds"), -1, r">= 0 - at `\$.preset.seeds`"),
    (("preset",), [], r"Expected `object`, got `array` - at `\$.preset`"),
    (("data", "checksum"), None, r"got `null` - at `\$.data.checksum`"),
    (("provenance", "versions"), {}, r"\$.provenance.versions lacks torch"),
    (("provenance", "versions", "torch"), 2, r"got `int` - at `\$.provenance.versions\["),
    (("provenance", "cpu_seconds"), "x", r"got `str` - at `\$.provenance.cpu_seconds`"),
    (("study",), "other", "laptop.json holds the laptop records of other"),
]


@pytest.mark.parametrize(("where", "value", "message"), DAMAGES, ids=range(len(DAMAGES)))
def test_a_record_of_wrong_content_is_refused_with_its_place(path, load, where, value, message):
    content = json.loads(path.read_text())
    part = content
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    if value is GONE:
        del part[where[-1]]
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=message):
        load()


def test_a_score_may_be_missing_in_a_trial(path, load):
    content = json.loads(path.read_text())
    content["runs"][0]["scores"][0]["nll"][2] = None
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="was edited"):  # so it was well-formed
        load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00", "not a record file"),
        (b'{"format": 4, "a": 1e999}', r"\$.a must be a number below"),
    ],
    ids=["deep", "not text", "infinite"],
)
def test_a_file_that_is_meant_to_break_the_reader_is_refused(path, load, text, message):
    path.write_bytes(text)
    with pytest.raises(RecordError, match=message):
        load()


def test_a_large_file_is_not_read_to_its_end(load, monkeypatch):
    monkeypatch.setattr(schema, "MOST_BYTES", 100)
    with pytest.raises(RecordError, match="larger than 100 bytes"):
        load()


def test_a_folder_in_the_place_of_a_record_is_named(path, load):
    path.unlink()
    path.mkdir()
    with pytest.raises(RecordError, match="laptop.json is not a record file"):
        load()
