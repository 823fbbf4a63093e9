"""Figures and tables of the chapter: interactions, survival, and what a budget buys."""

from reviewlib.papers.combinations.figures.budget import answers as answers
from reviewlib.papers.combinations.figures.budget import members as members
from reviewlib.papers.combinations.figures.budget import show_budgets as show_budgets
from reviewlib.papers.combinations.figures.matrix import pairs_in_full as pairs_in_full
from reviewlib.papers.combinations.figures.matrix import show_matrix as show_matrix
from reviewlib.papers.combinations.figures.survival import survivors as survivors
