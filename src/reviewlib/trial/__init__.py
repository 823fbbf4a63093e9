"""The experiment: what a study declares, its runs, its search, and the engines that run them."""
