"""All files that a script's arguments make: proto, configs, sweep, task file; nothing is written here."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from heyhi.cli.draft.arguments import ABSENT, Remark, is_literal, unique
from heyhi.cli.draft.commands import console_script
from heyhi.cli.draft.configs import config_of, override_of, sweep_of
from heyhi.cli.draft.fields import Field, fields_of
from heyhi.cli.draft.names import Names, of_fields, of_type, valid
from heyhi.cli.draft.proto import Message, proto_of
from heyhi.cli.draft.running import How, Running, import_of, running_of
from heyhi.cli.draft.script import Script, read_script
from heyhi.cli.draft.task_file import swallowing, task_file_of
from heyhi.cli.draft.tasks import Task, tasks_of
from heyhi.text import in_line

_README = """\
# A HeyHi project

```sh
heyhi describe {config}    # all settings of a config
python {task_file} --cfg {config} {override}    # run one experiment, unless it ran already
heyhi run    # run the sweep {sweep}, print its table
heyhi plan    # what a launch would do
heyhi launch {sweep}    # on a Slurm cluster, in the background
```

Settings are fields of `{conf}/conf.proto`, made of what {script} reads by argparse: `heyhi docs from-argparse`.
"""
# Names of what a script writes, which belongs into the experiment's folder.
_OUTPUT = re.compile(r"(?i)out|save|log|ckpt|checkpoint|result|dump|cache|tmp|temp|dest|export|run|work|tensorboard")


@dataclass(frozen=True)
class Place:
    """Where the files go.

    Attributes:
        root: the project.
        task_file: name of its task file.
        conf: folder of its protos.
        most_configs: how many configs are made; with more subcommands, the first ones have one.
        is_new: whether nothing is there yet.
    """

    root: Path
    task_file: str = "run.py"
    conf: str = "conf"
    most_configs: int = 1
    is_new: bool = False


@dataclass(frozen=True)
class Drafts:
    """Files that are to be written, and what is to be said of them.

    Attributes:
        files: contents by names relative to the project.
        config: the first config.
        override: such as may be tried on it.
        sweep: the first sweep.
        unset: fields that have to be set before that can run.
        summary: what was read, in a sentence.
        remarks: what couldn't be read.
        notes: what else a user should know.
    """

    files: Mapping[str, bytes]
    config: str
    override: str
    sweep: str
    unset: Sequence[str]
    summary: str
    remarks: Sequence[Remark]
    notes: Sequence[str]


def draft(given: Path, place: Place) -> Drafts:
    """Write the first files of a project from a script.

    Args:
        given: the script, as the user named it.
        place: where they go.

    Raises:
        ProjectError: it can't be read, or has no arguments of argparse's.
    """
    script = read_script(given)
    tasks, remarks = tasks_of(script)
    messages = _messages(script, tasks)
    is_whole = all(remark.is_harmless for remark in remarks) and _are_known(tasks)
    running = running_of(script, has_commands=bool(tasks[0].words), is_whole=is_whole)
    files, config, sweep = _configs(script, messages, place)
    include = _include_message()
    files[f"{place.conf}/conf.proto"] = proto_of(messages, remarks, place.conf, include)
    files[place.task_file] = task_file_of(tasks, messages, running, import_of(script, place.root))
    override = override_of(messages[0])
    if place.is_new:
        files["README.md"] = _README.format(
            config=config, override=override, sweep=sweep, script=in_line(script.path.name), **place.__dict__
        )
    return Drafts(
        files={name: text.encode() for name, text in files.items()},
        config=config,
        override=override,
        sweep=sweep,
        unset=[one.name for one in messages[0].fields.fields if one.has_to_be_set],
        summary=_summary(script, tasks, messages),
        remarks=unique(remarks),
        notes=_notes(script, running, tasks, messages, place, config),
    )


def _are_known(tasks: Sequence[Task]) -> bool:
    return all(is_literal(value) for task in tasks for value in task.constants.values())


def _messages(script: Script, tasks: Sequence[Task]) -> list[Message]:
    names, types = Names(), Names()
    found = []
    for task in tasks:
        wanted = "_".join(task.words) or script.stem
        name = names.new(valid(wanted.lower(), "task"), "task")
        of_script = (ast.get_docstring(script.tree) or "").partition("\n\n")[0] if not task.words else ""
        about = task.description.strip() or of_script.strip() or f"{' '.join([script.path.name, *task.words])}."
        found.append(Message(name, types.new(f"{of_type(name)}Task"), about, fields_of(task, of_fields())))
    return found


def _configs(script: Script, messages: Sequence[Message], place: Place) -> tuple[dict[str, str], str, str]:
    """Return configs and sweep by their names, and the names of the first ones."""
    folder = f"{place.conf}/{valid(script.stem.lower(), 'task')}"
    files: dict[str, str] = {}
    for message in messages[: place.most_configs]:
        name = f"{folder}/{'base' if len(messages) == 1 else message.name}.prototxt"
        title = script.path.name if len(messages) == 1 else f"{script.path.name} {message.name}"
        files[name] = config_of(message, _inputs(message, place), title)
    config, sweep = next(iter(files)), f"{folder}/sweep.py"
    return files | {sweep: sweep_of(messages[0], config)}, config, sweep


def _inputs(message: Message, place: Place) -> list[tuple[Field, str]]:
    """Return the fields that name by default what lies in the project: a run works in another folder."""
    found = []
    for one in message.fields.fields:
        if one.enum is not None or one.is_list or one.type != "string" or one.default is ABSENT:
            continue
        path = str(one.default).removeprefix("./").rstrip("/")
        is_name = (
            path not in ("", ".") and not path.startswith(("/", "~", "..")) and "\0" not in path and "{{" not in path
        )
        if is_name and len(path) < 200 and not _OUTPUT.search(one.name) and (place.root / path).exists():
            found.append((one, path))
    return found


def _include_message() -> str:
    """Return the message of an include as new projects have it."""
    text = (Path(__file__).parents[2] / "newproject/conf/conf.proto").read_text(encoding="utf-8")
    found = re.search(r"^// A config that is merged.*?^}$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def _summary(script: Script, tasks: Sequence[Task], messages: Sequence[Message]) -> str:
    count = sum(len(one.fields.fields) for one in messages)
    arguments = f"{count} argument{'' if count == 1 else 's'}"
    commands = f" of {len(tasks)} subcommands" if tasks[0].words else ""
    types = ", ".join(one.type for one in messages[:3]) + (" …" if len(messages) > 3 else "")
    return f"{script.shown}: read {arguments}{commands}, as {types}; it wasn't run"


def _notes(
    script: Script, running: Running, tasks: Sequence[Task], messages: Sequence[Message], place: Place, config: str
) -> list[str]:
    notes = []
    if running.how is How.AS_A_WHOLE:
        notes.append(
            f"{script.shown} is run as a whole, as {running.why} (line {running.line}): {place.task_file} gives it its"
            " command line"
        )
    elif running.how is How.NOT_AT_ALL:
        notes.append(f"{script.shown} only defines things: say in {place.task_file} what is done with its arguments")
    if running.how is not How.AS_A_WHOLE and (
        name := console_script(place.root, import_of(script, place.root).module, running.function)
    ):
        notes.append(
            f"{running.function} is the command {name} of this package, too, to which a result is an error: return it"
            f" from a function that {running.function} calls, and have {place.task_file} call that one"
        )
    if not script.path.is_relative_to(place.root):
        notes.append(f"{script.shown} lies outside of {place.root}: jobs run it as it is then, not a copy of it")
    if required := [one.name for one in messages[0].fields.fields if one.has_to_be_set]:
        notes.append(f"to be set before `heyhi run`, in {config}, or as an override: {', '.join(required)}")
    if left := [one.name for one in messages[place.most_configs :]]:
        notes.append(f"in the proto, but without a config yet: {', '.join(left)} (`{left[0]} {{ }}` is one)")
    if running.how in (How.BY_ITSELF, How.AS_A_WHOLE):
        pairs = zip(tasks, messages, strict=True)
        names = dict.fromkeys(name for task, message in pairs for name in swallowing(task, message.fields.fields))
        notes += [
            f"{name} can only have its default: on a command line, argparse takes the subcommand behind it for one of"
            " its values"
            for name in names
        ]
    for one, path in _inputs(messages[0], place):
        notes.append(f"{one.name} is the project's {path} in the config, since a run works in its experiment's folder")
    return notes
