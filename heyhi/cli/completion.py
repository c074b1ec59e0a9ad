"""What a shell's Tab offers: configs, override keys and values, chunks, sweep files, experiments.

Nothing here is imported but when a shell asks for completions, and nothing that goes wrong here may be seen.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from heyhi.cli.shell_scripts import SCRIPTS, TASK_FILE_VARIABLE
from heyhi.config.chunk_types import read_as
from heyhi.config.describe import mountable
from heyhi.config.identity import RESERVED, SUFFIX
from heyhi.config.includes import ConfigFiles
from heyhi.config.keys import Key, Kind, find_key, mounts
from heyhi.config.mounts import include_folders, include_mount
from heyhi.config.prototxt import read_text
from heyhi.config.schema import INCLUDES, Schema, load_comments, load_schema, message_type, real_oneofs
from heyhi.errors import HeyhiError
from heyhi.experiment.modes import MODES
from heyhi.experiment.names import IDENTITY_NAME, SEARCH_NAME, SEARCHES_NAME, SLOTS_NAME, Status, is_slot
from heyhi.files import files_below
from heyhi.project import TRACKERS, Project, find_project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.search_spec import SAMPLERS
from heyhi.sweep.target import exp_ids_of
from heyhi.text import one_line

_MAX_FILES = 2000  # that are looked at for one kind of file
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# A completion and what it means, which zsh and fish show beside it.
Offers = dict[str, str]
Completer = Callable[..., Offers]


def script(shell: str) -> str:
    """Return the code by which a shell completes `heyhi` and task files, to be evaluated in its startup file.

    Args:
        shell: bash, zsh or fish.

    Raises:
        HeyhiError: another shell.
    """
    if shell not in SCRIPTS:
        raise HeyhiError(f"no completion for the shell '{shell}': there is one for {', '.join(SCRIPTS)}")
    return SCRIPTS[shell]


def is_for_task_file() -> bool:
    """Return whether a shell asks `heyhi` for what a task file takes: it never starts one to find out."""
    return TASK_FILE_VARIABLE in os.environ


def complete(parser: argparse.ArgumentParser, *safe: type[argparse.Action]) -> None:
    """Answer a shell that asks for completions, and end the process; do nothing where no shell asks.

    Args:
        parser: of `heyhi` or of a task file; its arguments are known by their names.
        safe: actions of its own that only note what is given, so that completers may know it.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete.finders

        argcomplete.finders.safe_actions.update(safe)
        _set_completers(parser)
        argcomplete.autocomplete(parser, always_complete_options=False)
    except BaseException:  # what is wrong with a line is said when it is run; a traceback in its middle helps nobody
        os._exit(1)


def _set_completers(parser: argparse.ArgumentParser) -> None:
    completers: dict[str, Callable[[str, argparse.Namespace], Offers]] = {
        "cfg": lambda prefix, _: _configs(prefix),
        "words": _words,
        "overrides": lambda prefix, args: _overrides(prefix, args.cfg),
        "sweep": lambda prefix, args: _axis(prefix, args.cfg),
        "space": lambda prefix, args: _axis(prefix, args.cfg),
        "sampler": lambda _, __: dict.fromkeys(SAMPLERS, ""),
        "stop": lambda _, __: {"asha": "end trials that are among the worst"},
        "key": lambda prefix, args: _Keys.of(args.cfg).plain(prefix),
        "where": lambda _, __: {f"status={status.value}": "" for status in Status},
        "mode": lambda _, __: dict.fromkeys(MODES, ""),
        "log_level": lambda _, __: dict.fromkeys(_LEVELS, ""),
        "profile": lambda prefix, _: _profiles(prefix),
        "page": lambda _, __: _pages(),
    }
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in dict.fromkeys(action.choices.values()):
                _set_completers(one)
        elif action.dest in completers:
            action.completer = _as_argcomplete_calls(completers[action.dest])  # type: ignore[attr-defined]


def _as_argcomplete_calls(offer: Callable[[str, argparse.Namespace], Offers]) -> Completer:
    def completer(*, prefix: str, parsed_args: argparse.Namespace, **_: object) -> Offers:
        # A shell shows them as they are.
        offers = offer(prefix, parsed_args)
        return {name: one_line(meaning) for name, meaning in offers.items() if name.isprintable()}

    return completer


def _words(prefix: str, args: argparse.Namespace) -> Offers:
    """Complete what a command looks at: overrides of the last config, else a sweep file, a config or an experiment."""
    if args.cfg is not None:
        return _overrides(prefix, args.cfg)
    if getattr(args, "command", "") == "export" and not (args.words or args.given):
        return dict.fromkeys(TRACKERS, "")
    offers = _sweep_files(prefix)
    with contextlib.suppress(OSError):  # there are none yet
        offers |= _experiments(prefix)
    return offers


def _configs(prefix: str) -> Offers:
    """Offer root configs as paths from the project root, or as short names below its configs' folder."""
    project = find_project()
    common = project.conf_root / "common"
    found = [p for p in _files(project, f"*{SUFFIX}") if not p.is_relative_to(common)]
    names = [project.relative(p) for p in found]
    if prefix and not any(name.startswith(prefix) for name in names):
        names = [p.relative_to(project.conf_root).as_posix().removesuffix(SUFFIX) for p in found]
    return dict.fromkeys(names, "")


def _sweep_files(prefix: str) -> Offers:
    project = find_project()
    named = [project.relative(p) for p in _files(project, "*.py") if "yield_sweep" in p.read_text(errors="replace")]
    return dict.fromkeys(named, "")


def _pages() -> Offers:
    from heyhi.cli.docs import INDEX, folder, groups_in

    groups = groups_in((folder() / INDEX).read_text(encoding="utf-8"))
    return {page.name: page.text for group in groups for page in group.pages}


def _profiles(prefix: str) -> Offers:
    """Offer profiles by their names; by their folders where such a path is begun."""
    from heyhi.profiles import OTHER_PROFILES, PROFILES, known_profiles

    project = find_project()
    if "/" not in prefix:
        return dict.fromkeys(known_profiles(project), "")
    folders = {
        path.parent for name in (PROFILES, OTHER_PROFILES) for path in project.root.glob(f"{name}/*/config*.yaml")
    }
    return dict.fromkeys(map(project.relative, sorted(folders)), "")


def _files(project: Project, pattern: str) -> list[Path]:
    found = []
    for path in files_below(project.conf_root, pattern):
        found.append(path)
        if len(found) == _MAX_FILES:
            break
    return sorted(found)


def _experiments(prefix: str) -> Offers:
    """Offer exp ids, a folder at a time: of what lies there, and of what is known and may not have started yet."""
    project = find_project()
    root = project.results_root
    folder, _, begun = prefix.rpartition("/")
    offers: Offers = {}
    others = {root / name for name in RESERVED if name != SEARCHES_NAME}
    with contextlib.suppress(OSError):
        for path in (root / folder).iterdir():
            is_other = path.name.startswith(".") or path in others
            if os.path.isdir(path) and path.name.startswith(begun) and not is_other:  # noqa: PTH112
                name = path.relative_to(root).as_posix()
                # Of one that can't be looked at, the folder; a search goes by its own.
                is_experiment = any(os.access(path / one, os.F_OK) for one in (IDENTITY_NAME, SEARCH_NAME))
                offers[name if is_experiment else f"{name}/"] = ""
    with contextlib.suppress(HeyhiError, OSError):
        known = exp_ids_of(ManifestIndex.open(project).known(), root)
        for exp_id in dict.fromkeys(one.partition(f"/{SLOTS_NAME}/")[0] if is_slot(one) else one for one in known):
            if exp_id.startswith(prefix):
                inside, slash, _ = exp_id[len(prefix) :].partition("/")
                offers[f"{prefix}{inside}{slash}"] = ""
    return dict(sorted(offers.items()))


def _overrides(prefix: str, cfg: str | None) -> Offers:
    if cfg is None:
        return {}
    keys = _Keys.of(cfg)
    key, equals, value = prefix.partition("=")
    if not equals:
        return keys.settable(prefix)
    is_include, mount = include_mount(keys.task, key)
    values = keys.chunks(mount, value) if is_include else keys.values(key)
    return {f"{key}={text}": meaning for text, meaning in values.items()}


def _axis(prefix: str, cfg: str | None) -> Offers:
    """Complete `--sweep KEY=VALUE,VALUE,…`."""
    head, comma, last = prefix.rpartition(",") if "=" in prefix else ("", "", prefix)
    if not comma:
        return _overrides(prefix, cfg)
    key = head.partition("=")[0]
    return {f"{head},{text.partition('=')[2]}": note for text, note in _overrides(f"{key}={last}", cfg).items()}


@dataclass(frozen=True)
class _Child:
    """One part that a key can go on with."""

    name: str
    is_branch: bool  # another part comes next, not a value
    full_name: str  # by which its comment is found


@dataclass(frozen=True)
class _Keys:
    """Offer the keys of a config's task, and their values."""

    project: Project
    schema: Schema
    task: Descriptor
    folder: Path

    @classmethod
    def of(cls, cfg: str) -> _Keys:
        """Open a config; the name of a task stands for its bare schema, as in `heyhi describe`."""
        project = find_project()
        schema = load_schema(project)
        files = ConfigFiles(project, schema)
        try:
            path = files.find_config(cfg)
        except HeyhiError:
            if cfg not in schema.tasks:
                raise
            name, folder = cfg, project.conf_root
        else:
            name, folder = files.root(path).task, path.parent
        return cls(project, schema, message_type(schema.tasks[name]), folder)

    def settable(self, prefix: str) -> Offers:
        """Offer what an override can begin with: `key=`, `message.`, `I.mount=`."""
        includes = {f"I.{mount}=": "include a chunk" for mount in self._mounts()} if prefix[:1] in ("", "I") else {}
        with contextlib.suppress(HeyhiError):  # `I.laun` begins no key
            return {**self._below(prefix, leaf="=", branch="."), **includes}
        return includes

    def plain(self, prefix: str) -> Offers:
        """Offer keys as they are."""
        return self._below(prefix, leaf="", branch="")

    def _below(self, prefix: str, *, leaf: str, branch: str, levels: int = 5) -> Offers:
        """Offer the keys that begin so, one level at a time.

        Args:
            prefix: what is typed.
            leaf: stands behind a key that takes a value.
            branch: stands behind a key of which another part comes next.
            levels: how deep to look where there is only one offer.
        """
        parent, dot, begun = prefix.rpartition(".")
        found = [child for child in self._children(parent) if child.name.startswith(begun)]
        offers = {
            f"{parent}{dot}{c.name}{branch if c.is_branch else leaf}": self._comments.get(c.full_name, "")
            for c in found
        }
        if len(found) == 1 and found[0].is_branch and levels:
            # A shell takes the only offer and puts a space behind it: offer what comes next as well.
            only = f"{parent}{dot}{found[0].name}"
            offers = {key: text for key, text in offers.items() if not key.endswith(".")}
            offers |= self._below(f"{only}.", leaf=leaf, branch=branch, levels=levels - 1)
        return offers

    def _children(self, parent: str) -> Iterator[_Child]:
        """Yield what the message, list or oneof of a key has in it."""
        here: Descriptor | None = self.task
        if parent:
            key = find_key(self.task, parent)
            if key.kind is Kind.LIST:
                for name in ("0", "-1"):
                    yield _Child(name, key.field.message_type is not None, key.field.full_name)
            here = key.field.message_type if key.kind is Kind.MESSAGE else None
        for one in here.fields if here is not None else ():
            if not (one.name == INCLUDES and one.is_repeated):
                yield _Child(one.name, one.is_repeated or one.message_type is not None, one.full_name)
        for oneof in real_oneofs(here) if here is not None else ():
            yield _Child(oneof.name, False, oneof.full_name)

    @cached_property
    def _comments(self) -> dict[str, str]:
        return load_comments(self.project)

    def _mounts(self) -> list[str]:
        return [mount for mount in mounts(self.task) if mountable(self.project, mount, self.folder)]

    def chunks(self, mount: Key | None, begun: str) -> Offers:
        """Offer chunks for a mount by name, without a mount those of the task itself; by path where one is begun."""
        found = [self.project.relative(p) for p in _files(self.project, f"*{SUFFIX}")] if "/" in begun else []
        if mount is None:
            found += [name for name, path in self._by_name() if name.startswith(begun) and self._is_for_task(path)]
        elif not found:
            places = [mount.text, *(mount.member(name).text for name in mount.members)]
            found = [name for place in places for name in mountable(self.project, place, self.folder)]
        return dict.fromkeys(found, "")

    def _by_name(self) -> Iterator[tuple[str, Path]]:
        """Yield the files that are found by name, at any depth: beside the config, and in the folders for all."""
        for folder in include_folders(self.project, self.folder):
            for path in islice(files_below(folder, f"*{SUFFIX}"), _MAX_FILES):
                yield path.relative_to(folder).as_posix().removesuffix(SUFFIX), path

    def _is_for_task(self, path: Path) -> bool:
        """Return whether a file is a chunk of the task's message."""
        with contextlib.suppress(HeyhiError):
            return read_as(self.schema, read_text(path, path.name), path.name, self.task).error is None
        return False

    def values(self, key: str) -> Offers:
        """Offer the values that a key can have, where these can be listed."""
        found = find_key(self.task, key)
        if found.kind is Kind.MESSAGE:
            return {"SELECT": "an empty one", "NULL": "none"}
        if found.kind is Kind.ONEOF:
            named = {one.name: self._comments.get(one.full_name, "") for one in found.choices if one.message_type}
            return {**named, "NULL": "none"}
        if found.kind is not Kind.SCALAR:
            return {"NULL": "none"}
        if found.field.enum_type is not None:
            enum = found.field.enum_type
            return {v.name: self._comments.get(f"{enum.full_name}.{v.name}", "") for v in enum.values}
        return {"true": "", "false": ""} if found.field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else {}
