"""What a notebook quotes from the records: verdicts, effects, what could be noticed, tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from IPython.display import HTML

from reviewlib.evidence import contrasts, stats, units
from reviewlib.evidence.verdicts import judge_all, judge_controls
from reviewlib.page import tables
from reviewlib.page.markup import anchor, stamped
from reviewlib.page.missing import needs_evidence
from reviewlib.trial.arms import found

if TYPE_CHECKING:
    from reviewlib.evidence.record import Record
    from reviewlib.evidence.verdicts import Verdict
    from reviewlib.trial.study import Study


class Quotes:
    """The verdicts of a chapter, and the texts and tables that its notebook places."""

    study: Study
    record: Record
    stamp: str

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on every claim, by name."""
        return {out.claim.name: out for out in judge_all(self.study, self.record)}

    @cached_property
    def control_verdicts(self) -> dict[str, Verdict]:
        """The verdict on every control of the study, by name."""
        return {out.claim.name: out for out in judge_controls(self.study, self.record)}

    def _out(self, name: str) -> Verdict:
        """Return the verdict on a claim or control; raise ValueError if there is none."""
        outs = {**self.control_verdicts, **self.verdicts}
        return found(f"study {self.study.name}", "tested claim or control", outs, name)

    @cached_property
    def _placed(self) -> set[str]:
        """The names of claims whose anchor the page has."""
        return set()

    def _anchors(self, names: Iterable[str]) -> str:
        """Return anchors, as HTML: the ledger links to where a claim is shown first."""
        new = [name for name in names if name not in self._placed]
        self._placed.update(new)
        return "".join(f'<span id="{html.escape(anchor(name))}"></span>' for name in new)

    def stamp_of(self, outs: Iterable[Verdict]) -> str:
        """Return where the numbers of verdicts come from: trained nets, timed steps, or both."""
        timed = {out.claim.timed for out in outs if out.interval is not None}
        return " ".join(
            part for of, part in ((False, self.stamp), (True, self.timing_stamp)) if of in timed
        )

    @property
    def timing_stamp(self) -> str:
        """One line that says where the page's times come from; empty without timings."""
        timings = self.record.timings
        if timings is None:
            return ""
        made = timings.provenance
        return (
            f"Steps timed on {made['processor']}, {made['device']}, "
            f"torch {made['versions']['torch']}, {timings.launches} launches of a process, "
            f"commit {made['commit']}."
        )

    @needs_evidence
    def says(self, name: str) -> str:
        """Return the paired difference of a claim or control as text: mean, interval and n."""
        out = self._out(name)
        interval, of = out.interval, out.claim.measure
        lo, hi = (units.effect(end, *of) for end in (interval.lo, interval.hi))
        n = f"{interval.n} launches" if out.claim.timed else f"n = {interval.n}"
        return (
            f"{units.with_unit(interval.mean, *of)} ({units.percent(interval.level)} interval "
            f"{lo} to {hi}, {n}{tables.how(self.study, out.claim)})"
        )

    @needs_evidence
    def notices(self, name: str) -> str:
        """Return, as text, the smallest gain called "supported" with probability 0.8."""
        out = self._out(name)
        if out.detectable is None:
            return "no gain reliably"
        return units.with_unit(out.detectable, *out.claim.measure)

    @needs_evidence
    def difference(self, arm: str, other: str, condition: str, metric: str = "accuracy") -> str:
        """Return, as text, a paired difference of no claim, marked as looked at afterwards."""
        contrast = (self.study.arm(arm) - self.study.arm(other)) @ self.study.condition(condition)
        interval = stats.t_interval(contrasts.by_seed(self.record.rows, contrast, metric))
        return (
            f"{units.with_unit(interval.mean, metric)} (looked at after the fact; "
            f"{tables.interval_text(interval, metric)}, n = {interval.n})"
        )

    @needs_evidence
    def verdict(self, name: str) -> str:
        """Return the verdict on a claim or control; "awaiting" or "exploratory" without one."""
        return tables.word(self.study, self._out(name))

    @needs_evidence
    def contrasts(self, *names: str) -> HTML:
        """Return the paired differences of the named claims as a table."""
        outs = [self._out(name) for name in names]
        table = stamped(tables.contrasts(self.study, outs), self.stamp_of(outs))
        return HTML(self._anchors(names) + table.data)

    @needs_evidence
    def two_by_two(
        self,
        neither: str,
        first: str,
        second: str,
        both: str,
        condition: str,
        methods: Sequence[str] | None = None,
    ) -> HTML:
        """Return a table of main effects and interaction, from the four arms of a 2x2."""
        arms = (neither, first, second, both)
        return stamped(
            tables.two_by_two(self.study, self.record, arms, condition, methods), self.stamp
        )
