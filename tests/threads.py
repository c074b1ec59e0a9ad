"""In a thread of its own: pytest's may have an event loop, that of Playwright, once a browser test ran before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_thread(call: Callable[[], T]) -> T:
    """Call it where no event loop runs, and return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Do as asyncio.run, whatever ran before in this process."""
    return in_thread(lambda: asyncio.run(coroutine))  # noqa: TID251
