"""Every message about a mistake, as reviewed in messages.json: `make snapshots` writes that anew.

What a message says is tested where it is made; here a person sees all of them at once, and each change of one in the
change that makes it.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.cli.main import main
from heyhi.cli.parser import make_parser
from heyhi.errors import HeyhiError
from heyhi.job.runner import main as run_job

from .cases import CASES, Given
from .project import as_task_file, make, task, write

STORED = Path(__file__).with_name("messages.json")
# Raised where no command says so: a rank's end is on record as the reason of its experiment, see tests/slurm; a page
# can't be made where packages are damaged; a Slurm that is away is waited for.
NOT_BY_A_COMMAND = {"KeyNameError", "RankError", "PageError", "BusyError", "LostClaimError", "MetricError", "Busy"}
Answer = dict[str, Any]

# One worker of `pytest -n` runs all of these: they share what was answered.
pytestmark = pytest.mark.xdist_group("errors")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, Answer]:
    """What each command of the table answers."""
    base = tmp_path_factory.mktemp("errors")
    with pytest.MonkeyPatch.context() as patch:
        asked = Asked(base, repository, patch)
        return {name: answer for given in CASES for name, answer in asked.all_of(given)}


class Asked:
    """A project that commands are given to, each time as it was at first, and at the same place."""

    def __init__(self, base: Path, repository: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = base / "project"
        self.kept = base / "kept"
        self.bin = base / "bin"
        self.patch = patch
        self.hidden = {
            str(self.root): "<project>", str(base): "<tmp>", str(repository): "<heyhi>", sys.prefix: "<python>"
        }  # fmt: skip
        for name in list(os.environ):
            if name.startswith(("HH_", "SLURM_", "SBATCH_")):
                patch.delenv(name)
        for name, value in {"XDG_CONFIG_HOME": base / "config", "PATH": self.bin, "COLUMNS": 120}.items():
            patch.setenv(name, str(value))
        patch.setattr(sys, "stdin", io.StringIO())
        self.root.mkdir()
        patch.chdir(self.root)
        self._install({"sbatch": "echo 17"})
        self.words = make(self.root)
        self.root.rename(self.kept)

    def all_of(self, given: Given) -> Iterator[tuple[str, Answer]]:
        """Yield name and answer of each command."""
        for command in given.commands:
            yield f"{given.what}: {command}" if given.what else command, self.ask(given, command)

    def ask(self, given: Given, command: str) -> Answer:
        """Return how a command ends, and what it says on standard error; if that is nothing, what it prints."""
        self._renew(given)
        program, *words = (self._filled(word) for word in shlex.split(command))
        out, err = io.StringIO(), io.StringIO()
        modules, path = set(sys.modules), list(sys.path)
        answer: Answer = {"exit code": 0}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in given.env.items():
                patch.setenv(name, value)
            for name in given.lacks:
                for one in (name, *(known for known in sys.modules if known.startswith(f"{name}."))):
                    patch.setitem(sys.modules, one, None)
            patch.chdir(self.root / given.below)
            patch.setattr(sys, "argv", [program, *words])
            patch.delitem(sys.modules, "run", raising=False)  # the task file, of another project
            if program == "run.py":
                patch.setitem(sys.modules, "run", as_task_file(self.root))
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    answer["exit code"] = run(program, words)
            except SystemExit as stop:
                answer["exit code"] = stop.code
                if isinstance(stop.__context__, HeyhiError):
                    answer["error"] = type(stop.__context__).__name__
            except Exception as error:
                answer |= {"exit code": "Traceback", "error": repr(error)}
        # The project's own modules are called as those of other tests are.
        for name in set(sys.modules) - modules:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{self.root}/"):
                del sys.modules[name]
        sys.path[:] = path
        # What a table prints before it is found wanting is not looked at: it has times in it.
        return answer | ({"says": self._shown(err)} if err.getvalue() else {"prints": self._shown(out)})

    def _renew(self, given: Given) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.kept, self.root, symlinks=True)
        write(self.root, {self._filled(name): content for name, content in given.files.items()})
        self._install(given.programs)

    def _install(self, programs: dict[str, str]) -> None:
        shutil.rmtree(self.bin, ignore_errors=True)
        write(self.bin, {name: f"#!/bin/sh\n{script}\n" for name, script in programs.items()})
        for program in self.bin.glob("*"):
            program.chmod(0o755)

    def _filled(self, text: str) -> str:
        for word, meaning in self.words.items():
            text = text.replace(word, meaning)
        return text

    def _shown(self, stream: io.StringIO) -> list[str]:
        """Return the lines of a text, without what is another each time or with each Python."""
        text = stream.getvalue()
        for path, name in self.hidden.items():
            text = text.replace(path, name)
        text = re.sub(r"(?<![0-9a-f])[0-9a-f]{16,64}(?![0-9a-f])", "<hash>", text)
        text = re.sub(r"\bpid \d+", "pid <pid>", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", "<time>", text)
        text = re.sub(r"^([A-Z])\d{4} [\d:.]+ \[(\w+):\d+\]", r"\1<time> [\2]", text, flags=re.MULTILINE)
        text = re.sub(r"(?<=\(choose from ).*(?=\))", lambda found: found[0].replace("'", ""), text)
        text = re.sub(r"^(usage: \S+(?: [a-z]+\b)?).*\n(?: .*\n)*", r"\1 …\n", text, flags=re.MULTILINE)
        return text.splitlines()


def run(program: str, words: list[str]) -> int:
    """Run a command in this process."""
    if program == "heyhi":
        return main(words)
    if program == "runner":
        return run_job(words)
    heyhi.parse_args_and_maybe_launch(task, words)
    return 0


def test_every_message_is_as_reviewed(answers: dict[str, Answer], request: pytest.FixtureRequest) -> None:
    text = json.dumps(answers, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if request.config.getoption("--snapshot-update"):
        STORED.write_text(text, encoding="utf-8")
    stored = STORED.read_text(encoding="utf-8") if STORED.exists() else ""
    diff = "\n".join(difflib.unified_diff(stored.splitlines(), text.splitlines(), "reviewed", "now", lineterm="", n=4))
    if diff:
        pytest.fail(f"messages have changed; if for the better: make snapshots\n{diff}", pytrace=False)


def test_each_is_an_error_without_a_traceback(answers: dict[str, Answer]) -> None:
    wrong = {
        name: answer
        for name, answer in answers.items()
        if answer["exit code"] not in (1, 2)
        or not (answer.get("says") or answer.get("prints"))
        or "Traceback" in "\n".join(answer.get("says", []))
    }
    assert wrong == {}


def test_every_command_is_given_something_wrong(answers: dict[str, Answer]) -> None:
    (commands,) = (a.choices for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    asked = {name.rpartition(": ")[2].split()[1] for name in answers if "heyhi " in name}
    assert set(commands) - asked == set()


def test_every_error_class_is_raised_by_a_command(answers: dict[str, Answer]) -> None:
    def below(kind: type[HeyhiError]) -> Iterator[str]:
        for one in kind.__subclasses__():
            if one.__module__.startswith("heyhi."):
                yield one.__name__
                yield from below(one)

    raised = {answer["error"] for answer in answers.values() if "error" in answer}
    assert set(below(HeyhiError)) - raised - NOT_BY_A_COMMAND == set()
