"""Experiments of several tasks on a real cluster: their ranks, their signals, and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# Each start of a rank is a file in `told`, with what it saw; `do` says what it does then.
TASK = """
import json, os, signal, sys, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT",
         "SLURM_PROCID", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES")


def tell(name, text=""):
    made = ROOT / "told" / f".{name}"
    made.parent.mkdir(exist_ok=True)
    made.write_text(text)
    made.rename(made.with_name(name))


def wait(name):
    while not (ROOT / name).exists():
        tell(f"lives{heyhi.get_job_env().rank}")
        time.sleep(0.05)


def main(task, cfg, log_level):
    env = heyhi.get_job_env()
    rank = env.rank
    tell(f"rank{rank}", json.dumps({name: os.environ.get(name) for name in NAMES}))
    print("said by rank", rank)
    if cfg.do == "read":
        assert sys.stdin.read() == ""
    if cfg.do == "save":
        heyhi.save_result_in_cwd({"saved by": rank})
        return None
    if cfg.do.startswith("fail"):
        if rank == int(cfg.do[4:]):
            raise ValueError(f"boom")
        wait("go")
        raise OSError("lost a rank")
    if cfg.do.startswith("prune"):
        if rank == 0:
            from heyhi.experiment.slots import SearchDir
            from heyhi.job.pruning import rungs_of
            from heyhi.sweep.search_spec import AshaSpec, SearchSpec

            heyhi.maybe_init_requeue_handler(lambda: Path("checkpoint").write_text("3"))
            search = SearchDir(ROOT, "0123456789abcdef")
            spec = SearchSpec("c", (), (), "acc", "max", 9, stop=AshaSpec(3, 3))
            for slot, value in enumerate((0.9, 0.8, 0.7)):
                (listener,) = rungs_of(search.slot(slot), spec)
                try:
                    listener({"step": 3, "acc": value})
                finally:
                    tell("leaves", str(slot))
        if cfg.do == "prune and miss":
            while not (ROOT / "told" / "leaves").exists() or (ROOT / "told" / "leaves").read_text() != "2":
                time.sleep(0.05)
            raise OSError("lost a rank")
        wait("go")
    if cfg.do == "teardown" and rank == 1:
        import atexit
        atexit.register(os.kill, os.getpid(), signal.SIGSEGV)
        wait("go")
    if cfg.do == "crash" and rank == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if cfg.do == "crash":
        wait("go")
    if cfg.do == "leave" and rank == 1:
        os._exit(0)
    if cfg.do in ("exit9", "kill"):
        if rank != 2:
            wait("go")
        os._exit(9) if cfg.do == "exit9" else os.kill(os.getpid(), signal.SIGKILL)
    if cfg.do == "own":
        signal.signal(signal.SIGUSR2, lambda *_: tell(f"warned{rank}"))
        wait("go")
    if cfg.do == "train":
        done = Path("checkpoint")

        def save():
            tell(f"warned{rank}")
            wait("may save")
            # As one does that is in the middle of something that all ranks do together.
            since = time.time()
            other = ROOT / "told" / "lives1"
            while not other.exists() or other.stat().st_mtime < since + 0.5:  # it may still be starting
                time.sleep(0.05)
            done.write_text(str(step))

        step = int(done.read_text()) if done.exists() else 0
        heyhi.maybe_init_requeue_handler(save)
        while step < cfg.steps:
            wait(f"step{step + 1}")
            step += 1
            tell(f"made{step}.{rank}")
    return {"rank": rank, "path": os.getcwd()}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
FOUR = ("launcher.slurm.num_gpus=4", "launcher.slurm.gpus_per_node=2")
TWO = ("launcher.slurm.num_gpus=2",)


@pytest.fixture
def ranks(lab: Any) -> Any:
    (lab.root / "run.py").write_text(TASK)
    return lab


def launch(lab: Any, *overrides: str) -> str:
    done = lab.run("x=1", *overrides)
    assert done.returncode == 0, done.stderr
    return str(lab.job(1))


def status(lab: Any) -> tuple[str, str]:
    row = lab.statuses()[1]
    return row["status"], row["reason"]


def told(lab: Any, name: str) -> Path:
    path: Path = lab.root / "told" / name
    return path


def ended(lab: Any) -> list[dict[str, Any]]:
    path = lab.folder(1) / "attempts.jsonl"
    return [a for a in lab.attempts(1) if a["event"] == "end"] if path.exists() else []


def warn(job: str) -> bool:
    return subprocess.run(["scancel", "--signal=USR2", "--batch", job], capture_output=True).returncode == 0


def test_two_nodes_of_two_tasks_are_four_ranks_and_the_first_one_s_result_counts(ranks: Any, until: Until) -> None:
    job = launch(ranks, "do=read", *FOUR)
    until(lambda: ended(ranks))
    assert ranks.result(1) == {"rank": 0, "path": str(ranks.folder(1))}
    seen = [json.loads(told(ranks, f"rank{rank}").read_text()) for rank in range(4)]
    assert [s["RANK"] for s in seen] == [s["SLURM_PROCID"] for s in seen] == ["0", "1", "2", "3"]
    assert [s["LOCAL_RANK"] for s in seen] == ["0", "1", "0", "1"]
    assert [s["NODE_RANK"] for s in seen] == ["0", "0", "1", "1"]
    assert {(s["WORLD_SIZE"], s["LOCAL_WORLD_SIZE"]) for s in seen} == {("4", "2")}
    # The names of these nodes are known to Slurm alone.
    assert {s["MASTER_ADDR"] for s in seen} == {"127.0.0.1"}
    assert {s["MASTER_PORT"] for s in seen} == {str(10_000 + int(job) % 20_000)}
    assert {s["CUDA_VISIBLE_DEVICES"] for s in seen} == {"0,1"}
    folder = ranks.folder(1)
    assert "said by rank 0" in (folder / "log.txt").read_text()
    assert (folder / "log.2.txt").read_text() == "said by rank 2\n"
    assert not list(folder.glob(".ranks*"))
    # What the first one had loaded, and the code of the copy.
    start, end = ranks.attempts(1)
    state = next(parent / ".heyhi" for parent in folder.parents if (parent / ".heyhi").is_dir())
    packages = json.loads((state / "environments" / f"{end['environment']}.json").read_text())["packages"]
    assert "protobuf" in packages
    assert start["code"] == json.loads((folder / "code.json").read_text())["code"]
    assert "run.py" in json.loads((state / "versions" / f"{start['code']}.json").read_text())["files"]


def test_only_the_first_rank_saves_a_result(ranks: Any, until: Until) -> None:
    launch(ranks, "do=save", *TWO)
    until(lambda: ended(ranks))
    assert ranks.result(1) == {"saved by": 0}


@pytest.mark.parametrize("rank", [0, 1])
def test_what_the_rank_raised_that_failed_first_is_the_reason(ranks: Any, until: Until, rank: int) -> None:
    launch(ranks, f"do=fail{rank}", *FOUR)
    until(lambda: ended(ranks))
    assert status(ranks) == ("DEAD", "exit code 1: ValueError: boom")
    log = (ranks.folder(1) / "log.txt").read_text()
    assert f"rank {rank} was the first to end" in log
    assert 'raise ValueError(f"boom")' in (ranks.folder(1) / ("log.txt" if rank == 0 else "log.1.txt")).read_text()


@pytest.mark.parametrize(
    ("do", "tasks", "reason"),
    [
        ("crash", TWO, "rank 1 on n1: signal 11 (SIGSEGV)"),
        ("leave", TWO, "rank 1: exit code 0, before main returned"),
        ("exit9", FOUR, "rank 2 on n2: exit code 9"),
        ("kill", FOUR, "rank 2 on n2: signal 9 (SIGKILL)"),
    ],
)
def test_a_rank_that_ends_without_a_word_is_the_reason(
    ranks: Any, until: Until, do: str, tasks: tuple[str, ...], reason: str
) -> None:
    launch(ranks, f"do={do}", *tasks)
    until(lambda: ended(ranks))
    assert status(ranks) == ("DEAD", reason)


@pytest.mark.parametrize("do", ["prune", "prune and miss"])
def test_ranks_end_together_where_a_search_ends_them_early(ranks: Any, cluster: Any, until: Until, do: str) -> None:
    """Also where the others fail as they miss the first one."""
    job = launch(ranks, f"do={do}", *FOUR)
    until(lambda: ended(ranks))
    assert status(ranks) == ("PRUNED", "ended at step 3: acc 0.7, among the worst 2 of 3")
    assert [a["reason"] for a in ended(ranks)] == ["pruned"]
    assert (ranks.folder(1) / "checkpoint").read_text() == "3"
    until(lambda: not cluster.leftovers())
    assert job not in subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout


def test_a_crash_after_main_has_returned_spoils_no_result(ranks: Any, until: Until) -> None:
    launch(ranks, "do=teardown", *TWO)
    until(lambda: told(ranks, "rank1").exists() and told(ranks, "rank0").exists())
    ranks.allow()
    until(lambda: ended(ranks))
    assert status(ranks) == ("DONE", "")


def test_a_warning_reaches_every_rank(ranks: Any, until: Until) -> None:
    job = launch(ranks, "do=own", *FOUR)
    until(lambda: all(told(ranks, f"rank{rank}").exists() for rank in range(4)))
    until(lambda: warn(job) and all(told(ranks, f"warned{rank}").exists() for rank in range(4)))
    ranks.allow()
    until(lambda: status(ranks)[0] == "DONE")


def test_a_warning_of_the_first_moment_reaches_ranks_that_still_start(ranks: Any, cluster: Any, until: Until) -> None:
    job = launch(ranks, "do=train", *FOUR, "launcher.slurm.extra=--hold")
    ranks.allow("may save")
    subprocess.run(["scontrol", "release", job], check=True)
    # The script's shell listens by then; Python takes longer to start.
    until(lambda: cluster.catches(signal.SIGUSR2))
    assert warn(job)
    until(lambda: told(ranks, "warned0").exists())
    until(lambda: [a["reason"] for a in ended(ranks)][:1] == ["requeue"])


def test_a_warned_experiment_goes_on_from_the_first_rank_s_checkpoint(ranks: Any, cluster: Any, until: Until) -> None:
    job = launch(ranks, "do=train", *FOUR)
    ranks.allow_steps(1, 2)
    until(lambda: all(told(ranks, f"made2.{rank}").exists() for rank in range(4)))
    with cluster.closed():
        assert warn(job)
        until(lambda: told(ranks, "warned0").exists())
        ranks.allow("may save")
        until(lambda: status(ranks)[0] == "PENDING")
    assert (ranks.folder(1) / "checkpoint").read_text() == "2"
    assert [path.name for path in told(ranks, "").glob("warned*")] == ["warned0"]
    ranks.allow_steps(3, 3)
    # Not within the second in which it was ended: the nodes take no credential of that one any more.
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+2"], check=True)
    until(lambda: status(ranks)[0] == "DONE")
    assert [a["kind"] for a in ranks.attempts(1) if a["event"] == "start"] == ["first", "requeue"]
    assert [a["reason"] for a in ended(ranks)] == ["requeue", "done"]


def test_a_cancelled_experiment_writes_its_checkpoint_first(ranks: Any, until: Until) -> None:
    job = launch(ranks, "do=train", *FOUR)
    ranks.allow_steps(1, 1)
    until(lambda: all(told(ranks, f"made1.{rank}").exists() for rank in range(4)))
    subprocess.run(["scancel", job], check=True)
    until(lambda: told(ranks, "warned0").exists())
    ranks.allow("may save")
    until(lambda: status(ranks)[0] == "DEAD")
    assert (ranks.folder(1) / "checkpoint").read_text() == "1"
    assert status(ranks)[1].startswith(f"CANCELLED (job {job}")


def test_no_rank_outlives_the_runner(ranks: Any, cluster: Any, until: Until) -> None:
    launch(ranks, "do=own", *FOUR)
    until(lambda: all(told(ranks, f"rank{rank}").exists() for rank in range(4)))
    (start,) = ranks.attempts(1)
    subprocess.run(["kill", "-9", str(start["pid"])], check=True)
    until(lambda: not cluster.leftovers())
    until(lambda: status(ranks)[0] == "DEAD")
