"""Sentences that every chapter needs, so that no chapter has to write them."""

CLAIMS = (
    "A *primary* claim gets a verdict. Its test and its margin, the smallest effect that would "
    "matter to a practitioner, were fixed before the final seeds ran."
)
EXPERIMENT = (
    "Arms share images, net and schedule, except where their row says otherwise, and all get the "
    "same number of trials. Validation images choose the settings; the tuning code holds no test "
    "images. Then come fresh seeds, the same for every arm: each draws its own training images, "
    "initialization and batch order, and is scored on its own fold of the test set."
)
VERDICT = (
    "The rule of the protocol computes these verdicts from the records. *Could have noticed* is "
    "the smallest true effect that this experiment would have called *supported* four times in "
    "five. The second table applies the same rule where we know the truth. The baseline with a "
    "quarter of its images must be found to lose. The baseline against itself, tuned again (A/A), "
    "has no effect to find: what shows there is the luck of tuning, which no interval on this page "
    "covers. The intervals cover what differs between seeds, and neither another data set nor "
    "another architecture."
)
