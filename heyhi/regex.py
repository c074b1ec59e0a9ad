"""Regular expressions that are compiled when they are first used: most of a module's are never used in a process.

Compiling one takes as long as importing a small module, and a job imports dozens of modules.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Later:
    """What a pattern has, asked of the compiled one, which is made then; a method that was asked once is kept."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self._given = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copies or pickles it asks before there is anything to be asked
            raise AttributeError(name)
        found = getattr(re.compile(*self._given), name)
        self.__dict__[name] = found
        return found


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a pattern as `re.compile` does, but compiled when it is first used.

    Functions of `re` don't take it: its own methods are to be called.
    """
    return cast("re.Pattern[AnyStr]", _Later(pattern, flags))
