"""Sharpness-aware minimization (Foret et al., 2021) on trial."""

from reviewlib.papers.sam.method import SAM as SAM
