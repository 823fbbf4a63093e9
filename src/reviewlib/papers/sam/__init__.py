"""Sharpness-aware minimization (Foret et al., 2021) on trial."""

from reviewlib.papers.sam.m_sharpness import MSharpSAM as MSharpSAM
from reviewlib.papers.sam.method import SAM as SAM
