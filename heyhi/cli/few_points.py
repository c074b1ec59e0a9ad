"""Searches whose space has fewer points than they have trials: which trials come to nothing, and what is said of it."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heyhi.cli.selection import Group, Selection
    from heyhi.sweep.search_spec import SearchSpec


class Pointless(NamedTuple):
    """Trials that would start and find no point left.

    Attributes:
        slots: their folders.
        text: says so; empty where there are none.
    """

    slots: frozenset[str] = frozenset()
    text: str = ""

    @classmethod
    def of(cls, selection: Selection, starting: Container[str]) -> Pointless:
        """Find those of what is named.

        Args:
            selection: what is named.
            starting: folders of what would start.
        """
        slots: list[str] = []
        texts: dict[str, None] = {}
        for group in selection.groups:
            found = _of_group(group, starting)
            if found and group.search is not None:
                slots += found
                more = f"{len(found)} more trial{'s' * (len(found) != 1)}"
                texts[f"{few_points_text(group.search)}, none for {more}"] = None
        return cls(frozenset(slots), "; ".join(texts))


def few_points_text(search: SearchSpec) -> str:
    """Say how many points a search's space has where these are fewer than its trials; empty where there are enough."""
    from heyhi.search.whole_space import few_points

    few = few_points(search)
    return "" if few is None else f"the space has only {few} point{'s' * (few != 1)}"


def _of_group(group: Group, starting: Container[str]) -> list[str]:
    from heyhi.experiment.slots import shown_folder
    from heyhi.search.whole_space import few_points

    few = few_points(group.search) if group.search is not None else None
    if few is None:
        return []
    open_slots = [slot for slot in group.own_folders if shown_folder(slot) == slot]
    chosen = len(group.own_folders) - len(open_slots)
    return [slot for slot in open_slots if slot in starting][max(0, few - chosen) :]
