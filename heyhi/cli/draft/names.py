"""Names for protos: what a script calls something, made such that a proto and a config can have it, each once."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

# What has a meaning in every task, or in HeyHi's own protos.
_TAKEN = ("includes", "launcher", "task", "Include", "Launcher", "LocalLauncher", "SlurmLauncher", "MetaCfg")


class Names:
    """The names of one place, of which each is given once: protobuf takes `a_b` and `aB` for one, too.

    Args:
        taken: what nothing else may be called.
    """

    def __init__(self, taken: Iterable[str] = _TAKEN) -> None:
        self._taken = set(map(_in_json, taken))

    def __contains__(self, name: str) -> bool:
        return _in_json(name) in self._taken

    def take(self, name: str) -> None:
        """Have a name be taken."""
        self._taken.add(_in_json(name))

    def new(self, wanted: str, otherwise: str = "field") -> str:
        """Return a name that is like the one wanted, and take it."""
        name = base = valid(wanted, otherwise)
        number = 2
        while name in self:
            name, number = f"{base}_{number}", number + 1
        self.take(name)
        return name


def _in_json(name: str) -> str:
    """Return a field's name as it is in JSON, where two of a message must differ."""
    return re.sub(r"_+([A-Za-z0-9]?)", lambda found: found[1].upper(), name)


def of_fields() -> Names:
    """Return the names of a task's fields: what a config's methods are called is taken."""
    from heyhi.config.frozen import FrozenConfig

    return Names([*_TAKEN, *(name for name in dir(FrozenConfig) if not name.startswith("__"))])


def valid(name: str, otherwise: str = "field") -> str:
    """Return a name that protos, Python and overrides can have: of `2d-size` it is `field_2d_size`."""
    if is_valid(name):
        found = name
    else:
        letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        found = re.sub(r"[^A-Za-z0-9_]+", "_", letters).strip("_")
    if not found or not found[0].isalpha():
        found = f"{otherwise}_{found}".rstrip("_")
    return f"{found}_" if keyword.iskeyword(found) or found in ("NULL", "SELECT") else found


def is_valid(name: str) -> bool:
    """Return whether a name is one for a field as it is."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None


def of_type(name: str) -> str:
    """Return a message's or an enum's name: `learning_rate` is `LearningRate`."""
    return "".join(part[:1].upper() + part[1:] for part in valid(name).split("_") if part) or "Type"
