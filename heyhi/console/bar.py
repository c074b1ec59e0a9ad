"""The bar of a run's progress: how many experiments have ended how, how many run, since when, and for how long yet."""

from __future__ import annotations

from heyhi.console.progress import Progress
from heyhi.text import duration

_MOST = 30  # characters of the bar itself
_LEAST = 5


def bar_line(progress: Progress, now: float, width: int, encoding: str | None = None) -> str:
    """Write the bar.

    Args:
        progress: of the run.
        now: by the clock of the progress.
        width: most characters.
        encoding: of where it is shown.
    """
    full, empty = ("━", "─") if _can_show("━─", encoding) else ("#", "-")
    count = len(progress.running)
    running = f", {count} {'handed over' if progress.is_remote else 'running'}" if count else ""
    if said := progress.said_of_the_one():
        running += f" ({said})"
    text = f" {progress.ended}/{progress.total}: {progress.counts()}{running}, {duration(now - progress.began)}"
    left = progress.seconds_left(now)
    if left is not None:
        text += f", some {duration(left)} left"
    room = min(_MOST, width - len(text))
    if room < _LEAST:
        return text.strip()[: max(0, width)]
    filled = room * progress.ended // progress.total if progress.total else room
    return f"{full * filled}{empty * (room - filled)}{text}"


def _can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
