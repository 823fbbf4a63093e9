"""A record: the outcome of one study at one preset, with one row per run and a digest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reviewlib.storage import digest
from reviewlib.trial.arms import Fingerprint


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
        trials: one row per trial (see `search.tune`).
        rows: one row per final run: arm, condition, seed, settings, metrics, cost.
        floor: one row per seed and condition: accuracy of scikit-learn's logistic regression.
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
        """Return the digest of everything measured; it does not match once a number is edited."""
        return digest(
            [self.preset, self.data, self.test, self.fingerprints]
            + [json_rows(table) for table in (self.trials, self.rows, self.floor)]
        )

    def runs(self, arm: str | None = None, condition: str | None = None) -> pd.DataFrame:
        """Return the final runs of an arm in a condition; None stands for all."""
        mine = pd.Series(True, index=self.rows.index)
        if arm is not None:
            mine &= self.rows["arm"] == arm
        if condition is not None:
            mine &= self.rows["condition"] == condition
        return self.rows[mine]


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings for JSON, with NaN replaced by None."""
    return [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]
