"""Controllers in the background, with runs on this machine: started once, followed, ended, and the dead ones again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import SECONDS, controllers, until

LOCAL = ("--profile", "local")


def statuses(heyhi: Any, *words: str) -> dict[str, str]:
    """The end of each exp id -> status."""
    rows = json.loads(heyhi("status", "--json", *words).stdout)["experiments"]
    return {row["exp_id"].rpartition("/")[2].rpartition("_")[0]: row["status"] for row in rows}


def test_a_launch_runs_the_sweep_to_its_table_in_a_session_of_its_own(tiny: Any, heyhi: Any) -> None:
    tiny.make_gate(2)
    done = heyhi("launch", *LOCAL)
    assert done.returncode == 0, done.stderr
    assert "3 experiments: NOT_STARTED 3\n3 to start by profiles/local\nstarted controller pid" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(("started: p/work/x=", "done already: p/work/x="))
    (pid,) = controllers(tiny)
    assert os.getsid(pid) not in (os.getsid(0), pid)  # so no terminal can become its own
    assert Path(f"/proc/{pid}/fd/0").resolve() == Path("/dev/null")
    os.kill(pid, signal.SIGHUP)
    tiny.wait_at_gate()
    tiny.open_gate(2)
    until(lambda: not controllers(tiny))
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]
    assert (tiny.root / "results/reports/sweep.csv").exists()
    again = heyhi("launch", *LOCAL)
    assert "nothing to start: all are done" in again.stdout
    assert controllers(tiny) == []


def test_what_is_wrong_is_said_at_once_and_nothing_is_started(tiny: Any, heyhi: Any) -> None:
    for words, said in (
        (["--profile", "locale"], "profile 'locale' is no folder with a config.yaml (did you mean 'local'?)"),
        ([*LOCAL, "conf/sweeep.py"], "'conf/sweeep.py' doesn't exist (did you mean 'conf/sweep.py'"),
        ([*LOCAL, "--cfg", "conf/work.prototxt", "xx=1"], "unknown key 'xx'"),
    ):
        done = heyhi("launch", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
    assert not (tiny.root / "results/.heyhi/controllers").exists()


def test_a_profile_for_slurm_needs_slurm(tiny: Any, heyhi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiny.env, "PATH", "/nowhere")
    done = heyhi("launch")
    assert done.returncode == 2
    assert done.stderr == (
        "error: this machine has no sbatch, by which Slurm takes jobs: heyhi run --profile local, with the same words,"
        " runs them here\n"
    )
    assert not (tiny.root / "results").exists()
    assert heyhi("launch", "--dry-run").returncode == 0


def test_two_terminals_at_once_start_each_experiment_once(tiny: Any, heyhi: Any) -> None:
    (tiny.root / "conf/more.py").write_text(
        "def yield_sweep():\n    for x in (2, 3, 4):\n        yield 'conf/work.prototxt', {'x': x}\n"
    )
    tiny.make_gate(2)
    command = [sys.executable, "-m", "heyhi.cli", "launch", *LOCAL]
    terminals = [
        subprocess.Popen([*command, *words], cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, text=True)
        for words in ([], [], ["conf/more.py"])
    ]
    said = [one.communicate(timeout=SECONDS)[0] for one in terminals]
    assert sum("started controller" in text for text in said) == 2
    assert sum("this is being run already by controller pid" in text for text in said) == 1
    logs = (tiny.root / "results/.heyhi/controllers").glob("sweep-*.log")
    assert [log.read_text().count(": snakemake --profile") for log in logs] == [1]
    tiny.wait_at_gate()
    tiny.open_gate(2)
    until(lambda: not controllers(tiny))
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3", "work 4"]
    assert set(statuses(heyhi).values()) == {"DONE"}


def test_ctrl_c_while_the_first_start_is_waited_for_says_that_the_controller_goes_on(tiny: Any, heyhi: Any) -> None:
    launch = subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", "launch", *LOCAL],
        cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    tiny.started.append(launch)
    assert launch.stdout is not None
    assert any("  stop: " in line for line in iter(launch.stdout.readline, ""))
    launch.send_signal(signal.SIGINT)
    _, err = launch.communicate(timeout=SECONDS)
    assert launch.returncode == 130
    assert err == "Ctrl-C ends only this waiting; the controller goes on, and heyhi cancel conf/sweep.py stops it\n"
    until(lambda: len(tiny.ledger) == 3)


def test_a_killed_controller_is_no_obstacle(tiny: Any, heyhi: Any) -> None:
    tiny.make_gate(1)
    heyhi("launch", *LOCAL)
    tiny.wait_at_gate()
    os.kill(controllers(tiny)[0], signal.SIGKILL)
    until(lambda: "started controller" in heyhi("launch", *LOCAL).stdout)
    tiny.open_gate(1)
    until(lambda: (tiny.root / "results/reports/sweep.csv").exists())
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]


def test_cancel_ends_the_controller_and_its_runs_and_keeps_their_files(tiny: Any, heyhi: Any) -> None:
    for x in (1, 2, 3):
        tiny.make_gate(x)
    heyhi("launch", *LOCAL)
    for _ in range(min(2, os.cpu_count() or 1)):
        tiny.wait_at_gate()
    running = [exp_id for exp_id, status in statuses(heyhi).items() if status == "RUNNING"]
    if len(running) > 1:
        refused = heyhi("cancel", "conf/sweep.py")
        assert refused.returncode == 2
        assert "2 jobs or runs would be cancelled; say --force to do so (there is no terminal" in refused.stderr
    done = heyhi("cancel", "conf/sweep.py", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "controller sweep-" in done.stdout
    assert controllers(tiny) == []
    assert {statuses(heyhi)[exp_id] for exp_id in running} == {"DEAD"}
    assert len(tiny.ledger) == len(running)  # nothing was started in place of it
    assert len(list(tiny.root.glob("results/p/work/*/attempts.jsonl"))) == len(running)


def test_a_snakemake_on_a_terminal_is_seen_to_run_its_sweep_and_ended_with_it(tiny: Any, heyhi: Any) -> None:
    for x in (1, 2, 3):
        tiny.make_gate(x)
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--profile", "profiles/local"],
        cwd=tiny.root, env=tiny.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    tiny.started.append(process)
    tiny.wait_at_gate()
    assert f"controller pid {process.pid} on " in (shown := heyhi("status").stdout) and "runs these" in shown
    done = heyhi("cancel", "conf/sweep.py", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert process.wait(timeout=SECONDS) != 0 and controllers(tiny) == []
    assert "no controller runs " in heyhi("status", "conf/sweep.py").stdout


def test_cancelling_one_experiment_leaves_the_others_and_the_controller(tiny: Any, heyhi: Any) -> None:
    tiny.make_gate(1)
    heyhi("launch", *LOCAL)
    tiny.wait_at_gate()
    (running,) = tiny.root.glob("results/p/work/x=1_*")
    done = heyhi("cancel", f"{running}/result.json")
    assert (done.returncode, f"{running.relative_to(tiny.root / 'results')}: pid" in done.stdout) == (0, True)
    until(lambda: not controllers(tiny))
    assert statuses(heyhi) == {"x=1": "DEAD", "x=2": "DONE", "x=3": "DONE"}
    assert "nothing to cancel: DEAD" in heyhi("cancel", str(running)).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cancel"], "cancel what?"),
        (["cancel", "--all", "conf/sweep.py"], "--all goes without anything named"),
        (["cancel", "p/wrk"], "'p/wrk' is no sweep file, manifest, experiment, job or config"),
        (["cancel", "conf/sweeep.py"], "did you mean 'conf/sweep.py'"),
        (["logs", "p/work"], "is no sweep file, manifest, experiment, job or config"),
        (["retry"], "Say --dead"),
        (["retry", "--ded"], "unknown option '--ded' (did you mean '--dead'?)"),
        (["status", "--watch", "--drift"], "--watch goes without"),
        (["status", "--job", "1", "conf/sweep.py"], "--job ID goes alone"),
    ],
)
def test_a_wrong_command_says_so_in_a_sentence(heyhi: Any, words: list[str], said: str) -> None:
    done = heyhi(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_watch_takes_a_sweep_or_seconds_next(heyhi: Any) -> None:
    heyhi("launch", "--foreground", *LOCAL, "conf/sweep.py")
    for words in (["conf/sweep.py"], ["1", "conf/sweep.py"]):
        done = heyhi("status", "--watch", *words)
        assert done.returncode == 0, done.stderr
        assert "DONE 3" in done.stdout
    for word in ("-3", "nan", "0"):
        done = heyhi("status", "--watch", word)
        assert (done.returncode, f"expected seconds, such as 600, not '{word}'" in done.stderr) == (2, True)


def test_lines_of_a_log_are_a_whole_number(heyhi: Any) -> None:
    for word in ("-5", "x", "1.5"):
        done = heyhi("logs", "p/work", "-n", word)
        assert (done.returncode, f"expected a whole number, such as 20, not '{word}'" in done.stderr) == (2, True)


def test_retry_starts_the_dead_and_what_they_block_and_nothing_else(tiny: Any, heyhi: Any) -> None:
    for x in (2, 9):
        tiny.make_fail(x)
    heyhi("launch", *LOCAL)
    heyhi("launch", "conf/looks.py", *LOCAL)
    until(lambda: not controllers(tiny))
    assert statuses(heyhi, "conf/looks.py") == {"x=9": "DEAD", "x=5": "BLOCKED", "x=6": "BLOCKED"}
    before = sorted(tiny.ledger)
    assert before == ["work 1", "work 2", "work 3", "work 9"]
    for x in (2, 9):
        (tiny.root / f"fail-{x}").unlink()
    dry = heyhi("retry", "--dead", "conf/looks.py", "--dry-run", *LOCAL)
    assert "1 would start again, and 2 that they block" in dry.stdout
    (need,) = tiny.root.glob("results/p/work/x=9_*")
    done = heyhi("retry", "--dead", str(need), *LOCAL)
    assert "1 to start again, and 2 that they block, by profiles/local\nstarted controller" in done.stdout, done.stderr
    until(lambda: not controllers(tiny))
    assert sorted(tiny.ledger) == sorted([*before, "work 9", "look 5", "look 6"])
    assert statuses(heyhi)["x=2"] == "DEAD"
    heyhi("retry", "--dead", *LOCAL)
    until(lambda: not controllers(tiny))
    assert set(statuses(heyhi).values()) == {"DONE"}
    assert "nothing to start: none of 6 experiments is DEAD" in heyhi("retry", "--dead", *LOCAL).stdout


def test_a_launch_in_the_foreground_ends_with_the_sweep(tiny: Any, heyhi: Any) -> None:
    tiny.make_fail(2)
    done = heyhi("launch", "--foreground", *LOCAL)
    assert done.returncode == 1
    assert "ValueError: boom 2" in done.stdout + done.stderr
    assert controllers(tiny) == []


def test_a_log_is_followed_through_a_restart_until_the_run_is_over(tiny: Any, heyhi: Any) -> None:
    tiny.make_gate(1)
    task = tiny.root / "run.py"
    head = "def main(task, cfg, log_level):\n"
    task.write_text(task.read_text().replace(head, f'{head}    print("begun", cfg.x)\n'))
    heyhi("launch", *LOCAL)
    tiny.wait_at_gate()
    (folder,) = tiny.root.glob("results/p/work/x=1_*")
    assert "begun 1" in heyhi("logs", str(folder), "-n", "2").stdout
    shown = tiny.root / "shown"
    with shown.open("w") as out:
        follower = subprocess.Popen(
            [sys.executable, "-m", "heyhi.cli", "logs", "-f", str(folder)], cwd=tiny.root, env=tiny.env, stdout=out
        )
    tiny.started.append(follower)
    until(lambda: "begun 1" in shown.read_text())
    # A log that was put anew, and shorter; a run that isn't held puts its own back.
    pid = json.loads((folder / "claim.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        (folder / "new").write_text("another file\n")
        (folder / "new").replace(folder / "log.txt")
        until(lambda: shown.read_text().endswith("another file\n"))
    finally:
        os.kill(pid, signal.SIGCONT)
    tiny.open_gate(1)
    assert follower.wait(timeout=SECONDS) == 0


def test_following_ends_with_one_where_the_run_dies(tiny: Any, heyhi: Any) -> None:
    tiny.make_fail(1)
    heyhi("launch", *LOCAL)
    until(lambda: not controllers(tiny))
    (folder,) = tiny.root.glob("results/p/work/x=1_*")
    done = heyhi("logs", "-f", str(folder))
    assert (done.returncode, "boom 1" in done.stdout, "DEAD" in done.stderr) == (1, True, True)
    assert heyhi("logs", str(folder)).returncode == 0
    assert heyhi("status", "--watch").returncode == 1


def test_what_has_drifted_is_made_anew_by_a_launch_and_nothing_else_is(tiny: Any, heyhi: Any) -> None:
    assert heyhi("launch", *LOCAL, "--foreground").returncode == 0
    (tiny.root / "conf/work.prototxt").write_text("work { x: 0 size: 7 }\n")
    one = next((tiny.root / "results/p/work").glob("x=1_*"))
    assert heyhi("retry", *LOCAL, "--foreground", "--redo-drifted", "--force", one.name, str(one)).returncode == 2
    assert heyhi("retry", *LOCAL, "--foreground", "--redo-drifted", "--force", str(one)).returncode == 0
    assert tiny.ledger.count("work 1") == 2 and len(tiny.ledger) == 4

    asked = heyhi("launch", *LOCAL, "--foreground", "--redo-drifted")
    assert asked.returncode == 2 and "2 experiments, DONE, would be wiped" in asked.stderr
    assert len(tiny.ledger) == 4
    done = heyhi("launch", *LOCAL, "--foreground", "--redo-drifted", "--force")
    assert done.returncode == 0, done.stderr
    assert "2 to start, 2 of them DONE and wiped before, by profiles/local" in done.stdout
    assert sorted(tiny.ledger) == ["work 1", "work 1", "work 2", "work 2", "work 3", "work 3"]
    assert "drifted" not in heyhi("status", "--drift").stdout
    again = heyhi("launch", *LOCAL, "--redo-drifted")
    assert again.returncode == 0 and "nothing to redo\nnothing to start: all are done" in again.stdout


def test_a_launch_runs_as_many_at_once_as_it_is_told_to_in_the_sweeps_order(tiny: Any, heyhi: Any) -> None:
    order = (4, 2, 6, 1, 5, 3)
    (tiny.root / "conf" / "sweep.py").write_text(
        f'def yield_sweep():\n    for x in {order}:\n        yield "conf/work.prototxt", {{"x": x}}\n'
    )
    done = heyhi("launch", *LOCAL, "--foreground", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert (tiny.root / "ledger.txt").read_text().split("\n")[:-1] == [f"work {x}" for x in order]
