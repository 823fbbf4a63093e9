"""The Fashion-MNIST subset that ships with the package; ORIGIN.md says where it is from."""
