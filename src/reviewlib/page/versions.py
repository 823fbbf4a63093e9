"""The versions of a study: what was registered, what had been seen before, and what came out."""

from __future__ import annotations

import pandas as pd

from reviewlib.evidence.ledger import story
from reviewlib.trial.study import Study


def versions(study: Study) -> pd.DataFrame:
    """Return one row per registration of a study, oldest first; empty if there is none."""
    return pd.DataFrame(
        {
            "version": entry["version"],
            "registered": entry["date"],
            "why": entry["why"],
            "seen before": "; ".join(entry["pilots"]) or "nothing",
            "what it said": "; ".join(
                f"{claim}: {word}" for claim, word in entry["verdicts"].items()
            )
            or "not in the history yet",
        }
        for entry in story(study)
    )
