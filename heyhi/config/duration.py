"""Times as people write them, in hours: `90m`, `1d12h`, or as sbatch takes them, `1:30:00`, `1-12`."""

from __future__ import annotations

import re

from heyhi.regex import regex

FORMS = "90m, 36h, 1d12h, 1:30:00 or 1-12:00:00"  # for messages
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_UNITS = regex(rf"(?:({_NUMBER})d)? ?(?:({_NUMBER})h)? ?(?:({_NUMBER})m)? ?(?:({_NUMBER})s)?", re.IGNORECASE)
_CLOCK = regex(r"([0-9]{1,6}):([0-9]{1,2}):([0-9]{1,2})")
_DAYS = regex(r"([0-9]{1,6})-([0-9]{1,3})(?::([0-9]{1,2})(?::([0-9]{1,2}))?)?")


def parse_hours(text: str) -> float | None:
    """Return a time in hours; None where the text is none.

    A bare number is none, and neither is `1:30`: sbatch takes it for minutes and seconds, people for hours and minutes.
    """
    text = text.strip()
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = "0", *clock.groups()
    elif (match := _DAYS.fullmatch(text)) or (text and (match := _UNITS.fullmatch(text))):
        days, hours, minutes, seconds = (part or "0" for part in match.groups())
    else:
        return None
    return float(days) * 24 + float(hours) + float(minutes) / 60 + float(seconds) / 3600
