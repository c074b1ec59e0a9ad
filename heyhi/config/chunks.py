"""What config files give, and a message into which they are merged one after the other.

Files are found, parsed and put in order by `includes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import Message

from heyhi.config.keys import Key, find_key
from heyhi.config.schema import copy_of, is_map, set_fields, type_of
from heyhi.config.values import NULL
from heyhi.quick_dataclass import dataclass, field, replace


@dataclass(frozen=True)
class MergedFile:
    """A file that was merged.

    Attributes:
        path: the file.
        names: names of the fields that lead to where it was merged.
        outer: names of those that lead to what was merged in its own text: the task of a root config.
        cleared: names that lead to what was cleared afterwards, of what it gave.
    """

    path: Path
    names: tuple[str, ...]
    outer: tuple[str, ...] = ()
    cleared: tuple[tuple[str, ...], ...] = ()

    def below(self, names: tuple[str, ...]) -> MergedFile:
        """Return it as it is seen from a message that some fields lead from."""
        cleared = tuple((*names, *one) for one in self.cleared)
        return replace(self, names=(*names, *self.names), cleared=cleared)

    def names_in(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the names that lead to some field in the file's text, None where what it says of it doesn't count."""
        count = len(self.names)
        if names[:count] != self.names or any(names[: len(one)] == one for one in self.cleared):
            return None
        return (*self.outer, *names[count:])


@dataclass(frozen=True)
class Chunk:
    """A message as a file and its includes give it.

    Attributes:
        message: to be copied; `includes` are merged and gone, `{{ROOT_DIR}}` is written out, needs are not.
        has_needs: whether a string in it names an experiment.
        sources: files that it was merged from, those that go over others first.
        cleared: keys of what is to be cleared in a message before it is merged into that.
        joined: keys of the lists in it that several files gave elements to.
    """

    message: Message
    has_needs: bool
    sources: tuple[MergedFile, ...]
    cleared: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()

    def again_into(self, target: Message) -> Chunk:
        """Return it as it is merged where it was merged before: without lists whose elements are there.

        One that clears first gives its lists anew, and so stays as it is.
        """
        if self.cleared:
            return self
        message = copy_of(self.message)
        _drop_lists(message, target)
        return replace(self, message=message, joined=())


@dataclass(frozen=True)
class Root(Chunk):
    """A root config as its file and includes give it.

    Attributes:
        path: its file.
        name: its file relative to the project root.
        task: name of the task that it chooses.
    """

    path: Path = Path()
    name: str = ""
    task: str = ""


@dataclass
class Merging:
    """A message while files are merged into it, and what is told of that.

    Attributes:
        message: is changed.
        has_needs: whether a string in it names an experiment.
        sources: files that were merged, those that go over others first.
        cleared: keys of what was cleared.
        joined: keys of the lists that several files gave elements to.
        extended: root configs whose task was merged.
    """

    message: Message
    has_needs: bool = False
    sources: tuple[MergedFile, ...] = ()
    cleared: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    extended: list[Root] = field(default_factory=list)

    def has_merged(self, path: Path, mount: Key) -> bool:
        """Return whether a file was merged at a mount; never of one in a list or map, which has no place that stays."""
        if any(step.index is not None or step.has_entry for step in mount.steps):
            return False
        return any(one.path == path and one.names == mount.names and not one.outer for one in self.sources)

    def clear(self, text: str) -> None:
        """Clear what a key leads to.

        Raises:
            OverrideError: there is no such key.
        """
        key = find_key(type_of(self.message), text)
        key.apply(self.message, NULL)
        self.cleared.append(key.text)
        self.joined = [one for one in self.joined if one != key.text and not one.startswith(f"{key.text}.")]
        if all(step.index is None and not step.has_entry for step in key.steps):
            names = key.names if not key.oneof else ()
            each = [names] if names else [(*key.names, name) for name in key.members]
            self.sources = tuple(replace(one, cleared=(*one.cleared, *each)) for one in self.sources)

    def add(self, chunk: Chunk, mount: Key | None, target: Message) -> None:
        """Merge a chunk.

        Args:
            chunk: goes over what is there.
            mount: leads to where it is merged; None: the message itself.
            target: the message there.
        """
        prefix = f"{mount.text}." if mount is not None else ""
        for key in chunk.cleared:
            self.clear(prefix + key)
        is_new = mount is not None and any(step.index == -1 for step in mount.steps)
        if not is_new:
            self.joined += [prefix + key for key in (*chunk.joined, *_joint_lists(target, chunk.message))]
        if type(target) is type(chunk.message):
            target.MergeFrom(chunk.message)
        else:  # of a generated module's class
            target.MergeFromString(chunk.message.SerializePartialToString())
        self.has_needs |= chunk.has_needs
        names = mount.names if mount is not None else ()
        self.sources = (*(source.below(names) for source in chunk.sources), *self.sources)

    def put_under(self, own: Merging) -> None:
        """Have what a file says itself, with what is included inside of that, go over what was merged.

        Args:
            own: its message becomes the whole.
        """
        for key in own.cleared:
            self.clear(key)
        self.joined += [*_joint_lists(self.message, own.message), *own.joined]
        self.message.MergeFrom(own.message)
        own.message.CopyFrom(self.message)
        self.message = own.message
        self.has_needs |= own.has_needs
        self.sources = (*own.sources, *self.sources)

    def take(self, inner: Merging, name: str, *, is_single: bool) -> None:
        """Note what was merged into a message inside.

        Args:
            inner: that message.
            name: of the field that has it.
            is_single: whether it is the only one of the field.
        """
        self.has_needs |= inner.has_needs
        self.sources = (*self.sources, *(source.below((name,)) for source in inner.sources))
        if is_single:  # an element has no key that stays
            self.cleared += [f"{name}.{key}" for key in inner.cleared]
            self.joined += [f"{name}.{key}" for key in inner.joined]


def _drop_lists(message: Message, there: Message) -> None:
    """Drop the lists of a message that another one has as they are, alone or in a row among others."""
    for one, value in set_fields(message):
        if one.is_repeated and not is_map(one):
            wanted, found = list(value), list(getattr(there, one.name))
            if any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1)):
                message.ClearField(one.name)
        elif not one.is_repeated and one.message_type is not None and there.HasField(one.name):
            _drop_lists(value, getattr(there, one.name))


def _joint_lists(base: Message, over: Message) -> Iterator[str]:
    """Yield the keys of lists that two messages have elements of."""
    for one, value in set_fields(over):
        if is_map(one):
            continue
        if one.is_repeated:
            if len(getattr(base, one.name)):
                yield one.name
        elif one.message_type is not None and base.HasField(one.name):
            yield from (f"{one.name}.{key}" for key in _joint_lists(getattr(base, one.name), value))
