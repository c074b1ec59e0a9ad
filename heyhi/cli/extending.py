"""How a user's pyproject.toml and .gitignore are extended: only at their end, what stands there stays."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pathspec

from heyhi.errors import ProjectError
from heyhi.project import name_line

_COMMENTS = {
    "name": 'By which its results are told from other projects\'; was = ["old-name"] where it had another one.',
    "entry": "What runs an experiment: module:function.",
    "conf": "Where protos and configs are.",
    "results": "Where experiments and tables are.",
    "sweep": "What `heyhi run` and `snakemake --profile {profiles}/local` take when nothing is named.",
    "checkpoints": "What of an experiment's files `heyhi clean` may remove: of each pattern all but the last.",
}


def with_settings(path: Path, old: bytes, settings: Mapping[str, object], profiles: str) -> bytes:
    """Return the content of a pyproject.toml with `[tool.heyhi]` at its end.

    Args:
        path: of the file.
        old: what it has; may be nothing.
        settings: what is set there, beside the project's name.
        profiles: folder of Snakemake's profiles.

    Raises:
        ProjectError: it is no TOML, has the table already, or is such that none can be added.
    """
    before = check_no_settings(path, old)
    about = before.get("project")
    is_named = isinstance(about, dict) and isinstance(about.get("name"), str)
    lines = ["[tool.heyhi]"]
    if not is_named:
        lines += [f"# {_COMMENTS['name']}", name_line(path.parent)]
    for key, value in settings.items():
        lines += [f"# {_COMMENTS[key].format(profiles=profiles)}", f"{key} = {_toml(value)}"]
    new = _appended(old, lines, gap=bool(old.strip()))
    try:
        after = tomllib.loads(new.decode())
        after["tool"].pop("heyhi")
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
        after = {}
    if {**before, "tool": before.get("tool", {})} != after:
        raise ProjectError(
            f"{path}: [tool.heyhi] can't be added at its end, since 'tool' is written in another way than as [tool.…]"
            " tables: nothing was written"
        )
    return new


def check_no_settings(path: Path, content: bytes) -> dict[str, object]:
    """Return what a pyproject.toml has, which is no project's of HeyHi's.

    Raises:
        ProjectError: it is no TOML, or has `[tool.heyhi]`.
    """
    found = _parsed(path, content)
    tool = found.get("tool")
    if isinstance(tool, dict) and "heyhi" in tool:
        raise is_there(f"{path} has [tool.heyhi]")
    return found


def has_settings(path: Path, content: bytes) -> bool:
    """Return whether a pyproject.toml is a project's of HeyHi's.

    Raises:
        ProjectError: it is no TOML.
    """
    tool = _parsed(path, content).get("tool")
    return isinstance(tool, dict) and "heyhi" in tool


def is_there(sign: str) -> ProjectError:
    """Say that a project is there, by a sign of it, and what can be done with it."""
    return ProjectError(
        f"{sign}, so this is a project already: nothing was written (`heyhi init --refresh` brings its launcher.proto"
        " up to date; a second script comes in as `heyhi docs existing-repo` shows: A second task)"
    )


def with_ignored(old: bytes, wanted: Sequence[tuple[str, str]]) -> tuple[bytes, list[str]]:
    """Return the content of a .gitignore that ignores some files, and the lines that it lacked for that.

    Args:
        old: what it has; may be nothing.
        wanted: lines, each with a path that it is for.
    """
    lines = old.decode(errors="surrogateescape").splitlines()
    missing: list[str] = []
    for line, sample in wanted:
        if not pathspec.GitIgnoreSpec.from_lines([*lines, *missing]).match_file(sample):
            missing.append(line)
    return (_appended(old, missing, gap=False) if missing else old), missing


def _appended(old: bytes, lines: Sequence[str], *, gap: bool) -> bytes:
    """Put lines behind what there is, with its line ends."""
    end = b"\r\n" if b"\r\n" in old else b"\n"
    before = old if not old or old.endswith(b"\n") else old + end
    if gap and not before.endswith(end * 2):
        before += end
    return before + b"".join(line.encode() + end for line in lines)


def _parsed(path: Path, content: bytes) -> dict[str, object]:
    if content.startswith(codecs.BOM_UTF8):
        raise ProjectError(
            f"{path}: begins with a byte order mark, which TOML doesn't allow, so nothing was written: save it as UTF-8"
            f" without one, as `sed -i '1s/^\\xef\\xbb\\xbf//' {path.name}` does"
        )
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProjectError(f"{path}: is no valid TOML, so nothing was written: {error}") from None


def _toml(value: object) -> str:
    """Write a setting: a text, or a list of texts."""
    if isinstance(value, str):
        quoted = "".join(c if c.isprintable() and c not in '\\"' else f"\\U{ord(c):08x}" for c in value)
        return f'"{quoted}"'
    assert isinstance(value, list | tuple)
    return f"[{', '.join(map(_toml, value))}]"
