import matplotlib.pyplot as plt
import pytest
import torch

from reviewlib import papers
from reviewlib.evidence.store import BOOK
from reviewlib.page import chapter
from reviewlib.papers.lottery_tickets import figures

STUDY = papers.find("lottery_tickets")


def test_connections_are_counted_by_pixel_and_relative_to_their_mean():
    mask = torch.tensor([[1.0, 0, 1, 0], [1, 1, 1, 0], [1, 0, 1, 1]])  # (units, pixels)
    found = figures.connections({"first": mask, "second": torch.ones(2, 3)})
    assert found == pytest.approx(torch.tensor([[3.0, 1], [3, 1]]).numpy() / 2)


def test_sparsity_is_drawn_from_the_records_with_a_flat_line_for_a_dense_net(monkeypatch):
    shown = []
    monkeypatch.setattr(chapter, "show", lambda drawn, stamp: shown.append(drawn))
    page = chapter.Chapter(STUDY, STUDY.preset("quick"), "cpu")
    page.__dict__["_evidence"] = (BOOK.load("lottery_tickets", "laptop"), [])
    figures.show_sparsity(page)
    (drawn,) = shown
    table = drawn.table.set_index(["line", "hidden layers' weights left, %"])
    mean = "test accuracy, %, mean"
    for condition, percent in zip(("main", "sparser", "sparsest"), figures.PERCENT, strict=True):
        rows = page.record.best  # the settings of the other levels are those of the main one's best
        mine = rows[(rows["arm"] == "ticket") & (rows["condition"] == condition)]["accuracy"]
        assert table.loc[("Ticket", percent), mean] == pytest.approx(100 * mine.mean(), abs=0.01)
    assert table.loc["Dense", mean].nunique() == 1 and len(table.loc["Dense"]) == 3
    plt.close(drawn.fig)
