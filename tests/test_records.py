"""Records say what was measured, reveal edits, and go stale exactly when results would change."""

import json
from dataclasses import fields, make_dataclass, replace

import pytest
import toy

from reviewlib import compare, data, records, replicas, runs, storage, train, tuning
from reviewlib.records import RecordError

OF = toy.study()


@pytest.fixture
def path(record, tmp_path):
    return records.save(record, tmp_path)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_record_holds_every_run_and_every_trial(record):
    cells_and_arms = 2 * 2
    assert len(record.rows) == cells_and_arms * toy.TINY.seeds
    assert len(record.trials) == cells_and_arms * toy.TINY.trials
    assert record.trials["chosen"].sum() == cells_and_arms
    assert len(record.floor) == 2 * toy.TINY.seeds
    assert record.test == runs.test_digest(OF, OF.presets[0])
    spent = sum(record.trials["seconds"]) + sum(record.rows["seconds"])
    assert record.provenance["cpu_seconds"] == round(spent, 1)


def test_saving_and_loading_changes_nothing(record, path, tmp_path):
    again = records.load("toy", "laptop", tmp_path)
    assert again.digest() == record.digest()
    assert again.fingerprints == record.fingerprints
    assert records.faults(again, OF) == []
    assert path == tmp_path / "toy" / "laptop.json"


def test_the_final_runs_use_the_chosen_settings(record):
    for row in record.rows.to_dict("records"):
        chosen = record.trials[
            (record.trials["arm"] == row["arm"])
            & (record.trials["cell"] == row["cell"])
            & record.trials["chosen"]
        ]
        assert row["settings"] == OF.arm(row["arm"]).fixed | chosen["settings"].iloc[0]


def test_an_edited_number_is_detected(record, path, tmp_path):
    value = record.rows["accuracy"].iloc[0]
    edit(path, f'"accuracy": {value}', f'"accuracy": {value + 0.01}')
    with pytest.raises(RecordError, match="a number in .* was edited"):
        records.load("toy", "laptop", tmp_path)


@pytest.mark.parametrize("what", ["trials", "floor", "fingerprints", "test"])
def test_so_is_an_edit_elsewhere_in_the_measurements(path, tmp_path, what):
    content = json.loads(path.read_text())
    if what == "test":
        content["test"] = "0" * 64
    elif what == "fingerprints":
        content[what]["sgd"]["clean"]["losses"][0] += 1
    else:
        content[what][0]["accuracy"] += 0.01
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="was edited"):
        records.load("toy", "laptop", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}', "null"])
def test_what_is_no_record_is_named_with_the_way_out(path, tmp_path, text):
    path.write_text(text)
    with pytest.raises(RecordError, match="laptop.json.*reviewlib study toy --preset laptop"):
        records.load("toy", "laptop", tmp_path)


def test_a_missing_record_says_how_to_make_it(tmp_path):
    with pytest.raises(RecordError, match="no records at .*reviewlib study toy --preset gpu"):
        records.load("toy", "gpu", tmp_path)


def test_changed_arithmetic_makes_exactly_the_arms_concerned_stale(record):
    def slower(model, config):
        if config.momentum == 0.9:
            return train.sgd(model, config)
        return train.sgd(model, replace(config, momentum=0.44))

    assert records.stale_arms(record, OF) == []
    assert records.stale_arms(record, toy.study(run=toy.broken(slower))) == ["slow"]


def test_changed_arithmetic_of_a_stack_alone_makes_its_arms_stale(record, monkeypatch):
    class Plain(replicas.SGD):
        def __init__(self, params, momentum):
            super().__init__(params)

    monkeypatch.setattr(replicas, "SGD", Plain)
    assert records.stale_arms(record, OF) == ["sgd", "slow"]


def test_a_changed_data_order_makes_every_arm_stale(record, monkeypatch):
    batches = train.batches
    monkeypatch.setattr(train, "batches", lambda *args: batches(*args).flip(1).roll(1, 0))
    assert records.stale_arms(record, OF) == ["sgd", "slow"]


def test_a_changed_default_makes_its_arm_stale(record):
    arms = (replace(toy.ARMS[0], fixed={"momentum": 0.89}), toy.ARMS[1])
    assert records.stale_arms(record, toy.study(arms=arms)) == ["sgd"]


def test_rearranged_source_leaves_the_record_valid(record):
    def moved(arm, settings, sample, preset, seed):
        """Do what `toy.run` does, in other words and elsewhere."""
        return toy.run(arm, dict(reversed(settings.items())), sample, preset, seed)

    arms = tuple(replace(arm, label=arm.label.upper(), note="") for arm in toy.ARMS)
    assert records.faults(record, toy.study(run=moved, arms=arms)) == []


def test_a_removed_arm_is_stale(record):
    of = toy.study(
        arms=toy.ARMS[:1],
        claims=(),
        not_applicable=dict(OF.not_applicable) | {"method": "gone"},
    )
    assert records.stale_arms(record, of) == ["slow"]


NEW = replace(toy.ARMS[0], name="new", role="ablation")
CELLS = (replace(OF.cells[0], label_noise=0.2), OF.cells[1])
CHANGES = {
    "range": (
        {"knobs": (replace(OF.knobs[0], low=0.005, high=0.2), OF.knobs[1])},
        "what defines the test was changed after the final seeds had run",
    ),
    "arm": ({"arms": (*toy.ARMS, NEW)}, "not in the records yet: new"),
    "cell": ({"cells": CELLS}, "what defines the test was changed"),
    "preset": ({"presets": ()}, "no longer has a preset 'laptop'"),
    "numerics": ({"numerics": 2}, "recorded at numerics 1, the study is at 2"),
    "claims": ({"claims": (replace(toy.CLAIM, margin=0.02),)}, "the test was changed after"),
    "sizes": ({"presets": (replace(toy.TINY, steps=5),)}, "sizes were changed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_study_that_moved_on_leaves_its_records_behind(record, what):
    changes, reason = CHANGES[what]
    assert any(reason in fault for fault in records.faults(record, toy.study(**changes)))


def test_a_test_changed_after_the_final_seeds_cannot_be_stamped_again(own_cache):
    compare.run_study(OF, toy.TINY)
    bolder = toy.study(claims=(replace(toy.CLAIM, margin=0.001),))
    again = compare.run_study(bolder, toy.TINY)
    assert again.test == runs.test_digest(OF, OF.presets[0])
    assert records.faults(again, bolder)[0].startswith("what defines the test was changed")


WORDS = {
    "label": {"arms": tuple(replace(arm, label="Another", note="why") for arm in toy.ARMS)},
    "statement": {"claims": (replace(toy.CLAIM, statement="It is. ", where="there"),)},
    "reported": {"claims": (replace(toy.CLAIM, margin_reason="because", why="so"),)},
    "title": {"title": "Another", "citation": "somebody"},
    "exploratory": {"claims": (toy.CLAIM, replace(toy.CLAIM, name="more", primary=False))},
    "exploratory arm": {"arms": (*toy.ARMS, NEW)},
}
TESTS = {
    "margin": {"claims": (replace(toy.CLAIM, margin=0.02),)},
    "contrast": {"claims": (replace(toy.CLAIM, contrast=toy.CLAIM.contrast[::-1]),)},
    "range": {"knobs": (replace(OF.knobs[0], high=0.2), OF.knobs[1])},
    "arm": {"arms": (toy.ARMS[0], replace(toy.ARMS[1], fixed={"momentum": 0.5}))},
    "cell": {"cells": CELLS},
    "size": {"presets": (replace(toy.TINY, train=80),)},
    "numerics": {"numerics": 2},
    "control": {"controls": (replace(toy.CLAIM, name="control"),)},
}


@pytest.mark.parametrize("what", WORDS)
def test_words_and_exploratory_claims_define_no_test(what):
    of = toy.study(**WORDS[what])
    assert runs.test_digest(of, of.presets[0]) == runs.test_digest(OF, OF.presets[0])


@pytest.mark.parametrize("what", TESTS)
def test_what_a_verdict_rests_on_defines_the_test(what):
    of = toy.study(**TESTS[what])
    assert runs.test_digest(of, of.presets[0]) != runs.test_digest(OF, OF.presets[0])


def test_other_folds_are_another_test(monkeypatch):
    before = runs.test_digest(OF, toy.TINY)
    monkeypatch.setattr(data, "FOLD_SEED", data.FOLD_SEED + 1)
    assert runs.test_digest(OF, toy.TINY) != before


@pytest.mark.parametrize("of", [toy.TINY, toy.CLAIM, toy.ARMS[0], OF.cells[0], OF.knobs[0]])
def test_a_new_field_at_its_default_changes_no_digest(of):
    wider = make_dataclass("Wider", [("new", int, 5)], bases=(type(of),), frozen=True)
    values = {part.name: getattr(of, part.name) for part in fields(of)}
    assert storage.digest(wider(**values)) == storage.digest(of)
    assert storage.digest(wider(**values, new=6)) != storage.digest(of)


def test_the_largest_valid_preset_is_shown_and_a_stale_one_named(record, tmp_path):
    of = toy.study(presets=(toy.TINY, replace(toy.TINY, name="gpu")))
    records.save(record, tmp_path)
    test = runs.test_digest(of, of.presets[1])
    gpu = replace(record, preset=dict(record.preset) | {"name": "gpu"}, test=test)
    records.save(gpu, tmp_path)
    assert records.best(of, tmp_path)[0].preset["name"] == "gpu"
    records.save(replace(gpu, numerics=7), tmp_path)
    shown, notes = records.best(of, tmp_path)
    assert shown.preset["name"] == "laptop"
    assert notes == ["gpu records are stale: recorded at numerics 7, the study is at 1"]


def test_a_damaged_file_does_not_take_valid_ones_down(record, tmp_path):
    of = toy.study(presets=(toy.TINY, replace(toy.TINY, name="gpu")))
    records.save(record, tmp_path)
    records.path_of("toy", "gpu", tmp_path).write_text("{")
    shown, notes = records.best(of, tmp_path)
    assert shown.preset["name"] == "laptop" and "gpu.json is not a record" in notes[0]


def test_a_place_that_cannot_be_written_is_named_before_anything_runs(tmp_path):
    (tmp_path / "toy").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="records go to .*toy, which must be writable.*--out"):
        records.writable("toy", "laptop", tmp_path)


def test_the_record_says_where_its_rows_were_made(record, own_cache):
    assert record.provenance["device"].startswith("CPU")
    compare.run_study(OF, toy.TINY)
    final = [path for path in own_cache.rglob("*.json") if '"test"' in path.read_text()]
    final[0].write_text(final[0].read_text().replace('"device": "CPU', '"device": "GPU'))
    again = compare.run_study(OF, toy.TINY)
    assert [name[:3] for name in again.provenance["device"].split("; ")] == ["CPU", "GPU"]
    assert not {"device", "commit", "computed", "from_cache"} & set(again.rows.columns)


def test_without_valid_records_there_is_an_error_that_says_why(record, tmp_path):
    with pytest.raises(RecordError, match="none were made"):
        records.best(OF, tmp_path)
    records.save(replace(record, numerics=7), tmp_path)
    with pytest.raises(RecordError, match="recorded at numerics 7.*reviewlib study toy"):
        records.best(OF, tmp_path)


def test_settings_can_come_from_a_larger_preset(record, own_cache, tmp_path):
    quick = replace(toy.TINY, name="quick", settings_from="laptop", trials=1)
    last = record.trials.assign(chosen=record.trials["trial"] == toy.TINY.trials - 1)
    records.save(replace(record, trials=last), tmp_path)
    of = toy.study(presets=(quick, toy.TINY))
    with pytest.raises(RecordError, match="no records at"):
        compare.run_study(of, quick, folder=tmp_path / "elsewhere")
    fresh = compare.run_study(of, quick, folder=tmp_path)
    for row in fresh.rows.to_dict("records"):
        arm = OF.arm(row["arm"])
        chosen = tuning.trials_of(OF, arm, toy.TINY.trials)[-1]
        assert row["settings"] == arm.fixed | dict(chosen)
