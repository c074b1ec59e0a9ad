"""The task file of a script: its main gives the script what argparse would have, and has it do its work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from heyhi.cli.draft.code import comment, python
from heyhi.cli.draft.fields import Field, can_end, checked_code, is_open, words_code
from heyhi.cli.draft.names import valid
from heyhi.cli.draft.proto import Message
from heyhi.cli.draft.running import How, Import, Running
from heyhi.cli.draft.tasks import Level, Task

_WIDTH = 116
_HEAD = '''\
# PYTHON_ARGCOMPLETE_OK (`heyhi completion bash` says how to complete this file's arguments)
"""The task file: HeyHi calls `main`, with the working directory set to the experiment's folder."""

from __future__ import annotations

{imports}
if TYPE_CHECKING:
{types}'''
_MAIN = '''\
def main(task: str, cfg: FrozenConfig, log_level: str) -> Any:
    """Run one experiment; what it returns becomes its result.json: best a dict of numbers, for the table."""
    heyhi.setup_logging(log_level)
'''
# In the order in which they are written, those that call others first.
_FUNCTIONS = {
    "one_of": '''\
def one_of(name: str, value: Any, choices: Sequence[object]) -> Any:
    """Refuse what argparse would: none of the choices."""
    given = value if isinstance(value, (list, tuple)) else [value]
    if wrong := [one for one in given if one is not None and one not in choices]:
        raise ValueError(f"{name} can't be {wrong[0]!r}, only one of {', '.join(map(repr, choices))}")
    return value
''',
    "counted": '''\
def counted(name: str, values: Any, least: int, most: int | None, default: object) -> Any:
    """Refuse what argparse would: too few or too many values."""
    if values is None or values == default or least <= len(values) <= (most or len(values)):
        return values
    needed = f"{least}" if least == most else f"at least {least}"
    raise ValueError(f"{name} needs {needed} value{'s' if least != 1 else ''}, and has {len(values)}")
''',
    "arranged": '''\
def arranged(places: list[str], options: list[str]) -> list[str]:
    """Put words without a name first; behind all options where argparse would take one of them for an option."""
    return [*options, "--", *places] if any(map(is_like_option, places)) else [*places, *options]
''',
    "option": '''\
def option(name: str, value: object, default: object) -> list[str]:
    """Write an option with its value; none where it has its default."""
    return [] if value is None or value == default else [f"{name}={value}"]
''',
    "flag": '''\
def flag(name: str, is_on: bool) -> list[str]:
    """Write an option without a value."""
    return [name] if is_on else []
''',
    "word": '''\
def word(value: object, default: object) -> list[str]:
    """Write a word without a name; none where it has its default."""
    return [] if value is None or value == default else [plain(value)]
''',
    "many": '''\
def many(name: str | None, values: Sequence[object], default: Sequence[object] | None) -> list[str]:
    """Write an option with several values; none where it has its default, or no config names any."""
    if not values or list(values) == list(default or []):
        return []
    words = list(map(plain, values))
    if name is None:
        return words
    if len(words) == 1 and is_like_option(words[0]):
        return [f"{name}={words[0]}"]
    if any(map(is_like_option, words)):
        raise ValueError(f"{name} can't have {words} on a command line: what begins with - is taken for an option")
    return [name, *words]
''',
    "apart": '''\
def apart(name: str, words: list[str]) -> list[str]:
    """Have an option left out: argparse would take the subcommand behind it for one more of its values."""
    if words:
        raise ValueError(f"{name} can only have its default: the subcommand would be taken for one of its values")
    return words
''',
    "each": '''\
def each(name: str, values: Sequence[object], default: Sequence[object] | None) -> list[str]:
    """Write an option once for each of its values, behind those that it has by default."""
    known = list(default or [])
    more = values[len(known) :] if list(values[: len(known)]) == known else values
    return [f"{name}={value}" for value in more]
''',
    "is_like_option": '''\
def is_like_option(word: str) -> bool:
    """Return whether argparse may take a word for an option: it begins with -, and is no number."""
    return word[:1] == "-" and not re.fullmatch(r"-\\d+|-\\d*\\.\\d+", word)
''',
    "plain": '''\
def plain(value: object) -> str:
    """Write a value as a word; of a negative number all digits, since argparse takes -1e-05 for an option."""
    if not isinstance(value, float) or not value < 0:
        return str(value)
    return format(Decimal(repr(value) if value > float("-inf") else "-1e400"), "f")
''',
}


def task_file_of(tasks: Sequence[Task], messages: Sequence[Message], running: Running, imported: Import) -> str:
    """Write the task file.

    Args:
        tasks: as the script has them.
        messages: the same as the proto has them.
        running: how the script does its work.
        imported: how it is imported.
    """
    body = [f"    {line}" if line else "" for line in _body(tasks, messages, running, imported)]
    functions = list(_words_functions(tasks, messages)) if running.how in (How.BY_ITSELF, How.AS_A_WHOLE) else []
    text = "\n".join([*body, "", "", *functions])
    code = text.rstrip() + "\n"
    for name, function in _FUNCTIONS.items():
        if re.search(rf"[* =([]{name}\(|\({name},", code):
            code += f"\n\n{function}"
    if "ROOT / " in code:
        code = f"\nROOT = Path(__file__).parent\n\n\n{_MAIN}{code}"
    else:
        code = f"\n\n{_MAIN}{code}"
    head = _HEAD.format(imports="\n".join(_imports(code)), types="\n".join(_types(code)))
    return f'{head}{code.rstrip()}\n\n\nif __name__ == "__main__":\n    heyhi.parse_args_and_maybe_launch(main)\n'


def _imports(code: str) -> Iterator[str]:
    names = [name for name in ("argparse", "importlib", "re", "runpy", "sys") if re.search(rf"\b{name}\.", code)]
    yield from (f"import {name}" for name in names)
    if "Decimal(" in code:
        yield "from decimal import Decimal"
    if "Path(" in code:
        yield "from pathlib import Path"
    yield "from typing import TYPE_CHECKING, Any"
    yield ""
    yield "import heyhi"
    yield ""


def _types(code: str) -> Iterator[str]:
    if "Sequence[" in code:
        yield "    from collections.abc import Sequence"
        yield ""
    yield "    from heyhi.config.frozen import FrozenConfig"
    yield ""


def _body(tasks: Sequence[Task], messages: Sequence[Message], running: Running, imported: Import) -> Iterator[str]:
    how, called = running.how, f"script.{running.function}"
    for folder in reversed(imported.folders):
        yield f"sys.path.insert(0, str(ROOT / {python(folder)}))  # where the script's modules are"
    if how is How.NOT_AT_ALL:
        yield "# Put here what the script does with its arguments."
        yield from _namespace(tasks[0], messages[0].fields.fields)
        yield 'raise NotImplementedError(f"say in {__file__} what is done with {args}")'
        return
    if how is How.AS_A_WHOLE:
        why = f"The script is run as a whole, since {running.why} (line {running.line})."
        better = "With its work in a function that returns numbers, those would come into the table."
        yield from (line.strip() for line in comment(f"{why} {better}", "    ", "#"))
    if how is not How.WITH_ARGS:
        yield f"sys.argv = [str(ROOT / {python(imported.path)}), *words(task, cfg)]"
    if how is How.AS_A_WHOLE:
        yield "try:"
        if imported.is_relative:
            yield f'    runpy.run_module({python(imported.module)}, run_name="__main__", alter_sys=True)'
        else:
            yield '    runpy.run_path(sys.argv[0], run_name="__main__")'
        yield from _ending()
        return
    if imported.can_be_named:
        yield f"import {imported.module} as script  # here, so that `--print` answers at once"
    else:
        yield f"script: Any = importlib.import_module({python(imported.module)})"
    yield ""
    if how is How.BY_ITSELF:
        yield "try:"
        yield f"    return {called}()"
        yield from _ending()
        return
    yield from _namespace(tasks[0], messages[0].fields.fields)
    yield f"return {called}(args)"


def _ending() -> Iterator[str]:
    yield "except SystemExit as end:"
    yield "    if end.code not in (None, 0):"
    yield "        raise"
    yield "return {}"


def _namespace(task: Task, fields: Sequence[Field]) -> Iterator[str]:
    later = [one for one in fields if one.is_suppressed or one.dest == "self"]
    plain = [one for one in fields if one.dest == valid(one.dest) and one not in later]
    given = [f"{one.dest}={checked_code(one)}" for one in plain]
    odd = [f"{python(one.dest)}: {checked_code(one)}" for one in fields if one not in plain and one not in later]
    odd += [f"{python(name)}: {python(value)}" for name, value in task.constants.items() if _is_value(value)]
    yield "args = argparse.Namespace("
    yield from (f"    {one}," for one in given)
    yield from [f"    **{{{', '.join(odd)}}}," for _ in odd[:1]]
    yield ")"
    for one in later:
        if one.is_suppressed:
            yield f"if {python(one.name)} in cfg.to_dict():"
        target = f"args.{one.dest} = {checked_code(one)}"
        if one.dest != valid(one.dest):
            target = f"setattr(args, {python(one.dest)}, {checked_code(one)})"
        yield f"{'    ' if one.is_suppressed else ''}{target}"


def _is_value(value: object) -> bool:
    from heyhi.cli.draft.arguments import is_literal

    return is_literal(value)


def _words_functions(tasks: Sequence[Task], messages: Sequence[Message]) -> Iterator[str]:
    yield "def words(task: str, cfg: FrozenConfig) -> list[str]:"
    yield '    """Write a config as the script\'s command line, less what has its default."""'
    for task, message in zip(tasks, messages, strict=True):
        indent = "    "
        if len(messages) > 1:
            yield f"    if task == {python(message.name)}:"
            indent = "        "
        yield f"{indent}return ["
        yield from (f"{indent}    {line}," for line in _words(task, message.fields.fields))
        yield f"{indent}]"
    if len(messages) > 1:
        yield "    raise KeyError(task)"
    yield ""
    yield ""


def _words(task: Task, fields: Sequence[Field]) -> Iterator[str]:
    """Yield the words of each level: those without a name first, then options, those with several values first."""
    for level, here, end in _levels(task, fields):
        if level.word:
            yield python(level.word)
        places = [one for one in here if not one.first.flags]
        options: list[str] = []
        for one in here[len(places) :]:
            codes = words_code(one, is_always=one is end)
            if end is None and level is not task.levels[-1] and _is_open_option(one):
                codes = [f"*apart({python(one.first.flag)}, {code.removeprefix('*')})" for code in codes]
            options += codes
        # Of several ones without names, those before the last can't be left out: the next would be taken for them.
        words = [code for one in places for code in words_code(one, is_always=one is not places[-1])]
        is_any_text = any(one.type == "string" and one.enum is None for one in places)
        if is_any_text and not any(one.first.nargs == "..." for one in places):
            yield _arranged(words, options)
        else:
            yield from (*words, *options)


def _arranged(words: list[str], options: list[str]) -> str:
    def listed(codes: list[str]) -> str:
        return "".join(f"\n                {code}," for code in codes)

    end = "\n            ],\n"
    return f"*arranged(\n            [{listed(words)}{end}            [{listed(options)}{end}        )"


def swallowing(task: Task, fields: Sequence[Field]) -> list[str]:
    """Name the fields for whose option argparse would take the subcommand behind it for one more value."""
    return [
        one.name
        for level, here, end in _levels(task, fields)
        if end is None and level is not task.levels[-1]
        for one in here
        if _is_open_option(one)
    ]


def _levels(task: Task, fields: Sequence[Field]) -> Iterator[tuple[Level, list[Field], Field | None]]:
    """Yield each level, its fields in order, and the one that ends the values of an option before a subcommand."""
    last_of = {one.dest: place for place, level in enumerate(task.levels) for one in level.arguments}
    for place, level in enumerate(task.levels):
        here = [one for one in fields if last_of[one.dest] == place]
        here.sort(key=lambda one: (bool(one.first.flags), bool(one.first.flags) and not is_open(one)))
        is_needed = level is not task.levels[-1] and any(map(_is_open_option, here))
        yield level, here, next(filter(can_end, here), None) if is_needed else None


def _is_open_option(one: Field) -> bool:
    return is_open(one) and bool(one.first.flags)
