"""Who is told what of a launch: of its first death, and of its end, each once, whoever sees it.

A launch's folder has whom, in a file that only its owner reads, and what was said already. A launch that goes on with
what a killed one has left doesn't say that one's first death again. How it all ended, `heyhi.report.summed_up` finds
out, in a process of its own. Whoever calls this goes on: nothing is raised, and all takes a bounded time.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from heyhi.errors import HeyhiError, reporting_errors
from heyhi.experiment.names import Status
from heyhi.files import parse_json, read_bounded, write_private, writing
from heyhi.notify.forms import Message
from heyhi.notify.sending import send
from heyhi.notify.whom import Whom
from heyhi.project import Project, find_project
from heyhi.streams import guard_streams
from heyhi.sweep.held_note import held_by
from heyhi.sweep.known import label_of
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, NOTE_NAME
from heyhi.sweep.target import exp_ids_of, folders_of
from heyhi.text import duration

FOLDER_NAME = "telling"  # in a launch's folder: a folder for each record of a launch
_WHOM, _DEATH, _END, _BEGAN = "whom.json", "death", "end", "began"
_SUM_SECONDS = 60.0  # that finding out how it all ended may take
_INTERRUPTED = (130, 143, 129)  # exit codes by signals: Ctrl-C, SIGTERM, SIGHUP
_CTRL_C = 130

# Whoever ends one on purpose knows it.
_CANCELLED = re.compile(r"(?:DEAD\W+)?CANCELLED\b")
_ABANDONED_SECONDS = 86_400.0

Warn = Callable[[str], None]


class Launched(Protocol):
    """What is asked of a `ControllerSpec`."""

    @property
    def name(self) -> str:
        """Of the controller."""

    @property
    def launch(self) -> str:
        """Of the launch's record."""

    @property
    def kind(self) -> str:
        """Who stays for it."""

    @property
    def sweeps(self) -> tuple[str, ...]:
        """Sweep files."""

    @property
    def manifests(self) -> tuple[str, ...]:
        """Of the sweeps that are run whole."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Of the experiments beside them."""


class _Noted(NamedTuple):
    """The same, as its note has it."""

    name: str
    launch: str = ""
    kind: str = "local"
    sweeps: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plain:
    """A run of Snakemake that nobody has launched by HeyHi: it is told of while it lives.

    Attributes:
        name: what it is called.
        manifests: as a launch has them.
        targets: likewise.
        sweeps: what its sweeps are called.
        launch: nothing.
        kind: as if it had been launched.
    """

    name: str
    manifests: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()
    launch: str = ""
    kind: str = "local"


def warn(text: str) -> None:
    """Say on standard error what went wrong in telling somebody."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"warning: {text}", file=sys.stderr, flush=True)


class Telling:
    """Tells of one launch.

    Args:
        project: whose experiments it starts.
        spec: what it does.
        whom: are told.
        folder: in which it is kept what was said; None: nowhere, and only this process tells.
        began: when it was launched (seconds since 1970).
        say: how it is said that somebody can't be told.
    """

    def __init__(
        self,
        project: Project,
        spec: Launched,
        whom: Sequence[Whom],
        folder: Path | None = None,
        began: float = 0.0,
        say: Warn = warn,
    ) -> None:
        self._project, self._spec, self._whom, self._folder, self._say = project, spec, tuple(whom), folder, say
        self._began = began or time.time()
        self._marks: set[str] = set()

    @classmethod
    def of(cls, project: Project, spec: Launched, say: Warn = warn) -> Telling | None:
        """Find who is to be told of a launch; None where nobody is, or all is said."""
        return cls.in_folder(project, spec, _folder_of(project, spec.name, spec.launch), say) if spec.launch else None

    @classmethod
    def in_folder(cls, project: Project, spec: Launched, folder: Path, say: Warn = warn) -> Telling | None:
        """Likewise, of what is kept in a folder."""
        found = _read(folder)
        if found is None:
            return None
        made = cls(project, spec, found.whom, folder, found.time, say)
        made._take_over()
        return made

    @property
    def has_begun(self) -> bool:
        """Whether an experiment of it was started."""
        return self._has(_BEGAN)

    @property
    def why_held(self) -> str:
        """Why the launch has held some back; empty where it hasn't."""
        return held_by(self._folder.parent.parent) if self._folder is not None else ""

    def begin(self) -> None:
        """Note that an experiment is started."""
        if not self._has(_BEGAN):
            self._mark(_BEGAN)

    def death(self, exp_id: str, reason: str) -> None:
        """Tell of the first death; of any other one nothing is said, nor of one that somebody has cancelled."""
        if _CANCELLED.match(reason) or self._has(_END):  # what a cancelled launch still says is no news
            return
        if not self._mark(_DEATH):
            return
        self.begin()
        lines = [reason, f"heyhi logs --error {exp_id} shows more", self._where]
        facts = {**self._facts, "exp_id": exp_id, "reason": reason}
        self._send(Message("death", f"{self._name}: first death: {exp_id}", tuple(filter(None, lines)), facts))

    def claim_end(self) -> bool:
        """Have nobody else tell of the end; return whether nobody has."""
        return self._mark(_END)

    def end(self, how: str = "over", why: str = "", *, is_claimed: bool = False) -> None:
        """Tell of the end, unless somebody has.

        Args:
            how: it has ended, in a word.
            why: what else is to be said of that.
            is_claimed: whether `claim_end` was asked before.
        """
        if not is_claimed and not self.claim_end():
            return
        why = why or self.why_held
        found = summed_up(self._project, self._spec)
        counts = {str(status): int(count) for status, count in found.get("counts", {}).items()}
        took = max(0.0, time.time() - self._began)
        title = f"{self._name}: {how}: {_counted(counts)}"
        files = found.get("tables", [])
        lines = [
            why,
            str(found.get("best_line", "")),
            f"table: {', '.join(files)}" if files else "",
            ", ".join(filter(None, [str(found.get("used_line", "")), f"took {duration(took)}"])),
            self._where,
        ]
        known = ("best", "gpu_hours", "cpu_hours", "tables")
        facts = {**self._facts, "how": how, "why": why, "counts": counts, "seconds": round(took, 1)}
        facts |= {name: found[name] for name in known if name in found}
        self._send(Message("end", title, tuple(filter(None, lines)), facts))
        self.forget()

    def drop(self) -> None:
        """Tell nothing of the end, and forget whom."""
        self.claim_end()
        self.forget()

    def forget(self) -> None:
        """Remove the addresses: all is said."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / _WHOM).unlink(missing_ok=True)

    @property
    def _name(self) -> str:
        """What is launched, after the project."""
        spec = self._spec
        label = ", ".join(spec.sweeps[:3])
        if not label and spec.targets:
            label = label_of(exp_ids_of(folders_of(spec.targets, self._project.root), self._project.results_root))
        # Of what the command line has put together, the controller's name begins with what it is called.
        return f"{self._project.name or self._project.root.name}: {label or spec.name.rpartition('-')[0] or spec.name}"

    @property
    def _where(self) -> str:
        return f"in {self._project.root} on {socket.gethostname()}"

    @property
    def _facts(self) -> dict[str, Any]:
        return {
            "project": self._project.name or self._project.root.name,
            "controller": self._spec.name,
            "launch": self._spec.launch,
            "user": _user(),
            "host": socket.gethostname(),
            "project_root": str(self._project.root),
        }

    def _send(self, message: Message) -> None:
        try:
            failures = send(self._whom, message)
        except Exception as error:  # whatever it is, the launch goes on
            failures = [f"nobody was told: {type(error).__name__}"]
        for text in failures:
            if self._mark(f"failed-{text.partition(' was not told')[0].encode().hex()[:100]}"):
                self._say(text)

    def _path(self, name: str) -> Path:
        return (self._folder or Path()) / name

    def _has(self, name: str) -> bool:
        return name in self._marks or (self._folder is not None and self._path(name).exists())

    def _mark(self, name: str) -> bool:
        """Mark something as said; return whether it wasn't."""
        if name in self._marks:
            return False
        self._marks.add(name)
        if self._folder is None:
            return True
        try:
            self._path(name).mkdir()  # one of several succeeds, on all file systems
        except OSError as error:
            # On a disk that is full it is said as well, perhaps twice: that is better than never.
            return not isinstance(error, FileExistsError | FileNotFoundError)
        return True

    def _take_over(self) -> None:
        """Learn from what earlier launches of the name have left: of one that was cut off, what it has said counts."""
        assert self._folder is not None
        if self._has(_BEGAN):
            return
        with contextlib.suppress(OSError):
            for other in self._folder.parent.iterdir():
                if other == self._folder:
                    continue
                if not (other / _END).exists():
                    for mark in (_DEATH, _BEGAN):  # this launch may find all of it done, and still tells the end
                        if (other / mark).exists():
                            self._mark(mark)
                shutil.rmtree(other, ignore_errors=True)


@contextlib.contextmanager
def put_down(project: Project, spec: Launched, whom: Sequence[Whom]) -> Iterator[None]:
    """Write down whom a launch tells, for whoever sees its deaths; take that back where a user's error comes inside.

    Raises:
        ResultError: it can't be written.
    """
    if whom and spec.launch:
        folder = _folder_of(project, spec.name, spec.launch)
        with writing(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(folder / _WHOM, json.dumps({"whom": whom, "time": time.time()}))
    try:
        yield
    except HeyhiError:
        take_back(project, spec)
        raise


def take_back(project: Project, spec: Launched) -> None:
    """Forget whom a launch tells: it has started nothing."""
    if spec.launch:
        folder = _folder_of(project, spec.name, spec.launch)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # something else is in there
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def left_whom(project: Project, name: str) -> tuple[Whom, ...]:
    """Return whom earlier launches of a name were to tell, which were cut off: what goes on with that tells them.

    Args:
        project: whose launches they are.
        name: of the controller.
    """
    found: dict[Whom, None] = {}
    for folder in _left(project, name):
        if (read := _read(folder)) is not None:
            found |= dict.fromkeys(read.whom)
    return tuple(found)


def tell_left(project: Project, name: str) -> None:
    """Tell of the end of launches that were cut off, and of which nothing is left to do.

    Args:
        project: whose launches they are.
        name: of the controller, which is gone.
    """
    for folder in _left(project, name):
        noted = _noted(project.state_root / CONTROLLERS_NAME, name, folder.name)
        if (telling := Telling.in_folder(project, noted, folder)) is not None:
            telling.end()


def abandoned(project: Project, living: Collection[str]) -> list[Path]:
    """Return the folders that have addresses, of launches that nobody has run for a day.

    Args:
        project: whose launches they are.
        living: names of the controllers that live.
    """
    young = time.time() - _ABANDONED_SECONDS
    found = []
    with contextlib.suppress(OSError):
        for place in (project.state_root / CONTROLLERS_NAME).glob(f"*/{FOLDER_NAME}/*/{_WHOM}"):
            with contextlib.suppress(OSError):
                if place.parts[-4] not in living and place.parent.stat().st_mtime < young:
                    found.append(place.parent)
    return sorted(found)


def _left(project: Project, name: str) -> list[Path]:
    """Return the folders of launches of a name of whose end nobody was told."""
    root = project.state_root / CONTROLLERS_NAME / name / FOLDER_NAME
    with contextlib.suppress(OSError):
        return sorted(one for one in root.iterdir() if (one / _WHOM).exists() and not (one / _END).exists())
    return []


def find_telling(project: Project, launch: str, say: Warn = warn) -> Telling | None:
    """Find who is to be told of a launch, by the name of its record."""
    try:
        for folder in (project.state_root / CONTROLLERS_NAME).glob(f"*/{FOLDER_NAME}/{launch}"):
            controller = folder.parent.parent
            return Telling.in_folder(project, _noted(controller.parent, controller.name, launch), folder, say)
    except (OSError, ValueError):
        return None
    return None


def tell_death(project: Project, spec: Launched, exp_id: str, reason: str) -> None:
    """Tell of an experiment that is dead for good, if it is the first one of its launch."""
    if (telling := Telling.of(project, spec)) is not None:
        telling.death(exp_id, reason)


def tell_end(project: Project, spec: Launched, code: int = 0, why: str = "", *, is_here: bool = False) -> None:
    """Tell of the end of a launch.

    Who was ended by a signal says nothing: a user has pressed Ctrl-C, or others go on with what is left; but a terminal
    that is closed ends what runs on it, and nobody reads that.

    Args:
        project: whose experiments it has started.
        spec: what it did.
        code: its exit code.
        why: what else is to be said.
        is_here: whether it has run on a terminal.
    """
    telling = Telling.of(project, spec)
    if telling is None:
        return
    if code in _INTERRUPTED:
        if is_here and code != _CTRL_C and telling.has_begun:
            closed = ": the terminal was closed" if code == 128 + signal.SIGHUP else ""
            telling.end("cut off", f"cut off by {signal.Signals(code - 128).name}{closed}")
        elif is_here or code == _CTRL_C:
            telling.drop()
        return
    is_seen = spec.kind == "local"  # what it was asked to do, somebody has just read
    if telling.has_begun or why or telling.why_held or (code and not is_seen) or spec.kind == "none":
        telling.end("over" if code in (0, 1) else f"ended with exit code {code}", why)
    else:
        telling.drop()


def tell_given_up(project: Project, folder: Path, why: str) -> None:
    """Tell of the end of what can't go on, also where nobody can read what it was.

    Args:
        project: whose experiments it has started.
        folder: of its controller.
        why: it can't.
    """
    with contextlib.suppress(OSError):
        for one in sorted((folder / FOLDER_NAME).iterdir()):
            if (telling := Telling.in_folder(project, _noted(folder.parent, folder.name, one.name), one)) is not None:
                telling.end("given up", why)


class Cancelling:
    """Tells of the end of launches that are cancelled; to be made before their controllers end.

    Args:
        project: whose they are.
        specs: what they were told to do.
    """

    def __init__(self, project: Project, specs: Sequence[Launched | None]) -> None:
        found = [Telling.of(project, spec) for spec in specs if spec is not None]
        self._ends = [one for one in found if one is not None and one.claim_end()]

    def tell(self) -> None:
        """Tell of them."""
        for one in self._ends:
            one.end("cancelled", is_claimed=True)


def summed_up(project: Project, spec: Launched) -> Mapping[str, Any]:
    """Return how the experiments of a launch are, and what came of them; what can't be found out isn't in it."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        # A process of its own: it takes much memory, and whatever goes wrong in it ends nothing.
        done = subprocess.run(
            [sys.executable, "-P", "-m", "heyhi.report.summed_up"],
            input=json.dumps({"manifests": spec.manifests, "targets": spec.targets}).encode(),
            cwd=project.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SUM_SECONDS,
            start_new_session=True,
            check=True,
        )
        found = json.loads(done.stdout)
        return found if isinstance(found, dict) else {}
    return {}


def _counted(counts: Mapping[str, int]) -> str:
    listed = [f"{counts[status.value]} {status.value}" for status in reversed(Status) if counts.get(status.value)]
    if len(listed) == 1 and counts.get(Status.DONE.value, 0) > 1:
        return f"all {listed[0]}"
    return ", ".join(listed) or "how its experiments are can't be found out now: heyhi status says"


class _Addresses(NamedTuple):
    """Who is told of a launch, and when it was launched (seconds since 1970)."""

    whom: tuple[Whom, ...]
    time: float


def _read(folder: Path) -> _Addresses | None:
    """Read what `put_down` wrote; None where there is nothing, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        data = parse_json(read_bounded(folder / _WHOM))
        return _Addresses(tuple(Whom(str(kind), str(address)) for kind, address in data["whom"]), float(data["time"]))
    return None


def _folder_of(project: Project, name: str, launch: str) -> Path:
    return project.state_root / CONTROLLERS_NAME / name / FOLDER_NAME / launch


def _noted(root: Path, name: str, launch: str = "") -> _Noted:
    """Return what a launch was told to do, by its note."""
    note: Any = {}
    with contextlib.suppress(OSError, ValueError):
        note = parse_json(read_bounded(root / name / NOTE_NAME))
    if not isinstance(note, Mapping):
        note = {}
    lists = {key: tuple(map(str, note.get(key) or ())) for key in ("sweeps", "manifests", "targets")}
    return _Noted(name, launch or str(note.get("launch", "")), str(note.get("kind", "local")), **lists)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # without a name on this machine
        return str(os.getuid())


def main(args: Sequence[str]) -> int:
    """Tell of a launch that nobody stays for, for its jobs: `death NAME EXP_ID [REASON]` or `end NAME`."""
    project = find_project(Path.cwd())
    match list(args):
        case ["death", name, exp_id, *reason]:
            spec = _noted(project.state_root / CONTROLLERS_NAME, name)
            tell_death(project, spec, exp_id, " ".join(reason) or _reason(project, exp_id))
        case ["end", name]:
            tell_end(project, _noted(project.state_root / CONTROLLERS_NAME, name))
        case _:
            raise HeyhiError("python -m heyhi.control.telling takes `death NAME EXP_ID [REASON]` or `end NAME`")
    return 0


def _reason(project: Project, exp_id: str) -> str:
    from heyhi.experiment.status import find_state

    with contextlib.suppress(HeyhiError):
        return find_state(project.results_root / exp_id).line
    return ""


if __name__ == "__main__":
    guard_streams(goes_on=True)
    with reporting_errors():
        sys.exit(main(sys.argv[1:]))
