"""The evidence: records, what makes them valid, statistics and verdicts."""
