"""What a function has to be for an experiment to be run by it, and what it must not return.

Whether another process can import it is left to `entry`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType

from heyhi.errors import LauncherError

_ARGUMENTS = {"task", "cfg", "log_level"}
_RUNS_LATER = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_HOW = "it is called as main(task=, cfg=, log_level=), and has done its work when it returns"


def check_main(main: Callable[..., object], what_for: str) -> None:
    """Make sure that calling a function runs something, as far as that can be told.

    Args:
        main: the function.
        what_for: what it is to run, for the error.

    Raises:
        LauncherError: it can't be called so, or calling it runs nothing.
    """
    if _is_plain(main):
        return
    import inspect  # which parses Python: most functions are plain ones

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


def _is_plain(main: object) -> bool:
    """Return whether something is a function that takes what main is called with and runs at once."""
    if not isinstance(main, FunctionType) or vars(main):  # wrapped by something that may have another signature
        return False
    code = main.__code__
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    is_called_so = not code.co_posonlyargcount and set(named) == _ARGUMENTS
    return is_called_so and not code.co_flags & _RUNS_LATER


def returned(result: object) -> object:
    """Return what main returned.

    Raises:
        LauncherError: it is what is still to run.
    """
    is_generator = isinstance(result, (GeneratorType, AsyncGeneratorType))
    if not is_generator and not isinstance(result, Awaitable):
        return result
    if isinstance(result, CoroutineType):
        result.close()  # else Python warns that nobody waits for it
    what = "a generator" if is_generator else f"a {type(result).__name__} that nobody has waited for"
    raise LauncherError(f"main has returned {what}, so nothing has run: {_HOW}")
