"""Every verdict follows from the stored records, computed without a line of this package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ROOT / "src" / "reviewlib" / "papers"
COMMAND = [sys.executable, "-m", "reviewlib", "verdicts", "--json"]


@pytest.fixture(scope="module")
def said():
    """What `reviewlib verdicts --json` prints."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def rows():
    """The final runs of each paper, as the files have them."""
    return {
        folder.name: json.loads((folder / "records" / "laptop.json").read_text())["rows"]
        for folder in PAPERS.iterdir()
        if (folder / "records" / "laptop.json").exists()
    }


def value(row, metric):
    return row[metric] if metric in row else 1 - row[metric.replace("error", "accuracy")]


def interval(rows, terms, claim):
    """Return mean, low end, high end and n of a paired t interval over seeds."""
    seeds = sorted({row["seed"] for row in rows})
    sign = -1 if claim["better"] == "lower" else 1
    totals = np.zeros(len(seeds))
    for weight, arm, condition in terms:
        found = {
            row["seed"]: row for row in rows if [row["arm"], row["condition"]] == [arm, condition]
        }
        measured = np.array([value(found[seed], claim["metric"]) for seed in seeds])
        totals += sign * weight * (np.log(measured) if claim["scale"] == "log ratio" else measured)
    half = scipy.stats.sem(totals) * scipy.stats.t.ppf((1 + claim["level"]) / 2, len(seeds) - 1)
    return totals.mean(), totals.mean() - half, totals.mean() + half, len(seeds)


def word(claim, measured, control):
    """Return the verdict by the tables of the protocol."""
    (mean, lo, hi, _), margin = measured, claim["margin"]
    if claim["kind"] == "no loss":
        if hi < -margin:
            return "contradicted"
        kept = lo > -margin and control[2] < -margin
        return ("supported" if hi >= 0 else "small loss") if kept else "inconclusive"
    if lo > 0:
        return "supported" if mean >= margin * (1 - 1e-4) else "real but small"
    if hi < 0:
        return "contradicted"
    return "no meaningful gain" if hi < margin else "inconclusive"


def test_every_interval_and_verdict_follows_from_the_files_alone(said, rows):
    tested = [claim for claim in said if claim["preset"] == "laptop" and claim["n"]]
    assert {claim["paper"] for claim in tested} == set(rows)
    for claim in tested:
        mine = rows[claim["paper"]]
        primaries = sum(each["primary"] for each in said if each["paper"] == claim["paper"])
        assert claim["level"] == pytest.approx(1 - 0.05 / (primaries if claim["primary"] else 1))
        measured = interval(mine, claim["contrast"], claim)
        printed = [claim[key] for key in ("mean", "lo", "hi", "n")]
        assert printed == pytest.approx(measured, abs=1e-9), claim["claim"]
        if claim["primary"]:
            control = interval(mine, claim["control"], claim) if claim["control"] else None
            assert claim["verdict"] == word(claim, measured, control), claim["claim"]
