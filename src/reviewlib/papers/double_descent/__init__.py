"""Double descent (Belkin et al., 2019; Nakkiran et al., 2020) on trial."""

from reviewlib.papers.double_descent.method import (
    effective_model_complexity as effective_model_complexity,
)
