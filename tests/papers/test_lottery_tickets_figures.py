"""The pictures of masks: one scale, and numbers for who cannot see them."""

import numpy as np
import pytest
import toy

from reviewlib import chapter, figures

PICTURES = {f"round {i}": np.full((3, 2), float(i)) for i in range(5)}
PICTURES["round 4"][0, 0] = 0


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(figures, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_images_stand_side_by_side_on_one_scale():
    fig, table = figures.images(PICTURES, "connections")
    drawn = [image for axis in fig.axes for image in axis.images]
    assert [image.get_clim() for image in drawn] == [(0, 4)] * 5
    assert [axis.get_title("left") for axis in fig.axes if axis.images] == list(PICTURES)
    assert np.array_equal(drawn[4].get_array(), PICTURES["round 4"])
    assert table.to_dict("records")[4] == {
        "image": "round 4",
        "mean": 3.333,
        "least": 0,
        "most": 4,
        "at 0": 0.167,
    }


def test_images_say_in_words_what_they_show(shown):
    page = chapter.Chapter(toy.study(), toy.TINY, "cpu")
    page.show_images(PICTURES, "connections", caption="Masks.")
    (bundle,) = shown
    assert bundle["text/plain"].startswith("Small images of connections: round 0 from 0 to 0; ")
    assert "round 4 from 0 to 4" in bundle["text/plain"]
    assert "Masks. Computed by this notebook." in bundle["text/html"]
