"""Config files that were read before: a root config, and the chunks that overrides may include, without the files.

`base` keeps them with a config; a composer asks them as it asks `includes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.chunks import Chunk, MergedFile, Root
from heyhi.config.includes import ConfigFiles
from heyhi.config.keys import Key, Kind
from heyhi.config.mounts import include_mount
from heyhi.config.renames import Pair
from heyhi.config.schema import Schema, message_type
from heyhi.config.templates import replace_root
from heyhi.config.values import shorten
from heyhi.errors import ConfigError, HeyhiError, OverrideError
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field


@dataclass(frozen=True)
class Found:
    """What an include override leads to.

    Attributes:
        name: of the file, as the override has it, with the project root written out.
        mount: key of the field that it names; empty for the task itself.
        chosen: member of the oneof there that was chosen before; empty for none.
        path: of the file, as an identity has it.
        member: key of where it is merged; empty for the task itself.
    """

    name: str
    mount: str
    chosen: str
    path: str
    member: str


@dataclass(frozen=True)
class KeptFiles:
    """A root config and what overrides may include, as they were when they were read.

    Attributes:
        config: the root config.
        found: what the includes lead to.
        chunks: (path, full name of its message type) -> what is included.
    """

    config: Root
    found: tuple[Found, ...] = ()
    chunks: Mapping[tuple[str, str], Chunk] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Nothing: all was said when the files were read."""
        return []

    @property
    def paths(self) -> frozenset[Path]:
        """No files: none is read."""
        return frozenset()

    @classmethod
    def of(
        cls, files: ConfigFiles, project: Project, schema: Schema, path: Path, includes: Iterable[tuple[str, str]]
    ) -> KeptFiles:
        """Keep a root config, and what some include overrides lead to.

        Args:
            files: of the project.
            project: whose root is written out in paths.
            schema: of the configs.
            path: of the root config.
            includes: key and path of each of them.

        Raises:
            HeyhiError: the config is wrong, or one of them leads nowhere, or to a file that is wrong.
        """
        root = files.root(path)
        task = message_type(schema.tasks[root.task])
        found: dict[Found, None] = {}
        chunks: dict[tuple[str, str], Chunk] = {}
        for key, value in includes:
            try:
                _, mount = include_mount(task, key)
                name = replace_root(value, str(project.root))
                for place, file, member in _each(files, name, mount, root.path.parent):
                    first = files.first_name(project.relative(file))
                    kind = task if member is None else message_type(member.field)
                    chunks[first, kind.full_name] = files.chunk(file, kind, (root.path,))
                    text = mount.text if mount is not None else ""
                    found[Found(name, text, place, first, member.text if member is not None else "")] = None
            except HeyhiError as error:
                raise OverrideError(f"override '{shorten(f'{key}={value}')}': {error}") from None
        name = files.first_name(root.name)
        kept = Root(root.message, root.has_needs, (), root.cleared, (), Path(name), name, root.task)
        return cls(kept, tuple(found), chunks)

    @property
    def messages(self) -> list[Message]:
        """The messages in which there may be a need."""
        return [one.message for one in (self.config, *self.chunks.values()) if one.has_needs]

    # --- what a composer asks

    def tell(self, renamed: Iterable[Pair]) -> None:
        """Say nothing of earlier names: that was said when the files were read."""

    def first_name(self, name: str) -> str:
        """Return the path that a config or chunk first had: by that one they are kept."""
        return name

    def find_config(self, cfg: str | Path, *, cwd: bool = True) -> Path:
        """Return where the root config is, which is the only one."""
        return self.config.path

    def root(self, path: Path) -> Root:
        """Return the root config."""
        return self.config

    def find_mounted(
        self, name: str, mount: Key | None, folder: Path, chosen: str | None = None
    ) -> tuple[Path, Key | None]:
        """Find an included file, and the message that it is merged into.

        Raises:
            ConfigError: it wasn't kept.
        """
        text = mount.text if mount is not None else ""
        for one in self.found:
            if (one.name, one.mount, one.chosen) == (name, text, chosen or ""):
                if mount is None:
                    return Path(one.path), None
                return Path(one.path), mount if one.member == text else mount.member(one.member.rpartition(".")[2])
        raise ConfigError(
            "files are read when a sweep is expanded, and this one wasn't among those that overrides may include then"
        )

    def chunk(self, path: Path, kind: Descriptor, stack: tuple[Path, ...] = ()) -> Chunk:
        """Return a chunk that was found."""
        return self.chunks[path.as_posix(), kind.full_name]

    def joined_lists(
        self, message: Message, joined: Iterable[str], sources: Sequence[MergedFile], written: Sequence[str] = ()
    ) -> list[tuple[Key, str]]:
        """Say nothing of lists: that was said when the files were read."""
        return []

    def locate(self, sources: tuple[MergedFile, ...], key: Key) -> str:
        """Name no file and line: there are no files."""
        return ""


def _each(files: ConfigFiles, name: str, mount: Key | None, folder: Path) -> Iterable[tuple[str, Path, Key | None]]:
    """Find an include for whatever is chosen in the oneof that it may be mounted at; where it fits some only, in those.

    Yields:
        what is chosen; the file, and where it is merged.
    """
    if mount is None or mount.kind is not Kind.ONEOF:
        yield ("", *files.find_mounted(name, mount, folder))
        return
    errors: list[HeyhiError] = []
    for chosen in ("", *mount.members):
        try:
            yield (chosen, *files.find_mounted(name, mount, folder, chosen or None))
        except HeyhiError as error:
            errors.append(error)
    if len(errors) == len(mount.members) + 1:
        raise errors[0]


Files = ConfigFiles | KeptFiles  # what a composer may ask
