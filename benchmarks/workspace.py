"""The temporary folder that a benchmark works in: a copy of the example project, with its own results."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.timing import Command, run

_REPOSITORY = Path(__file__).resolve().parents[1]
_PARTS = ("Snakefile", "conf", "profiles", "pyproject.toml", "run.py", "workflows")
BARE_PYTHON = (sys.executable, "-c", "import google.protobuf.text_format")  # HeyHi's smallest need


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure: `--quick` takes fewer rounds, and fewer experiments than the goals are about."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """How often each side is measured."""
        return 3 if self.quick else 5

    @property
    def short_rounds(self) -> int:
        """The same for what takes less than a second."""
        return 5 if self.quick else 15


class Workspace:
    """Make the folder, and remove it at the end.

    Attributes:
        root: the project's copy.
        results: its results root.
    """

    def __init__(self) -> None:
        self._temp = tempfile.TemporaryDirectory(prefix="heyhi-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temp.name).resolve()
        self.root = self.folder / "project"
        self.results = self.root / "results"

    def __enter__(self) -> Workspace:
        self.root.mkdir()
        for part in _PARTS:
            source = _REPOSITORY / part
            if source.is_dir():
                shutil.copytree(source, self.root / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, self.root / part)
        run(self.heyhi("print", "c02_sup_train/sl"))  # compiles the protos into the cache
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._temp.cleanup()

    @property
    def env(self) -> dict[str, str]:
        """Environment in which nothing of the user's tells HeyHi, Snakemake or Python anything."""
        hidden = ("HH_", "SLURM_", "SNAKEMAKE_", "PYTHON", "XDG_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
        return env | {"HH_EXP_DIR": str(self.results), "XDG_CACHE_HOME": str(self.folder / "cache"), "PATH": path}

    def command(self, *args: str | Path, empty: bool = False, cwd: Path | None = None) -> Command:
        """Make a command that runs in the project, each time with an empty results root if asked for."""
        return Command(args, cwd or self.root, self.env, self.remove_results if empty else lambda: None)

    def heyhi(self, *args: str | Path, empty: bool = False) -> Command:
        """Make a command of HeyHi's, started as users start it."""
        return self.command(Path(sys.executable).parent / "heyhi", *args, empty=empty)

    def output(self, command: Command) -> str:
        """Run a command and return what it prints."""
        import subprocess

        command.prepare()
        done = subprocess.run(
            command.args, cwd=command.cwd, env=command.env, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def remove_results(self) -> None:
        """Remove the results root."""
        shutil.rmtree(self.results, ignore_errors=True)

    def launch(self, manifest: str, label: str) -> None:
        """Put a launch of a manifest on record, without running it: only what was launched is known."""
        from heyhi.project import Project
        from heyhi.sweep.known import LaunchRecord, write_launch

        record = LaunchRecord.now("snakemake", [], label, manifest=manifest)
        write_launch(Project(self.root, results_override=self.results), record)
