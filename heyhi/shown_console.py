"""A terminal as rich draws on it: only rich steers it, and a text that would is shown as its escapes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from heyhi.text import readable, steering


class ShownConsole(Console):
    """Rich's console, for texts that came from anywhere.

    Args:
        file: the terminal; default: standard output.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__(file=steering(sys.stdout if file is None else file), highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render what is to be shown, as rich does; no text in it stays a command."""
        for segment in super().render(renderable, options):
            is_shown = segment.control is not None or segment.text.isprintable()
            yield segment if is_shown else segment._replace(text=readable(segment.text))
