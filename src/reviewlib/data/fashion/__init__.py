"""Fashion-MNIST: the full data set, and the subset that ships with the package."""
