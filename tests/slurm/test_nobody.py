"""`heyhi launch --controller none` on a real cluster: all is submitted, nothing stays, jobs see to themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]
ALONE = ("launch", "--controller", "none", "-y")


@pytest.fixture(autouse=True)
def nothing_left(lab: Any) -> Iterator[None]:
    yield
    lab.heyhi("cancel", "--all", "--force")


def launch(lab: Any, *words: str) -> str:
    done = lab.heyhi(*ALONE, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def kinds(lab: Any, x: int) -> list[str]:
    return [one["kind"] for one in lab.attempts(x) if one["event"] == "start"]


def states(lab: Any) -> dict[int, str]:
    return {x: row["status"] for x, row in lab.statuses().items()}


def ours(lab: Any) -> list[str]:
    """Command lines of processes that work in the project, and in no job of Slurm's."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_its = (entry / "cwd").readlink().is_relative_to(lab.root)
            if entry.name.isdigit() and is_its and b"SLURM_JOB_ID=" not in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def end_of(lab: Any) -> dict[str, Any]:
    (path,) = lab.root.glob("results/.heyhi/controllers/*/jobs.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_nothing_of_a_launch_stays_and_its_last_job_makes_the_table(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2, 3)))
    said = launch(lab)
    assert "submitted: 3 jobs; nothing of this launch stays here" in said
    assert ours(lab) == []
    assert f"its end: job {end_of(lab)['closing']} makes the table" in said
    assert "3 jobs by themselves, without a controller, run these" in lab.heyhi("status").stdout
    until(lambda: sorted(lab.ledger) == [1, 2, 3])
    lab.allow()
    until(lambda: (lab.root / "results/reports/sweep.csv").exists() and not end_of(lab)["closing"])
    assert [*states(lab).values()] == ["DONE"] * 3
    assert "by themselves" not in lab.heyhi("status").stdout
    assert len(list(lab.root.glob("results/reports/sweep/*.csv"))) == 1


def test_the_same_again_submits_nothing_and_a_controller_adopts_what_is_there(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2)))
    launch(lab)
    before = end_of(lab)
    assert "nothing submitted: 2 jobs by themselves, without a controller, run these already" in launch(lab)
    assert end_of(lab) == before
    assert "started controller pid" in lab.heyhi("launch").stdout
    (log,) = lab.root.glob("results/.heyhi/controllers/sweep-*.log")
    until(lambda: log.read_text().count("which has it") == 2 and sorted(lab.ledger) == [1, 2])
    lab.allow()
    until(lambda: log.read_text().count("exit code 0") == 2)
    assert sorted(lab.ledger) == [1, 2] and [*states(lab).values()] == ["DONE", "DONE"]


def test_what_fails_is_queued_again_with_the_same_job_on_another_node_as_often_as_its_launcher_says(
    lab: Any, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "fail", "launcher.slurm.max_attempts": 2})
    launch(lab)
    job = lab.job(1)
    until(lambda: not end_of(lab)["closing"])
    assert kinds(lab, 1) == ["first", "retry"] and lab.job(1) == job
    nodes = [one["nodes"] for one in lab.attempts(1) if one["event"] == "start"]
    assert nodes[0] != nodes[1]
    row = lab.statuses()[1]
    assert (row["status"], row["reason"]) == ("DEAD", "exit code 1: ValueError: boom")
    assert json.loads((lab.folder(1) / "job.json").read_text())["asked"]["exclude"] == [nodes[0]]


def test_a_run_that_is_killed_is_tried_again_and_one_that_is_cancelled_is_not(
    lab: Any, cluster: Any, until: Until
) -> None:
    lab.sweep(*({"x": x, "do": "wait", "launcher.slurm.max_attempts": 2} for x in (1, 2)))
    launch(lab)
    until(lambda: sorted(lab.ledger) == [1, 2])
    start = lab.attempts(1)[0]
    os.kill(start["pid"], signal.SIGKILL)
    cluster.run("scancel", lab.job(2))
    until(lambda: sorted(lab.ledger) == [1, 1, 2])
    lab.allow()
    until(lambda: not end_of(lab)["closing"])
    assert states(lab) == {1: "DONE", 2: "DEAD"}
    assert kinds(lab, 1) == ["first", "retry"]
    assert lab.statuses()[2]["reason"].startswith("CANCELLED")


def test_a_job_that_waits_for_its_next_attempt_says_of_what_the_last_one_died(
    lab: Any, cluster: Any, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "wait", "launcher.slurm.max_attempts": 2})
    launch(lab)
    until(lambda: lab.ledger == [1])
    with cluster.closed():
        os.kill(lab.attempts(1)[0]["pid"], signal.SIGKILL)
        until(lambda: states(lab) == {1: "PENDING"})
        reason = lab.statuses()[1]["reason"]
        assert re.fullmatch(rf"job {lab.job(1)} waits.*, to be tried again: attempt 1: signal 9 .SIGKILL.", reason), (
            reason
        )
    lab.allow()
    until(lambda: not end_of(lab)["closing"])
    assert states(lab) == {1: "DONE"}


def test_one_whose_time_is_up_is_tried_again_with_more(lab: Any, until: Until) -> None:
    ask = {"launcher.slurm.hours": 0.015, "launcher.slurm.timeout_hours_factor": 4, "launcher.slurm.max_attempts": 2}
    lab.sweep({"x": 1, "do": "wait", **ask})
    launch(lab)
    until(lambda: lab.ledger == [1, 1])
    lab.allow()
    until(lambda: not end_of(lab)["closing"])
    assert states(lab) == {1: "DONE"} and kinds(lab, 1) == ["first", "retry"]
    assert [one["reason"] for one in lab.attempts(1) if one["event"] == "end"][-2:] == ["TIMEOUT", "done"]
    assert json.loads((lab.folder(1) / "job.json").read_text())["hours"] == pytest.approx(0.06)


def need_and_user(lab: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows of what is needed, and of what needs it."""
    rows = json.loads(lab.heyhi("status", "--json").stdout)["experiments"]
    need, user = sorted(rows, key=lambda row: "after=" in row["exp_id"])
    return need, user


def kill_need(lab: Any) -> None:
    lines = (Path(need_and_user(lab)[0]["exp_path"]) / "attempts.jsonl").read_text().splitlines()
    os.kill(json.loads(lines[-1])["pid"], signal.SIGKILL)


def test_what_needs_another_waits_for_its_job_also_while_that_is_tried_again(lab: Any, until: Until) -> None:
    need = "{{exp conf/work.prototxt x=1 do=wait launcher.slurm.max_attempts=2}}"
    lab.sweep({"x": 2, "after": need})
    assert "submitted: 2 jobs" in launch(lab)
    until(lambda: lab.ledger == [1])
    assert need_and_user(lab)[1]["reason"].endswith("waits: Dependency")
    kill_need(lab)
    until(lambda: lab.ledger == [1, 1])
    lab.allow()
    until(lambda: not end_of(lab)["closing"])
    assert [row["status"] for row in need_and_user(lab)] == ["DONE", "DONE"] and lab.ledger == [1, 1, 2]


def test_what_needs_a_dead_one_is_blocked_by_it_and_a_retry_submits_both(lab: Any, until: Until) -> None:
    lab.sweep({"x": 2, "after": "{{exp conf/work.prototxt x=1 do=wait}}"})
    launch(lab)
    until(lambda: lab.ledger == [1])
    kill_need(lab)
    until(lambda: not end_of(lab)["closing"])
    need, user = need_and_user(lab)
    assert (need["status"], user["status"]) == ("DEAD", "BLOCKED")
    assert re.fullmatch(r"by p/work/\S+, DEAD: signal 9 \(SIGKILL\)", user["reason"])
    lab.allow()
    again = lab.heyhi("retry", "--dead", "--controller", "none")
    assert again.returncode == 0 and "submitted: 2 jobs" in again.stdout, again.stdout + again.stderr
    until(lambda: [row["status"] for row in need_and_user(lab)] == ["DONE", "DONE"])
    assert lab.ledger == [1, 1, 2]


@pytest.mark.parametrize(
    ("point", "words", "why"),
    [
        ({"x": 1, "launcher.slurm.pack": 2}, (), "launcher.slurm.pack=2"),
        ({"x": 1}, ("--jobs", "1"), "--jobs 1: somebody has to count"),
        ({"x": 1, "launcher.slurm.qos": "small"}, (), "these are 3 jobs, but QOS 'small' lets 2 wait or run at once"),
        ({"x": 1, "after": "{{file data.txt}}"}, (), "needs the file data.txt"),
        ({"x": 1, "after": "{{best conf/tune.py max=y}}"}, (), "which isn't chosen yet"),
        ({"x": 1, "launcher.slurm.max_attempts": 2, "launcher.slurm.requeue": False}, (), "with requeue=false"),
    ],
)
def test_what_somebody_has_to_stay_for_is_refused(
    lab: Any, cluster: Any, point: dict[str, Any], words: tuple[str, ...], why: str
) -> None:
    (lab.root / "workflows/own.smk").write_text('rule data:\n    output: "data.txt"\n    shell: "touch {output}"\n')
    (lab.root / "conf/tune.py").write_text('def yield_sweep():\n    yield "conf/work.prototxt", {"x": 9}\n')
    lab.sweep(*({**point, "steps": steps} for steps in (1, 2, 3)))
    done = lab.heyhi(*ALONE, *words)
    assert done.returncode == 2 and why in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and cluster.jobs() == []
    assert not list(lab.root.glob("results/p/*")) and not list(lab.root.glob("results/.heyhi/launches/*"))


def test_a_launch_that_is_killed_half_way_is_gone_on_with_by_the_same_command(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in range(1, 13)))
    process = lab.follow(*ALONE)
    until(lambda: len(list(lab.root.glob("results/p/work/*/job.json"))) >= 3)
    process.kill()
    process.wait()
    there = len(list(lab.root.glob("results/p/work/*/job.json")))
    assert there < 12
    said = launch(lab)
    assert int(re.search(r"submitted: (\d+) jobs", said)[1]) <= 12 - there  # type: ignore[index]
    until(lambda: sorted(lab.ledger) == list(range(1, 13)))
    jobs = [row["job_id"] for row in lab.statuses().values()]  # of the one that was just being noted only it knows
    assert sorted(jobs) == sorted(set(jobs)) and set(jobs) <= set(end_of(lab)["jobs"])
    lab.allow()
    until(lambda: not end_of(lab)["closing"])
    assert sorted(lab.ledger) == list(range(1, 13))


def test_cancel_ends_the_jobs_and_the_one_that_waits_for_their_end(lab: Any, cluster: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2)))
    launch(lab)
    closing = end_of(lab)["closing"]
    done = lab.heyhi("cancel", "conf/sweep.py", "--force")
    assert done.returncode == 0 and f"job {closing}, which waits for its end, cancelled" in done.stdout, done.stdout
    until(lambda: cluster.jobs() == [])
    assert set(states(lab).values()) == {"DEAD"}
    assert "by themselves" not in lab.heyhi("status").stdout


def test_where_slurm_takes_no_more_half_way_the_same_command_submits_the_rest(
    lab: Any, until: Until, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    real = shutil.which("sbatch")
    (programs / "sbatch").write_text(
        f'#!/bin/bash\ncase "$*" in *--test-only*|*afterany*) exec {real} "$@" ;; esac\n'
        f"if ! mkdir {tmp_path}/place1 2> /dev/null && ! mkdir {tmp_path}/place2 2> /dev/null; then\n"
        "  echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2\n"
        "  echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2\n  exit 1\nfi\n"
        f'exec {real} "$@"\n'
    )
    (programs / "sbatch").chmod(0o755)
    lab.sweep(*({"x": x, "do": "wait"} for x in range(1, 10)))
    path = lab.env["PATH"]
    lab.env["PATH"] = f"{programs}:{path}"
    done = lab.heyhi(*ALONE)
    assert done.returncode == 1 and "submitted: 2 jobs" in done.stdout, done.stdout + done.stderr
    assert "7 are left: the same command submits them" in done.stdout and "QOSMaxSubmitJobPerUserLimit" in done.stdout
    assert [*states(lab).values()].count("NOT_STARTED") == 7
    assert "no controller runs the 7 that are NOT_STARTED" in lab.heyhi("status").stdout
    lab.env["PATH"] = path
    assert "submitted: 7 jobs" in launch(lab)
    lab.allow()
    until(lambda: not end_of(lab)["closing"])
    assert sorted(lab.ledger) == list(range(1, 10))


def test_the_settings_may_say_that_nobody_stays(lab: Any, until: Until) -> None:
    lab.settings('controller = "none"')
    done = lab.heyhi("launch", "-y")
    assert done.returncode == 0 and "submitted: 1 job; nothing of this launch stays here" in done.stdout
    until(lambda: lab.ledger == [1])


def test_a_search_is_refused(lab: Any, cluster: Any) -> None:
    (lab.root / "conf/search.py").write_text(
        "import heyhi\nSEARCH = heyhi.Search(cfg='conf/work.prototxt', space={'x': [1, 2]}, max='y', trials=2)\n"
    )
    done = lab.heyhi(*ALONE, "conf/search.py")
    assert done.returncode == 2 and "somebody has to stay who starts the next ones" in done.stderr
    assert cluster.jobs() == []


def test_a_launch_whose_last_job_slurm_does_not_take_is_well_and_says_what_makes_the_table(
    lab: Any, until: Until, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(
        "#!/bin/bash\n"
        'case "$*" in *afterany*) echo "sbatch: error: Batch job submission failed: never" >&2; exit 1 ;; esac\n'
        f'exec {shutil.which("sbatch")} "$@"\n'
    )
    (programs / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{programs}:{lab.env['PATH']}"
    lab.sweep(*({"x": x} for x in range(1, 6)))
    done = lab.heyhi(*ALONE)
    assert done.returncode == 0 and "submitted: 5 jobs" in done.stdout, done.stdout + done.stderr
    assert "warning: no job makes the table at the end" in done.stderr and "heyhi report does" in done.stderr
    until(lambda: [*states(lab).values()] == ["DONE"] * 5)
    ids = [int(lab.job(x)) for x in range(1, 5)]
    assert ids == sorted(ids)
