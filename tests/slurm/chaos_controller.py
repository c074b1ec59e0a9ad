"""The chaos test with a controller that is a job: it is killed, cancelled, and told to hand over."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from chaos_troubles import Troubles
from cluster import ClusterError

HOURS = 2 / 60  # of each controller
_LOOK_SECONDS = 1.0


class Jobs:
    """The controllers of a launch, one after another, as if they were one process."""

    def __init__(self, troubles: JobTroubles) -> None:
        self._troubles = troubles
        self._asked = 0.0
        self.returncode: int | None = None
        self.pid = 0

    def poll(self) -> int | None:
        """Return the last one's exit code once there is none any more; None before."""
        if self.returncode is None and time.monotonic() > self._asked + _LOOK_SECONDS:
            self._asked = time.monotonic()
            with contextlib.suppress(ClusterError):
                if not self._troubles.controllers():
                    codes = re.findall(r"^\S+ exit code (\d+)$", self._troubles.controller_log(), re.MULTILINE)
                    self.returncode = int(codes[-1]) if codes else 1
        return self.returncode


@dataclass
class JobTroubles(Troubles):
    """What can be done where the controller is a job."""

    code_of_cancelled: ClassVar[int | None] = 128 + signal.SIGTERM

    def controllers(self) -> list[dict[str, str]]:
        """Ask for the jobs that are controllers, or will be."""
        return [job for job in self.jobs() if " controller " in job["comment"]]

    def controller_log(self) -> str:
        """Return what all controllers have said."""
        logs = self.project.root.glob("results/.heyhi/controllers/*.log")
        return "".join(path.read_text() for path in logs)

    def launch(self) -> None:
        """Launch, by the same command each time."""
        if self.controller is not None and self.controller.poll() is None:
            return
        self.controller = None
        self.launches += 1
        for _ in range(4):
            done = self.project.python("-m", "heyhi.cli", "launch", "--controller", "slurm")
            said = (done.stdout + done.stderr).strip()
            with self.project.log.open("a") as log:
                log.write(f"{said}\n")
            if "Traceback" in said:
                self.book.wrong(f"launch {self.launches}: {said[-1000:]}")
            if not done.returncode:
                break
            time.sleep(3)
        self.book.say("launch", f"{self.launches}, exit code {done.returncode}: {said.splitlines()[-1][:120]}")
        made: Any = Jobs(self)
        self.controller = made

    def kill_controller(self) -> bool:
        """End a controller, by one of the ways in which that happens."""
        rng = self.draws.next("kill controller")
        running = [job for job in self.controllers() if job["state"] == "RUNNING"]
        if not running:
            return False
        job, how = running[0], rng.choice(["kill", "kill", "notice", "cancel"])
        if how == "kill":
            pids = re.findall(rf"pid (\d+): snakemake in job {job['id']}$", self.controller_log(), re.MULTILINE)
            for pid in pids[-1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        else:
            words = ["--signal=USR2", "--batch"] if how == "notice" else []
            with contextlib.suppress(ClusterError):
                self.cluster.run("scancel", *words, job["id"])
        self.book.say("kill controller", f"job {job['id']}: {how}", [job["id"]])
        return True

    def end_controller(self) -> None:
        """End it for good."""
        for job in self.controllers():
            self.cluster.run("scancel", job["id"])

    def facts(self) -> dict[str, Any]:
        """Return what the book has to say of the controllers."""
        log = self.controller_log()
        return {
            "controllers": len(re.findall(r": snakemake in job \d+$", log, re.MULTILINE)),
            "handed over": log.count("hands over to job"),
        }
