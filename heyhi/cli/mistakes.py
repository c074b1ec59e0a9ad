"""What is said of a mistake that is somebody's habit: how it is typed here, in place of what failed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Sequence

from heyhi.errors import ConfigError, HeyhiError, OverrideError, SweepError
from heyhi.faults import Fault


class telling_habits(contextlib.AbstractContextManager[None]):  # noqa: N801 (used as a function is)
    """A context that has errors about a habit say how it is typed here.

    Args:
        words: of the command line, less the program.
        command: the first of them where it names a command; empty for a task file.
        sweeps: whether the command takes `--sweep`.
        options: of a task file.
    """

    def __init__(
        self, words: Sequence[str], command: str = "", *, sweeps: bool = False, options: Container[str] = ()
    ) -> None:
        self._words = tuple(words)
        self._command = command
        self._sweeps = sweeps
        self._options = options

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if type(error) in (HeyhiError, OverrideError, SweepError, ConfigError):
            assert isinstance(error, HeyhiError)
            from heyhi.cli.advice import advice_for

            sweeps, options = self._sweeps, self._options
            if advice := advice_for(str(error), self._words, self._command, sweeps=sweeps, options=options):
                is_override = type(error) is HeyhiError and re.search(r"\w=", advice.text)
                kind = OverrideError if is_override else type(error)
                said = kind(f"'{advice.shown}': {advice.text}")
                # What the error was about was taken for something that it isn't: nothing of that is right.
                key, code = advice.key or advice.shown, kind.error_code
                said.fault = Fault(key, advice.nearest, advice.fix, error.fault.code if kind is SweepError else code)
                raise said from None
