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
DAMAGES = [
    # what is put where, and what the message says
    (("fingerprints", "sgd", "clean", "losses"), GONE, r"`losses` - at `\$.fingerprints\["),
    (("fingerprints", "sgd"), "x", r"Expected `object`, got `str` - at `\$.fingerprints\["),
    (("test",), GONE, "missing required field `test`"),
    (("extra",), 1, "unknown field `extra`"),
    (("rows", 1, "seed"), GONE, r"missing required field `seed` - at `\$.rows\[1\]`"),
    (("rows", 0, "accuracy"), "<b>", r"Expected `float`, got `str` - at `\$.rows\[0\].accuracy`"),
    (("rows", 0, "accuracy"), True, r"Expected `float`, got `bool` - at `\$.rows\[0\].accuracy`"),
    (("rows", 0, "train_accuracy"), -0.1, r">= 0.0 - at `\$.rows\[0\].train_accuracy`"),
    (("trials", 0, "accuracy"), 1.5, r"<= 1.0 - at `\$.trials\[0\].accuracy`"),
    (("trials", 0, "accuracies"), [2], r"<= 1.0 - at `\$.trials\[0\].accuracies\[0\]`"),
    (("floor", 1, "accuracy"), 2, r"<= 1.0 - at `\$.floor\[1\].accuracy`"),
    (("rows", 0, "nll"), "x", r"\$.rows\[0\].nll must be a number"),
    (("rows", 2, "nll"), True, r"\$.rows\[2\].nll must be a number"),
    (("trials", 1, "mood"), [1], r"\$.trials\[1\].mood must be a number"),
    (("rows", 0, "seed"), 0.5, r"Expected `int`, got `float` - at `\$.rows\[0\].seed`"),
    (("rows", 0, "diverged_at"), -1, r">= 0 - at `\$.rows\[0\].diverged_at`"),
    (("rows", 0, "peak_bytes"), "x", r"got `str` - at `\$.rows\[0\].peak_bytes`"),
    (("rows", 0, "seconds"), float("inf"), "numbers must be finite"),
    (("floor", 0, "accuracy"), float("nan"), "numbers must be finite"),
    (("rows", 0, "passes"), 10**400, r"\$.rows\[0\].passes must be a number below 2\^63"),
    (("rows", 0, "passes"), -(2**63), r"\$.rows\[0\].passes must be a number below 2\^63"),
    (("rows", 0), 3, r"Expected `object`, got `int` - at `\$.rows\[0\]`"),
    (("rows",), "x", r"Expected `array`, got `str` - at `\$.rows`"),
    (("rows",), [], r"of length >= 1 - at `\$.rows`"),
    (("trials",), [], r"of length >= 1 - at `\$.trials`"),
    (("provenance", "device"), "x" * 1001, r"\$.provenance.device must be .*at most 1000 char"),
    (("rows", 0, "x" * 1001), 1, r"a name in \$.rows\[0\] must be .*at most 1000 characters"),
    (("provenance", "commit"), "\x1b[31m", r"\$.provenance.commit must be printable"),
    (("provenance", "extra"), "a\nb", r"\$.provenance.extra must be printable"),
    (("provenance", "commit"), [[[[[[[[1]]]]]]]], "nested too deeply"),
    (("rows", 0, "curve"), [[1, "x"]], r"got `str` - at `\$.rows\[0\].curve\[0\]\[1\]`"),
    (("rows", 0, "curve"), [[1, 2, 3]], r"length 2, got 3 - at `\$.rows\[0\].curve\[0\]`"),
    (("trials", 0, "settings"), {"lr": "x"}, r"got `str` - at `\$.trials\[0\].settings\["),
    (("trials", 0, "chosen"), 1, r"Expected `bool`, got `int` - at `\$.trials\[0\].chosen`"),
    (("trials", 0, "edges"), [1], r"Expected `str`, got `int` - at `\$.trials\[0\].edges\[0\]`"),
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


def test_a_metric_may_be_missing_in_a_run(path, load):
    content = json.loads(path.read_text())
    content["rows"][0]["nll"] = None
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="was edited"):  # so it was well-formed
        load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00", "not a record file"),
        (b'{"format": 3, "a": 1e999}', r"\$.a must be a number below"),
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
