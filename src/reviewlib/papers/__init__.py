"""The reviewed papers, one folder each; `study.found()` lists them."""
