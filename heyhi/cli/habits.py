"""What people type who come from other programs, and how it is typed here: words in, one sentence out.

Nothing is refused by these tables. Where a command line is wrong, they say what may have been meant by the word that is
at fault; that this is so, and which keys there are, `heyhi.cli.advice` finds out.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from heyhi.cli.letters import OVERRIDES, STARTING, WITH_JOBS, Typed, typed
from heyhi.slips import is_slip
from heyhi.text import shell_word, shorten

# A command that there isn't -> what is typed for it.
COMMANDS = {
    "train": "heyhi run",
    "exec": "heyhi run",
    "start": "heyhi run",
    "sweep": "heyhi run --cfg CFG --sweep KEY=VALUES",
    "grid": "heyhi run --cfg CFG --sweep KEY=VALUES",
    "multirun": "heyhi run --cfg CFG --sweep KEY=VALUES",
    "submit": "heyhi launch",
    "sbatch": "heyhi launch",
    "optimize": "heyhi search",
    "tune": "heyhi search",
    "hpo": "heyhi search",
    "ls": "heyhi status",
    "list": "heyhi status",
    "ps": "heyhi status",
    "queue": "heyhi status",
    "squeue": "heyhi status",
    "info": "heyhi status",
    "watch": "heyhi status --watch",
    "ui": "heyhi serve",
    "gui": "heyhi serve",
    "web": "heyhi serve",
    "board": "heyhi serve",
    "dashboard": "heyhi serve",
    "tensorboard": "heyhi serve",
    "up": "heyhi serve",
    "open": "heyhi serve --open",
    "log": "heyhi logs",
    "tail": "heyhi logs -f",
    "cat": "heyhi logs",
    "kill": "heyhi cancel",
    "stop": "heyhi cancel",
    "scancel": "heyhi cancel",
    "resume": "heyhi run (or heyhi launch) with the words of before, which goes on, or heyhi retry --dead",
    "restart": "heyhi retry --dead, or python run.py --cfg CFG --mode restart",
    "rerun": "heyhi retry --dead, or python run.py --cfg CFG --mode restart",
    "rm": "heyhi clean",
    "delete": "heyhi clean --experiments",
    "remove": "heyhi clean --experiments",
    "prune": "heyhi clean",
    "table": "heyhi report",
    "results": "heyhi report",
    "plot": "heyhi report",
    "summary": "heyhi report",
    "show": "heyhi print",
    "config": "heyhi print",
    "cfg": "heyhi print",
    "schema": "heyhi describe",
    "fields": "heyhi describe",
    "compare": "heyhi diff",
    "new": "heyhi init",
    "create": "heyhi init",
    "comment": "heyhi note",
    "tag": "heyhi note",
    "dry-run": "heyhi plan",
    "doc": "heyhi docs",
    "man": "heyhi docs",
}
# Options of sbatch, as other launchers have them too -> the field of launcher.slurm.
_OF_SBATCH = {
    "partition": "partition",
    "queue": "partition",
    "account": "account",
    "qos": "qos",
    "time": "time",
    "timeout": "time",
    "constraint": "constraint",
    "exclude": "exclude",
    "comment": "comment",
    "gpus": "num_gpus",
    "num-gpus": "num_gpus",
    "gres": "num_gpus",
    "gpus-per-node": "gpus_per_node",
    "mem": "mem_per_gpu",
    "mem-per-gpu": "mem_per_gpu",
    "cpus-per-task": "cpus_per_gpu",
    "cpus-per-gpu": "cpus_per_gpu",
    "signal": "signal_seconds",
    "job-name": "job_name",
}
# Those for which the launcher has no such field -> what is here instead; {v} is their value.
_INSTEAD_OF_SBATCH = {
    "nodes": "launcher.slurm.num_gpus says how many GPUs, and gpus_per_node how many a node has: nodes follow",
    "ntasks": "launcher.slurm.num_gpus: a task for each GPU, or by single_task_per_node=true for each node",
    "ntasks-per-node": "launcher.slurm.single_task_per_node=true is one for each node; else it is one for each GPU",
    "array": "--sweep KEY=VALUES makes a job for each value; launcher.slurm.pack says how many share one",
    "exclusive": "launcher.slurm.extra=--exclusive",
    "dependency": "an experiment waits for what its config names by {{exp …}}: heyhi docs needs",
    "wrap": "a job runs main of the task file with a config: heyhi launch --cfg CFG",
    "error": "heyhi logs shows what a job has written",
}
_WITH_RESOURCES = STARTING | {"", "print", "retry"}  # commands by which something runs, or is shown as it would
_AGAIN = "--redo-drifted makes anew what has another config, python run.py --cfg CFG --mode restart one experiment"
# Options that others have -> what is typed here; {v} is their value.
OPTIONS = {
    "multirun": "--sweep KEY=VALUES sweeps a key, once for each of several",
    "grid": "--sweep KEY=VALUES sweeps a key",
    "config-name": "--cfg {v}",
    "cn": "--cfg {v}",
    "config-path": "--cfg {v}/CONFIG",
    "config-dir": "--cfg {v}/CONFIG",
    "cp": "--cfg {v}/CONFIG",
    "config": "--cfg {v}",
    "config-file": "--cfg {v}",
    "conf": "--cfg {v}",
    "override": OVERRIDES,
    "overrides": OVERRIDES,
    "set": OVERRIDES,
    "opts": OVERRIDES,
    "local": "heyhi run runs here; heyhi launch --profile local has a controller do so",
    "cluster": "--profile local or slurm, or heyhi run, which runs here",
    "executor": "--profile local or slurm, or heyhi run, which runs here",
    "launcher": "I.launcher={v}",
    "detach": "heyhi launch starts a controller that outlives the terminal",
    "background": "heyhi launch starts a controller that outlives the terminal",
    "wait": "heyhi run stays until all is over",
    "workers": "--jobs {v}",
    "num-workers": "--jobs {v}",
    "max-workers": "--jobs {v}",
    "n-jobs": "--jobs {v}",
    "cores": "--jobs {v}",
    "resume": "the same command again goes on with what was begun",
    "continue": "the same command again goes on with what was begun",
    "overwrite": _AGAIN,
    "restart": _AGAIN,
    "rerun": _AGAIN,
    "mode": "a mode is for one experiment: python run.py --cfg CFG --mode {v}",
    "output-dir": "--out P, an exp id pattern, or results in [tool.heyhi]",
    "output": "--out P, an exp id pattern, or results in [tool.heyhi]",
    "logdir": "--out P, an exp id pattern, or results in [tool.heyhi]",
    "name": "--out P, an exp id pattern; HeyHi names an experiment by its config and overrides",
    "repeat": "--sweep 'seed=range({v})'",
    "repeats": "--sweep 'seed=range({v})'",
    "seeds": "--sweep 'seed=range({v})'",
    "num-seeds": "--sweep 'seed=range({v})'",
    "hyperparameters": "--space KEY=VALUES, with --max METRIC and --trials N (heyhi search)",
    "n-trials": "--trials {v}",
    "num-samples": "--trials {v}",
}
# Options of what shows experiments in a browser -> what is typed for `heyhi serve`.
_OF_SERVERS = {
    "logdir": "words name what is shown, as with heyhi status; without any, all that are known",
    "repo": "words name what is shown, as with heyhi status; without any, all that are known",
    "backend-store-uri": "words name what is shown, as with heyhi status; without any, all that are known",
    "where": "the page itself filters, and keeps that in its address",
    "bind": "--host {v}",
    "bind-all": "--host 0.0.0.0",
    "ip": "--host {v}",
    "address": "--host {v}",
    "listen": "--host {v}",
    "no-browser": "no browser is opened without --open",
    "browser": "a browser is opened by --open alone",
    "watch": "the page follows what is written by itself",
    "reload-interval": "the page follows what is written by itself",
}
_OF_SEARCH = frozenset({"--seed", "--trials", "--parallel", "--sampler", "--stop", "--max", "--min"})
_ONE_WORD = "values of a key are one word, with commas between them"
_MOST_COMMANDS = 6  # that are named for an option which another one hasn't
# Options whose value is written by rules of its own.
_OF_OPTIONS = frozenset({"--zip", "--space", "--where", "--sort", "--columns", "--stop", "--out", "--text"})
_DRAWS = "uniform|loguniform|choice|range"  # that --sweep has
_CALL = re.compile(
    rf"(?:np\.|numpy\.|tune\.|scipy\.)?({_DRAWS}|interval|linspace|logspace|grid_search)\((.*)\)", re.DOTALL
)
_SEVERAL = re.compile(r"\[?\(?([^\[\](){},;]+(?:,[^\[\](){},;]+)+)\)?\]?")
_PLAIN = re.compile(r"[+-]?(?:[\d.]+(?:e[+-]?\d+)?|true|false)", re.IGNORECASE)
_KEY = r"[A-Za-z_]\w*(?:\.[\w-]+)*"


class Advice(NamedTuple):
    """What may have been meant.

    Attributes:
        marks: texts, of which an error that is about this has one.
        shown: the words at fault.
        text: what is typed instead.
        also: a text that such an error has, too.
        fix: what to type in place of `key`, where that is known to the letter.
        key: the words in whose place it is typed; those at fault unless they are others.
        nearest: names that may have been meant.
    """

    marks: tuple[str, ...]
    shown: str
    text: str
    also: str = ""
    fix: str = ""
    key: str = ""
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A command line, as far as habits go.

    Attributes:
        words: behind the command.
        command: name of the command; empty for a task file's.
        sweeps: whether it takes `--sweep`.
        known_keys: asked for the keys of its config.
        proto: asked for the file that declares these.
        configs: asked for the names of the project's configs, less their suffix.
        kind_of: asked whether a path is a `script`, a `task file`, a `sweep file` or an `experiment`; empty for others.
        commands_with: asked which commands of `heyhi` have an option.
    """

    words: tuple[str, ...]
    command: str = ""
    sweeps: bool = False
    known_keys: Callable[[], Sequence[str]] = field(default=tuple)
    proto: Callable[[], str] = field(default=lambda: "conf/*.proto")
    configs: Callable[[], Sequence[str]] = field(default=tuple)
    kind_of: Callable[[str], str] = field(default=lambda text: "")
    commands_with: Callable[[str], Sequence[str]] = field(default=lambda option: ())

    def after(self, place: int) -> str:
        """Return the value behind an option: the next word, where that is none of its own."""
        text = self.words[place + 1] if place + 1 < len(self.words) else ""
        return "" if re.match(r"-{1,2}[A-Za-z]", text) or re.match(rf"{_KEY}=", text) else text

    @property
    def cfg(self) -> str:
        """The config that an option names, as it is typed again; CFG where none does."""
        for place, word in enumerate(self.words):
            if word in ("--cfg", "-c") and place + 1 < len(self.words):
                return shell_word(self.words[place + 1])
            if word.startswith("--cfg="):
                return shell_word(word.removeprefix("--cfg="))
        return "CFG"

    def nearest(self, name: str) -> str:
        """Return the key that a name is for: itself, one that ends with it, or the nearest by letters; else none."""
        keys = self.known_keys()
        plain = name.replace("-", "_")
        for wanted in (name, plain):
            if wanted in keys or not keys:
                return wanted
            if ends := [key for key in keys if key.endswith(f".{wanted}")]:
                return min(ends, key=len)
        close = difflib.get_close_matches(plain, keys, n=1, cutoff=0.6)
        return close[0] if close and is_slip(plain, close[0]) else ""

    def swept(self, *axes: str) -> str:
        """Write how keys are swept."""
        swept = " ".join(f"--sweep {shell_word(axis)}" for axis in axes)
        return swept if self.sweeps else f"heyhi run --cfg {self.cfg} {swept}"


def advice_on(line: Line) -> Iterator[Advice]:
    """Yield what may have been meant by each word of a command line that looks like a habit, in its order."""
    for place, word in enumerate(line.words):
        if place and line.words[place - 1] in _OF_OPTIONS:
            continue
        for look in (_swept, _file, _option, _blanks, _of_hydra, _value):
            if (found := look(line, place, word)) is not None:
                if found.text != word:
                    yield found
                break


def command_for(name: str, commands: Sequence[str]) -> str:
    """Say what is typed for a command that there isn't; empty where nobody knows.

    Args:
        name: that was typed.
        commands: there are.
    """
    if name.lower() in COMMANDS:
        return COMMANDS[name.lower()]
    close = difflib.get_close_matches(name.lower(), commands, n=1, cutoff=0.6)
    return f"heyhi {close[0]}" if close else ""


def missing_command(words: Sequence[str], name: str, commands: Sequence[str]) -> str:
    """Say that there is no command of a name, and what may have been meant.

    Args:
        words: of the command line.
        name: the first of them that is no option.
        commands: there are.
    """
    if name == "help":
        behind = words[words.index(name) + 1 :][:1]
        return f"'help' is no command: heyhi {f'{behind[0]} ' if behind and behind[0] in commands else ''}--help"
    if words[0] in ("--cfg", "--sweep") or name.endswith((".py", ".prototxt", ".sqlite")) or "/" in name or "=" in name:
        line = " ".join(map(shell_word, words))
        return (
            f"'{name}' is no command: heyhi run {line} runs it, heyhi plan shows what would run, heyhi --help has all"
        )
    known = command_for(name, commands)
    return f"'{name}' is no command{f': {known}' if known else ''}; heyhi --help lists them"


def _option(line: Line, place: int, word: str) -> Advice | None:
    """An option that is none here: of another program, or a key with dashes."""
    match = re.fullmatch(rf"(--?)(no-)?({_KEY}|[A-Za-z][\w-]*)(?:=(.*))?", word, re.DOTALL)
    if match is None:
        return None
    dashes, no, name, given = match[1], match[2] or "", match[3], match[4]
    value = given if given is not None else line.after(place)
    shown = word if given is not None or not value else f"{word} {value}"
    marks = (f"'{word}'", f"'{word.partition('=')[0]}'", f"unknown key '{name}'", f"arguments: {word}")
    plain = name.replace("_", "-")
    keys = line.known_keys()
    is_key = name in keys or name.replace("-", "_") in keys
    if not is_key:
        letter = _letter(line, place, name, value) if dashes == "-" and len(name) == 1 else Typed()
        if not letter.has_value and given is None:
            value, shown = "", word
        of_sbatch = letter.of_sbatch or (plain if len(name) > 1 else "")
        if of_sbatch in _OF_SBATCH:
            if line.command not in _WITH_RESOURCES:
                return None
            key = f"launcher.slurm.{_OF_SBATCH[of_sbatch]}"
            fix = _assigned(key, _number(key, value))
            if letter.text:
                return Advice(marks, shown, f"sbatch's --{of_sbatch} is {fix}, and {letter.text}")
            return Advice(marks, shown, f"resources stand in the launcher: {fix}", fix=fix if value else "")
        if of_sbatch in _INSTEAD_OF_SBATCH and line.command in _WITH_RESOURCES:
            text = _INSTEAD_OF_SBATCH[of_sbatch]
            return Advice(marks, shown, text, fix=text if " " not in text else "")
        if not line.command and plain in ("sweep", "zip"):
            axis = value or next(iter(line.words[place + 1 :]), "") or "KEY=VALUES"
            return Advice(marks, shown, f"one experiment is run here: {line.swept(axis)}")
        if text := letter.text or _named(line, plain):
            if plain in ("m", "multirun") and (axes := _axes(line.words[place + 1 :])):
                swept, words = line.swept(*axes), line.words[place + 1 : place + 1 + len(axes)]
                shown, key = word, " ".join((word, *words)) if list(words) == axes else ""
                return Advice(
                    (*marks, "which config?"), shown, swept, key=key, fix=swept if line.sweeps and key else ""
                )
            if text == OVERRIDES and not value:
                value = line.words[place + 1] if place + 1 < len(line.words) else "KEY=VALUE"
                shown = f"{word} {value}"
            return Advice(marks, shown, text.replace("{v}", value or "…"), fix=_filled(text, value))
        if dashes == "--" and (having := line.commands_with(word.partition("=")[0])):
            mine = f"heyhi {line.command}" if line.command else "a task file"
            of = f"{_listed(having)} {'have' if having[1:] else 'has'} it"
            option = word.partition("=")[0]
            told = (f"unknown option '{option}'", f"unknown key '{name}'", f"'{word}': overrides go with")
            return Advice(told, word, f"no option of {mine}; {'' if line.command else 'heyhi '}{of}")
    nearest = line.nearest(name)
    if not keys and not _PLAIN.fullmatch(value):
        return None  # a word of its own may stand behind it
    if not nearest or (len(name) == 1 and not is_key):
        return None
    if given is None and not value:
        if nearest not in keys:
            return None
        return Advice(marks, shown, f"a key of a config is set without dashes: {nearest}={'false' if no else '…'}")
    if no or (dashes == "--" and given is not None):
        return None  # which is an override
    fix = _assigned(nearest, value)
    if is_key and word in _OF_SEARCH and "--space" not in line.words:
        text = f"{word} is of a search, with --space; the key of the config is set without dashes, by =: {fix}"
        return Advice((*marks, "what is searched?"), shown, text, fix=fix)
    sure = fix if value and keys else ""
    return Advice(marks, shown, f"a key of a config is set without dashes, by =: {fix}", fix=sure)


def _letter(line: Line, place: int, letter: str, value: str) -> Typed:
    """Return what an option of one letter is typed as."""

    def is_named(text: str) -> bool:
        stem = text.removeprefix("conf/").removesuffix(".prototxt")
        return bool(text) and ("/" in text or text.endswith((".py", ".prototxt")) or stem in line.configs())

    return typed(letter, line.command, value, next(iter(line.words[place + 1 :]), ""), is_named)


def _named(line: Line, name: str) -> str:
    """Return what is typed for an option of a name that others have; empty where this command has none such."""
    if line.command == "serve" and name in _OF_SERVERS:
        return _OF_SERVERS[name]
    text = OPTIONS.get(name, "")
    if name == "workers" and line.command == "run":
        return "--jobs {v} runs so many at once here; heyhi launch --workers {v} has so many jobs on Slurm run them all"
    if text.startswith("--jobs") and line.command not in WITH_JOBS:
        return "--parallel {v}" if line.command == "search" else ""
    if name == "format" and line.command == "report":
        return "--to FILE writes the table, in the form that the suffix of FILE says"
    return "--to {v}" if name == "output" and line.command in ("report", "export") else text


def _file(line: Line, place: int, word: str) -> Advice | None:
    """A file or folder of another kind, or a config by another program's name."""
    before = line.words[place - 1] if place else ""
    option, equals, behind = word.partition("=") if word.startswith("--") else (word, "", "")
    name = behind if equals and option in ("--cfg", "--sweep") else word
    is_config = before in ("--cfg", "-c") or option == "--cfg" or line.command in ("print", "describe")
    if option == "--sweep" and not equals:
        following = line.words[place + 1 : place + 2]
        return _file(line, place + 1, following[0]) if following else None
    if before == "--sweep" or (option == "--sweep" and equals):
        if name.endswith((".py", ".prototxt")) and "=" not in name:
            named = name if name.endswith(".py") else f"--cfg {name}"
            return Advice(("--sweep",), f"--sweep {name}", f"a file is named by itself: heyhi {line.command} {named}")
        return None
    if name.startswith("-") or ("=" in name and not is_config):
        return None
    marks = (f"'{name}'", f"--cfg {name}: ", f"{name}: has no function")
    kind = line.kind_of(name)
    if kind == "experiment" and is_config:
        how = "it is named without --cfg" if line.sweeps else "config.prototxt in its folder is its config"
        return Advice(marks, name, f"is an experiment, and no config: {how}")
    if kind == "sweep file" and not line.sweeps:
        return Advice(
            (*marks, f"{name}:"), name, f"is a sweep file, and no config: heyhi expand {name} lists its experiments"
        )
    if kind in ("task file", "script"):
        how = "; heyhi init --from makes a config of its arguments" if kind == "script" else ""
        return Advice(marks, name, f"is no config and no sweep: heyhi run --cfg CFG runs what a config describes{how}")
    stem = name.removesuffix("/").removeprefix("conf/").removeprefix("conf.")
    for suffix in (".yaml", ".yml", ".json", ".toml", ".textproto", ".pbtxt"):
        stem = stem.removesuffix(suffix)
    if stem.replace(".", "/") in line.configs() and stem.replace(".", "/") != name:
        return Advice(marks, name, f"a config goes by its path: {stem.replace('.', '/')}")
    inside = [one for one in line.configs() if one.startswith(f"{stem}/")]
    if inside and not is_config:
        return Advice(marks, name, f"is a folder of configs: which of them? {', '.join(inside[:4])}")
    return None


def _blanks(line: Line, place: int, word: str) -> Advice | None:
    """An override with blanks in it, or with a colon."""
    following = [*line.words[place + 1 : place + 3], "", ""]
    colon = re.fullmatch(rf"\{{?\s*({_KEY})\s*:\s*([^{{}}]*?)\s*\}}?", word)
    if colon is not None and "=" not in word and not word.startswith("http"):
        key, value = colon[1], colon[2] or following[0]
    elif re.fullmatch(_KEY, word) and following[0] == "=":
        key, value = word, following[1]
    elif re.fullmatch(_KEY, word) and following[0].startswith("=") and len(following[0]) > 1:
        key, value = word, following[0][1:]
    elif re.fullmatch(rf"{_KEY}=", word) and following[0] and not re.match(rf"-|{_KEY}=", following[0]):
        key, value = word[:-1], following[0]
    elif re.fullmatch(_KEY, word) and word in line.known_keys():
        key, value = word, following[0] if re.fullmatch(r"[\d.e+-]+|true|false", following[0], re.IGNORECASE) else ""
    else:
        return None
    if place and line.words[place - 1] == "--sweep":
        return None
    marks = (f"'{word}'", f"'{value}'", f"a job {value}") if value else (f"'{word}'",)
    meant = line.nearest(key) or key
    fix = _assigned(meant, value)
    count = next((n for n in (1, 2, 3) if "".join(line.words[place : place + n]).endswith(value)), 1)
    words = " ".join(line.words[place : place + count])
    sure = fix if value and meant in line.known_keys() else ""  # else another error comes next
    return Advice(marks, word, f"an override is one word, key=value: {fix}", fix=sure, key=words)


def _of_hydra(line: Line, place: int, word: str) -> Advice | None:
    """Hydra's ways to add, remove and choose."""
    del place
    if match := re.fullmatch(rf"\+{{1,2}}({_KEY})=(.*)", word, re.DOTALL):
        near = line.nearest(match[1])
        assigned = _assigned(near or match[1], match[2])
        marks = (_quoted(word), f"'{word.partition('=')[0]}'")
        if not near:
            return Advice(
                marks, word, f"every key is in the schema: add '{match[1]}' to {line.proto()}, then {assigned}"
            )
        return Advice(marks, word, f"every key is in the schema: {assigned}", fix=assigned)
    if match := re.fullmatch(rf"~({_KEY})(?:=.*)?", word, re.DOTALL):
        key = line.nearest(match[1]) or match[1]
        return Advice((_quoted(word), f"'~{match[1]}'"), word, f"NULL clears a key: {key}=NULL", fix=f"{key}=NULL")
    if match := re.fullmatch(r"hydra/launcher=(\S+)", word):
        kind = "local" if match[1] in ("basic", "joblib") else "slurm"
        return Advice(("'hydra/launcher'",), word, f"a launcher is a chunk of the config: I.launcher={kind}")
    if match := re.fullmatch(r"hydra\.(?:run|sweep)\.(?:dir|subdir)=(\S*)", word):
        return Advice(
            ("'hydra",), word, "an experiment lies where its config and overrides say; --out P is another way"
        )
    if re.fullmatch(r"hydra\.verbose=.*", word, re.DOTALL):
        return Advice(("'hydra",), word, f"a run says more by python run.py --cfg {line.cfg} --log-level DEBUG")
    if match := re.fullmatch(r"hydra[./][\w./]+=.*", word, re.DOTALL):
        return Advice(("'hydra",), word, "settings of a project stand in [tool.heyhi]: heyhi describe --settings")
    if match := re.fullmatch(rf"({_KEY})/({_KEY})(?:@[\w.]+)?=(\S+)", word):
        return Advice(
            (f"'{match[1]}/{match[2]}",), word, f"a chunk is included at its mount: I.{match[1]}.{match[2]}={match[3]}"
        )
    return None


def _value(line: Line, place: int, word: str) -> Advice | None:
    """A value that no field of one number or name holds, since it is several, or written another way."""
    match = re.fullmatch(rf"(?:--)?({_KEY})=(.*)", word, re.DOTALL)
    if match is None or match[1].startswith("I."):
        return None
    if place and line.words[place - 1] == "--sweep" and not _CALL.fullmatch(match[2]):
        return None
    text = _of_value(line, match[1], match[2])
    also, last = f", not '{shorten(match[2])}'", text.rpartition(": ")[2]
    fix = last if last.startswith(("--sweep ", f"{match[1]}=")) and "…" not in last and ";" not in last else ""
    kind = "a bool" if " is no bool: " in text else ""
    return Advice((f"key '{match[1]}' is {kind}",), word, text, also, fix) if text else None


def _of_value(line: Line, key: str, value: str) -> str:
    """Write how a value is given, or several; empty for nothing that is known."""
    if called := _CALL.fullmatch(value.strip()):
        return _drawn(line, key, called[1], called[2])
    if several := _SEVERAL.fullmatch(value.strip()):
        values = ",".join(part.strip() for part in several[1].split(","))
        return f"several values are swept: {line.swept(f'{key}={values}')}"
    if value.startswith("=") or value.rstrip().endswith((";", ",")):
        where = "begins with '='" if value.startswith("=") else f"ends with '{value.rstrip()[-1]}'"
        return f"no value {where}: {_assigned(key, value.lstrip('=').rstrip(' ;,'))}"
    if value.lower() in ("none", "null", "nil", "~"):
        return f"NULL clears a key: {key}=NULL"
    if value.lower() in ("yes", "on", "y", "no", "off", "n"):
        return f"'{value}' is no bool: {key}={'true' if value.lower() in ('yes', 'on', 'y') else 'false'}"
    if value == "???":
        return f"nothing has to be given, and what isn't set reads None: give the value: {key}=…"
    if "${" in value:
        return "a config has no ${…}: give the value; {{…}} are its templates (heyhi docs configs)"
    if re.fullmatch(r"[+-]?[\d_]*\d[\d_]*(\.\d*)?(e\+?\d+)?", value, re.IGNORECASE):
        number = float(value.replace("_", ""))
        if number.is_integer() and abs(number) < 1e15:
            return f"an integer is written in digits alone: {key}={int(number)}"
    return ""


def _drawn(line: Line, key: str, name: str, inside: str) -> str:
    """Write how values are swept that a call stands for elsewhere."""
    parts = [part.strip() for part in inside.strip(" []").split(",") if part.strip()]
    if name in ("choice", "grid_search", "range"):
        values = f"range({','.join(parts)})" if name == "range" else ",".join(parts)
        return f"several values are swept: {line.swept(f'{key}={values}')}"
    draw = "loguniform" if name in ("loguniform", "logspace") else "uniform"
    ends = [part for part in parts if "=" not in part][:2]
    count = next((part.partition("=")[2] for part in parts if part.startswith("n=")), "10")
    drawn = f"{key}={draw}({','.join(ends)}"
    return f"drawn values are swept: {line.swept(f'{drawn},n={count})')}; heyhi search has --space '{drawn})'"


def _swept(line: Line, place: int, word: str) -> Advice | None:
    """Values of `--sweep` that are written another way, or stand as words of their own."""
    option, equals, axis = word.partition("=")
    if option != "--sweep":
        return None
    behind = line.words[place + 1 :]
    axis = axis if equals else next(iter(behind), "")
    if re.fullmatch(_KEY, axis):
        apart = behind if equals else behind[1:]
        values = list(itertools.takewhile(_PLAIN.fullmatch, apart))
        marks = (f"--sweep '{axis}'", *(mark for one in values for mark in (f"'{one}'", f"a job {one}")))
        words = " ".join((word, *([] if equals else [axis]), *values))
        return _as_axis(line, marks, words, _ONE_WORD, f"{axis}={','.join(values)}") if values else None
    key, equals, text = axis.partition("=")
    marks = (f"key '{key}' is ",)
    shown = word if word == f"--sweep={axis}" else f"--sweep {axis}"
    values_text, how = "", "a range is written like Python's"
    if several := re.fullmatch(r"[\[(]([^\[\](){}]+)[\])]", text):
        values_text, how = ",".join(part.strip() for part in several[1].split(",")), _ONE_WORD
    elif chosen := re.fullmatch(r"choice\(([^()=]+)\)", text):
        axis = f"{key}={chosen[1].replace(' ', '')}"
        how = f"'{key}={text}': choice draws, n=COUNT times; each of them once"
        return _as_axis(line, (f"'{key}={text}': expected choice(",), shown, how, axis)
    elif bounds := re.fullmatch(r"(\d{1,9})(?:-|\.\.)(\d{1,9})", text):  # both of which count
        values_text = _of_range(int(bounds[1]), int(bounds[2]) + 1)
    elif bounds := re.fullmatch(r"(\d{0,9}):(\d{1,9})", text):  # as Python has it
        values_text = _of_range(int(bounds[1] or 0), int(bounds[2]))
    if not (equals and values_text):
        return None
    return _as_axis(line, marks, shown, how, f"{key}={values_text}", f", not '{shorten(text)}'")


def _as_axis(line: Line, marks: tuple[str, ...], shown: str, how: str, axis: str, also: str = "") -> Advice:
    swept = line.swept(axis)
    return Advice(marks, shown, f"{how}: {swept}", also, swept if line.sweeps else "")


def _of_range(start: int, stop: int) -> str:
    return f"range({stop})" if not start else f"range({start},{stop})"


def _filled(text: str, value: str) -> str:
    """Return what is typed for an option, where that is said to the letter: `--cfg {v}`, and no sentence."""
    if "{v}" in text and not value:
        return ""
    if "{v}" in text and (text == OVERRIDES or text.startswith("--sweep ")):
        behind = text.removeprefix(OVERRIDES.partition("{v}")[0])
        return behind.replace("{v}", shell_word(value) if behind == "{v}" else value)
    is_option = re.fullmatch(r"--[a-z-]+(?: \{v\})?", text)
    return text.replace("{v}", shell_word(value)) if is_option else ""


def _listed(commands: Sequence[str]) -> str:
    """Write which commands have an option: all of a few."""
    shown = commands if len(commands) <= _MOST_COMMANDS else commands[: _MOST_COMMANDS - 1]
    names = [*shown, *["others"] * (len(shown) < len(commands))]
    return f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]


def _axes(words: Sequence[str]) -> list[str]:
    """Return the keys of some words that have several values each."""
    pairs = [word.partition("=") for word in words if re.match(rf"{_KEY}=", word)]
    return [f"{key}={value}" for key, _, value in pairs if "," in value or "(" in value]


def _assigned(key: str, value: str) -> str:
    return shell_word(f"{key}={value}") if value else f"{key}=…"


def _number(key: str, value: str) -> str:
    """Return the value that a launcher's field takes for one of sbatch's: `gpu:a100:8` is 8, `16G` is 16."""
    if key.endswith(("num_gpus", "gpus_per_node")):
        return value.rpartition(":")[2]
    return re.sub(r"(?i)g(?:b|ib)?$", "", value) if key.endswith("mem_per_gpu") else value


def _quoted(word: str) -> str:
    return f"'{word}'"
