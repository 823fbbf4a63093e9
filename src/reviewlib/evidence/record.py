"""A record: the outcome of one study at one preset, one row a run, and its digest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reviewlib.storage import digest

Fingerprint = Mapping[str, Mapping[str, list[float]]]


class RecordError(ValueError):
    """A record file is missing, damaged or not what it says it is."""


@dataclass(frozen=True)
class Record:
    """The outcome of one study at one preset.

    Attributes:
        study: its name.
        preset: sizes that it was run at, as a mapping.
        results_version: the study's number when it was run.
        data: name and checksum of the data set.
        test: digest of what defines the test, stamped before the final seeds.
        provenance: commit, source, versions, device, seconds and date; identifies nothing.
        trials: one row a trial (see `search.tune`).
        rows: one row a final run: arm, condition, seed, settings, metrics, cost.
        floor: one row a seed and condition: accuracy of scikit-learn's logistic regression.
        fingerprints: per arm and condition, the losses and scores of tiny runs on a CPU.
    """

    study: str
    preset: Mapping[str, Any]
    results_version: int
    data: Mapping[str, str]
    test: str
    provenance: Mapping[str, Any]
    trials: pd.DataFrame
    rows: pd.DataFrame
    floor: pd.DataFrame
    fingerprints: Mapping[str, Fingerprint]

    def digest(self) -> str:
        """Return the digest over everything measured, which reveals an edited number."""
        return digest(
            [self.preset, self.data, self.test, self.fingerprints]
            + [plain(table) for table in (self.trials, self.rows, self.floor)]
        )

    def runs(self, arm: str | None = None, condition: str | None = None) -> pd.DataFrame:
        """Return the final runs of an arm, in a condition, or of all where none is named."""
        mine = pd.Series(True, index=self.rows.index)
        if arm is not None:
            mine &= self.rows["arm"] == arm
        if condition is not None:
            mine &= self.rows["condition"] == condition
        return self.rows[mine]


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table with NaN as None, as JSON knows them."""
    return [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]
