"""Loggers that load `logging` when something is said: most commands have nothing to say, and it takes long to load."""

from __future__ import annotations

ROOT = "root"  # name of the logger that scripts set up for themselves


class LateLogger:
    """A logger of `logging`'s, by its name.

    Args:
        name: of it; `ROOT`: the one to which all lead.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def warning(self, text: str, *args: object) -> None:
        """Say what somebody should know."""
        import logging

        if self._name == ROOT:
            logging.warning(text, *args, stacklevel=2)  # where nothing is set up, it sees to that
        else:
            logging.getLogger(self._name).warning(text, *args, stacklevel=2)

    def debug(self, text: str, *args: object) -> None:
        """Say what is of interest to who looks for a mistake; without `logging`, nobody does."""
        import sys

        if "logging" in sys.modules:
            sys.modules["logging"].getLogger(self._name).debug(text, *args, stacklevel=2)
