"""What tests of `heyhi init --from` share: a repository with a script, and the project that is made of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import heyhi
from heyhi.cli.main import main


@dataclass
class Drafted:
    """A project that was made of a script.

    Attributes:
        root: where it is.
        script: name of the script's module.
        out: what the command has printed.
        err: what it has said.
    """

    root: Path
    script: str
    out: str
    err: str

    @property
    def proto(self) -> str:
        """What stands in its proto below HeyHi's own messages."""
        return (self.root / "conf/conf.proto").read_text().partition("repeated string clear = 3;\n}\n")[2]

    def config(self, *overrides: str, name: str = "base") -> Any:
        """Compose a config."""
        return heyhi.load_root_config(self.root / f"conf/{self.script}/{name}.prototxt", list(overrides)).task

    def task_file(self) -> ModuleType:
        """Import its task file."""
        return imported(self.root / "run.py")

    def words(self, *overrides: str, name: str = "base") -> list[str]:
        """Return the command line that its task file gives the script."""
        task = name if name != "base" else self.script
        found: list[str] = self.task_file().words(task, self.config(*overrides, name=name))
        return found


def imported(path: Path) -> ModuleType:
    """Import a file, and not by its name."""
    spec = importlib.util.spec_from_file_location(f"drafted_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def drafted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Drafted]]:
    """Return what writes a script, has a project made of it, and goes there."""
    monkeypatch.delenv("HH_EXP_DIR", raising=False)

    def make(text: str, name: str = "train") -> Drafted:
        root = tmp_path / "project"
        root.mkdir(exist_ok=True)
        (root / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.chdir(root)
        monkeypatch.syspath_prepend(root)
        assert main(["init", "--from", f"{name}.py"]) == 0
        said = capsys.readouterr()
        return Drafted(root, name, said.out, said.err)

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
