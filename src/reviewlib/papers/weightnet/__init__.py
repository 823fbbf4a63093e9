"""WeightNet (Ma et al., 2020) on trial."""

from reviewlib.papers.weightnet.method import WeightNetConv2d as WeightNetConv2d
