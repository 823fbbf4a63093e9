"""Fair Trial: deep-learning papers put to the test, one study a paper."""
