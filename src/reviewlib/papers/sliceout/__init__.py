"""SliceOut (Notin et al., 2020) on trial."""

from reviewlib.papers.sliceout.method import SliceOut as SliceOut
from reviewlib.papers.sliceout.sliced import Sliced as Sliced
