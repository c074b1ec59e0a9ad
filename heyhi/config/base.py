"""A config with its fixed overrides, from which a job composes experiments without reading a file.

Who makes one has read all files: the config, what its overrides include, and what further ones may include. What is
composed of it is what `compose` gives with the files: the same identity, the same message.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message

from heyhi.config.best import Winners
from heyhi.config.chunks import Chunk, Root
from heyhi.config.compose import Composed, Composer
from heyhi.config.identity import Identity
from heyhi.config.kept_files import Found, KeptFiles
from heyhi.config.messages import message_class
from heyhi.config.mounts import include_mount
from heyhi.config.overrides import Overrides, keys_and_values, shown_value, split_override
from heyhi.config.schema import Schema, map_strings, message_type
from heyhi.config.templates import OPEN, best_of, replace_needs
from heyhi.config.values import Drawn, value_text
from heyhi.errors import HeyhiError, ManifestError, NeedsError
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field

_FORMAT = 1
_PLAIN = (str, bool, int, float)


@dataclass(frozen=True)
class Base:
    """A config with its fixed overrides, from which points are composed without reading a file.

    Attributes:
        files: what was read.
        overrides: the fixed ones; a mapping, or pairs where they were given one after the other.
        needs: what needs may be named in these and in what was read: words -> experiment, or why it can't be composed.
    """

    files: KeptFiles
    overrides: Mapping[str, object] | tuple[tuple[str, object], ...]
    needs: Mapping[str, Composed | str]
    _composer: Composer = field(compare=False, repr=False)
    _find: Callable[[str], Composed] = field(compare=False, repr=False)

    @classmethod
    def of(
        cls,
        composer: Composer,
        cfg: str | Path,
        overrides: Overrides,
        includes: Mapping[str, Sequence[str]] | None = None,
        *,
        candidates: Sequence[Sequence[str]] = (),
    ) -> Base:
        """Read all that a config needs.

        Args:
            composer: reads the files, and composes needs.
            cfg: config file, as `compose` takes it.
            overrides: fixed ones.
            includes: key of an include -> paths that points may choose from.
            candidates: overrides, as identities have them, of experiments that may turn out to be the best of a sweep
                that the config takes them over from.

        Raises:
            HeyhiError: the config is wrong, or a file that is included, or the key of an override.
        """
        fixed = _fixed(overrides)
        root = composer.keep(cfg, ()).config
        task = message_type(composer.schema.tasks[root.task])
        taken = dict.fromkeys(split_override(text) for one in candidates for text in one)
        named = [(key, shown_value(value)) for key, value in (*_pairs(fixed), *taken)]
        own = [one for one in named if include_mount(task, one[0].removesuffix("+"))[0] and best_of(one[1]) is None]
        chosen = [(key, path) for key, paths in (includes or {}).items() for path in paths]
        files = composer.keep(cfg, dict.fromkeys([*own, *chosen]))
        needs: dict[str, Composed | str] = {}

        def find(words: str) -> Composed:
            try:
                found = composer.find_need(words, root.name, overrides)
            except NeedsError:
                raise  # a circle
            except HeyhiError as error:
                needs[words] = str(error)
                raise
            needs[words] = found
            return found

        probe = Composer(composer.project, composer.schema, files=files, find_need=find)
        _meet_needs(probe, files, [*_alone(fixed), *_distinct(candidates)], find)
        return cls._made(composer.project, composer.schema, files, fixed, needs)

    @classmethod
    def _made(
        cls,
        project: Project,
        schema: Schema,
        files: KeptFiles,
        overrides: Mapping[str, object] | tuple[tuple[str, object], ...],
        needs: Mapping[str, Composed | str],
    ) -> Base:
        def find(words: str) -> Composed:
            found = needs.get(words)
            if isinstance(found, Composed):
                return found
            raise NeedsError(f"{files.config.name} needs {words}: {found or 'that was not composed before'}")

        return cls(files, overrides, needs, Composer(project, schema, files=files, find_need=find), find)

    def compose(self, chosen: Mapping[str, object]) -> Composed:
        """Compose a point.

        Args:
            chosen: overrides; one of a fixed override's key comes in its place.

        Raises:
            OverrideError: overrides are wrong; the message names all of them, a line each.
        """
        if isinstance(self.overrides, Mapping):
            return self._composer.compose("", {**self.overrides, **chosen})
        return self._composer.compose("", [*self.overrides, *chosen.items()])

    # --- as bytes

    def complete(self, winners: Winners) -> Composed:
        """Compose the config with its fixed overrides, once it is known what the best ones of sweeps in it are.

        Args:
            winners: what they have turned out to be.

        Raises:
            HeyhiError: one isn't known, or what it gives doesn't fit.
        """
        one = self._composer
        composer = Composer(one.project, one.schema, files=self.files, find_need=self._find, winners=winners)
        return composer.compose("", self.overrides)

    def to_bytes(self) -> bytes:
        """Return it as bytes: a line of JSON, then messages."""
        blobs: list[bytes] = []

        def blob(message: Message) -> int:
            blobs.append(message.SerializePartialToString(deterministic=True))
            return len(blobs) - 1

        root = self.files.config
        data = {
            "format": _FORMAT,
            "root": [root.name, root.task, root.has_needs, list(root.cleared), blob(root.message)],
            "found": [[one.name, one.mount, one.chosen, one.path, one.member] for one in self.files.found],
            "chunks": [
                [path, kind, chunk.has_needs, list(chunk.cleared), blob(chunk.message)]
                for (path, kind), chunk in sorted(self.files.chunks.items())
            ],
            "is_mapping": isinstance(self.overrides, Mapping),
            "overrides": [[key, _as_json(value)] for key, value in _pairs(self.overrides)],
            "needs": [[words, _need_data(need, blob)] for words, need in sorted(self.needs.items())],
        }
        head = json.dumps(data | {"sizes": list(map(len, blobs))}, sort_keys=True, separators=(",", ":"))
        return b"".join([head.encode(), b"\n", *blobs])

    @classmethod
    def from_bytes(cls, data: bytes, schema: Schema, project: Project) -> Base:
        """Read it back.

        Args:
            data: what `to_bytes` gave.
            schema: by which it was composed.
            project: whose experiments they are.

        Raises:
            ManifestError: this is none, or a damaged one.
        """
        head, _, rest = data.partition(b"\n")
        try:
            content = json.loads(head)
            ends = list(itertools.accumulate(content["sizes"]))
            if content["format"] != _FORMAT or len(rest) != (ends[-1] if ends else 0):
                raise ValueError("of another length or format")
            blobs = [rest[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            return cls._from_parts(content, blobs, schema, project)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, DecodeError, RecursionError) as error:
            raise ManifestError(f"no config to compose from: {error}") from None

    @classmethod
    def _from_parts(cls, content: dict[str, Any], blobs: Sequence[bytes], schema: Schema, project: Project) -> Base:
        name, task, has_needs, cleared, at = content["root"]
        message = schema.parse_root(blobs[at])
        root = Root(message, has_needs, (), tuple(cleared), (), Path(name), name, task)
        chunks = {
            (path, kind): Chunk(_parse(schema, kind, blobs[at]), has_needs, (), tuple(cleared))
            for path, kind, has_needs, cleared, at in content["chunks"]
        }
        files = KeptFiles(root, tuple(Found(*one) for one in content["found"]), chunks)
        pairs = [(str(key), _from_json(value)) for key, value in content["overrides"]]
        overrides = dict(pairs) if content["is_mapping"] else tuple(pairs)
        needs = {str(words): _need_from(data, blobs, schema) for words, data in content["needs"]}
        return cls._made(project, schema, files, overrides, needs)


def _pairs(overrides: Mapping[str, object] | tuple[tuple[str, object], ...]) -> Iterable[tuple[str, object]]:
    return overrides.items() if isinstance(overrides, Mapping) else overrides


def _fixed(overrides: Overrides) -> Mapping[str, object] | tuple[tuple[str, object], ...]:
    """Return overrides with values that JSON keeps."""
    keys, values, errors = keys_and_values(overrides)
    if errors:
        raise errors[0][1]
    pairs = [(key, _plain(value)) for key, value in zip(keys, values, strict=True)]
    return dict(pairs) if isinstance(overrides, Mapping) else tuple(pairs)


def _plain(value: object) -> object:
    return value if type(value) in (*_PLAIN, Drawn) else value_text(value)


def _as_json(value: object) -> object:
    return [float(value)] if type(value) is Drawn else value


def _from_json(value: object) -> object:
    if isinstance(value, list):
        return Drawn(*value)
    if type(value) not in _PLAIN:
        raise TypeError(f"no value of an override: {value!r}")
    return value


def _meet_needs(
    probe: Composer,
    files: KeptFiles,
    some: Iterable[Overrides],
    find: Callable[[str], Composed],
) -> None:
    """Have each need composed that may be named in a point: in the config, in what is included, in overrides."""

    def meet(text: str) -> str:
        def need(words: str) -> str:
            try:
                find(words)
            except NeedsError:
                raise
            except HeyhiError:
                pass  # only where it isn't overridden is that an error
            return ""

        replace_needs(text, need, lambda path: "", lambda words: "")
        return text

    for message in files.messages:
        map_strings(message, meet)
    for one in some:
        try:
            probe.compose("", one)
        except NeedsError:
            raise
        except HeyhiError:
            continue  # it may be right together with what is chosen


def _alone(fixed: Mapping[str, object] | tuple[tuple[str, object], ...]) -> Iterator[Overrides]:
    yield list(_pairs(fixed))
    for pair in _pairs(fixed):
        if isinstance(pair[1], str) and OPEN in pair[1]:
            yield [pair]


def _distinct(candidates: Sequence[Sequence[str]]) -> Iterator[Overrides]:
    """Yield overrides that name needs, each once: mostly none do, and there may be 10,000 candidates."""
    for text in dict.fromkeys(text for one in candidates for text in one if OPEN in text):
        if best_of(text.partition("=")[2]) is None:
            yield [text]


def _need_data(need: Composed | str, blob: Callable[[Message], int]) -> object:
    if isinstance(need, str):
        return need
    inner = [_need_data(one, blob) for one in need.needs]
    return [list(need.identity), need.task, blob(need.message), blob(need.base), inner, list(need.files)]


def _need_from(data: Any, blobs: Sequence[bytes], schema: Schema) -> Composed | str:
    if isinstance(data, str):
        return data
    (cfg, overrides, version), task, message, base, inner, files = data
    needs = tuple(one for one in (_need_from(one, blobs, schema) for one in inner) if isinstance(one, Composed))
    identity = Identity(cfg, tuple(overrides), version)
    return Composed(
        identity, task, schema.parse_root(blobs[message]), needs, schema.parse_root(blobs[base]), tuple(files)
    )


def _parse(schema: Schema, kind: str, data: bytes) -> Message:
    found = schema.pool.FindMessageTypeByName(kind)
    return message_class(found).FromString(data)
