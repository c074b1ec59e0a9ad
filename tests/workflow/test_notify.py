"""Who is told of a launch, of what and how often, by a webhook on this machine; and that its address stays secret."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.listener import TOKEN, Listener, listening

from .conftest import SECONDS, controllers, until

LOCAL = ("--profile", "local")
Heyhi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


def having_token(root: Path) -> list[Path]:
    """Files that have it."""
    return [path for path in root.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return "".join(found)


def log_of(tiny: Any) -> str:
    return "".join(path.read_text() for path in (tiny.root / "results/.heyhi/controllers").glob("*.log"))


def test_the_first_death_and_the_end_are_told_once_each_and_the_address_is_nowhere(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    tiny.make_fail(1)
    tiny.make_fail(3)
    tiny.make_gate(2)
    done = heyhi("launch", *LOCAL, "--notify", listener.url)
    assert done.returncode == 0, done.stderr
    assert f"tells:   http://{listener.host}/… of the first death and of the end" in done.stdout
    until(lambda: listener.got)
    (death,) = listener.got
    assert death.form["event"] == "death"
    assert "first death: p/work/x=" in death.form["text"]
    assert "DEAD: exit code 1: ValueError: boom" in death.form["text"]
    (whom,) = having_token(tiny.root)
    assert stat.S_IMODE(whom.stat().st_mode) == 0o600
    assert TOKEN not in command_lines()
    tiny.wait_at_gate()
    tiny.open_gate(2)
    until(lambda: not controllers(tiny))
    assert listener.events == ["death", "end"]
    end = listener.got[1].form
    assert end["counts"] == {"DONE": 1, "DEAD": 2}
    assert end["text"].startswith(f"{tiny.root.name}: conf/sweep.py: over: 2 DEAD, 1 DONE\n")
    assert "best loss: 2 (min), x=2\n" in end["text"]
    assert "table: results/reports/sweep.csv" in end["text"]
    assert end["best"]["exp_id"].startswith("p/work/x=2_")
    assert having_token(tiny.root) == []
    for command in (["status", "--sweeps"], ["status", "--json"], ["status", "--sweeps", "--json"]):
        assert TOKEN not in heyhi(*command).stdout
    (launch,) = json.loads(heyhi("status", "--sweeps", "--json").stdout)["launches"]
    assert launch["command"][-2:] == ["--notify", f"http://{listener.host}/…"]


def test_a_canary_that_dies_is_told_and_the_end_says_what_was_held_back(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    tiny.make_fail(1)
    done = heyhi("run", "--canary", "--notify", listener.url)
    assert done.returncode == 1, done.stderr
    assert listener.events == ["death", "end"]
    assert listener.got[1].form["why"].startswith("held back: canary p/work/x=1")
    assert listener.got[1].form["counts"] == {"NOT_STARTED": 2, "DEAD": 1}


def test_a_launch_that_goes_on_after_a_kill_tells_no_second_first_death(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    tiny.make_fail(1)
    tiny.make_gate(2)
    heyhi("launch", *LOCAL, "--notify", listener.url)
    until(lambda: listener.got)
    tiny.wait_at_gate()
    (pid,) = controllers(tiny)
    os.kill(pid, signal.SIGKILL)
    again = heyhi("launch", *LOCAL, "--notify", listener.url)
    assert "started controller" in again.stdout
    tiny.open_gate(2)
    until(lambda: " exit code 1\n" in log_of(tiny))
    assert listener.events == ["death", "end"]
    # The next launch is one of its own.
    heyhi("launch", *LOCAL, "--notify", listener.url)
    until(lambda: log_of(tiny).count(" exit code 1\n") >= 2)
    assert listener.events == ["death", "end", "death", "end"]


def test_who_was_to_be_told_by_a_killed_launch_is_told_by_the_one_that_goes_on(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    tiny.make_gate(2)
    heyhi("launch", *LOCAL, "--notify", listener.url)
    tiny.wait_at_gate()
    (pid,) = controllers(tiny)
    os.kill(pid, signal.SIGKILL)
    again = heyhi("launch", *LOCAL)
    assert f"tells:   http://{listener.host}/…" in again.stdout
    tiny.open_gate(2)
    until(lambda: listener.got)
    until(lambda: not controllers(tiny))
    assert listener.events == ["end"]
    assert having_token(tiny.root) == []


def test_a_command_that_finds_nothing_left_tells_the_end_that_a_killed_launch_was_to_tell(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    tiny.make_gate(3)
    heyhi("launch", *LOCAL, "--jobs", "3", "--notify", listener.url)
    tiny.wait_at_gate()
    until(lambda: len(list(tiny.root.glob("results/p/work/*/result.json"))) == 2)
    (pid,) = controllers(tiny)
    os.kill(pid, signal.SIGKILL)
    tiny.open_gate(3)
    until(lambda: len(list(tiny.root.glob("results/p/work/*/result.json"))) == 3)
    (whom,) = having_token(tiny.root)
    old = shutil.copytree(whom.parent, whom.parent.with_name("old"))
    os.utime(old, (0, 0))
    heyhi("clean", "--force")  # a day later
    assert not old.exists()
    assert having_token(tiny.root) == [whom]
    assert "told http://" in heyhi("launch", *LOCAL).stdout
    assert listener.events == ["end"]
    assert "over: all 3 DONE" in listener.got[0].form["text"]
    assert having_token(tiny.root) == []
    assert "told http://" not in heyhi("launch", *LOCAL).stdout


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGTERM])
def test_a_run_whose_terminal_is_closed_tells_the_end(tiny: Any, listener: Listener, sign: signal.Signals) -> None:
    tiny.make_gate(1)
    run = subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", "run", *LOCAL, "--notify", listener.url],
        cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    tiny.started.append(run)
    tiny.wait_at_gate()
    run.send_signal(sign)
    run.communicate(timeout=SECONDS)
    assert run.returncode == 128 + sign
    assert listener.events == ["end"]
    assert listener.got[0].form["why"].startswith(f"cut off by {sign.name}")
    assert having_token(tiny.root) == []


def test_no_run_gets_the_variable_that_has_the_address_and_one_in_the_settings_is_warned_of(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    seen = tiny.root / "seen.txt"
    run = tiny.root / "run.py"
    run.write_text(f"{run.read_text()}\nimport os\nopen({str(seen)!r}, 'a').write(os.environ.get('LAB_HOOK', 'no'))\n")
    tiny.env["LAB_HOOK"] = listener.url
    done = heyhi("run", *LOCAL, "--notify", "env:LAB_HOOK")
    assert done.returncode == 0, done.stderr
    assert listener.events == ["end"]
    assert set(seen.read_text()) == set("no")
    (tiny.root / "pyproject.toml").write_text(f'[tool.heyhi]\nsweep = "conf/sweep.py"\nnotify = ["{listener.url}"]\n')
    (tiny.root / "conf/other.py").write_text('def yield_sweep():\n    yield "conf/work.prototxt", {"x": 9}\n')
    warned = heyhi("launch", *LOCAL, "--dry-run", "conf/other.py").stderr
    assert f"http://{listener.host}/…: copies of the code hold it" in warned
    assert TOKEN not in warned
    assert heyhi("notify", "none").stdout == "none: nobody is told\n"


def test_an_address_that_fails_is_said_once_and_stops_nothing(tiny: Any, heyhi: Heyhi, listener: Listener) -> None:
    tiny.make_fail(1)
    listener.answers = [(404, {})] * 9
    done = heyhi("run", *LOCAL, "--notify", listener.url)
    assert done.returncode == 1
    assert len(listener.got) == 2
    assert done.stderr.count(f"http://{listener.host}/… was not told: it answered 404 Not Found") == 1
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr + done.stdout
    assert len(tiny.ledger) == 3


def test_a_run_of_snakemake_tells_whom_the_settings_name(tiny: Any, listener: Listener) -> None:
    (tiny.root / "pyproject.toml").write_text(
        '[tool.heyhi]\nname = "lab"\nsweep = "conf/sweep.py"\nnotify = ["env:LAB_HOOK", "env:NOT_SET"]\n'
    )
    tiny.env["LAB_HOOK"] = listener.url
    tiny.make_fail(2)
    done = tiny.snakemake("--quiet")
    assert done.returncode == 1
    assert listener.events == ["death", "end"]
    assert listener.got[1].form["text"].startswith("lab: conf/sweep.py: over: 1 DEAD, 2 DONE\n")
    assert done.stderr.count("notify: env:NOT_SET: no environment variable NOT_SET is set") == 1
    (tiny.root / "fail-2").unlink()
    assert tiny.snakemake().returncode == 0
    assert listener.events == ["death", "end", "end"]
    assert "over: all 3 DONE" in listener.got[2].form["text"]
    assert tiny.snakemake().returncode == 0  # with nothing to do
    assert len(listener.got) == 3
    assert having_token(tiny.root) == []


def test_a_run_that_is_tried_again_is_not_dead(tiny: Any, listener: Listener) -> None:
    task = (tiny.root / "run.py").read_text()
    fails = "if cfg.x == 1 and (ROOT / 'fail-1').exists():"
    tried = f"{fails}\n        (ROOT / 'fail-1').unlink()\n        raise ValueError('at first')"
    (tiny.root / "run.py").write_text(task.replace("    if (ROOT", f"    {tried}\n    if (ROOT", 1))
    (tiny.root / "pyproject.toml").write_text(f'[tool.heyhi]\nsweep = "conf/sweep.py"\nnotify = ["{listener.url}"]\n')
    tiny.make_fail(1)
    done = tiny.snakemake("--retries", "1")
    assert done.returncode == 0, done.stderr
    assert tiny.ledger.count("work 1") == 2
    assert listener.events == ["end"]


def test_a_launch_with_nothing_to_do_and_a_dry_run_tell_nobody(tiny: Any, heyhi: Heyhi, listener: Listener) -> None:
    dry = heyhi("launch", *LOCAL, "--dry-run", "--notify", listener.url, "--notify", "command:true")
    assert f"would tell http://{listener.host}/…, command:true of the first death and of the end" in dry.stdout
    assert not listener.got
    heyhi("run", *LOCAL, "--notify", "none")
    done = heyhi("run", *LOCAL, "--notify", listener.url)
    assert "nothing to start" in done.stdout
    assert not listener.got


def test_a_wrong_address_starts_nothing_and_is_not_shown(tiny: Any, heyhi: Heyhi) -> None:
    for text in (f"htps://lab.org/{TOKEN}", TOKEN, "", f"command:no-such-program {TOKEN}", "env:NOT_SET"):
        done = heyhi("launch", *LOCAL, "--notify", text)
        assert done.returncode == 2
        assert done.stderr.startswith("error: --notify: ")
        assert TOKEN not in done.stderr + done.stdout
    assert not (tiny.root / "results/.heyhi/controllers").exists()
    assert tiny.ledger == []
    (tiny.root / "pyproject.toml").write_text(f'[tool.heyhi]\nsweep = "conf/sweep.py"\nnotify = "{TOKEN}"\n')
    done = heyhi("launch", *LOCAL)
    assert "[tool.heyhi] notify must be a list of strings" in done.stderr
    assert TOKEN not in done.stderr


def test_who_cancels_a_launch_in_the_background_has_it_told(tiny: Any, heyhi: Heyhi, listener: Listener) -> None:
    tiny.make_gate(1)
    heyhi("launch", *LOCAL, "--notify", listener.url)
    tiny.wait_at_gate()
    assert heyhi("cancel", "conf/sweep.py", "--force").returncode == 0
    assert listener.events == ["end"]
    assert ": conf/sweep.py: cancelled: " in listener.got[0].form["text"]
    assert having_token(tiny.root) == []


def test_ctrl_c_tells_nobody(tiny: Any, listener: Listener) -> None:
    tiny.make_gate(1)
    run = subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", "run", *LOCAL, "--notify", listener.url],
        cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    tiny.started.append(run)
    tiny.wait_at_gate()
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=SECONDS)
    assert run.returncode == 130
    assert not listener.got
    assert having_token(tiny.root) == []


def test_a_second_launch_of_what_is_run_leaves_whom_the_first_one_tells(
    tiny: Any, heyhi: Heyhi, listener: Listener
) -> None:
    tiny.make_gate(1)
    heyhi("launch", *LOCAL, "--notify", listener.url)
    tiny.wait_at_gate()
    with listening() as other:
        second = heyhi("launch", *LOCAL, "--notify", other.url)
        assert "this is being run already" in second.stdout
        assert "tells:   nobody" in second.stdout
        tiny.open_gate(1)
        until(lambda: not controllers(tiny))
        assert not other.got
    assert listener.events == ["end"]
    assert "over: all 3 DONE" in listener.got[0].form["text"]


def test_a_trial_of_a_search_that_is_dead_is_told(tiny: Any, heyhi: Heyhi, listener: Listener) -> None:
    for x in (1, 2, 3):
        tiny.make_fail(x)
    done = heyhi(
        "search", *LOCAL, "--cfg", "conf/work.prototxt", "--space", "x=1,2,3", "--min", "y", "--trials", "3",
        "--notify", listener.url,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert listener.events == ["death", "end"]
    assert "ValueError: boom" in listener.got[0].form["text"]


def test_the_end_of_a_search_counts_the_trials_that_were_held_back(tiny: Any, heyhi: Heyhi, listener: Listener) -> None:
    tiny.make_fail(1)
    tiny.make_fail(2)
    tiny.make_fail(3)
    done = heyhi(
        "search", *LOCAL, "--cfg", "conf/work.prototxt", "--space", "x=1,2,3", "--min", "y", "--trials", "3",
        "--canary", "--notify", listener.url,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert listener.events == ["death", "end"]
    assert listener.got[1].form["counts"] == {"DEAD": 1, "NOT_STARTED": 2}
