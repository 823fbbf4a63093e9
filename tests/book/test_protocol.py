"""What single seeds would have said."""

from dataclasses import replace

import pandas as pd
import toy

from reviewlib.book.sphinx.protocol import single_seeds
from reviewlib.evidence import verdicts


def test_single_seeds_are_counted_by_what_each_alone_would_say(record):
    (out,) = verdicts.judge_all(toy.study(), record)
    values = pd.Series([0.02, 0.01, 0.005, -0.01, -0.03], index=range(5))
    drawn = single_seeds({"it": replace(out, values=values)})
    assert drawn.table.to_dict("records") == [
        {
            "claim": "it",
            "seeds": 5,
            "alone say: a gain": 2,
            "alone say: a loss": 2,
            "alone say: neither": 1,
            "together": out.verdict,
        }
    ]
    assert "it 2 of 5 seeds alone say a gain, 2 a loss" in drawn.alt


def test_a_long_claim_does_not_shrink_the_axes(record):
    (out,) = verdicts.judge_all(toy.study(), record)
    fig = single_seeds({"a claim of many words " * 9: out}).fig
    fig.canvas.draw()
    assert fig.axes[0].get_position().width > 0.9
