"""Fingerprints tell whether an arm's arithmetic has changed; they are replayed when it may have."""

from dataclasses import replace

import pytest
import toy
from toy import CLEAN, NOISE, SGD, SLOW

from reviewlib import papers, sources, train
from reviewlib.train import Solution
from reviewlib.trial.fingerprints import TINY, fingerprint, replay

pytestmark = pytest.mark.usefixtures("own_cache")
STUDY = toy.study()


def test_an_arm_has_a_fingerprint_in_every_condition_it_is_run_in():
    found = replay(STUDY, SLOW)
    assert found.keys() == {"clean", "noise"}
    # two trials: losses of every step, two accuracies on the way, accuracy and nll after the last,
    # and the nll on the fold
    assert [len(found["clean"][part]) for part in ("losses", "scores")] == [2 * TINY.steps, 10]
    late = replace(SGD, name="late", role="ablation", conditions=(NOISE,))
    assert replay(toy.study(arms=(*toy.ARMS, late)), late).keys() == {"noise"}


def test_a_fingerprint_is_reproducible_and_ignores_texts():
    assert replay(STUDY, SGD) == replay(STUDY, SGD)
    relabeled = replace(SGD, label="another", note="why")
    assert replay(toy.study(arms=(relabeled, SLOW)), relabeled) == replay(STUDY, SGD)


def decayed(model, config):
    return train.sgd(model, replace(config, momentum=config.momentum - 1e-3))


CHANGED = {
    "optimizer": {"arms": toy.broken(decayed)},
    "range": {
        "hyperparameters": (
            replace(STUDY.hyperparameters[0], high=0.2),
            STUDY.hyperparameters[1],
        )
    },
    "fixed": {"arms": (replace(SGD, fixed={"momentum": 0.8}), SLOW)},
    "net": {"net": lambda run: train.models.mlp(run.sample.train, run.sample.classes, 5)},
    "scores": {"evaluate": lambda model, split: {"accuracy": 0.5, "nll": 0.5}},
    "measure": {"inspect": lambda model, sample: {"size": 1.0}},
    "noise": {"conditions": (replace(CLEAN, label_noise=0.1), NOISE)},
    "steps": {"conditions": (replace(CLEAN, step_multiple=2), NOISE)},
}


@pytest.mark.parametrize("what", CHANGED)
def test_what_changes_a_runs_arithmetic_or_scores_changes_its_fingerprint(what):
    changed = toy.study(**CHANGED[what])
    assert replay(changed, changed.arm("sgd"))["clean"] != replay(STUDY, SGD)["clean"]


def test_a_solution_has_scores_and_no_losses():
    def solved(run):
        yield Solution(run.net)

    arm = replace(SGD, train=solved)
    found = replay(toy.study(arms=(arm, SLOW)), arm)["clean"]
    assert found["losses"] == [] and len(found["scores"]) == 6


@pytest.fixture
def paper(monkeypatch):
    """Return the toy as a paper of the package, and the arms of the replayed runs."""
    replayed = []

    def watched(run):
        replayed.append(run.arm.name)
        yield from toy.trained(run)

    arms = tuple(replace(arm, train=watched) for arm in toy.ARMS)
    study = toy.study(arms=arms)
    monkeypatch.setattr(papers, "found", lambda: ["toy"])
    monkeypatch.setattr(papers, "find", lambda name: study)
    return study, replayed


def test_a_papers_fingerprint_is_replayed_once_per_source_state(paper, own_cache, monkeypatch):
    study, replayed = paper
    arm, other = study.arms
    expected = ["sgd"] * 4  # two runs in each of two conditions
    first = fingerprint(study, arm)
    assert fingerprint(study, arm) == first == replay(STUDY, SGD) and replayed == expected
    fingerprint(study, other)
    expected += ["slow"] * 4
    assert replayed == expected
    monkeypatch.setattr(sources, "digest_of", lambda names: f"edited, with {names}")
    fingerprint(study, arm)
    expected += ["sgd"] * 4
    assert replayed == expected
    for path in (own_cache / "reviewlib" / "fingerprints").iterdir():
        path.write_text("{")
    assert fingerprint(study, arm) == first
    assert replayed == expected + ["sgd"] * 4


def test_another_study_with_a_papers_name_is_always_replayed(paper, own_cache):
    study, replayed = paper
    changed = replace(study, results_version=2)
    for _ in range(2):
        fingerprint(changed, changed.arms[0])
    assert replayed == ["sgd"] * 8
    assert not (own_cache / "reviewlib" / "fingerprints").exists()


def test_a_fingerprint_depends_on_the_papers_study_and_this_module(paper, monkeypatch):
    asked, digest_of = [], sources.digest_of
    monkeypatch.setattr(
        sources, "digest_of", lambda names: asked.append(names) or digest_of(["reviewlib"])
    )
    study, _ = paper
    fingerprint(study, study.arms[0])
    assert asked == [["reviewlib.papers.toy.study", "reviewlib.trial.fingerprints"]]


def test_a_cache_that_cannot_be_written_only_makes_it_slower(paper, own_cache):
    (own_cache / "reviewlib").write_text("a file where the folder should be")
    study, replayed = paper
    assert fingerprint(study, study.arms[0]) == fingerprint(study, study.arms[0])
    assert replayed == ["sgd"] * 8
