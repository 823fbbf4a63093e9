"""The trial: what a study declares, its runs, its search, and what maps over them."""
