"""What a study declares: its rules, its claims, its controls, its presets."""

from dataclasses import replace

import pytest
import toy
from toy import AGAIN, ARMS, CLAIM, CLEAN, NOISE, PART, SGD, SLOW

from reviewlib import papers
from reviewlib.storage import meaning
from reviewlib.trial.arms import Arm, Hyperparameter
from reviewlib.trial.claims import Claim
from reviewlib.trial.study import SEEDS_APART

FAR = replace(NOISE, name="far", label_noise=0.2, parent="clean")
CHILD = replace(SLOW, name="child", role="ablation", search=(), parent="slow")
UNFAIR = {
    "arm names must differ": {"arms": (*ARMS, SGD)},
    r"arm sgd is tuned over undeclared hyperparameters \['rho'\]": {
        "arms": (replace(SGD, search=("rho",)), SLOW)
    },
    "no arm in the role 'baseline at equal cost'": {"not_applicable": {}},
    "at most four primary claims, toy has 5": {
        "claims": tuple(replace(CLAIM, name=str(i)) for i in range(5))
    },
    "claim better compares sam in clean, which the study does not run": {
        "claims": (replace(CLAIM, contrast=(replace(SGD, name="sam") - SGD) @ CLEAN),)
    },
    "claim better compares slow in clean, which the study does not run": {
        "arms": (SGD, replace(SLOW, conditions=(NOISE,)))
    },
    "claim better compares sgd in wide, which the study does not run": {
        "claims": (replace(CLAIM, contrast=(SGD - SLOW) @ replace(CLEAN, name="wide")),)
    },
    "claim held compares slow in noise, which the study does not run": {
        "arms": (SGD, replace(SLOW, conditions=(CLEAN,))),
        "claims": (replace(CLAIM, name="held", kind="no loss", control=(SGD - SLOW) @ NOISE),),
    },
    "claim a_a-noise compares sgd in noise, which the study does not run": {
        "arms": (replace(SGD, conditions=(CLEAN,)), SLOW, replace(AGAIN, conditions=(NOISE,)))
    },
    "claim and control names must differ, got .'better', 'better'": {"claims": (CLAIM, CLAIM)},
    "claim and control names must differ, got .'a_a-clean', 'a_a-clean'": {
        "arms": (*ARMS, AGAIN),
        "claims": (replace(CLAIM, name="a_a-clean"),),
    },
    "hyperparameter names must differ, got .'lr', 'lr'": {
        "hyperparameters": (Hyperparameter("lr", 0.01, 0.1), Hyperparameter("lr", 0.1, 1.0))
    },
    "preset names must differ, got .'laptop', 'laptop'": {"presets": (toy.TINY, toy.TINY)},
    "condition names must differ": {"conditions": (CLEAN, CLEAN, NOISE)},
    "laptop names arms that toy has not: {'fast'}": {
        "presets": (replace(toy.TINY, arms=("fast",)),)
    },
    "laptop names conditions that toy has not: {'dark'}": {
        "presets": (replace(toy.TINY, conditions=("dark",)),)
    },
    "slow names conditions that toy has not: {'dark'}": {
        "arms": (SGD, replace(SLOW, conditions=(CLEAN, "dark")))
    },
    "core arm sgd searches nothing": {"arms": (replace(SGD, search=()), SLOW)},
    r"core arm slow holds \['lr'\] fixed, which other core arms are tuned over": {
        "arms": (SGD, replace(SLOW, search=("damping",), fixed={"lr": 0.1}))
    },
    "core arm slow must search and train like the others": {
        "arms": (SGD, replace(SLOW, search_seed=1))
    },
    "core arm sgd must search and train like the others": {
        "arms": (replace(SGD, train_fraction=0.5), SLOW)
    },
    "arm child takes its settings from its parent 'adam', which must be an arm of toy": {
        "arms": (*ARMS, replace(CHILD, parent=("sgd", "adam")))
    },
    "arm child takes its settings from its parent 'sam', which must be an arm of toy; it has sgd": {
        "arms": (*ARMS, replace(CHILD, parent="sam"))
    },
    "primary claim better compares child in clean, which has no search of its own": {
        "arms": (*ARMS, CHILD),
        "claims": (replace(CLAIM, contrast=(CHILD - SLOW) @ CLEAN),),
    },
    r"conditions 'wide' of preset laptop .* equally many seeds, got 3 and 2 \(noise\)": {
        "conditions": tuple(replace(where, ragged="wide") for where in toy.CONDITIONS),
        "presets": (replace(toy.TINY, where={"noise": {"seeds": 2}}),),
    },
    r"arm grandchild .* parent 'child', which must have a search of its own": {
        "arms": (*ARMS, CHILD, replace(CHILD, name="grandchild", parent="child"))
    },
    r"which must search for both, but child searches \['lr'\]": {
        "arms": (*ARMS, replace(CHILD, search=("lr",)))
    },
    r"which must run in \['noise'\] too": {
        "arms": (SGD, replace(SLOW, conditions=(CLEAN,)), CHILD)
    },
    r"arm child fixes \['damping'\], which its parent slow searches, and the search would win": {
        "arms": (*ARMS, replace(CHILD, fixed={"damping": 0.0}))
    },
    r"arm part fixes \['lr'\], which it searches too": {
        "arms": (*ARMS, replace(PART, fixed={"lr": 0.05}))
    },
    r"preset laptop has sizes for \['nois'\], no conditions of it": {
        "presets": (replace(toy.TINY, where={"nois": {"seeds": 2}}),)
    },
    "claim both pairs the seeds of conditions .* {'clean': 3, 'noise': 2}": {
        "claims": (replace(CLAIM, name="both", contrast=SLOW @ NOISE - SLOW @ CLEAN),),
        "presets": (replace(toy.TINY, where={"noise": {"seeds": 2}}),),
    },
    "primary claim better compares sgd in far, slow in far, which has no search of its own": {
        "conditions": (*toy.CONDITIONS, FAR),
        "claims": (replace(CLAIM, contrast=(SLOW - SGD) @ FAR),),
    },
    "condition far takes its settings from 'dim', which must be a condition of toy; it has": {
        "conditions": (*toy.CONDITIONS, replace(FAR, parent="dim"))
    },
    "condition farther .* from 'far', which must be searched itself": {
        "conditions": (*toy.CONDITIONS, FAR, replace(FAR, name="farther", parent="far"))
    },
    "condition far .* from 'clean', which must run slow too": {
        "conditions": (*toy.CONDITIONS, FAR),
        "arms": (SGD, replace(SLOW, conditions=(NOISE, FAR))),
        "claims": (),
    },
    "condition far .* from 'clean', which must be a condition of preset laptop too": {
        "conditions": (*toy.CONDITIONS, FAR),
        "presets": (replace(toy.TINY, conditions=(FAR,)),),
    },
    "condition far .* which must have its seeds, and has 3 of 4 in preset laptop": {
        "conditions": (*toy.CONDITIONS, FAR),
        "presets": (replace(toy.TINY, where={"far": {"seeds": 4}}),),
    },
    "which must be an arm of preset laptop too": {
        "arms": (*ARMS, CHILD),
        "presets": (replace(toy.TINY, arms=("sgd", "child")),),
    },
}


def test_an_ablation_may_take_its_settings_from_a_parent():
    assert toy.study(arms=(*ARMS, replace(CHILD, conditions=(CLEAN,)))).arm("child").parent


@pytest.mark.parametrize("message", UNFAIR)
def test_an_unfair_study_cannot_be_built(message):
    with pytest.raises(ValueError, match=message):
        toy.study(**UNFAIR[message])


def test_arms_outside_the_core_may_be_tuned_less_and_fix_what_others_tune():
    held = Arm(
        "held",
        "Held",
        role="untuned",
        search=(),
        note="nothing tuned",
        train=toy.trained,
        fixed={"lr": 0.05},
    )
    assert toy.study(arms=(*ARMS, held, AGAIN, PART)).arm("held") is held


RANGES = (
    Hyperparameter("lr", 0.01, 0.1),
    Hyperparameter("lr_low", 1e-4, 1e-3),
    Hyperparameter("damping", 0.1, 1.0),
    Hyperparameter("decay", 1e-5, 1e-2),
)


def core(baseline, others):
    """Return a study whose core arms search these hyperparameters."""
    roles = {"slow": "method", "smoothed": "simple", "shuffled": "placebo"}
    arms = (
        replace(SGD, **baseline),
        *(replace(SLOW, name=name, role=role, **others) for name, role in roles.items()),
    )
    return toy.study(arms=arms, hyperparameters=RANGES)


ALL = {"search": ("lr", "damping", "decay")}


@pytest.mark.parametrize(
    ("searched", "missing"),
    [
        (("lr_low",), "'damping', 'decay', 'lr'"),  # another range and two hyperparameters fewer
        (("lr_low", "damping", "decay"), "'lr'"),
        (("lr",), "'damping', 'decay'"),
    ],
)
def test_a_baseline_that_searches_less_or_elsewhere_needs_a_reason(searched, missing):
    message = rf"core arm sgd does not search \[{missing}\], .* give the reason in searches_less"
    with pytest.raises(ValueError, match=message):
        core({"search": searched}, ALL)
    assert core(ALL, ALL)


def test_an_arm_of_the_core_may_not_leave_out_what_the_baseline_searches():
    with pytest.raises(ValueError, match=r"core arm slow does not search \['decay'\]"):
        core(ALL, {"search": ("lr", "damping")})


def test_with_a_reason_an_arm_may_search_less_and_no_digest_changes():
    excused = {"search": ("lr",), "searches_less": "it has no such knobs"}
    assert core(excused, ALL).arm("sgd").searches_less
    assert meaning(replace(SGD, searches_less="why")) == meaning(SGD)


UNTESTABLE = {
    "weights sum to 0": {"contrast": SLOW @ CLEAN},
    "margin above 0, got 0.0": {"margin": 0.0},
    "says 'no loss': it needs a control with a loss": {"kind": "no loss"},
    "is out of scope: it needs a reason and must not be primary": {
        "kind": "out of scope",
        "primary": False,
    },
    "claim better is out of scope: it needs a reason": {"kind": "out of scope", "why": "too large"},
}


@pytest.mark.parametrize("message", UNTESTABLE)
def test_a_claim_that_cannot_be_tested_as_declared_is_rejected(message):
    with pytest.raises(ValueError, match=message):
        replace(CLAIM, **UNTESTABLE[message])


def test_a_field_of_an_arm_at_its_default_changes_no_digest():
    assert not {"parent", "may_fail"} & set(meaning(SGD))
    assert meaning(replace(SGD, may_fail=True))["may_fail"] is True


def test_the_fields_of_an_arm_are_named_so_that_none_is_taken_for_another():
    with pytest.raises(TypeError, match="positional arguments"):
        Arm("x", "X", "method", (), toy.trained, "note and function swapped")


def test_an_arm_must_have_a_known_role_and_a_fraction_of_the_images():
    with pytest.raises(ValueError, match="the role of arm x must be one of .*, got winner"):
        Arm("x", "X", role="winner", search=(), note="no such role", train=toy.trained)
    for fraction in (0, 1.5):
        with pytest.raises(ValueError, match=r"train_fraction of arm sgd must lie in \(0, 1\]"):
            replace(SGD, train_fraction=fraction)


@pytest.mark.parametrize(
    ("searched", "u", "value"),
    [
        (Hyperparameter("x", 0.01, 1.0), 0.5, 0.1),
        (Hyperparameter("x", 0.0, 1.0, log=False), 0.25, 0.25),
        (Hyperparameter("x", 1.0, 2.0), 0.5, 1.414),
    ],
)
def test_a_hyperparameter_keeps_its_scale_and_four_digits(searched, u, value):
    assert searched.at(u) == value


@pytest.mark.parametrize(("low", "high", "log"), [(0.0, 0.6, True), (-1, 1, True), (2, 1, False)])
def test_a_range_that_cannot_be_searched_is_rejected(low, high, log):
    with pytest.raises(ValueError, match=f"the range of hyperparameter x must .* {low} to {high}:"):
        Hyperparameter("x", low, high, log)


def test_conditions_and_arms_may_be_given_as_objects_or_by_name():
    assert replace(SGD, conditions=(CLEAN, "noise")).conditions == ("clean", "noise")
    preset = replace(toy.TINY, conditions=(NOISE,), arms=(SLOW, "sgd"))
    assert (preset.conditions, preset.arms) == (("noise",), ("slow", "sgd"))


def test_a_preset_runs_what_it_names_and_an_arm_only_where_it_is_declared():
    study = toy.study(**toy.CONTROLLED)
    small = replace(toy.TINY, conditions=(NOISE,), arms=(SGD, AGAIN))
    assert study.arms_in(CLEAN) == [SGD, SLOW, AGAIN]
    assert study.arms_in(NOISE) == [SGD, SLOW, PART]
    assert study.conditions_of(small) == [NOISE] and study.conditions_of(toy.TINY) == [CLEAN, NOISE]
    assert study.arms_of(small) == [SGD, AGAIN] and study.arms_in(NOISE, small) == [SGD]


def test_every_version_of_the_results_has_fresh_final_seeds():
    assert list(toy.study().seeds(toy.TINY)) == [SEEDS_APART + i for i in range(3)]
    first, second = (set(toy.study(results_version=v).seeds(toy.TINY)) for v in (1, 2))
    assert not first & second and len(second) == toy.TINY.seeds


def test_arms_conditions_and_presets_are_found_by_name_or_role():
    study = toy.study()
    assert study.arm("slow") is SLOW and study.condition("noise") is NOISE
    assert study.role("baseline") is SGD and study.preset("laptop") is toy.TINY
    exploratory = replace(CLAIM, name="more", primary=False)
    assert toy.study(claims=(CLAIM, exploratory)).primary == (CLAIM,)


def test_an_unknown_study_or_preset_is_an_error_with_the_known_names():
    with pytest.raises(ValueError, match="no study is called 'nothing'; there are: .*sam"):
        papers.find("nothing")
    with pytest.raises(ValueError, match="no preset 'huge'; it has quick, laptop, gpu"):
        papers.find("sam").preset("huge")


@pytest.mark.parametrize(
    ("what", "lookup", "known"),
    [
        ("arm", "arm", "sgd, slow"),
        ("condition", "condition", "clean, noise"),
        ("preset", "preset", "laptop"),
        ("arm in the role", "role", "method, baseline"),
    ],
)
def test_a_misspelled_name_is_an_error_with_the_known_names(what, lookup, known):
    with pytest.raises(ValueError, match=f"^study toy has no {what} 'samm'; it has {known}$"):
        getattr(toy.study(), lookup)("samm")


def test_every_control_arm_has_a_control_in_each_of_its_conditions():
    both = replace(AGAIN, conditions=())
    controls = toy.study(arms=(*ARMS, both, PART)).controls
    assert [(claim.name, list(claim.contrast)) for claim in controls] == [
        ("a_a-clean", [(1, "sgd", "clean"), (-1, "again", "clean")]),
        ("a_a-noise", [(1, "sgd", "noise"), (-1, "again", "noise")]),
        ("positive-noise", [(1, "sgd", "noise"), (-1, "part", "noise")]),
    ]
    assert all(isinstance(claim, Claim) and claim.kind == "gain" for claim in controls)
    assert all(claim.primary and claim.margin == 0.01 for claim in controls)
    assert controls[0].statement == "SGD against itself, tuned again, clean labels."
    assert toy.study().controls == ()
