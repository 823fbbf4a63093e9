"""WeightNet (Ma et al., 2020), a convolution with a generated kernel; its trial is to come."""

from reviewlib.papers.weightnet.method import WeightNetConv2d as WeightNetConv2d
