"""The error that all data sets raise."""


class DataError(RuntimeError):
    """A data set is missing, incomplete or corrupt; the message names the file and a remedy."""
