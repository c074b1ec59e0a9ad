"""A run whose claim another has taken: it ends, with all that it has started, and writes nothing more."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from heyhi.errors import LostClaimError
from heyhi.experiment import claim as claim_module
from heyhi.experiment import claim_chain
from heyhi.experiment.claim import read_owner
from heyhi.experiment.names import Status
from heyhi.experiment.records import Start
from heyhi.experiment.status import find_state
from heyhi.job import saving
from heyhi.job.saving import save_result_in_cwd
from tests.processes import is_gone

# Beats often; one that is killed is so soon.
FAST = "claim.HEARTBEAT_SECONDS = 0.02; ending.KILL_SECONDS = 0.3"
GIVE = """
def main(task, cfg, log_level):
    meet("ready")
    meet("go")
    return {"y": 1}
"""
HANG = """
def main(task, cfg, log_level):
    meet("ready")
    while True:
        signal.pause()
"""


def only_started(lab: Any) -> bool:
    """Whether neither a result nor an end was written, and the claim is another's."""
    folder = lab.folder()
    owner = read_owner(folder.path)
    records = folder.attempts()
    return not folder.result_path.exists() and list(map(type, records)) == [Start] and owner is not None


def test_a_run_that_has_lost_its_claim_ends_and_says_who_has_it(task_lab: Any) -> None:
    process = task_lab.start(HANG, FAST)
    task_lab.meet("ready")
    owner = task_lab.take_over()
    code, out, err = task_lab.end(process)
    assert (code, out) == (1, "")
    assert f"was taken over by {owner.describe()}: this run was ended and has written no result" in err
    assert err.startswith(f"{task_lab.experiment().exp_id}: the claim ") and err.count("\n") == 1
    assert only_started(task_lab)
    assert find_state(task_lab.folder().path) == (Status.RUNNING, owner.describe())
    assert f"taken over by {owner.describe()}" in task_lab.folder().log_path.read_text()


@pytest.mark.parametrize("how", ["return {'y': 1}", "return None", "raise ValueError('x')", "sys.exit(3)"])
def test_right_before_its_result_a_run_looks_whether_it_has_its_claim(task_lab: Any, how: str) -> None:
    """Long before the next beat."""
    process = task_lab.start(GIVE.replace('return {"y": 1}', how))
    task_lab.meet("ready")
    owner = task_lab.take_over()
    task_lab.meet("go")
    code, _, err = task_lab.end(process)
    assert code == 1 and owner.describe() in err and only_started(task_lab)


def test_a_main_that_catches_what_ends_it_is_killed_with_what_it_has_started(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            child = subprocess.Popen(["sh", "-c", "sleep 1000 & echo $! > grandchild; wait"], start_new_session=True)
            while not os.path.exists("grandchild") or not open("grandchild").read():
                time.sleep(0.01)
            pathlib.Path("child").write_text(str(child.pid))
            meet("ready")
            while True:
                try:
                    while True:
                        signal.pause()
                except SystemExit:
                    print("not me")
        """
    process = task_lab.start(main, FAST)
    task_lab.meet("ready")
    owner = task_lab.take_over()
    code, _, err = task_lab.end(process)
    assert code == -signal.SIGKILL
    assert owner.describe() in err and "is killed" in err
    folder = task_lab.folder()
    assert only_started(task_lab) and "not me" in folder.log_path.read_text()
    for name in ("child", "grandchild"):
        assert is_gone(int((folder.path / name).read_text()))


def test_a_call_of_c_is_killed(task_lab: Any) -> None:
    main = """
        import ctypes

        def main(task, cfg, log_level):
            meet("ready")
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # as a library that sees to signals itself
            ctypes.CDLL(None).sleep(1000)
            return {"slept": True}
        """
    process = task_lab.start(main, FAST)
    task_lab.meet("ready")
    task_lab.take_over()
    assert task_lab.end(process)[0] == -signal.SIGKILL and only_started(task_lab)


def test_what_a_main_leaves_running_that_ends_in_time_is_killed(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            child = subprocess.Popen(["sleep", "1000"])
            pathlib.Path("child").write_text(str(child.pid))
            meet("ready")
            signal.pause()
        """
    process = task_lab.start(main, "claim.HEARTBEAT_SECONDS = 0.02")
    task_lab.meet("ready")
    task_lab.take_over()
    assert task_lab.end(process)[0] == 1
    assert is_gone(int((task_lab.folder().path / "child").read_text()))


def test_a_checkpoint_is_not_written_where_another_works(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            heyhi.maybe_init_requeue_handler(lambda: pathlib.Path("checkpoint").touch())
            meet("ready")
            try:
                signal.pause()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)  # another's, as Slurm sends it to all
        """
    # A job: then the callback counts.
    wrapper = FAST + (
        "\nfrom heyhi.job.notice import Notice"
        "\nreal = runner.Signals\nrunner.Signals = lambda notice=None: real(Notice())"
    )
    process = task_lab.start(main, wrapper)
    task_lab.meet("ready")
    task_lab.take_over()
    assert task_lab.end(process)[0] == 1
    assert not (task_lab.folder().path / "checkpoint").exists() and only_started(task_lab)


def test_a_result_is_not_saved_where_another_works(task_lab: Any) -> None:
    """Not by a process that main has started, either: that knows the claim by its environment."""
    main = """
        def main(task, cfg, log_level):
            meet("ready")
            meet("go")
            code = "import heyhi; heyhi.save_result_in_cwd({'child': True})"
            ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            print("child:", ended.stderr)
            heyhi.save_result_in_cwd({"y": 1})
        """
    process = task_lab.start(main, "claim.HEARTBEAT_SECONDS = 600")  # no beat tells it before
    task_lab.meet("ready")
    owner = task_lab.take_over()
    task_lab.meet("go")
    assert task_lab.end(process)[0] == 1 and only_started(task_lab)
    log = task_lab.folder().log_path.read_text()
    assert "child: Traceback" in log and "LostClaimError" in log and log.count(owner.describe()) >= 2


def test_a_result_is_saved_by_a_process_that_main_has_started(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            code = "import heyhi; heyhi.save_result_in_cwd({'child': True})"
            subprocess.run([sys.executable, "-c", code], check=True)
        """
    assert task_lab.run(main) == (0, "", "")
    assert task_lab.folder().read_result() == {"child": True}


def test_a_claim_that_cannot_be_read_is_not_lost(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = claim_chain.read_link

    def main(**_: object) -> dict[str, int]:
        def unreadable(path: Path) -> object:
            monkeypatch.setattr(claim_chain, "read_link", real)
            raise claim_chain.unreadable(path, OSError(5, "Input/output error"))

        monkeypatch.setattr(claim_chain, "read_link", unreadable)
        return {"y": 1}

    assert task_lab.execute(main).done


def test_a_claim_that_is_not_seen_at_first_is_not_lost(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As over NFS, where a file was put in place by another host just now."""
    real = claim_chain.read_link

    def main(**_: object) -> dict[str, int]:
        def unseen(path: Path) -> object:
            monkeypatch.setattr(claim_chain, "read_link", real)

        monkeypatch.setattr(claim_chain, "read_link", unseen)
        return {"y": 1}

    assert task_lab.execute(main).done


def test_a_program_goes_on_after_a_run_that_has_lost_its_claim(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "HEARTBEAT_SECONDS", 0.02)

    def main(**_: object) -> None:
        task_lab.take_over()
        signal.pause()

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(LostClaimError, match="taken over by pid 7 on host elsewhere"):
        task_lab.execute(main)
    assert signal.getsignal(signal.SIGTERM) is before and saving.CLAIM_VARIABLE not in os.environ
    assert only_started(task_lab) and task_lab.execute(lambda **_: {}, lr=2).done


def test_a_run_in_another_thread_ends_without_a_signal(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "HEARTBEAT_SECONDS", 0.02)
    raised: list[BaseException] = []

    def main(**_: object) -> None:
        task_lab.take_over()
        while True:
            threading.Event().wait(0.001)

    def run() -> None:
        try:
            task_lab.execute(main)
        except LostClaimError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert len(raised) == 1 and only_started(task_lab)


def test_a_result_is_saved_in_a_folder_of_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(saving.CLAIM_VARIABLE, f"0123 {tmp_path.parent}")
    save_result_in_cwd({"y": 1})
    assert (tmp_path / "result.json").exists()


@pytest.mark.parametrize("catches", [False, True])
def test_a_step_of_ranks_ends_with_its_runner(task_lab: Any, srun: None, catches: bool) -> None:
    main = f"""
        import heyhi.job.ending
        heyhi.job.ending.KILL_SECONDS = 0.3

        def main(task, cfg, log_level):
            heyhi.maybe_init_requeue_handler(lambda: pathlib.Path("checkpoint").touch())
            rank = os.environ["RANK"]
            pathlib.Path("rank" + rank).write_text(str(os.getpid()))
            while not os.path.exists("rank0") or not os.path.exists("rank1"):
                time.sleep(0.01)
            if rank == "0":
                meet("ready")
            while True:
                try:
                    while True:
                        time.sleep(1000)
                except SystemExit:
                    print("told")
                    if not {catches}:
                        raise
        """
    wrapper = "claim.HEARTBEAT_SECONDS = 0.02; ending.KILL_SECONDS = 5\nsys.argv += ['--tasks', '2']"
    process = task_lab.start(main, wrapper)
    task_lab.meet("ready")
    owner = task_lab.take_over()
    code, _, err = task_lab.end(process)
    assert code == 1 and owner.describe() in err, err
    folder = task_lab.folder()
    assert only_started(task_lab) and not (folder.path / "checkpoint").exists()
    for rank in (0, 1):
        assert is_gone(int((folder.path / f"rank{rank}").read_text()))
        assert "told" in folder.log_path_of(rank).read_text()
