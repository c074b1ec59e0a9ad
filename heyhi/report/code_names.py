"""What the code of a table's experiments is called: equal code has one name, whether it was committed or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heyhi.report.readings import THEN


def named_alike(names: Sequence[str | None], digests: Sequence[str | None]) -> list[str | None]:
    """Return the versions of the code of experiments, such that those of equal files have one name.

    That is the name of a commit where one of them was committed, else the first.

    Args:
        names: of each experiment's versions, several joined by ` → `.
        digests: of the files of each, joined likewise.
    """
    known = dict.fromkeys(zip(names, digests, strict=True))
    if len(known) < 2 and not any(name and THEN in name for name, _ in known):  # mostly all have run the same
        return list(names)
    called: dict[str, str] = {}
    for name, digest in (version for pair in known for version in _versions(*pair)):
        if digest and (digest not in called or (_is_edited(called[digest]) and not _is_edited(name))):
            called[digest] = name
    new = {
        pair: THEN.join(dict.fromkeys(called.get(digest, name) for name, digest in _versions(*pair))) or None
        for pair in known
    }
    return [new[pair] for pair in zip(names, digests, strict=True)]


def _versions(name: str | None, digest: str | None) -> Iterator[tuple[str, str]]:
    if name is not None:
        names, digests = name.split(THEN), (digest or "").split(THEN)
        yield from zip(names, digests if len(digests) == len(names) else [""] * len(names), strict=True)


def _is_edited(name: str) -> bool:
    """Return whether a version is no commit: `1a2b3c4d+e5f6`, `code e5f6a7b8`."""
    return "+" in name or name.startswith("code ")
