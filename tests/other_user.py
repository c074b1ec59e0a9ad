"""What another user would see or be told: code in a process that may only read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

NOBODY = 65534


def as_another_user(ask: Callable[[], Any]) -> Any:
    """Call a function as somebody who owns nothing.

    Args:
        ask: returns what JSON can hold.

    Returns:
        its answer; where it raises something, that as text.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writing, json.dumps(ask()).encode())
        except Exception as error:
            os.write(writing, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return json.loads(told)
