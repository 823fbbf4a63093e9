"""A study and its record with a hostile text wherever they may hold one."""

from dataclasses import dataclass, replace

import toy

from reviewlib.evidence.make import make
from reviewlib.evidence.record import Record
from reviewlib.evidence.store import Store
from reviewlib.trial.claims import Reported
from reviewlib.trial.contrast import Contrast

TEXTS = (
    '"><img src=x onerror=alert(1)>{{71*71}} $\\alert{71*71}$',
    "' onclick='alert(1)--></text><script>alert(1)</script> [a](javascript:alert(1)) ${71*71}",
    "```{raw} html\n<script>alert(1)</script>\n``` {raw}`<b>` &lt;script> <javascript:alert(1)>",
)


def one_line(text):
    """Return the text as names, and all that a record file holds, may have it."""
    return " ".join(text.split())


@dataclass(frozen=True)
class Held(Store):
    """A store of one record, which no file has to be able to hold."""

    record: Record | None = None

    def has(self, study, preset):
        return preset == self.record.preset["name"]

    def load(self, study, preset):
        return self.record


def study(text):
    """Return the toy study, with controls, a claim out of scope and the text in every field."""
    of = toy.study(**toy.CONTROLLED)

    def named(name):
        return f"{name}{one_line(text)}"

    def trained(run):
        ours = {name.removesuffix(named("")): value for name, value in run.settings.items()}
        yield from toy.trained(replace(run, settings=ours, known=toy.study().settings))

    claim = replace(
        toy.CLAIM,
        name=named("better"),
        statement=f"better {text}",
        where=text,
        margin_reason=text,
        contrast=Contrast(tuple((w, named(a), named(c)) for w, a, c in toy.CLAIM.contrast)),
        reported=(Reported(text, text, 3, True),),
    )
    out = replace(claim, name="out", kind="out of scope", primary=False, contrast=(), why=text)
    arms = [
        replace(
            arm,
            name=named(arm.name),
            label=f"{arm.name} {text}",
            note=text,
            search=tuple(map(named, arm.search)),
            conditions=tuple(map(named, arm.conditions)),
            train=trained,
        )
        for arm in of.arms
    ]
    return replace(
        of,
        title=text,
        citation=text,
        arms=tuple(arms),
        hyperparameters=tuple(replace(h, name=named(h.name)) for h in of.hyperparameters),
        conditions=tuple(replace(c, name=named(c.name), label=text) for c in of.conditions),
        presets=(replace(toy.TINY, name="quick", settings_from="laptop"), toy.TINY),
        claims=(claim, out),
        not_applicable=dict.fromkeys(of.not_applicable, text),
    )


def record(of, text):
    """Return the study's record, which was made where and by what the text says."""
    made = make(of, toy.TINY)
    said = dict(made.provenance) | dict.fromkeys(("commit", "device", "date", "source"), text)
    said["versions"] = dict.fromkeys(said["versions"], text)
    return replace(made, provenance=said)
