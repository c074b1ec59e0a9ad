"""The cache of compiled protos, by the digest of their text; what isn't in it `compiling` makes.

It is read without protobuf's classes of descriptors, which take longer to load than all else of this takes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from heyhi.errors import SchemaError
from heyhi.files import read_bounded, user_cache, write_temp
from heyhi.project import Project
from heyhi.regex import regex
from heyhi.sha import sha256

ROOT_MESSAGE = "MetaCfg"
_CACHE_VERSION = b"5"
_IMPORT = regex(rb'^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"\s*;', re.MULTILINE)


def cached_schema(project: Project) -> tuple[bytes, str] | None:
    """Return a project's compiled protos, as `compiling.compiled_schema` does; None where they aren't cached whole."""
    include, names = proto_names(project)
    try:
        place = place_of(include, names, "schema")
        data = read_bounded(place)
        digest, root_name = read_bounded(place.with_name(place.name.replace(".schema.", ".root."))).decode().split()
    except (OSError, ValueError):
        return None
    return (data, root_name) if digest == sha256(data).hexdigest() else None


def keep_root(project: Project, data: bytes, root_name: str) -> None:
    """Keep the name of the root message in compiled protos that are cached as they are."""
    place = place_of(*proto_names(project), "root")
    write_cache(place, f"{sha256(data).hexdigest()} {root_name}\n".encode())


def place_of(include: Path, names: list[str], kind: str) -> Path:
    """Return the file of protos in the cache.

    Args:
        include: folder that imports are relative to.
        names: of the protos.
        kind: `schema`, `source` (with comments), or `root` (name of the root message).
    """
    return user_cache() / f"{_digest(include, names)}.{kind}.pb"


def write_cache(place: Path, data: bytes) -> None:
    """Write a file of the cache."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_temp(place, data).replace(place)
    except OSError:  # no home, or a full one: the cache only saves time
        pass


def proto_names(project: Project) -> tuple[Path, list[str]]:
    """Choose the folder that imports are relative to, and name the protos as protoc will."""
    conf = project.conf_root
    try:
        files = sorted(conf / name for name in os.listdir(conf) if name.endswith(".proto"))  # noqa: PTH208
        files = [path for path in files if path.is_file()]
    except OSError as error:
        raise SchemaError(f"{conf}: can't be read: {error.strerror}") from None
    if not files:
        raise SchemaError(f"{conf}: no .proto file here: the schema of the configs ({ROOT_MESSAGE}) is missing")
    # Imports say `conf/x.proto` in most projects; in some, whose protoc ran inside conf/, just `x.proto`.
    imported = {name for p in files for name in _imports(_read(p))}
    inside = any(not (project.root / n).is_file() and (conf / n).is_file() for n in imported)
    include = conf if inside or not conf.is_relative_to(project.root) else project.root
    return include, [p.relative_to(include).as_posix() for p in files]


def _imports(text: bytes) -> list[str]:
    return [os.fsdecode(name) for name in _IMPORT.findall(text) if b"\0" not in name]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path}: can't be read: {error.strerror}") from None


def _digest(include: Path, names: list[str]) -> str:
    """Digest the protos and all that they import below the include folder."""
    digest = sha256(_CACHE_VERSION)
    todo, seen = list(names), set(names)
    while todo:
        name = todo.pop()
        text = _read(include / name)
        digest.update(os.fsencode(f"{name}\0{len(text)}\0") + text)
        new = [n for n in dict.fromkeys(_imports(text)) if n not in seen and (include / n).is_file()]
        seen.update(new)
        todo += new
    return digest.hexdigest()[:32]
