"""A record: the outcome of one study at one preset, with all trials of every run and a digest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from reviewlib.storage import digest
from reviewlib.trial import results
from reviewlib.trial.arms import Fingerprint

if TYPE_CHECKING:
    from reviewlib.evidence.timings import Timings


class RecordError(ValueError):
    """A record is missing, damaged or not valid for its study."""


@dataclass(frozen=True)
class Record:
    """The outcome of one study at one preset.

    Attributes:
        study: name of the study.
        preset: name, data and sizes of the preset, as a mapping.
        results_version: the study's results version when it was run.
        data: name and checksum of the data set.
        test: digest of what defines the test, stamped before the final seeds run.
        provenance: commit, source, versions, device, seconds and date; not part of the digest.
        runs: one row per run, an arm's whole search on one seed (see `scores.row_of`).
        floor: one row per seed and condition: accuracy of scikit-learn's logistic regression.
        fingerprints: per arm and condition, the losses and scores of tiny runs on a CPU.
        timings: the timings beside it, a file of their own; None if there are none.
    """

    study: str
    preset: Mapping[str, Any]
    results_version: int
    data: Mapping[str, str]
    test: str
    provenance: Mapping[str, Any]
    runs: pd.DataFrame
    floor: pd.DataFrame
    fingerprints: Mapping[str, Fingerprint]
    timings: Timings | None = None

    def digest(self) -> str:
        """Return the digest of everything measured; it does not match once a number is edited."""
        return digest(
            [self.preset, self.data, self.test, self.fingerprints]
            + [json_rows(table) for table in (self.runs, self.floor)]
        )

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per run: the expected test scores of one search of k tries."""
        return self._results(None)

    @cached_property
    def best(self) -> pd.DataFrame:
        """One row per run: the test scores of the best of all its trials, on validation images."""
        return self._results(0)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial (see `results.listed`)."""
        return pd.DataFrame(results.listed(self.runs.to_dict("records")))

    def after(self, tries: int) -> pd.DataFrame:
        """Return `rows` for a search of another length; 1 is a single trial."""
        return self._results(tries)

    def of(self, arm: str, condition: str | None = None) -> pd.DataFrame:
        """Return the rows of an arm, in a condition or in all of them."""
        mine = self.rows["arm"] == arm
        if condition is not None:
            mine &= self.rows["condition"] == condition
        return self.rows[mine]

    @property
    def n(self) -> str:
        """The number of seeds, in words if conditions differ in it: "40", "20 or 40"."""
        counts = self.runs.groupby("condition")["seed"].nunique()
        return " or ".join(map(str, sorted(set(counts))))

    def sizes(self, condition: str) -> Mapping[str, Any]:
        """Return the sizes in a condition."""
        return {**self.preset, **self.preset.get("where", {}).get(condition, {})}

    def _results(self, tries: int | None) -> pd.DataFrame:
        """Return the results for searches of a length; None stands for the judged one."""
        runs = self.runs.to_dict("records")
        return pd.DataFrame(
            results.result(run, self.sizes(run["condition"])["tries"] if tries is None else tries)
            for run in runs
        )


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings for JSON, with NaN replaced by None."""
    return [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]
