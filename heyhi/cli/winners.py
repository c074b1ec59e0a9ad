"""What commands say of the best ones of sweeps that experiments are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from heyhi.cli.selection import Group, Selection
    from heyhi.sweep.manifest import Manifest


def winner_lines(selection: Selection) -> list[str]:
    """Say which best ones of sweeps are others by now than those that experiments are made of, or can't be chosen.

    Args:
        selection: what is named.
    """
    lines: dict[str, None] = {}
    for group in selection.groups:
        manifest = _manifest_of(selection, group)
        if manifest is not None and manifest.contests:
            from heyhi.report.winner import changed_winners  # mostly there are none, and pandas takes its time

            told = changed_winners(group.project, manifest)
            lines.update(dict.fromkeys(line for text in told for line in text.split("\n")))
    return list(lines)


def unchosen_lines(selection: Selection) -> list[str]:
    """Say which best ones of sweeps can't be chosen, though all results are there, as they aren't by `choose_first`.

    Args:
        selection: what is named.
    """
    is_open = any(one.is_open for group in selection.groups if group.expansion for one in group.expansion.planned)
    return winner_lines(selection) if is_open else []


def choose_first(selection: Selection, less: Container[str]) -> list[str]:
    """Choose the best ones of sweeps that can be, before what is made of them is compared with today.

    Args:
        selection: what is named; its configs are completed.
        less: exp paths of experiments that are made anew: what is chosen from these isn't chosen yet.

    Returns:
        what was chosen, in lines; none where there was nothing to choose.
    """
    found = []
    for group in selection.groups:
        if group.expansion is not None and any(one.is_open for one in group.expansion.planned):
            manifest = _manifest_of(selection, group)
            if manifest is not None:
                from heyhi.report.winner import settle_what_is_there

                if chosen := settle_what_is_there(group.project, manifest, less):
                    group.complete(selection.schema_of(group.project))
                    found += [f"chosen: the best of {winner.text}" for winner in chosen]
    return found


def _manifest_of(selection: Selection, group: Group) -> Manifest | None:
    """Return the manifest that has the best ones which a group's experiments need; None where they need none."""
    from heyhi.errors import ManifestError
    from heyhi.sweep.manifest import Manifest, looked_at_root
    from heyhi.sweep.write_manifest import write_manifest

    if group.expansion is None or not group.expansion.contests:
        return group.manifest if group.expansion is None else None
    try:
        schema = selection.schema_of(group.project)
        folder = looked_at_root(group.project)
        return Manifest.open(write_manifest(group.expansion, group.project, schema, words=group.words, folder=folder))
    except ManifestError:  # somebody else's results, or a full disk
        return None
