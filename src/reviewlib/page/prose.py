"""Texts that all chapters share."""

CLAIMS = (
    "A *primary* claim gets a verdict. Its test and its margin, the smallest effect that would "
    "matter to a practitioner, were fixed before the final seeds ran."
)
EXPERIMENT = (
    "Arms share images, net and schedule, except where their row says otherwise. On every seed, "
    "every arm gets a search of its own: as many trials as the others, over the same ranges. Only "
    "validation images choose among the trials. What counts is the expected test score of the "
    "best of k trials, which is what one search of k tries gives on average. An arm without a "
    "search of its own takes its parent's settings, seed by seed; its row says so. Each seed "
    "draws its own training images, initialization and batch order, and is scored on test images "
    "that nothing else sees."
)
FIRST_PROTOCOL = (
    "Arms share images, net and schedule, except where their row says otherwise. Each arm was "
    "tuned once, on validation images and seeds of their own, and then ran on the final seeds at "
    "the settings found. The intervals leave out the luck of that one search."
)
VERDICT = (
    "Code computes these verdicts from the records by the rule of the protocol. *Could have "
    "noticed* is the smallest true effect that this experiment would have called *supported* four "
    "times out of five. The second table tests comparisons whose truth we know. The positive "
    "control, the baseline with a quarter of its images, must show a loss. The A/A control "
    "compares the baseline with itself: other search points, initializations and batch orders on "
    "the same images. It fails if its interval at 99.9% excludes zero, and cannot tell if, at the "
    "same level, it is wider than that of every primary claim of its condition. The intervals "
    "cover what differs between two people who each do all of this once: images, label noise, "
    "initialization, order and the luck of the search. They do not cover other data sets, "
    "architectures, ranges or longer searches."
)
NO_VERDICT = (
    "The tables show what was measured. A verdict needs records of today's protocol, so there is "
    "none. The checklist holds the older records to today's rules."
)
