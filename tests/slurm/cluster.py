"""A real Slurm cluster of three nodes on this machine, in one folder: start it, hurt it, stop it.

Starts Debian's own programs directly and stops nothing but what it started. Knows nothing of HeyHi.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import random
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

NODES = ("n1", "n2", "n3")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch", "sacctmgr")
PACKAGES = "slurmctld slurmd slurm-client slurmdbd munge mariadb-server"
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "build" / "slurm"
DEFAULT_PLACE = Path("/etc/slurm/slurm.conf")
# Below what Linux hands out to outgoing connections, so that a port is still free when a daemon comes back to it.
PORTS = range(20_000, 32_000)
# After so many seconds something hangs: a busy machine takes its time, and nobody waits longer than it has to.
PATIENCE = 180.0
LONGEST_SOCKET = 107  # bytes in the path of a Unix socket
# Said by sacctmgr about what is there already.
NOTHING_NEW = ("Nothing new added", "already exists", "Nothing modified")
ACCOUNTING = (
    "add cluster heyhi",
    "add qos small MaxSubmitJobsPerUser=2",
    "add qos short MaxWall=00:05:00 Flags=DenyOnLimit",
    "add account acc,other cluster=heyhi",
    "add account closed cluster=heyhi",
    "modify account acc,other set qos=normal,small,short",
    "add user {user} account=acc,other defaultaccount=acc",
)


class ClusterError(Exception):
    """The cluster does not do what was asked; the message says what to do."""


def user() -> str:
    """The name of who runs this."""
    return pwd.getpwuid(os.getuid()).pw_name


def environment() -> dict[str, str]:
    """This process's environment, where root's programs are found and nothing tells of another Slurm."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SQUEUE"))}
    env["PATH"] = f"{env.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    return env


def missing() -> list[str]:
    """The programs that a cluster needs and this machine lacks."""
    path = environment()["PATH"]
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE, every: float = 0.1) -> None:
    """Ask again and again; give up with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(every)


def born(pid: int) -> str | None:
    """When a process started, in the kernel's ticks: another process with the same number has another one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def listens(path: Path) -> bool:
    """Whether somebody answers at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def bound(port: int) -> socket.socket | None:
    """A socket that holds a port, if it is free."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("", port))
    except OSError:
        server.close()
        return None
    return server


def pick_ports(number: int, before: list[int]) -> list[int]:
    """Ports that are free now; the ones of last time if they are, for jobs that outlived their cluster."""
    held: dict[int, socket.socket] = {}
    try:
        for port in [*before, *random.sample(PORTS, 1000)]:
            if len(held) < number and (server := bound(port)):
                held[port] = server
        return list(held)
    finally:
        for server in held.values():
            server.close()


class Cluster:
    """A cluster in a folder, up or not.

    Args:
        folder: Where all of it is: configuration, sockets, logs, state, the database. Short, because of the sockets.
        around: Returns the words before a daemon's command, by its name; they have to become that command (exec).
    """

    def __init__(self, folder: str | Path, around: Callable[[str], list[str]] = lambda name: []):
        self._around = around
        self.folder = Path(folder).resolve()
        self.conf = self.folder / "slurm.conf"
        self.env = {"SLURM_CONF": str(self.conf)}

    # Its daemons. Each is a process whose number and time of birth are in run/NAME.started.

    def _command(self, name: str) -> list[str]:
        run, log = self.folder / "run", self.folder / "log"
        if name == "munged":
            paths = {
                "key-file": self.folder / "munge.key",
                "socket": run / "munge.socket",
                "pid-file": run / "munge.pid",
            }
            paths |= {"log-file": log / "munged.log", "seed-file": run / "munge.seed"}
            # --force: a temporary folder of one's own is closed to others, which is right here.
            return ["munged", "--foreground", "--force", *(f"--{option}={path}" for option, path in paths.items())]
        if name == "mariadbd":
            options = {"datadir": self.folder / "mysql", "socket": run / "mysql.sock", "pid-file": run / "mysql.pid"}
            return [
                *("mariadbd", "--no-defaults", f"--user={user()}", "--skip-networking"),
                *(f"--{option}={path}" for option, path in options.items()),
                *("--innodb-buffer-pool-size=128M", "--innodb-lock-wait-timeout=900"),
                "--innodb-flush-log-at-trx-commit=2",
            ]
        if name == "slurmdbd":
            return ["slurmdbd", "-D"]
        if name == "slurmctld":
            return ["slurmctld", "-D", "-f", str(self.conf)]
        return ["slurmd", "-D", "-f", str(self.conf), "-N", name.removeprefix("slurmd.")]

    def _started(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.started"

    def pid(self, name: str) -> int | None:
        """The process of a daemon of this cluster (`munged`, `slurmctld`, `slurmd.n1`, …), if it lives."""
        try:
            pid, birth = self._started(name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if born(int(pid)) == birth else None

    def _spawn(self, name: str, env: Mapping[str, str] | None = None) -> None:
        if self.pid(name) is not None:
            return
        # The shell is gone at once: the daemon is nobody's child here, and holds nobody's pipe or terminal.
        script = 'out=$1; shift; "$@" </dev/null >>"$out" 2>&1 & echo $!'
        out = self.folder / "log" / f"{name}.out"
        command = ["sh", "-c", script, "sh", str(out), *self._around(name), *self._command(name)]
        env = environment() | self.env | dict(env or {})
        done = subprocess.run(
            command, env=env, cwd=self.folder, start_new_session=True, stdout=subprocess.PIPE, text=True, check=True
        )
        pid = int(done.stdout)
        started = self._started(name)
        started.with_suffix(".new").write_text(f"{pid} {born(pid)}")
        started.with_suffix(".new").replace(started)

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        def answered() -> bool:
            if self.pid(name) is None:
                log = self.folder / "log" / f"{name}.out"
                raise ClusterError(f"{name} ended at once; the end of {log}:\n{log.read_text()[-1500:]}")
            return condition()

        wait_until(answered, f"{name} answers; its log is in {self.folder / 'log'}")

    def _kill(self, *names: str, signum: int = signal.SIGKILL) -> None:
        pids = {name: pid for name in names if (pid := self.pid(name)) is not None}
        for pid in pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        seconds = PATIENCE if signum == signal.SIGKILL else 30.0  # one that doesn't listen is killed then
        try:
            wait_until(lambda: not any(map(self.pid, pids)), f"{', '.join(pids)} end", seconds, 0.05)
        except ClusterError:
            if signum == signal.SIGKILL:
                raise
            self._kill(*pids)
        for name in names:
            self._started(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out whoever else starts or stops this cluster."""
        with self.folder.with_name(f"{self.folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # Up and down.

    def is_up(self) -> bool:
        """Whether every daemon lives and the controller answers."""
        return self.conf.exists() and all(map(self.pid, self._names())) and self._answers("scontrol", "ping")

    @staticmethod
    def _names() -> list[str]:
        return ["munged", "mariadbd", "slurmdbd", "slurmctld", *(f"slurmd.{node}" for node in NODES)]

    def start(self) -> bool:
        """Start what does not run, and wait until jobs can be submitted.

        Returns:
            False if all of it was up already.

        Raises:
            ClusterError: Programs are missing, the folder's name is too long, or a daemon doesn't come up.
        """
        if lacks := missing():
            raise ClusterError(f"these programs are missing: {', '.join(lacks)}; apt-get install {PACKAGES}")
        longest = self.folder / "spool" / "n1" / "n1_1234567.4294967291"
        if len(str(longest).encode()) > LONGEST_SOCKET:
            raise ClusterError(f"{self.folder} is too long a name for the sockets inside; name a shorter folder")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self.is_up():
                return False
            if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / "ports.json").exists():
                raise ClusterError(f"{self.folder} holds something else; name a folder that is empty or not there")
            for name in ("run", "log", "state", *(f"spool/{node}" for node in NODES), "dev", "tmp"):
                (self.folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
            if not any(map(self.pid, self._names())):
                self._write_configuration()
            self._start_accounting()
            self.start_slurmctld()
            for node in NODES:
                self._spawn(f"slurmd.{node}")
            wait_until(lambda: self.down_nodes() == [], "the nodes report to slurmctld")
        return True

    def _write_configuration(self) -> None:
        saved = self.folder / "ports.json"
        before = json.loads(saved.read_text()) if saved.exists() else []
        # slurmctld, slurmdbd, then the nodes'.
        ports = pick_ports(2 + len(NODES), before)
        saved.write_text(json.dumps(ports))
        fill = {"folder": self.folder, "user": user(), "host": socket.gethostname().partition(".")[0]}
        fill |= {
            "slurmctld_port": ports[0],
            "slurmdbd_port": ports[1],
            "slurmd_ports": f"{ports[2]},{ports[3]}",
            "typed_port": ports[4],
        }
        for name in ("slurm.conf", "slurmdbd.conf"):
            text = Path(__file__).with_name(f"{name}.in").read_text().format(**fill)
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)
        # Slurm looks for devices but never opens them, and takes a GPU's number from the end of the name.
        for number in range(8):
            gpu = self.folder / "dev" / f"gpu{number}"
            gpu.unlink(missing_ok=True)
            gpu.symlink_to("/dev/null")
        gpus = f"Name=gpu File={self.folder}/dev/gpu[0-7]"
        (self.folder / "gres.conf").write_text(f"NodeName=n[1-2] {gpus}\nNodeName=n3 {gpus} Type=v100\n")
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))

    def _start_accounting(self) -> None:
        database, sock = self.folder / "mysql", self.folder / "run" / "mysql.sock"
        # As it starts, MariaDB removes all temporary tables that lie there: in /tmp those of another cluster, too.
        own = {"TMPDIR": str(self.folder / "tmp")}
        self._spawn("munged")
        if not (database / "installed").exists():
            shutil.rmtree(database, ignore_errors=True)
            install = ["mariadb-install-db", "--no-defaults", f"--user={user()}", f"--datadir={database}"]
            # Known by the socket's other end: no password, and nobody else gets in.
            install += ["--auth-root-authentication-method=socket", f"--auth-root-socket-user={user()}"]
            self._run(*install, "--skip-test-db", env=own)
            (database / "installed").touch()
        self._spawn("mariadbd", own)
        self._wait("mariadbd", lambda: listens(sock))
        name = "root" if user() == "root" else user()
        self._run(
            "mariadb", "--no-defaults", "-S", str(sock), "-u", name, "-e", "create database if not exists slurm_acct_db"
        )
        self._wait("munged", lambda: listens(self.folder / "run" / "munge.socket"))
        # The client library's own variable for a socket at another place.
        self._spawn("slurmdbd", {"MYSQL_UNIX_PORT": str(sock)})
        self._wait("slurmdbd", lambda: self._answers("sacctmgr", "-n", "show", "cluster"))
        for line in ACCOUNTING:
            try:
                self.run("sacctmgr", "-i", *line.format(user=user()).split())
            except ClusterError as error:
                if not any(words in str(error) for words in NOTHING_NEW):
                    raise

    def stop(self, wipe: bool = False) -> bool:
        """Cancel the jobs and stop the daemons that this cluster started, and nothing else.

        Args:
            wipe: Remove the folder, too.

        Returns:
            False if nothing of it ran.
        """
        if not (self.folder / "run").is_dir():
            return False
        with self._alone():
            ran = any(map(self.pid, self._names()))
            if self.pid("slurmctld") and self._answers("scancel", "--user", user()):
                with contextlib.suppress(ClusterError):
                    wait_until(lambda: self.jobs() == [], "jobs end", 10)
            self.unlink_default()
            self._kill(*(f"slurmd.{node}" for node in NODES), "slurmctld", signum=signal.SIGTERM)
            self._kill_jobs()
            # One after the other: each still writes to the next.
            for name in ("slurmdbd", "mariadbd", "munged"):
                self._kill(name, signum=signal.SIGTERM)
            if wipe:
                shutil.rmtree(self.folder)
        if wipe:
            self.folder.with_name(f"{self.folder.name}.lock").unlink(missing_ok=True)
        return ran

    # Asking.

    def _run(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            command,
            env=environment() | self.env | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise ClusterError(f"{shlex.join(command)} ended with {done.returncode}: {said}")
        return done.stdout.strip()

    def run(self, *command: str) -> str:
        """Run a command of Slurm on this cluster.

        Returns:
            What it printed.

        Raises:
            ClusterError: It failed; with what it said.
        """
        return self._run(*command)

    def _answers(self, *command: str) -> bool:
        try:
            self._run(*command)
        except (ClusterError, subprocess.TimeoutExpired):
            return False
        return True

    def down_nodes(self) -> list[str]:
        """The nodes that take no jobs now."""
        lines = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
        return [
            node for node, state in map(str.split, lines) if state not in ("idle", "mixed", "allocated", "completing")
        ]

    def jobs(self) -> list[str]:
        """The ids of all jobs that wait or run."""
        return self.run("squeue", "-h", "-o", "%i").split()

    def node_state(self, node: str) -> str:
        """One node's state as sinfo has it, without the marks behind it: idle, mixed, down, drained, unknown, …"""
        return self.run("sinfo", "-h", "-N", "-p", "main", "-n", node, "-o", "%T").rstrip("*~#!%$@^-")

    def recover(self) -> None:
        """Bring back what was killed or set down, and end all jobs."""
        self.start()
        wait_until(lambda: "unknown" not in map(self.node_state, NODES), "the nodes report to slurmctld")
        for node in NODES:
            if self.node_state(node) in ("down", "drained", "draining"):
                self.set_node(node, "resume")
        self.cancel_all()

    def cancel_all(self) -> None:
        """Cancel this user's jobs and wait until they are gone."""
        # Again and again: one that is just being queued again, or handed over, outlives a cancel.
        wait_until(self._cancelled, "all jobs are cancelled", every=0.5)
        self.wait_idle()

    def _cancelled(self) -> bool:
        self.run("scancel", "--user", user())
        return not self.jobs()

    def accounting(self, job: str) -> dict[str, str]:
        """What sacct knows of a job as a whole: State, ExitCode, NodeList, …; empty when it does not know it yet."""
        columns = ("State", "ExitCode", "DerivedExitCode", "NodeList", "AllocTRES", "Reason", "Comment")
        text = self.run("sacct", "-n", "-X", "-P", "-j", job, "-o", ",".join(columns))
        return dict(zip(columns, text.splitlines()[-1].split("|"), strict=True)) if text else {}

    def wait_idle(self) -> None:
        """Wait until no job waits or runs and every node is idle."""

        def idle() -> bool:
            states = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split()
            return not self.jobs() and states == ["idle"] * len(NODES)

        wait_until(idle, "the cluster is idle")

    def wait_saved(self, since: float) -> None:
        """Wait until the controller wrote down its jobs after a moment (`time.time()`) when something changed."""
        saved = self.folder / "state" / "job_state"
        wait_until(lambda: saved.exists() and saved.stat().st_mtime > since, "slurmctld saves its jobs")

    # Hurting.

    def kill_all(self) -> None:
        """End every daemon at once, as a power cut would, and what runs for jobs."""
        self._kill(*self._names())
        self._kill_jobs()

    def kill_slurmctld(self) -> None:
        """End the controller as a crash would.

        What changed in the last seconds may be lost, as Slurm writes it down that late: a job that was just submitted
        is gone, one that just started is thought to wait. See `wait_saved`.
        """
        self._kill("slurmctld")

    def start_slurmctld(self) -> None:
        """Start the controller, and wait until it answers."""
        self._spawn("slurmctld")
        self._wait("slurmctld", lambda: self._answers("scontrol", "ping"))

    def kill_slurmd(self, node: str, jobs: bool = False) -> None:
        """End a node's daemon as a crash would; its jobs go on unless they are named to die too, as by a power cut."""
        self._kill(f"slurmd.{node}")
        if jobs:
            self._kill_jobs(node)

    def start_slurmd(self, node: str) -> None:
        """Start a node's daemon, and wait until the node takes jobs again."""
        self._spawn(f"slurmd.{node}")
        wait_until(lambda: node not in self.down_nodes(), f"{node} is back")

    def set_node(self, node: str, state: str) -> None:
        """Set a node `down`, `drain` or `resume`, as its administrator would."""
        self.run("scontrol", "update", f"NodeName={node}", f"State={state.upper()}", "Reason=test")

    @contextlib.contextmanager
    def closed(self, partition: str = "main") -> Iterator[None]:
        """Have a partition start no job: one that is queued again can then be looked at for as long as it takes."""
        self.run("scontrol", "update", f"PartitionName={partition}", "State=DOWN")
        try:
            yield
        finally:
            self.run("scontrol", "update", f"PartitionName={partition}", "State=UP")

    def _kill_jobs(self, node: str | None = None) -> None:
        while pids := self.leftovers(node):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def leftovers(self, node: str | None = None) -> list[int]:
        """What runs for jobs of this cluster, on one node or all: known by the environment that slurmd gave it."""
        conf = f"SLURM_CONF={self.conf}".encode()
        found: dict[int, bool] = {}  # and whether it is a slurmstepd
        for path in Path("/proc").glob("[0-9]*"):
            try:
                variables = (path / "environ").read_bytes().split(b"\0")
                step = (path / "comm").read_text().strip() == "slurmstepd"
                parent = Path("/proc", (path / "stat").read_text().rpartition(")")[2].split()[1])
                under_step = (parent / "comm").read_text().strip() == "slurmstepd"
            except OSError:
                continue
            nodes = [value.partition(b"=")[2].decode() for value in variables if value.startswith(b"SLURMD_NODENAME=")]
            if conf in variables and (nodes or step) and (node is None or node in nodes):
                found[int(path.name)] = step
                # A slurmstepd may not have its node in its environment, but what it started has.
                if under_step:
                    found[int(parent.name)] = True
        # Those first: they would still report that their job was killed.
        return sorted(found, key=lambda pid: not found[pid])

    def catches(self, signum: int) -> bool:
        """Whether something that runs for a job of this cluster, Slurm itself aside, has a handler for a signal."""
        for pid in self.leftovers():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            if facts["Name"] != "slurmstepd" and int(facts["SigCgt"], 16) >> (signum - 1) & 1:
                return True
        return False

    # The place where programs look that were not told.

    def link_default(self, place: Path = DEFAULT_PLACE) -> None:
        """Put a link to this cluster's configuration at Slurm's default place, for programs that drop SLURM_CONF.

        Raises:
            ClusterError: Something is there already, or it can't be put there.
        """
        try:
            place.symlink_to(self.conf)
        except FileExistsError:
            if not self._is_linked(place):
                raise ClusterError(f"{place} is there and not of this cluster: left as it is") from None
        except OSError as error:
            raise ClusterError(f"cannot make {place}: {error.strerror}") from error

    def unlink_default(self, place: Path = DEFAULT_PLACE) -> None:
        """Remove the link at Slurm's default place if it is this cluster's."""
        if self._is_linked(place):
            place.unlink()

    def _is_linked(self, place: Path) -> bool:
        return place.is_symlink() and place.readlink() == self.conf


def main(arguments: list[str] | None = None) -> int:
    """Start, stop or look at a cluster from a shell."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm.cluster", description=__doc__)
    parser.add_argument("action", choices=("up", "down", "status", "env"))
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER, help="default: %(default)s")
    parser.add_argument("--keep", action="store_true", help="down: leave the folder, to come up again with its queue")
    parser.add_argument(
        "--default-place", action="store_true", help=f"up: also link {DEFAULT_PLACE}, if nothing is there"
    )
    asked = parser.parse_args(arguments)
    cluster = Cluster(asked.folder)
    export = f"export SLURM_CONF={shlex.quote(str(cluster.conf))}"
    try:
        if asked.action == "up":
            before = time.monotonic()
            new = cluster.start()
            print(f"# up, after {time.monotonic() - before:.1f} s" if new else "# it is up already")
            if asked.default_place:
                cluster.link_default()
            print(export)
        elif asked.action == "down":
            ran = cluster.stop(wipe=not asked.keep)
            print(f"stopped {cluster.folder}" if ran else f"nothing of {cluster.folder} ran")
        elif not cluster.is_up():
            print(f"{cluster.folder} is not up: make slurm-up", file=sys.stderr)
            return 1
        else:
            print(export if asked.action == "env" else cluster.run("sinfo"))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
