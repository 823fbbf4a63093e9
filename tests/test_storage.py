"""Digests cover what a value means and no more; files are written whole, or not at all."""

import json
import os
import time
from dataclasses import MISSING, dataclass, field, fields, make_dataclass, replace
from types import MappingProxyType

import pytest
import toy

from reviewlib import storage
from reviewlib.storage import meaning, undigested
from reviewlib.trial.arms import Arm, Condition, Hyperparameter
from reviewlib.trial.claims import Claim
from reviewlib.trial.contrast import Contrast
from reviewlib.trial.study import Preset


@dataclass(frozen=True)
class Inner:
    size: int
    words: str = undigested(default="")
    extra: tuple = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner
    code: object = undigested()
    many: tuple[Inner, ...] = ()
    table: dict = field(default_factory=dict)


OUTER = Outer(Inner(1), code=print)


@pytest.mark.parametrize(
    ("value", "means"),
    [
        (OUTER, {"inner": {"size": 1}}),
        (Outer(Inner(1, "said", (2,)), len), {"inner": {"size": 1, "extra": [2]}}),
        (
            Outer(Inner(1), len, (Inner(2), Inner(3)), {4: Inner(5)}),
            {
                "inner": {"size": 1},
                "many": [{"size": 2}, {"size": 3}],
                "table": {"4": {"size": 5}},
            },
        ),
        ({"a": (1, [2, Inner(3)])}, {"a": [1, [2, {"size": 3}]]}),
        (MappingProxyType({1: None}), {"1": None}),
        ([True, 0.5, "text", None], [True, 0.5, "text", None]),
    ],
)
def test_a_value_means_what_it_defines_as_json_knows_it(value, means):
    assert meaning(value) == means
    assert json.loads(json.dumps(meaning(value))) == means


@pytest.mark.parametrize(
    ("value", "other", "same"),
    [
        (OUTER, replace(OUTER, code=len), True),
        (OUTER, replace(OUTER, inner=Inner(1, "other words")), True),
        (OUTER, replace(OUTER, inner=Inner(2)), False),
        (OUTER, replace(OUTER, many=(Inner(1),)), False),
        (OUTER, replace(OUTER, table={"a": Inner(1)}), False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ((1, 2), [1, 2], True),
        ((1, 2), (2, 1), False),
    ],
)
def test_a_digest_is_that_of_the_meaning(value, other, same):
    assert (storage.digest(value) == storage.digest(other)) is same


def test_what_is_no_number_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.digest({"a": float("nan")})


@pytest.mark.parametrize(
    "of", [toy.TINY, toy.CLAIM, toy.SGD, toy.CLEAN, toy.study().hyperparameters[0]]
)
def test_a_new_field_at_its_default_changes_no_digest(of):
    wider = make_dataclass("Wider", [("new", int, 5)], bases=(type(of),), frozen=True)
    values = {part.name: getattr(of, part.name) for part in fields(of)}
    assert storage.digest(wider(**values)) == storage.digest(of)
    assert storage.digest(wider(**values, new=6)) != storage.digest(of)


DEFAULTS = {
    Arm: {
        "fixed": {},
        "step_multiple": 1,
        "train_fraction": 1.0,
        "search_seed": 0,
        "stochastic": False,
        "parent": "",
        "may_fail": False,
        "conditions": (),
    },
    Claim: {
        "primary": False,
        "metric": "accuracy",
        "better": "higher",
        "contrast": Contrast(),
        "scale": "difference",
        "margin": 0.01,
        "control": Contrast(),
        "shifted": False,
    },
    Condition: {
        "label_noise": 0.0,
        "fixed": {},
        "step_multiple": 1,
        "stack": 1,
        "ragged": "",
        "parent": "",
    },
    Hyperparameter: {"log": True},
    Preset: {"conditions": (), "arms": (), "where": {}, "settings_from": None},
}


@pytest.mark.parametrize("of", DEFAULTS)
def test_a_changed_default_is_noticed_though_digests_leave_defaults_out(of):
    """If a default has to change, raise the results_version of every study that relies on it."""
    covered = {part.name: storage._default(part) for part in fields(of) if _covered(part)}
    assert covered == DEFAULTS[of]


def _covered(part):
    optional = part.default is not MISSING or part.default_factory is not MISSING
    return optional and not part.metadata.get("undigested")


# Files


def test_a_file_is_written_whole_in_a_folder_that_is_made(tmp_path):
    path = tmp_path / "new" / "file"
    storage.write(path, "é\n")
    storage.write(path, "later\n")
    assert path.read_text(encoding="utf8") == "later\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    storage.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        storage.write(path, "half \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_without_room_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="runs go to .*file, which must be .*; try elsewhere"):
        storage.require_room(tmp_path / "file", "runs go", "try elsewhere")
    storage.require_room(tmp_path / "new", "runs go")
    assert list((tmp_path / "new").iterdir()) == []


def test_only_parts_that_nobody_writes_any_more_are_swept(tmp_path):
    old, young, other = (tmp_path / name for name in ("old.part", "young.part", "old.json"))
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, times=(time.time() - storage.ABANDONED - 60,) * 2)
    storage.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, other])


def test_the_digest_of_a_file_is_its_sha_256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert storage.file_digest(tmp_path / "file") == digest


@pytest.mark.parametrize("kind", ["cache", "data"])
def test_folders_of_the_user_are_where_the_environment_says(tmp_path, monkeypatch, kind):
    monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", str(tmp_path))
    folder = getattr(storage, f"{kind}_folder")
    assert folder("a", "b") == tmp_path / "reviewlib" / "a" / "b"
