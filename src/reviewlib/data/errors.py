"""The one error of all data sets."""


class DataError(RuntimeError):
    """A data set is missing, incomplete or corrupt; the message names the file and the ways out."""
