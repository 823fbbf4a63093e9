"""Tools for authors: the skeleton of a new chapter, and the rules for every chapter."""
