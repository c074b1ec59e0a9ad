"""The official Slurm executor, of which HeyHi's is made, without what each start of Snakemake would wait for.

Snakemake imports all executors there are, ours first where both are installed packages. pandas takes longer to import
than Snakemake, and only a report of efficiency uses it, which is off unless somebody asks for it. Whether there is
sacct or squeue is asked six times, each time of a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_LATE = ("pandas", "numpy")
_AVAILABLE = "is_query_tool_available"


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


def _is_command(name: str) -> bool:
    """Return whether there is a command."""
    return shutil.which(name) is not None


def _ask_no_process(*modules: ModuleType) -> None:
    """Have modules of the official executor look for a command themselves, where they start `which`."""
    for module in modules:
        if hasattr(module, _AVAILABLE):
            setattr(module, _AVAILABLE, _is_command)


with _imported_later(*_LATE):
    import snakemake_executor_plugin_slurm as official
    from snakemake_executor_plugin_slurm import job_status_query, validation

_ask_no_process(official, job_status_query, validation)

__all__ = ("official",)
