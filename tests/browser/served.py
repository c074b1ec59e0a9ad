"""A server of `heyhi serve` over a project of its own, whose experiments a test makes, steers and sees in Chromium.

Some are made: their folders are written as a task leaves them (`Lab.make`). Others run really (`Lab.launch`): their
task does what it is told through a pipe, line by line, so that nothing waits for a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heyhi.project import Project
from heyhi.sweep.known import LaunchRecord, write_launch
from heyhi.sweep.manifest import Manifest
from tests.browser.conftest import LISTEN

SECONDS = 60.0  # after which something hangs
PROTO = """\
edition = "2023";
message MetaCfg { oneof task { Fit fit = 1; } Launcher launcher = 2; }
message Fit { double lr = 1; int32 seed = 2; string text = 3; bool steered = 4; int32 epochs = 5; }
message Launcher { oneof kind { Local local = 1; } }
message Local { int32 cpus = 1 [default = 1]; }
"""
# Told `line {…}` it logs, `raise …` it fails, `end` it ends.
TASK = """\
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main(task, cfg, log_level):
    print("begins with lr", cfg.lr, "seed", cfg.seed, flush=True)
    with open(ROOT / f"told-{cfg.seed}") as told:
        (ROOT / f"begun-{cfg.seed}").touch()
        for word, _, rest in (line.rstrip("\\n").partition(" ") for line in told):
            if word == "line":
                with open("metrics.jsonl", "a") as metrics:
                    metrics.write(rest + "\\n")
                print("logged", rest, flush=True)
            elif word == "say":
                print(rest, flush=True)
            elif word == "raise":
                raise ValueError(rest)
            else:
                break
    return {"val_accuracy": 0.5}
"""


def line(epoch: int, **metrics: float) -> dict[str, float]:
    """Return a metric line as a training writes it."""
    return {"epoch": epoch, "step": 10 * epoch, **metrics}


def until(condition: Callable[[], Any], what: Callable[[], str] = lambda: "it takes too long") -> Any:
    """Wait until a condition is true of files or processes, looked at again and again; return what it returns."""
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, what()
        time.sleep(0.02)  # looks again; what is waited for comes when it comes
    return found


@dataclass
class Lab:
    """A project whose experiments a test makes, and the servers that show it.

    Attributes:
        root: the project.
        env: of all that is started in it.
    """

    root: Path
    env: dict[str, str]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)
    _launches: list[subprocess.Popen[str]] = field(default_factory=list)
    _pipes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def new(cls, folder: Path) -> Lab:
        """Make an empty one."""
        root, home = folder / "lab", folder / "home"
        (root / "conf").mkdir(parents=True)
        home.mkdir()
        (root / "pyproject.toml").write_text("[tool.heyhi]\n")
        (root / "run.py").write_text(TASK)
        (root / "conf/conf.proto").write_text(PROTO)
        (root / "conf/fit.prototxt").write_text("fit { epochs: 3 }\n")
        hidden = ("HH_", "HEYHI_", "SLURM_", "SNAKEMAKE_", "XDG_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        env |= {"HOME": str(home), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(home / "state")}
        person = ("-c", "user.name=a", "-c", "user.email=a@b")
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run(["git", *person, *words], cwd=root, env=env, check=True)
        return cls(root, env)

    @property
    def results(self) -> Path:
        """Results root."""
        return self.root / "results"

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command of HeyHi's; it is ended with the lab."""
        command = [sys.executable, "-m", "heyhi.cli", *words]
        process = subprocess.Popen(command, cwd=self.root, env=self.env, text=True, **options)
        self._started.append(process)
        return process

    def heyhi(self, *words: str) -> str:
        """Run a command of HeyHi's and return what it prints."""
        process = self.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, out + err
        return out

    # ---- Experiments that are made ----

    def expand(self, overrides: Iterable[Mapping[str, object]], name: str = "sweep") -> list[Path]:
        """Plan a sweep without running it, so that its experiments are known; return their folders in its order."""
        given = "".join(f"    yield 'conf/fit.prototxt', {dict(one)!r}\n" for one in overrides)
        path = self.root / f"conf/{name}.py"
        path.write_text(f"def yield_sweep():\n{given}")
        manifest = self.root / self.heyhi("expand", str(path.relative_to(self.root)), "--manifest").strip()
        project = Project(self.root, results_override=self.results)
        write_launch(project, LaunchRecord.now("snakemake", [], name, manifest=manifest.name))
        folders = []
        with Manifest.open(manifest) as opened:
            for experiment in opened.experiments(own=True):
                folders.append(experiment.exp_path)
                experiment.exp_path.mkdir(parents=True, exist_ok=True)
                roots = {"project_root": str(self.root), "results_root": str(self.results)}
                identity = {**experiment.identity.to_dict(), **roots}
                (experiment.exp_path / "identity.json").write_text(json.dumps(identity))
        return folders

    def make(self, overrides: Iterable[Mapping[str, object]], epochs: int = 5, name: str = "sweep") -> list[Path]:
        """Make a sweep whose experiments are all done; return their folders."""
        folders = self.expand(overrides, name)
        for place, folder in enumerate(folders):
            steps = range(1, epochs + 1)
            lines = [line(n, loss=1 / n + place / 10, val_accuracy=1 - 1 / n - place / 100) for n in steps]
            append(folder, *lines)
            attempt(folder)
            (folder / "log.txt").write_text("".join(f"epoch {n}\n" for n in steps))
            (folder / "result.json").write_text(json.dumps({"val_accuracy": lines[-1]["val_accuracy"]}))
        return folders

    # ---- Experiments that run ----

    @property
    def _launch_log(self) -> Path:
        return self.root.parent / "launch.txt"

    def launch(self, seeds: Iterable[int], lr: float = 0.1) -> subprocess.Popen[str]:
        """Start a local sweep whose tasks do what they are told; they run one after the other (`begun`)."""
        seeds = list(seeds)
        for seed in seeds:
            os.mkfifo(self.root / f"told-{seed}")
            self._pipes[seed] = os.open(self.root / f"told-{seed}", os.O_RDWR)  # for both: nobody waits to open it
        axis = ("--sweep", f"seed={','.join(map(str, seeds))}")
        with self._launch_log.open("w") as log:
            words = ("run", "--cfg", "conf/fit.prototxt", *axis, f"lr={lr}")
            self._launches.append(self.start(*words, stdout=log, stderr=subprocess.STDOUT))
        return self._launches[-1]

    def begun(self, seed: int) -> None:
        """Wait until a task has begun."""
        has_begun = (self.root / f"begun-{seed}").exists
        until(lambda: has_begun() or all(process.poll() is not None for process in self._launches))
        assert has_begun(), self._launch_log.read_text()

    def tell(self, seed: int, *words: str | Mapping[str, float]) -> None:
        """Tell a task what to do: a line to log, or words as they are."""
        for word in words:
            text = word if isinstance(word, str) else f"line {json.dumps(word)}"
            os.write(self._pipes[seed], f"{text}\n".encode())

    # ---- Servers ----

    def serve(self, *words: str, port: int = 0) -> Served:
        """Start a server; it says where it is when this returns."""
        errors = self.root.parent / "serve-errors.txt"
        with errors.open("a") as err:
            process = self.start("serve", *words, "--port", str(port), stdout=subprocess.PIPE, stderr=err)
        served = Served(self, words, process, _address(process, errors))
        until(lambda: _listens(served.port) or process.poll() is not None)
        return served

    def close(self) -> None:
        """End all that was started."""
        for pipe in self._pipes.values():
            os.write(pipe, b"end\n" * 100)
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=SECONDS)
        for pipe in self._pipes.values():
            os.close(pipe)


def _address(process: subprocess.Popen[str], errors: Path) -> str:
    """Read the address that a server prints."""
    assert process.stdout
    said = ""
    while not (found := re.search(r"http://\S+token=\S+", said)):
        assert select.select([process.stdout], [], [], SECONDS)[0], f"it says no address: {said}"
        piece = process.stdout.readline()
        assert piece, f"it has ended: {said}{errors.read_text()}"
        said += piece
    return found[0]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@dataclass
class Served:
    """A server that runs.

    Attributes:
        address: that it printed, with its token.
    """

    lab: Lab
    words: tuple[str, ...]
    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(re.search(r":(\d+)/", self.address)[1])  # type: ignore[index]

    @property
    def origin(self) -> str:
        """The start of all its addresses."""
        return f"http://127.0.0.1:{self.port}/"

    def kill(self) -> None:
        """Kill it as nothing can hinder."""
        self.process.kill()
        self.process.wait(SECONDS)

    def again(self) -> Served:
        """Start another one at the same port, with the same words."""
        return self.lab.serve(*self.words, port=self.port)


def append(folder: Path, *lines: Mapping[str, float]) -> None:
    """Append metric lines, as a task does."""
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in lines)


def attempt(folder: Path, exit_code: int | None = 0, exception: str = "") -> None:
    """Write an attempt that ended; with no exit code one that only began, whose process is gone."""
    start = {"event": "start", "attempt": 1, "kind": "gentle_start", "host": os.uname().nodename, "pid": 1 << 22}
    end = {"event": "end", "attempt": 1, "exit_code": exit_code, "exception": exception, "seconds": 600.5}
    records = [{**start, "job_id": None, "commit": "c" * 40}, *([] if exit_code is None else [end])]
    with (folder / "attempts.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in records)


# ---- In the browser ----


@dataclass
class Watch:
    """What pages of a server did beside what they showed: errors and requests to elsewhere fail a test."""

    chromium: Any
    pages: list[tuple[Any, str]] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)  # parts of console messages that a test brings about

    def context(self, **options: Any) -> Any:
        """Make a browser of its own: without cookies."""
        context = self.chromium.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
        context.set_default_timeout(SECONDS * 1000)
        context.add_init_script(LISTEN)
        self.contexts.append(context)
        return context

    def open(self, served: Served, view: str = "", *, context: Any = None, wait: bool = True, **options: Any) -> Any:
        """Open the page of a server, as a person does who was given its address."""
        page = (context or self.context(**options)).new_page()
        self.pages.append((page, served.origin))
        page.on("request", lambda request: self._asked(request.url, served.origin))
        page.on("console", lambda message: self._said(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))
        page.goto(served.address + view)
        if wait:
            page.wait_for_selector("body[data-ready]")
        return page

    def _asked(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:", "about:")):
            self.wrong.append(f"asked elsewhere: {url}")

    def _said(self, message: str) -> None:
        if not any(part in message for part in self.allowed):
            self.wrong.append(message)

    def close(self) -> None:
        """See that nothing was wrong, and close all."""
        pages = [page for page, _ in self.pages if not page.is_closed()]
        violations = [one for page in pages for one in page.evaluate("window.violations")]
        for context in self.contexts:
            context.close()
        assert not self.wrong, "\n".join(self.wrong)
        assert violations == []


def settled(page: Any, condition: str = "true") -> None:
    """Wait until a condition is true in a page that has drawn and fetched all that it wants to."""
    page.wait_for_function(f"() => globalThis.heyhi?.isDrawn() && ({condition})")


@contextlib.contextmanager
def watching(chromium: Any) -> Iterator[Watch]:
    """Watch pages until the end."""
    watch = Watch(chromium)
    try:
        yield watch
    except BaseException:
        for context in watch.contexts:
            context.close()
        raise
    watch.close()
