"""Texts that all chapters share."""

CLAIMS = (
    "A *primary* claim gets a verdict. Its test and its margin, the smallest effect that would "
    "matter to a practitioner, were fixed before the final seeds ran."
)
EXPERIMENT = (
    "Arms share images, net and schedule, except where their row says otherwise, and all get the "
    "same number of trials. Settings are chosen on validation images; the tuning code has no "
    "access to test images. The final runs use fresh seeds, the same for every arm. Each seed "
    "draws its own training images, initialization and batch order, and is scored on its own fold "
    "of the test set."
)
VERDICT = (
    "Code computes these verdicts from the records by the rule of the protocol. *Could have "
    "noticed* is the smallest true effect that this experiment would have called *supported* four"
    " times out of five. The second table tests comparisons whose truth we know. The positive "
    "control, the baseline with a quarter of its images, passes if it shows a loss. The A/A "
    "control compares the baseline with itself, tuned again, and passes if its interval contains "
    "zero. What it shows is the luck of tuning, which no interval on this page covers. The "
    "intervals cover what differs between seeds. They do not cover other data sets or "
    "architectures."
)
