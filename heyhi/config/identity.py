"""What makes an experiment the same one: its identity, and the exp id and exp path that follow from it.

Which overrides an identity names, and in which order, is left to `compose` and `order`.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from heyhi.errors import IdentityError, suggest
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex
from heyhi.sha import sha256

IDENTITY_VERSION = 2
DEFAULT_PATTERN = "%(prefix)s/%(cfg_folder)s/%(cfg)s/%(redefines)s_%(redefines_hash)s"
MAX_ID_BYTES = 200
TAGS = ("prefix", "cfg_folder", "cfg", "redefines", "redefines_hash", "date")
SUFFIX = ".prototxt"  # of config files
_MAX_READABLE = 100  # characters of the readable tag
_HASH_DIGITS = 16
_TAG = regex(r"%\(([^)]*)\)s")
# How a list's marks are shown, in this order: `[{width: 3},{width: 4}]` as `width=3+width=4`.
_LIST_MARKS = ((": ", "="), (" {", "="), *((mark, "") for mark in '[]{}"'), (",", "+"))
_BEST_OF = "{{best "
_BEST = regex(r"\{\{best ([^\s{}']+)[^{}]*\}\}")  # the file of its sweep says enough to a person
_OTHER = regex(r"[^A-Za-z0-9._=@+,-]")
_ALLOWED = "allowed are A-Z a-z 0-9 . _ = @ + , - /"
_BAD_IN_ID = regex(r"[^A-Za-z0-9._=@+,/-]")
# Folders of the results root that hold something else than experiments.
RESERVED = (".heyhi", "exports", "mlruns", "reports", "searches", "winners")
TRASH_BESIDE = ".heyhi-trash"  # a folder beside experiments, of what was wiped; see `heyhi.experiment.trash`


class Identity(NamedTuple):
    """What makes an experiment the same one.

    Attributes:
        cfg: config file, relative to the project root (POSIX); for one outside, see `heyhi.config.outside`.
        overrides: canonical overrides, in canonical order.
        version: of the rule that made the overrides canonical.
    """

    cfg: str
    overrides: tuple[str, ...]
    version: int = IDENTITY_VERSION

    @property
    def overrides_hash(self) -> str:
        """16 hex digits of the SHA-256 of the canonical overrides."""
        # No canonical override has a NUL in it: strings with one are written quoted.
        return sha256("\0".join(self.overrides).encode()).hexdigest()[:_HASH_DIGITS]

    @property
    def digest(self) -> str:
        """16 hex digits of the SHA-256 of the whole identity."""
        whole = "\0".join([str(self.version), self.cfg, *self.overrides])
        return sha256(whole.encode()).hexdigest()[:_HASH_DIGITS]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"version": self.version, "cfg": self.cfg, "overrides": list(self.overrides)}

    @classmethod
    def from_dict(cls, data: object) -> Identity:
        """Read it back from what JSON held.

        Raises:
            IdentityError: this is no identity.
        """
        match data:
            case {"cfg": str(cfg), "overrides": list(overrides), "version": int(version)}:
                if all(isinstance(override, str) for override in overrides):
                    return cls(cfg, tuple(overrides), version)
        raise IdentityError(f"no identity: {data!r}")


class ExpPattern:
    """An exp id pattern, by which identities become exp ids and exp paths.

    Args:
        project: gives the results root and the configs' folder.
        pattern: with tags such as `%(cfg)s`; default: `DEFAULT_PATTERN`.
        adhoc: put the experiments below `adhoc/<date>`, in a folder of their own; a name, as `adhoc_name` makes it:
            in this one.

    Raises:
        IdentityError: the pattern has an unknown tag, a forbidden character, or leaves the results root.
    """

    def __init__(self, project: Project, pattern: str | None = None, *, adhoc: bool | str = False) -> None:
        self.project = project
        self.text = DEFAULT_PATTERN if pattern is None else pattern
        self.is_default = self.text == DEFAULT_PATTERN
        name = adhoc if isinstance(adhoc, str) else adhoc_name()
        # A pattern that names ad hoc runs by their date alone gives each a folder of its own, too.
        self._date = name if adhoc else datetime.date.today().isoformat()
        self._prefix = f"adhoc/{name}" if adhoc else "p"
        # literal, tag, literal, …, literal
        self._parts = _TAG.split(self.text)
        self._heads: dict[str, tuple[str, int]] = {}  # of a config: what its exp ids begin with, and the room beside
        self._root = str(project.results_root)
        self._check_pattern()
        self._check_root()

    def _check_pattern(self) -> None:
        for tag in self._parts[1::2]:
            if tag not in TAGS:
                raise IdentityError(
                    f"exp id pattern '{self.text}': there is no tag '%({tag})s'{suggest(tag, TAGS)};"
                    f" tags are {', '.join(f'%({t})s' for t in TAGS)}"
                )
        for literal in self._parts[::2]:
            bad = _BAD_IN_ID.search(literal)
            if bad:
                hint = ": a tag is written %(name)s" if bad.group() == "%" else ""
                raise IdentityError(
                    f"exp id pattern '{self.text}': the character {bad.group()!r} is not allowed{hint} ({_ALLOWED})"
                )

    def _check_root(self) -> None:
        # Only the part that Snakemake, a shell and sbatch get to see: targets are relative to the project.
        bad = _BAD_IN_ID.search(self.project.relative(self.project.results_root))
        if bad:
            raise IdentityError(
                f"results root {self._root}: the character {bad.group()!r} is not allowed in an exp path ({_ALLOWED});"
                " choose another one by HH_EXP_DIR or [tool.heyhi] results"
            )

    def exp_id(self, identity: Identity) -> str:
        """Return the exp id: the path below the results root, or an absolute one where the pattern is.

        Raises:
            IdentityError: it is too long, leaves the root, or is no clean path.
        """
        if self.is_default:
            found = self._heads.get(identity.cfg)
            if found is None:
                folder, name = self._cfg_tags(identity.cfg)
                head = _squeeze(f"{self._prefix}/{folder}/{name}/")
                room = MAX_ID_BYTES - len(head) - _HASH_DIGITS - 1
                if room < 1:
                    raise IdentityError(f"{identity.cfg}: its exp id '{head}…' is longer than {MAX_ID_BYTES} bytes")
                found = self._heads[identity.cfg] = head, min(room, _MAX_READABLE)
            head, most = found
            return f"{head}{readable_tag(identity.overrides)[:most]}_{identity.overrides_hash}"
        return self._checked(self._render(identity))

    def exp_path(self, exp_id: str) -> Path:
        """Return the folder of an exp id."""
        return Path(self.folder(exp_id))

    def folder(self, exp_id: str) -> str:
        """Return the folder of an exp id as text: a Path each would be a third of what a large sweep costs."""
        return exp_id if exp_id.startswith("/") else f"{self._root}/{exp_id}"

    def _render(self, identity: Identity) -> str:
        folder, name = self._cfg_tags(identity.cfg)
        tags = {
            "prefix": self._prefix,
            "cfg_folder": folder,
            "cfg": name,
            "redefines": readable_tag(identity.overrides)[:_MAX_READABLE],
            "redefines_hash": identity.overrides_hash,
            "date": self._date,
        }
        parts = [part if i % 2 == 0 else tags[part] for i, part in enumerate(self._parts)]
        text = _squeeze("".join(parts))
        # Where the first tag is empty, the pattern is relative all the same.
        return text if self.text.startswith("/") else text.lstrip("/")

    def _cfg_tags(self, cfg: str) -> tuple[str, str]:
        path = self.project.root / cfg
        for base in (self.project.conf_root, self.project.root, Path("/")):
            if path.is_relative_to(base):
                relative = path.relative_to(base)
                break
        folder = "/".join(map(_as_part, relative.parent.parts))
        return folder, _as_part(relative.name.removesuffix(SUFFIX))

    def _checked(self, exp_id: str) -> str:
        """Return an exp id as a clean path below the results root, or elsewhere; refuse it where it is none."""

        def refuse(why: str) -> IdentityError:
            return IdentityError(f"exp id '{exp_id}' (from the pattern '{self.text}') {why}")

        parts = PurePosixPath(exp_id).parts
        if not exp_id.strip("/"):
            raise refuse("is empty")
        if any(part.strip(".") == "" for part in exp_id.strip("/").split("/")):
            raise refuse("has a part made of dots: it must stay below the results root and be no other name of a path")
        exp_id = exp_id.rstrip("/")
        inside = os.path.relpath(exp_id, self._root) if exp_id.startswith("/") else exp_id
        if exp_id.startswith("/") and (inside == "." or self._root.startswith(f"{exp_id}/")):
            raise refuse(f"holds the results root {self._root}")
        if inside.split("/", 1)[0] in RESERVED:
            raise refuse(f"lies in a folder that is not for experiments ({', '.join(RESERVED)})")
        if TRASH_BESIDE in parts:
            raise refuse(f"lies in a folder that is not for experiments ({TRASH_BESIDE})")
        # A path below the root has one spelling, so that it is one experiment.
        exp_id = exp_id if inside.startswith("../") else inside
        if len(exp_id) > MAX_ID_BYTES:
            raise refuse(f"has {len(exp_id)} bytes; at most {MAX_ID_BYTES} are allowed")
        if any(part.startswith("-") for part in parts):
            raise refuse("has a part that starts with '-', which commands would read as an option")
        return exp_id


def adhoc_name() -> str:
    """Return a name for ad hoc experiments that nobody else has: `<date>/<time>-<4 hex>`."""
    # A thousand tasks of an array may start in one moment.
    return f"{datetime.datetime.now():%Y-%m-%d/%H%M%S.%f}-{os.urandom(2).hex()}"


def readable_tag(overrides: Sequence[str]) -> str:
    """Write overrides as part of a folder's name by which a person recognises the experiment: `lr=0.1,seed=3`."""
    if not overrides:
        return "default"
    text = ",".join(overrides)
    if _BEST_OF in text:
        overrides = [_BEST.sub(lambda match: f"best_{PurePosixPath(match[1]).stem}", one) for one in overrides]
        text = ",".join(overrides)
    if SUFFIX in text or "=[" in text:
        text = ",".join(map(_short, overrides))
    return _OTHER.sub("_", text)


def _short(override: str) -> str:
    """Shorten an include to the name of its file: `I.launcher=slurm`; a list to its elements: `sizes=64+64`."""
    key, _, value = override.partition("=")
    if value.startswith("[") and value.endswith("]"):
        for mark, plain in _LIST_MARKS:
            value = value.replace(mark, plain)
        return f"{key}={value}"
    if override.startswith("I") and override.endswith(SUFFIX):
        return f"{key}={PurePosixPath(value).stem}"
    return override


def _as_part(name: str) -> str:
    """Write a file's name as part of an exp id, so that it names no other folder."""
    return _OTHER.sub("_", name) if name.strip(".") else "_" * max(1, len(name))


def _squeeze(text: str) -> str:
    """Drop the empty parts that an empty tag leaves."""
    return re.sub(r"(?<!^)/{2,}|^/{2,}", "/", text) if "//" in text else text
