"""The versions of a study tell every registration, what had been seen, and what came out."""

import pytest
import toy

from reviewlib.evidence import history, registration
from reviewlib.page.versions import versions


@pytest.fixture
def registered(shelf, own_cache):
    """The toy study on the shelf with two registrations, of which the first said something."""
    for version in (1, 2):
        study = toy.study(results_version=version)
        shelf(study)
        registration.register(study, f"reason {version}", ["a pilot"] if version == 1 else [])
    found = {"preset": "laptop", "results_version": 1, "claim": "better", "verdict": "supported"}
    effect = {"mean": 0.1, "lo": 0.0, "hi": 0.2, "n": 3, "registration": 1}
    history.append("toy", [found | effect], "2026-11-26", "c0ffee", "why")
    return study


def test_every_version_is_listed_with_what_was_seen_before_and_what_it_said(registered):
    first, second = versions(registered).to_dict("records")
    assert (first["version"], first["why"], first["seen before"]) == (1, "reason 1", "a pilot")
    assert (second["version"], second["seen before"]) == (2, "nothing")
    assert first["what it said"] == "better: supported"
    assert second["what it said"] == "not in the history yet"


def test_a_study_without_registrations_has_no_versions(shelf):
    study = toy.study()
    shelf(study)
    assert versions(study).empty
