"""What a function has to be for an experiment to be run by it, and what it must not return.

Whether another process can import it is left to `entry`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from heyhi.errors import LauncherError

_HOW = "it is called as main(task=, cfg=, log_level=), and has done its work when it returns"


def check_main(main: Callable[..., object], what_for: str) -> None:
    """Make sure that calling a function runs something, as far as that can be told.

    Args:
        main: the function.
        what_for: what it is to run, for the error.

    Raises:
        LauncherError: it can't be called so, or calling it runs nothing.
    """
    if not callable(main):
        raise LauncherError(f"{what_for}: main is {main!r:.100}, which is no function: {_HOW}")
    name = getattr(main, "__qualname__", type(main).__qualname__)
    if inspect.iscoroutinefunction(main):
        raise LauncherError(f"{what_for}: main is '{name}', an async function: {_HOW}; give it one with asyncio.run")
    if inspect.isgeneratorfunction(main) or inspect.isasyncgenfunction(main):
        raise LauncherError(f"{what_for}: main is '{name}', which has a yield: {_HOW}")
    try:
        signature = inspect.signature(main)
    except (TypeError, ValueError):  # some builtin ones have none
        return
    try:
        signature.bind(task="", cfg=None, log_level="")
    except TypeError as error:
        raise LauncherError(f"{what_for}: main is '{name}{signature}': {error}: {_HOW}") from None


def returned(result: object) -> object:
    """Return what main returned.

    Raises:
        LauncherError: it is what is still to run.
    """
    is_generator = inspect.isgenerator(result) or inspect.isasyncgen(result)
    if not is_generator and not isinstance(result, Awaitable):
        return result
    if inspect.iscoroutine(result):
        result.close()  # else Python warns that nobody waits for it
    what = "a generator" if is_generator else f"a {type(result).__name__} that nobody has waited for"
    raise LauncherError(f"main has returned {what}, so nothing has run: {_HOW}")
