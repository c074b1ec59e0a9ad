"""The official Slurm executor, of which HeyHi's is made, imported without what only its report of efficiency uses.

That report is off unless somebody asks for it, and pandas takes longer to import than Snakemake: each start of
Snakemake would wait for it, since that imports all executors there are, ours first where both are installed packages.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_LATE = ("pandas", "numpy")


class _Later(ModuleType):
    """Stands for a module that is imported once something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:  # asked for while it is still in its place
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _imported_later(*names: str) -> Iterator[None]:
    """Let what is imported inside get stand-ins for some modules; what is imported afterwards gets themselves."""
    absent = {name: _Later(name) for name in names if name not in sys.modules}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name, module in absent.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


with _imported_later(*_LATE):
    import snakemake_executor_plugin_slurm as official

__all__ = ("official",)
