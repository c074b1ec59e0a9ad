"""Finds HeyHi's own modules and their compiled code by five calls of the system; Python's own search makes twelve.

A job loads 80 of them, and 4 % of its instructions were that search. Whatever isn't as it mostly is, is left to Python:
code that has to be compiled, an archive, other places for compiled code. Nothing but modules below `heyhi` is found.
"""

from __future__ import annotations

import posix
import sys
from _frozen_importlib import ModuleSpec  # importlib's own homes: itself it may not be loaded by now
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename  # type: ignore[attr-defined]
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

_OWN = "heyhi."
_COMPILED = f".{sys.implementation.cache_tag}.pyc"
# How compiled code begins that belongs to a file of some time and size, which come next.
_HEAD = MAGIC_NUMBER + bytes(4)
_HEAD_BYTES = len(_HEAD) + 8


class _Loader(SourceFileLoader):
    """Python's own, which has the code by now."""

    code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        """Return it once: who loads a module again may have changed it."""
        code, self.code = self.code, None
        return super().get_code(fullname) if code is None else code


class _Finder:
    """Finds a module that Python has compiled, where its package is."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how it is loaded; None where Python is to find it."""
        if not name.startswith(_OWN) or path is None or len(path) != 1:
            return None
        stem = name.rpartition(".")[2]
        return _spec_of(name, path[0], stem) or _spec_of(name, f"{path[0]}/{stem}", "__init__", is_package=True)


def _spec_of(name: str, folder: str, stem: str, *, is_package: bool = False) -> ModuleSpec | None:
    source, compiled = f"{folder}/{stem}.py", f"{folder}/__pycache__/{stem}{_COMPILED}"
    try:
        found = posix.stat(source)
        handle = posix.open(compiled, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            data = posix.read(handle, posix.fstat(handle).st_size)
        finally:
            posix.close(handle)
        if data[:_HEAD_BYTES] != _HEAD + _four(int(found.st_mtime)) + _four(found.st_size):
            return None
        code = loads(memoryview(data)[_HEAD_BYTES:])
    except (OSError, EOFError, ValueError, TypeError):  # Python says what is wrong, where anything is
        return None
    _fix_co_filename(code, source)
    loader = _Loader(name, source)
    loader.code = code
    spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
    spec.has_location = True
    spec.cached = compiled
    if is_package:
        spec.submodule_search_locations = [folder]
    return spec


def _four(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


def find_own_modules() -> None:
    """Find HeyHi's modules so from now on, where Python keeps compiled code beside its files."""
    if sys.pycache_prefix is None and not sys.flags.optimize:
        sys.meta_path.insert(0, _Finder())
