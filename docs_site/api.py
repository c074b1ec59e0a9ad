"""docs/api.md: what can be imported from `heyhi`, by subject, from signatures and docstrings.

`python -m docs_site.api` (in `make docs`) writes it anew; a test says when that is due.
"""

from __future__ import annotations

import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import heyhi
from heyhi import errors

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
_GROUPS = {
    "Experiments": "maybe_launch parse_args_and_maybe_launch Handle Status MODES get_default_exp_dir",
    "In main": "log progress save_result_in_cwd Pruned setup_logging log_git_status",
    "In a job": (
        "is_to_stop maybe_init_requeue_handler requeue get_job_env JobEnv is_master is_on_slurm get_slurm_job_id"
        " get_slurm_master is_adhoc"
    ),
    "Configs": (
        "load_config load_root_config load_proto_message FrozenConfig conf_get conf_is_set conf_set"
        " conf_with_overrides conf_to_dict flatten_cfg save_config PROJ_ROOT CONF_ROOT"
    ),
    "Sweep files": "grid zipped sample Search ASHA",
    "Tables": "table best pivot save_pandas_table show",
    "Errors": "HeyhiError",
    "For code of the first HeyHi": "is_aws is_devfair reset_slurm_cache",
}
# What has no docstring of its own.
_CONSTANTS = {
    "MODES": ("tuple[str, ...]", "The names of the modes, which `maybe_launch` explains."),
    "PROJ_ROOT": ("Path", "The root of the project around the working directory, found anew at each use."),
    "CONF_ROOT": ("Path", "The folder of that project's configs."),
}
_TYPES = {
    "Config": "`FrozenConfig`, or a protobuf message",
    "Direction": '`"min"` or `"max"`',
    "Frames": "a pandas table, a list of tables or of pairs of a title and a table, or a dict of tables by title",
    "Main": "the function that does the work, called as `main(task=, cfg=, log_level=)`",
    "Overrides": "a list of texts `key=value` or of pairs of a key and a value, or a dict of keys to values",
    "Points": "a list of dicts of keys to values",
    "Redo": '`True`, `False`, `"code"`, `"stale"` or `"continue"`',
    "Sampler": '`"tpe"` or `"random"`',
    "Spread": '`"se"`, `"std"` or `"ci95"`',
}
# Members that are there for other modules of HeyHi.
_INTERNAL = {("ASHA", "of"), ("ASHA", "spec"), ("Search", "spec"), ("Status", "urgency"), ("HeyhiError", "anew")}
_INTRODUCTION = """\
# The Python API

What can be imported from `heyhi`, by signatures and docstrings; each name is loaded on first use. What stands in files
is in [files.md](files.md), what a config's fields become in [configs.md](configs.md#what-the-task-gets), and a sweep
file's `yield_sweep` in [sweeps.md](sweeps.md#many).
"""
_SECTION = re.compile(r"^(\w[\w ]*(?: \(.*\))?):\n((?:[ ]{4}.*\n|\n)+)", re.MULTILINE)
_ITEM = re.compile(r"^(\*{0,2}\w+): (.*(?:\n[ ]{4,}.*)*)", re.MULTILINE)
_TITLES = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises", "Attributes": "Attributes"}


def page() -> str:
    """Return the text of docs/api.md.

    Raises:
        ValueError: a public name stands in no group, or in two; or there is none of a name that does.
    """
    grouped = [name for names in _GROUPS.values() for name in names.split()]
    if sorted(grouped) != sorted(heyhi.__all__):
        odd = sorted(set(grouped) ^ set(heyhi.__all__)) or [name for name in grouped if grouped.count(name) > 1]
        raise ValueError(f"put each public name into one group of {Path(__file__).name}: {', '.join(odd)}")
    parts = [_INTRODUCTION]
    for title, names in _GROUPS.items():
        links = ", ".join(f"[{name}](#heyhi{name.lower()})" for name in names.split())
        parts.append(f"- {title}: {links}\n" if title != next(iter(_GROUPS)) else f"\n- {title}: {links}\n")
    parts.append("- [Types in signatures](#types-in-signatures)\n")
    for title, names in _GROUPS.items():
        parts.append(f"\n## {title}\n")
        parts += ["\n" + "\n".join(_entry(name)) + "\n" for name in names.split()]
    parts.append("\n## Types in signatures\n\n| | |\n|---|---|\n")
    parts += [f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |\n" for name, meaning in _TYPES.items()]
    return "".join(parts)


def _entry(name: str) -> Iterator[str]:
    yield f"### `heyhi.{name}`\n"
    if name in _CONSTANTS:
        kind, text = _CONSTANTS[name]
        yield f"```python\nheyhi.{name}: {kind}\n```\n\n{text}"
        return
    found = getattr(heyhi, name)
    is_class = inspect.isclass(found)
    if not (is_class and issubclass(found, enum.Enum | BaseException)):
        yield f"```python\n{_signature(f'heyhi.{name}', found)}\n```\n"
    elif issubclass(found, BaseException):
        above = next(one for one in found.__mro__ if one.__module__ == "builtins")
        yield f"```python\nclass heyhi.{name}({above.__name__})\n```\n"
    yield from _documented(found)
    if is_class:
        yield from _members(name, found)
    if name == "HeyhiError":
        yield "\nIts kinds, from `heyhi.errors`:\n\n| | |\n|---|---|"
        yield from (f"| `{kind.__name__}` | {_first_line(kind)} |" for kind in _kinds(found))


def _kinds(error: type[errors.HeyhiError]) -> Iterator[type[errors.HeyhiError]]:
    for kind in error.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from _kinds(kind)


def _members(name: str, kind: type) -> Iterator[str]:
    """Yield what a class has of its own, beside the fields that its docstring names."""
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__):
        found |= vars(one) if one.__module__.startswith("heyhi.") else {}
    if issubclass(kind, enum.Enum):
        yield ""
    for member, value in found.items():
        if member.startswith("_") or (name, member) in _INTERNAL:
            continue
        if isinstance(value, property):
            shown = f".{member} -> {_annotation(value.fget.__annotations__['return'])}" if value.fget else member
        elif inspect.isfunction(value):
            shown = _signature(f".{member}", value, without_self=True)
        else:
            continue
        yield f"\n#### `{shown}`\n"
        yield from _documented(value)


def _signature(name: str, found: Any, *, without_self: bool = False) -> str:
    signature = inspect.signature(found)
    parameters = list(signature.parameters.values())[without_self:]
    written = [_parameter(one) for one in parameters]
    for place, one in reversed(list(enumerate(parameters))):
        if one.kind is one.POSITIONAL_ONLY:
            written.insert(place + 1, "/")
            break
    stars = [i for i, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY]
    if stars and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        at = stars[0] + ("/" in written)
        written.insert(at, "*")
    given = signature.return_annotation
    is_made = inspect.isclass(found) or given is signature.empty
    back = "" if is_made else f" -> {_annotation(given)}"
    line = f"{name}({', '.join(written)}){back}"
    if len(line) <= 100 or without_self:
        return line
    return f"{name}(\n" + "".join(f"    {one},\n" for one in written) + f"){back}"


def _parameter(one: inspect.Parameter) -> str:
    star = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
    kind = f": {_annotation(one.annotation)}" if one.annotation is not one.empty else ""
    if one.default is one.empty:
        return f"{star}{one.name}{kind}"
    default = "{}" if repr(one.default) == "<factory>" else repr(one.default)
    return f"{star}{one.name}{kind} = {default}"


def _annotation(given: object) -> str:
    text = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    return re.sub(r"\b_(?=Config\b)|\bpd\.(?=DataFrame)", lambda found: "pandas." if found[0] == "pd." else "", text)


def _first_line(found: Any) -> str:
    return (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _documented(found: Any) -> Iterator[str]:
    """Yield a docstring as Markdown: its text, its arguments and so on as lists, examples as code."""
    text = (inspect.getdoc(found) or "") + "\n"
    first = _SECTION.search(text)
    yield (text[: first.start()] if first else text).strip()
    for section in _SECTION.finditer(text):
        title, body = section[1], textwrap.dedent(section[2]).strip()
        if title in ("Args", "Attributes", "Raises"):
            items = [f"- `{item[1]}`: {' '.join(item[2].split())}" for item in _ITEM.finditer(body)]
            yield f"\n**{_TITLES[title]}**\n\n" + "\n".join(items)
        elif title == "Returns":
            yield f"\n**{_TITLES[title]}** {' '.join(body.split())}"
        elif title == "Example":
            body = re.sub(r"\s*# doctest: \+SKIP", "", body)
            yield f"\n```python\n{body}\n```"
        else:
            yield f"\n{title}:\n\n```text\n{body}\n```"
        # What stands behind a section, not indented, goes on in the text.
        rest = text[section.end() :]
        following = _SECTION.search(rest)
        if more := (rest[: following.start()] if following else rest).strip():
            yield f"\n{more}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
