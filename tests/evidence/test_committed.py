"""Attacks on the registration: what an author might try, and how it shows."""

import json
import subprocess
from dataclasses import replace

import pytest
import toy

from reviewlib import papers, sources, storage, train
from reviewlib.evidence import committed, provenance, registration
from reviewlib.evidence.committed import refused, rewritten, stated, unregistered
from reviewlib.evidence.make import make
from reviewlib.evidence.registration import EVIDENCE, problems, read, register
from reviewlib.evidence.store import BOOK

pytestmark = pytest.mark.usefixtures("own_cache")
FINER = (replace(toy.CLAIM, margin=0.2),)
GIT = "git -c user.name=A -c user.email=a@b.c -c commit.gpgsign=false"


@pytest.fixture
def commit(shelf, tmp_path, monkeypatch):
    """A repository with the toy's folder as a paper; return what commits all and names it."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a hook runs the tests
        monkeypatch.delenv(name, raising=False)
    shelf(toy.study())

    def do(*words):
        words = [*GIT.split(), "-C", str(tmp_path), *words]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def commit_all():
        do("add", "-A")
        do("commit", "-q", "--allow-empty", "-m", "a commit")
        return do("rev-parse", "--short=12", "HEAD")

    do("init", "-q")
    commit_all()
    commit_all.do = do
    return commit_all


def made(record, registered, *commits):
    """Return the toy's record as if it was made under a registration, at these commits."""
    said = {"registration": registered, "commit": ", ".join(commits)}
    return replace(record, provenance=record.provenance | said)


def test_runs_under_a_committed_registration_are_registered(commit, record):
    register(toy.study(), "the first")
    head = commit()
    assert unregistered(toy.study(), "laptop", [head, f"{head}+"]) == []
    assert stated(toy.study(), "laptop", [head]) == 1
    assert refused(made(record, 1, head, f"{head}+"), toy.study()) == []


def test_a_margin_edited_after_the_registration_is_unregistered_and_refused(commit, record):
    register(toy.study(), "the first")
    head = commit()
    edited = toy.study(claims=FINER)
    assert stated(edited, "laptop", [head]) == "unregistered"
    for made_under in (1, "unregistered"):
        assert "changed since registration 1" in refused(made(record, made_under, head), edited)[0]


def test_a_registration_rewritten_to_fit_is_unregistered(commit, record):
    register(toy.study(), "the first")
    first = commit()
    registration.path_of("toy").unlink()
    edited = toy.study(claims=FINER)
    register(edited, "as if it were the first")
    assert problems(edited) == []
    assert "is not committed" in unregistered(edited, "laptop")[0]
    second = commit()
    assert rewritten("toy") == [first]
    assert f"lost entries that it had at {first}" in unregistered(edited, "laptop", [second])[0]


def test_a_deleted_registration_is_missed(commit):
    register(toy.study(), "the first")
    first = commit()
    registration.path_of("toy").unlink()
    assert rewritten("toy") == [first]
    commit()
    assert rewritten("toy") == [first]


def test_a_registration_merged_away_is_missed(commit):
    start = commit()
    register(toy.study(), "the first")
    first = commit()
    commit.do("checkout", "-q", "-b", "side", start)
    register(toy.study(claims=FINER), "as if it were the first")
    commit()
    commit.do("merge", "-q", "-s", "ours", "-m", "merge", "-")
    assert rewritten("toy") == [first]


def test_to_delete_the_cache_and_run_again_wins_nothing(record):
    again = make(toy.study(), toy.TINY)  # the record is from another cache
    assert again.test == record.test
    for column in ("seed", "accuracy", "nll", "settings"):
        assert again.rows[column].tolist() == record.rows[column].tolist()


def test_each_try_of_a_version_leaves_an_entry_and_none_goes_without(commit, record):
    register(toy.study(), "the first")
    head = commit()
    second = toy.study(results_version=2)
    assert set(second.seeds(toy.TINY)).isdisjoint(toy.study().seeds(toy.TINY))
    assert stated(second, "laptop", [head]) == "unregistered"
    assert "results_version 2 of toy is not registered" in refused(made(record, 1, head), second)[0]
    register(second, "the first did not please")
    assert [entry.why for entry in read("toy")] == ["the first", "the first did not please"]
    head = commit()
    assert stated(second, "laptop", [head]) == 2
    why = refused(made(record, 1, head), second)
    assert why == ["the runs were made under registration 1, and the study's is 2"]


def test_a_method_edited_until_it_wins_is_unregistered(commit, record):
    register(toy.study(), "the first")
    head = commit()

    def edited(model, config):
        return train.sgd(model, replace(config, momentum=0.0))

    better = toy.study(arms=(toy.SGD, *toy.broken(edited, (toy.SLOW,))))
    assert stated(better, "laptop", [head]) == "unregistered"
    assert "arithmetic changed since registration 1: arm slow" in refused(record, better)[0]


def test_runs_before_the_registration_are_unregistered_though_the_cache_kept_them(commit, record):
    before = commit()
    register(toy.study(), "what has just worked so well")
    head = commit()
    (why,) = unregistered(toy.study(), "laptop", [head, before])
    assert f"without registration 1 ({before})" in why and "results_version = 2" in why
    (forged,) = refused(made(record, 1, before, head), toy.study())
    assert forged == why


def test_runs_of_other_sizes_than_the_registered_ones_are_unregistered(commit, monkeypatch):
    register(toy.study(), "the first")
    head = commit()
    monkeypatch.setattr(provenance, "commit", lambda: head)
    ran = [make(toy.study(), replace(toy.TINY, seeds=seeds)) for seeds in (3, 2)]
    assert [each.provenance["registration"] for each in ran] == [1, "unregistered"]


def test_a_record_of_another_test_or_arithmetic_than_it_claims_is_refused(commit, record):
    register(toy.study(), "the first")
    head = commit()
    good = made(record, 1, head)
    assert "of another test" in refused(replace(good, test="mixed"), toy.study())[0]
    other = good.fingerprints | {"slow": good.fingerprints["sgd"]}
    why = refused(replace(good, fingerprints=other), toy.study())
    assert why == ["arms had other arithmetic than in registration 1: slow"]
    for none in (None, "unregistered", True):
        assert "made under" in refused(made(record, none, head), toy.study())[0]


def test_a_registration_counts_once_it_is_committed(commit):
    register(toy.study(), "the first")
    assert "registrations.json is not committed" in unregistered(toy.study(), "laptop")[0]
    commit()
    assert unregistered(toy.study(), "laptop") == []
    path = registration.path_of("toy")
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([rows[0] | {"why": "another reason"}]))
    assert "is not committed" in unregistered(toy.study(), "laptop")[0]


def test_without_git_runs_work_and_are_unregistered(shelf, checkout, record):
    shelf(toy.study())
    register(toy.study(), "the first")
    checkout("")
    assert stated(toy.study(), "laptop", ["unknown"]) == "unregistered"
    assert "git cannot say here" in unregistered(toy.study(), "laptop", ["unknown"])[0]
    assert rewritten("toy") is None
    assert committed.committed(toy.study(), "c0ffee0", read("toy")[0]) is None
    assert make(toy.study(), toy.TINY).provenance["commit"] == "unknown"
    assert refused(made(record, 1, "c0ffee0"), toy.study()) == []  # as an installed book


def test_what_is_no_evidence_needs_no_registration(commit, record):
    quick = replace(record, preset=record.preset | {"name": "quick"})
    assert refused(quick, toy.study()) == []
    assert stated(toy.study(), "quick", []) == "unregistered"


@pytest.mark.parametrize("what", ["HEAD", "a_branch", "HEAD~0", "--help", "unknown", ""])
def test_what_names_no_commit_of_its_own_is_no_proof(commit, record, what):
    register(toy.study(), "the first")
    commit()
    commit.do("branch", "a_branch")
    assert "made at a commit without" in unregistered(toy.study(), "laptop", [what])[0]
    assert "made at a commit without" in refused(made(record, 1, what), toy.study())[0]


def test_a_commit_that_is_not_here_is_no_proof_for_new_runs(commit, record):
    register(toy.study(), "the first")
    commit()
    assert committed.committed(toy.study(), "c0ffee0c0ffe", read("toy")[0]) is None
    assert "(c0ffee0c0ffe)" in unregistered(toy.study(), "laptop", ["c0ffee0c0ffe"])[0]


def test_an_uncommitted_registration_makes_the_source_tree_edited(commit, monkeypatch):
    monkeypatch.setattr(sources, "PACKAGE", registration.path_of("toy").parents[3])
    head = commit()
    storage.write(BOOK.path("toy", "laptop"), "{}")
    assert provenance.commit() == head  # a record is what came out
    register(toy.study(), "the first")
    assert provenance.commit() == f"{head}+"
    assert provenance.commit() == commit.do("rev-parse", "--short=12", "HEAD") + "+"
    assert "+" not in commit() and "+" not in provenance.commit()


@pytest.fixture
def whole():
    """Skip where the book's own commits cannot be looked up."""
    if provenance.git(sources.PACKAGE, "rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("needs git and a clone with its whole history")


@pytest.mark.parametrize("name", papers.found())
def test_the_book_lost_no_registration(name, whole):
    assert rewritten(name) == []


@pytest.mark.parametrize("preset", EVIDENCE)
@pytest.mark.parametrize("name", papers.found())
def test_the_books_records_were_made_at_commits_that_had_their_registration(name, preset, whole):
    if not BOOK.has(name, preset):
        return
    record, entries = BOOK.load(name, preset), read(name)
    version = record.provenance.get("registration")
    if version not in (None, committed.UNREGISTERED):
        entry = entries[version - 1]
        for each in committed.commits_of(record):
            assert committed.committed(papers.find(name), each, entry), each
