"""A controller whose disk is full: who looks next is told so, and with room again the same launch goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SECONDS, Tiny

TASK = """
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x}\\n")
    while (ROOT / "wait").exists():
        time.sleep(0.05)
    return {"y": cfg.x}
"""
# Runs where the results are on a disk of 4 MB.
DRIVER = """
import contextlib, os, re, subprocess, sys, time
from pathlib import Path


def heyhi(*words):
    done = subprocess.run([sys.executable, "-m", "heyhi.cli", *words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    print("$", *words, "->", done.returncode)
    print(done.stdout, flush=True)
    return done.stdout


def wait_for_end(pid):
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.05)


Path("wait").touch()
said = heyhi("launch", "--profile", "profiles/local", "--jobs", "1")
controller, run = (int(re.search(rf"{name}.* ?pid (\\\\d+)", said)[1]) for name in ("started controller", "started: "))
(log,) = Path("results/.heyhi/controllers").glob("*.log")
for name in ("results/filler", log):  # the log's last block, too
    with open(name, "ab", buffering=0) as file:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\\n" * size):
                    pass
os.kill(run, 9)
wait_for_end(controller)
print("FULL")
heyhi("status")
heyhi("launch", "--profile", "profiles/local")
os.remove("results/filler")
os.remove("wait")
print("ROOM")
said = heyhi("launch", "--profile", "profiles/local")
wait_for_end(int(re.search(r"controller pid (\\\\d+)", said)[1]))
heyhi("status")
"""


def test_the_next_look_names_the_full_disk_and_with_room_the_same_launch_goes_on(tiny: Tiny, tmp_path: Path) -> None:
    (tiny.root / "run.py").write_text(TASK)
    (tiny.root / "results").mkdir()
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.replace("\\\\", "\\"))
    script = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(tiny.root / "results"), sys.executable, str(driver)],
        cwd=tiny.root, env={**tiny.env, "PYTHONUNBUFFERED": "1"}, text=True, timeout=SECONDS,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if "unshare:" in done.stdout or "mount:" in done.stdout:
        pytest.skip(f"no mounts here: {done.stdout.strip()}")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    full, _, room = done.stdout.partition("FULL\n")[2].partition("ROOM\n")

    status, _, launch = full.partition("$ launch")
    last = status.partition("the last one ended at ")[2].splitlines()
    assert "with exit code 1 (results/.heyhi/controllers/sweep-" in last[0], status
    assert last[1].strip().startswith("No space left on device: "), status
    assert last[1].endswith(".log"), status
    assert "-> 2\n" in launch and "can't be written: No space left on device" in launch

    assert "DONE 3" in room
    assert (tiny.root / "ledger.txt").read_text().split().count("1") <= 2
    assert sorted(set((tiny.root / "ledger.txt").read_text().split())) == ["1", "2", "3"]
