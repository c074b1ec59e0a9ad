"""Twins: experiments of different names whose configs say the same, such as `lr=0.1` where 0.1 is the default.

What counts in a config says `comparable`. Of those that are DONE, what was found out is kept in the index.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

from heyhi.config.plain_reader import read_plain
from heyhi.config.scheduling import Scheduling
from heyhi.errors import HeyhiError
from heyhi.experiment.names import CONFIG_NAME, RESULT_NAME, is_slot
from heyhi.files import read_bounded
from heyhi.sha import sha256
from heyhi.sweep.target import exp_ids_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.config.comparable import Comparable
    from heyhi.config.identity import Identity
    from heyhi.config.schema import Schema
    from heyhi.project import Project

_MOST_READ = 2000  # configs of DONE experiments that are read at a time: half a millisecond each
_MOST_LOOKED_AT = 10_000  # experiments of which nothing is kept
_MOST_NAMES = 10
_NO_VALUES = ("=NULL", "=SELECT")  # at the end of an override that clears or chooses
_MOST_GROUPS = 5
_UNKNOWN = ""  # digest of a config that can't be read today


class Twins:
    """A search for experiments whose configs say the same.

    Args:
        project: by whose settings they are compared.
        schema: of their configs.
    """

    def __init__(self, project: Project, schema: Schema) -> None:
        self._project = project
        self._schema = schema
        self._patterns = project.settings.identity_ignore
        self._rule = sha256(json.dumps([schema.digest, *self._patterns]).encode()).hexdigest()[:16]

    @cached_property
    def _comparable(self) -> Comparable:
        from heyhi.config.comparable import Comparable  # mostly there is nothing to compare with

        return Comparable(Scheduling(self._patterns))

    def among(self, experiments: Sequence[tuple[str, Identity, bytes]]) -> list[list[str]]:
        """Return the exp ids of those of a sweep that are alike, in groups.

        Args:
            experiments: exp id, identity, and root message, serialised.
        """
        # What writes other values to the same keys has another config, unless a later key takes it away.
        is_plain = _are_of_one_shape([identity for _, identity, _ in experiments])
        if is_plain and len({config for _, _, config in experiments}) == len(experiments):
            return []
        groups: dict[str | bytes, list[str]] = {}
        for exp_id, _, config in experiments:
            key = config if is_plain else self._digest(self._schema.parse_root(config))
            groups.setdefault(key, []).append(exp_id)
        return [group for group in groups.values() if len(group) > 1]

    def done_elsewhere(self, configs: Mapping[str, bytes]) -> dict[str, list[str]]:
        """Return those that aren't DONE, with others whose configs say the same and that are.

        Args:
            configs: exp path -> root message, serialised, of all experiments of a sweep. Of a search's slot nobody
                knows yet which config it will have: that is left out.

        Returns:
            exp path -> exp paths.
        """
        if not configs:
            return {}
        from heyhi.sweep.index import ManifestIndex  # with its database; what is composed alone needs none

        index = ManifestIndex.open(self._project)
        others = [path for path in index.known() if path not in configs and not is_slot(path)]
        if not others:
            return {}
        configs = {path: config for path, config in configs.items() if not is_slot(path)}
        digests = index.digests(self._rule)
        new: dict[str, str] = {}
        for path in _nearest_first([path for path in others if path not in digests], configs)[:_MOST_LOOKED_AT]:
            if _is_done(path):
                new[path] = self._digest_on_disk(path)
                if len(new) == _MOST_READ:
                    break
        index.keep_digests(self._rule, new)
        by_digest: dict[str, list[str]] = {}
        for path in others:
            if found := new.get(path) or digests.get(path):
                by_digest.setdefault(found, []).append(path)
        twins = {}
        for path, config in configs.items() if by_digest else ():
            alike = by_digest.get(self._digest(self._schema.parse_root(config)), [])
            if alike and not _is_done(path) and (done := [other for other in alike if _is_done(other)]):
                twins[path] = done
        return twins

    def lines(self, configs: Mapping[str, bytes]) -> list[str]:
        """Say which experiments of a sweep are DONE under other names; no lines where nobody can tell."""
        try:
            found = self.done_elsewhere(configs)
        except HeyhiError:  # who looks at them is told
            return []
        root = self._project.results_root
        lines = []
        for path, others in list(found.items())[:_MOST_NAMES]:
            (exp_id, other), more = exp_ids_of([path, others[0]], root), len(others) - 1
            lines.append(f"{exp_id}: the same config is DONE as {other}{f' and {more} more' if more else ''}")
        if len(found) > _MOST_NAMES:
            lines.append(f"… and {len(found) - _MOST_NAMES} more whose config is DONE under another name")
        return lines

    def _digest(self, root: Message) -> str:
        task = next((name for name in self._schema.tasks if root.HasField(name)), "")
        lines = self._comparable.lines(getattr(root, task)) if task else {}
        text = json.dumps([task, sorted(lines.items())])
        return sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]

    def _digest_on_disk(self, exp_path: str) -> str:
        try:
            text = read_bounded(f"{exp_path}/{CONFIG_NAME}").decode()
            return self._digest(self._parsed(text))
        except (OSError, ValueError, RecursionError, HeyhiError):  # not readable, or of a schema that was another one
            return _UNKNOWN

    def _parsed(self, text: str) -> Message:
        root = self._schema.new_root()
        if read_plain(text, root):
            return root
        from google.protobuf import text_format

        from heyhi.config.prototxt import parse_renamed

        try:
            return text_format.Parse(text, root, descriptor_pool=self._schema.pool)
        except text_format.ParseError:  # it may have the names of another day
            parse_renamed(text, root, CONFIG_NAME, self._schema.pool)
            return root


def alike_lines(groups: Iterable[Sequence[str]], is_done: Callable[[str], bool]) -> list[str]:
    """Say which experiments of a sweep have the same config, and which of these are DONE, a line for each group.

    Args:
        groups: exp ids.
        is_done: returns whether the experiment of an exp id is DONE.
    """
    found = list(groups)
    lines = []
    for group in found[:_MOST_GROUPS]:
        more = f" and {len(group) - _MOST_NAMES} more" if len(group) > _MOST_NAMES else ""
        named = f"{', '.join(group[:_MOST_NAMES])}{more}{_done_of(group, is_done)}"
        lines.append(f"these {len(group)} experiments have the same config: {named}")
    if len(found) > _MOST_GROUPS:
        lines.append(f"… and {len(found) - _MOST_GROUPS} more groups of experiments have the same config")
    return lines


def _done_of(group: Sequence[str], is_done: Callable[[str], bool]) -> str:
    done = [exp_id for exp_id in group if is_done(exp_id)]
    if not done or len(done) == len(group):
        return f" ({'both' if len(group) == 2 else 'all'} are DONE)" if done else ""
    more = f" and {len(done) - _MOST_NAMES} more" if len(done) > _MOST_NAMES else ""
    return f" (of these DONE: {', '.join(done[:_MOST_NAMES])}{more})"


def _are_of_one_shape(identities: Sequence[Identity]) -> bool:
    """Return whether identities differ in nothing but values: in the keys, and in which of them are cleared or chosen.

    Made for 100,000 of them, which mostly are.
    """
    if not identities:
        return True
    cfgs, overrides, _ = zip(*identities, strict=True)
    if len(set(cfgs)) > 1 or len(set(map(len, overrides))) > 1:
        return False
    return all(map(_are_of_one_key, zip(*overrides, strict=True)))


def _are_of_one_key(texts: Sequence[str]) -> bool:
    """Return whether overrides differ in nothing but their value, if they have one."""
    first = texts[0]
    if _is_whole(first):
        return len(set(texts)) == 1
    head = f"{first.partition('=')[0]}="
    return all(map(str.startswith, texts, repeat(head))) and not any(map(str.endswith, texts, repeat(_NO_VALUES)))


def _is_whole(text: str) -> bool:
    """Return whether an override has no value that another could be put for: an include, or what clears or chooses."""
    return text.startswith("I") or text.endswith(_NO_VALUES)


def _nearest_first(paths: list[str], others: Iterable[str]) -> list[str]:
    """Put those first that lie beside some others, which mostly are of one config with these."""
    beside = {path.rpartition("/")[0] for path in others}
    return sorted(paths, key=lambda path: path.rpartition("/")[0] not in beside)


def _is_done(exp_path: str) -> bool:
    return os.access(f"{exp_path}/{RESULT_NAME}", os.F_OK)
