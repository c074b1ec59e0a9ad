"""The parameters of an address, each checked: what is wrong with one is said in a line."""

from __future__ import annotations

import re
from collections.abc import Mapping

from heyhi.serve.wire import KEY_DIGITS
from heyhi.text import in_line, shorten

MOST_KEYS = 500
LEAST_POINTS, MOST_POINTS = 16, 4000
MOST_METRICS, MOST_METRIC = 200, 500  # how many names, and characters of one: longer ones aren't listed either
MOST_MARK = 64  # characters of what the page was sent to be given back
_MOST = 1 << 53  # beyond which JavaScript has no integers
_KEY = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}")


class RequestError(Exception):
    """A request that isn't answered.

    Args:
        status: of HTTP.
        text: why, in a line.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def integer(query: Mapping[str, str], name: str, least: int = 0, most: int = _MOST) -> int | None:
    """Return an integer; None where it isn't given.

    Raises:
        RequestError: it is none, or out of range.
    """
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,16}", text):
        raise RequestError(400, f"{name}: expected an integer, not '{_shown(text)}'")
    if not least <= int(text) <= most:
        expected = f"{least} to {most}" if most < _MOST else f"{least} or more"
        raise RequestError(400, f"{name}: expected {expected}, not {text}")
    return int(text)


def points_in(query: Mapping[str, str]) -> int:
    """Return for how many pixels curves are asked.

    Raises:
        RequestError: it isn't given, or out of range.
    """
    points = integer(query, "points", LEAST_POINTS, MOST_POINTS)
    if points is None:
        raise RequestError(400, f"points: expected {LEAST_POINTS} to {MOST_POINTS}")
    return points


def keys_in(query: Mapping[str, str]) -> list[str]:
    """Return of which experiments something is asked.

    Raises:
        RequestError: none are given, too many, or what can be no key.
    """
    keys = list(dict.fromkeys(key for key in query.get("keys", "").split(",") if key))
    if not 0 < len(keys) <= MOST_KEYS:
        raise RequestError(400, f"keys: expected 1 to {MOST_KEYS}, not {len(keys)}")
    for key in keys:
        if not _KEY.fullmatch(key):
            raise RequestError(400, f"keys: expected {KEY_DIGITS} digits from 0 to f, not '{_shown(key)}'")
    return keys


def metrics_in(given: list[str], name: str = "metrics") -> list[str]:
    """Return of which metrics something is asked, or over which; empty for all.

    Raises:
        RequestError: there are too many, or too long ones.
    """
    if len(given) > MOST_METRICS or any(len(one) > MOST_METRIC for one in given):
        raise RequestError(400, f"{name}: expected at most {MOST_METRICS} names of at most {MOST_METRIC} characters")
    return given


def have_in(query: Mapping[str, str]) -> list[str]:
    """Return what is there already of the experiments that something is asked of, in their order.

    Raises:
        RequestError: it is more than there may be, or can be no such stamp.
    """
    have = query.get("have", "").split(",")
    if len(have) > MOST_KEYS or any(len(one) > MOST_MARK for one in have):
        raise RequestError(400, f"have: expected at most {MOST_KEYS} stamps of at most {MOST_MARK} characters")
    return have


def mark_in(query: Mapping[str, str], name: str) -> str:
    """Return a short word; empty where it isn't given.

    Raises:
        RequestError: it is too long.
    """
    text = query.get(name, "")
    if len(text) > MOST_MARK:
        raise RequestError(400, f"{name}: expected at most {MOST_MARK} characters, not '{_shown(text)}'")
    return text


def _shown(text: str) -> str:
    return in_line(shorten(text, 40))
