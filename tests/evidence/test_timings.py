"""Timings as records: what they hold, when they are stale, and the verdicts that rest on them."""

import json
import math
from dataclasses import replace

import pytest
import timed
import toy
from msgspec.structs import replace as changed
from timed import ARMS, FASTER, SMALLER, STEP, rows, study

from reviewlib import train
from reviewlib.evidence import timings
from reviewlib.evidence.make import make
from reviewlib.evidence.record import RecordError
from reviewlib.evidence.store import Store
from reviewlib.evidence.timings import load, path_of, problems, save
from reviewlib.evidence.validity import problems as problems_of_record
from reviewlib.evidence.verdicts import judge, judge_controls

OF = study()


def made(of=OF, **how):
    return timed.made(of, **how)


@pytest.fixture
def on_the_shelf(shelf):
    shelf(OF)
    return OF


def test_saving_and_loading_changes_nothing(on_the_shelf):
    before = made()
    path = save(before)
    assert path == path_of("toy", "laptop") and path.name == "laptop-timings.json"
    assert load("toy", "laptop") == before
    assert before.launches == 8
    assert len(path.read_text().splitlines()) == 8 * 3 + 3  # a diff shows which row changed


def test_timings_may_go_elsewhere_than_the_books(on_the_shelf, tmp_path):
    path = save(made(), tmp_path)
    assert path == tmp_path / "toy" / "laptop-timings.json" and path.exists()
    assert load("toy", "laptop") is None


def test_a_terminal_gets_the_medians_and_the_multiples_of_the_first_arm():
    lines = made().lines(OF)
    assert [line[:2] for line in lines] == [
        ("a step", "SGD"),
        ("a step", "Half the momentum"),
        ("a step", "SGD again"),
    ]
    assert lines[0][2:] == ("2", "1.00") and lines[1][3] == "0.50"


def test_what_a_page_says_of_the_machine_is_there():
    provenance = made().provenance
    assert provenance["device"].startswith("CPU") and "one thread" in provenance["device"]
    assert provenance["processor"] and provenance["versions"]["torch"]


def test_records_of_a_gpu_that_timed_nothing_stand_beside_those_of_the_cpu(on_the_shelf):
    cpu = made()
    save(cpu)
    assert load("toy", "gpu") == cpu and cpu.preset == {"name": "laptop"}
    other = changed(cpu, preset={"name": "gpu"}, provenance={"device": "a GPU"})
    other = changed(other, digest=other.measured())
    save(other)
    assert load("toy", "gpu") == other and load("toy", "laptop") == cpu


def test_without_a_file_there_are_no_timings(on_the_shelf):
    assert load("toy", "laptop") is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content["rows"][0].update(step_seconds=0.001),
        lambda content: content["rows"].pop(),
        lambda content: content["timed"][0].update(batch_size=20),
        lambda content: content["fingerprints"]["sgd"]["clean"]["losses"].append(1.0),
    ],
)
def test_an_edited_number_is_noticed(on_the_shelf, edit):
    path = save(made())
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="was edited: its digest does not match; run `reviewlib"):
        load("toy", "laptop")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"study": "toy"}', '{"rows": [{"arm": 1}]}'], ids=repr
)
def test_a_file_of_something_else_is_named_with_the_way_out(on_the_shelf, text):
    path = save(made())
    path.write_text(text)
    with pytest.raises(RecordError, match="holds no timings .*; run `reviewlib time toy`"):
        load("toy", "laptop")


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_step_takes_time(seconds):
    bad = [rows(0), [rows(1)[0] | {"step_seconds": seconds}]]
    with pytest.raises(ValueError, match="step_seconds"):
        timings.make(OF, "cpu", bad)


def test_valid_timings_have_no_problems():
    assert problems(OF, made(), registered=False) == []


def test_a_study_that_times_nothing_needs_none():
    assert problems(toy.study(), None) == []


def stale(of=OF, found=None, **how):
    (reason,) = problems(of, found, **{"registered": False} | how)
    assert reason.endswith("; run `reviewlib time toy`")
    return reason


def test_steps_that_were_not_timed_are_missed():
    assert "the steps of its arms were not timed" in stale()


def test_another_timing_makes_them_stale():
    other = study(timings=(replace(STEP, batch_size=20),))
    assert "what is timed was changed since" in stale(other, made())
    assert problems(study(timings=(replace(STEP, label="else"),)), made(), registered=False) == []


def test_other_arithmetic_of_an_arm_makes_them_stale():
    def heavier(model, config):
        return train.sgd(model, replace(config, momentum=0.2))

    broken = toy.broken(heavier, toy.ARMS)[0]
    other = study(arms=(broken, *ARMS[1:]))
    assert "the timed code has changed of sgd" in stale(other, made())


def test_the_books_timings_need_a_registration(on_the_shelf):
    assert "no registration" in stale(found=made(), registered=True)


@pytest.fixture(scope="module")
def record():
    return make(OF, OF.presets[0], store=Store())


def test_a_claim_on_steps_is_judged_by_launches(record):
    out = judge(OF, replace(record, timings=made()), FASTER)
    assert out.verdict == "supported" and out.interval.n == 8
    assert out.interval.mean == pytest.approx(math.log(2), abs=0.02)
    assert out.health == {}  # a step learns nothing
    exact = judge(OF, replace(record, timings=made()), SMALLER)
    assert exact.interval.lo == exact.interval.hi == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("slow", "word"), [(0.95, "real but small"), (1.2, "contradicted"), (1.0, "no meaningful gain")]
)
def test_the_rule_is_that_of_all_gains(record, slow, word):
    assert judge(OF, replace(record, timings=made(slow=slow)), FASTER).verdict == word


def test_the_baseline_against_itself_must_take_as_long(record):
    def verdict(**how):
        outs = judge_controls(OF, replace(record, timings=made(**how)))
        return {out.claim.name: out.verdict for out in outs}["a_a-step-step_seconds"]

    assert verdict() in ("passed", "cannot tell")
    assert verdict(again=1.2) == "failed"
    marked = judge(OF, replace(record, timings=made(again=1.2)), FASTER)
    assert marked.marks == ("a control failed: a_a-step-step_seconds",)


def test_without_timings_a_claim_on_them_is_not_judged(record):
    with pytest.raises(ValueError, match="were not timed: run `reviewlib time toy`"):
        judge(OF, record, FASTER)
    names = [out.claim.name for out in judge_controls(OF, record)]
    assert names == ["a_a-clean"]


def test_a_record_is_valid_only_with_its_timings(on_the_shelf, tmp_path):
    store = Store(tmp_path)
    store.save(make(OF, OF.presets[0], store=store))
    (reason,) = problems_of_record(store.load("toy", "laptop"), OF, store)
    assert "not timed" in reason
    save(made())
    found = store.load("toy", "laptop")
    assert problems_of_record(found, OF, store) == []
    assert found.timings == made()


def test_timings_are_no_part_of_a_records_digest(record):
    assert replace(record, timings=made()).digest() == record.digest()


def test_an_altered_copy_is_not_what_was_measured():
    found = made()
    fewer = changed(found, rows=found.rows[:-1])
    assert fewer.measured() != found.digest == found.measured()
