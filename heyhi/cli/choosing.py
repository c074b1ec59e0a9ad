"""Experiments that words name and `--where` chooses, for every command that has it.

What a condition means is said in `heyhi.report.where`, and of which columns in `heyhi.report.chosen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heyhi.cli.selection import Selection
    from heyhi.control.survey import Part, Survey


class Choice:
    """Of what words name, or of all that is known, those for which all conditions hold.

    Args:
        selection: what is named.
        conditions: of `--where`; without any, all are chosen.
        own: less what is only needed by them.

    Raises:
        WhereError: a condition can't be read.
    """

    def __init__(self, selection: Selection, conditions: Sequence[str], *, own: bool = False) -> None:
        if conditions:
            from heyhi.report.where import check

            check(conditions)
        self._selection = selection
        self._conditions = conditions
        self._own = own
        self._total = 0

    def parts(self) -> list[Part]:
        """Choose, as things are now.

        Raises:
            WhereError: a condition names no column, or a column of numbers is compared with none.
        """
        parts = self._selection.parts(own=self._own)
        self._total = len({folder for part in parts for folder in part.folders})
        if not self._conditions:
            return parts
        from heyhi.report.chosen import narrowed

        return narrowed(parts, self._conditions)

    def folders(self) -> list[str]:
        """Choose, as things are now, and return the exp paths."""
        return list(dict.fromkeys(folder for part in self.parts() for folder in part.folders))

    def survey(self) -> Survey:
        """Choose and look at the chosen ones, as things are now."""
        from heyhi.control.survey import Survey

        return Survey.of_parts(self.parts())

    @property
    def none_text(self) -> str:
        """What is said where none was chosen."""
        from heyhi.report.where import none_text

        return none_text(self._conditions, self._total)
