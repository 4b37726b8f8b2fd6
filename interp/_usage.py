"""Mistakes in how something is asked for."""


class UsageError(ValueError):
    """Options that contradict each other, or cannot be read. On the command line it ends with exit status 2."""
