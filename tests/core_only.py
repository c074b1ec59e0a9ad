"""An environment that has what HeyHi's core installs and nothing else, made of one that has more."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[1]
_REFUSING = """
import pkgutil
import sys


class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


REFUSED = frozenset(%r)
sys.meta_path.insert(0, Refusing())
listed = pkgutil.iter_modules
# Snakemake lists what lies there, and imports all that is named like a plugin.
pkgutil.iter_modules = lambda *args, **kwargs: (one for one in listed(*args, **kwargs) if one.name not in REFUSED)
"""


def core_only(folder: Path) -> str:
    """Write a module that refuses to import what the core doesn't install, and return a PYTHONPATH that has it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_REFUSING % sorted(refused()))
    return f"{folder}:{REPOSITORY}"


def refused() -> set[str]:
    """Name the modules that are installed here and belong to no package that the core needs."""
    core = core_packages()
    own = (
        "heyhi",
        "snakemake_executor_plugin_heyhi",
        "snakemake_logger_plugin_heyhi",
        "snakemake_scheduler_plugin_heyhi",
        "sitecustomize",
    )
    found = {
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not core & set(map(_plain, packages)) and module not in own
    }
    return found | {"google.auth", "google.oauth2"}  # of a namespace that protobuf is in as well


def core_packages() -> set[str]:
    """Name the packages that `pip install heyhi` installs, by what is installed here."""
    text = (REPOSITORY / "pyproject.toml").read_text()
    waiting = [Requirement(one) for one in tomllib.loads(text)["project"]["dependencies"]]
    done: dict[str, set[str]] = {}
    while waiting:
        one = waiting.pop()
        name, extras = _plain(one.name), {"", *one.extras}
        if extras <= done.get(name, set()):
            continue
        done.setdefault(name, set()).update(extras)
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            marker = needed.marker
            if marker is None or any(marker.evaluate({**default_environment(), "extra": extra}) for extra in extras):
                waiting.append(needed)
    return set(done)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
