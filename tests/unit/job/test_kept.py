"""A task that empties, closes, moves or removes its own folder, or a person who does so while it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.owner import Owner
from heyhi.experiment.records import End, Start
from heyhi.experiment.status import find_state
from heyhi.experiment.unclaimed import find_owner
from heyhi.job import runner
from tests.unit.job.test_beat import FAST, beat_of, beats, wait_until

EMPTIES = {
    "rmtree of the working directory": "shutil.rmtree('.', ignore_errors=True)",
    "all files": "each(os.remove, os.listdir())",
    "all records": "each(os.remove, [name for name in os.listdir() if '.json' in name])",
    "cut short": "each(lambda name: open(name, 'w').close(), os.listdir())",
    "folders in their place": "each(lambda name: (os.remove(name), os.mkdir(name)), os.listdir())",
}
REMOVES = {
    "removed": "shutil.rmtree(os.getcwd())",
    "made anew": "folder = os.getcwd(); shutil.rmtree(folder); os.mkdir(folder)",
    "moved": "os.rename(os.getcwd(), os.getcwd() + '.old')",
}
EACH = """
import contextlib, shutil

def each(do, names):  # what is put back meanwhile, or is gone
    for name in names:
        with contextlib.suppress(OSError):
            do(name)
"""
RECORDS = ["attempts.jsonl", "config.prototxt", "config_flat.json", "identity.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name in (*RECORDS, "result.json"))


def is_whole(folder: ExperimentDir) -> bool:
    paths = [*(folder.path / name for name in RECORDS), folder.claim_path]
    return all(path.is_file() and path.stat().st_size for path in paths)


@pytest.mark.parametrize("how", EMPTIES)
def test_a_task_that_empties_its_folder_is_running_and_then_done(task_lab: Any, how: str) -> None:
    main = f"""
        def main(task, cfg, log_level):
            print("before")
            {EMPTIES[how]}
            meet("ready")
            meet("go")
            print("after", flush=True)
            return {{"y": 1}}
        """
    folder = task_lab.folder()  # before: in between it may be refused as one that holds files of no experiment
    process = task_lab.start(EACH + textwrap.dedent(main), FAST)
    task_lab.meet("ready")
    wait_until(lambda: is_whole(folder))
    assert find_state(folder.path).status is Status.RUNNING
    assert isinstance(Claim.acquire(folder.path), Owner)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "")
    assert names(folder.path) == [*RECORDS, "result.json"] and folder.read_result() == {"y": 1}
    folder.check(task_lab.experiment())
    assert [type(record) for record in folder.attempts()] == [Start, End]
    if how not in ("cut short", "folders in their place"):
        log = folder.log_path.read_text()
        assert "before" in log and "after" in log
    assert not folder.claim_path.exists() and not list(folder.path.glob(".*tmp"))


def test_a_task_that_empties_its_folder_at_its_end_is_done(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            each(os.remove, os.listdir())
            os.mkdir("result.json")
            return {"y": 1}
        """
    assert task_lab.run(EACH + textwrap.dedent(main)) == (0, "", "")  # at the usual pace: long before the next look
    folder = task_lab.folder()
    assert names(folder.path) == [*RECORDS, "result.json"] and folder.read_result() == {"y": 1}


def test_a_folder_in_the_place_of_a_record_is_named_once_and_never_said_to_be_removed(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            os.remove("attempts.jsonl")
            os.mkdir("attempts.jsonl")
            return {}
        """
    assert task_lab.run(main)[0] == 0
    folder = task_lab.folder()
    (aside,) = folder.path.glob("attempts.jsonl.*")
    told = [line for line in folder.log_path.read_text().splitlines() if "attempts.jsonl" in line]
    assert len(told) == 2
    assert told[0].endswith(f"{folder.path}: what was removed is put back: attempts.jsonl")
    assert told[1].endswith(f"{folder.path}: attempts.jsonl was a folder, which is {aside.name} now")


def test_a_folder_in_the_place_of_its_result_is_none(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            os.mkdir("new")
            pathlib.Path("new/mine").touch()
            os.rename("new", "result.json")
            raise ValueError("x")
        """
    code, _, err = task_lab.run(main)
    assert code == 1 and "ValueError: x" in err
    folder = task_lab.folder()
    assert find_state(folder.path) == (Status.DEAD, "exit code 1: ValueError: x")
    assert list(folder.path.glob("result.json.*/mine"))


def test_a_note_of_a_submission_that_has_changed_since_is_left(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            pathlib.Path("new").write_text("{}")
            os.rename("new", "job.json")  # as who has submitted the job does
            return {}
        """
    folder = task_lab.folder()
    folder.path.mkdir(parents=True)
    folder.job_path.write_text('{"job_id": "7", "time": "2026-01-01T00:00:00+00:00"}')
    assert task_lab.run(main)[0] == 0
    assert folder.job_path.read_text() == "{}"


def test_a_killed_task_that_had_emptied_its_folder_is_dead(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            each(os.remove, os.listdir())
            meet("ready")
            signal.pause()
        """
    folder = task_lab.folder()
    process = task_lab.start(EACH + textwrap.dedent(main), FAST)
    task_lab.meet("ready")
    wait_until(lambda: is_whole(folder))
    process.kill()
    task_lab.end(process)
    state = find_state(folder.path)
    assert state.status is Status.DEAD and "killed" in state.reason


def test_a_task_that_closes_its_folder_finds_it_open_again(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            os.chmod(".", 0)
            meet("ready")
            meet("go")
            return {"y": 1}
        """
    folder = task_lab.folder()
    process = task_lab.start(main, FAST)
    task_lab.meet("ready")
    wait_until(lambda: stat.S_IMODE(folder.path.stat().st_mode) == 0o700)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "") and folder.read_result() == {"y": 1}


@pytest.mark.parametrize("how", REMOVES)
@pytest.mark.parametrize("then", ["signal.pause()", "return {'y': 1}", "open('x', 'w').write('x'); 1 / 0", "hold()"])
def test_a_task_that_removes_its_folder_is_dead_and_the_reason_says_so(task_lab: Any, how: str, then: str) -> None:
    main = f"""
        import ctypes, shutil

        def hold():  # keeps the interpreter's lock until the claim is there again
            meet("ready")
            ctypes.PyDLL(None).open(os.environ["FIFOS"].encode() + b"/go", 0)

        def remove():
            {REMOVES[how]}

        def surely_remove():  # also while something is put back
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            while True:
                try:
                    return remove()
                except OSError:
                    pass

        def main(task, cfg, log_level):
            {"surely_" * ("hold" in then or "return" in then)}remove()
            {then}
        """
    folder = task_lab.folder()
    # At the usual pace main has ended before anybody looks.
    process = task_lab.start(main, "" if "return" in then else FAST)
    if then == "hold()":
        task_lab.meet("ready")
        wait_until(folder.claim_path.exists)
        assert find_state(folder.path).status is Status.RUNNING
        (task_lab.fifos / "go").write_text("x")
    code, out, err = task_lab.end(process)
    assert (code, out) == (1, "")
    state = find_state(folder.path)
    # The claim may be put back before all is removed.
    said = [f"{folder.path} was removed or moved", f"{folder.path} can't be removed"]
    assert state.status is Status.DEAD and any(one in state.reason for one in said), state
    assert any(one in err for one in said)
    assert names(folder.path) == RECORDS and [type(one) for one in folder.attempts()] == [Start, End]
    assert any(one in folder.log_path.read_text() for one in said)
    folder.check(task_lab.experiment())
    assert beats(task_lab) == []
    if "return" in then:
        assert "what main returned is in " in state.reason
        Path(state.reason.partition("what main returned is in ")[2].partition(",")[0]).unlink()
    assert task_lab.run("def main(task, cfg, log_level): return {}")[0] == 0


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda path: path.rename(path.with_name("old"))])
def test_a_run_whose_folder_somebody_removes_ends_and_says_so(task_lab: Any, remove: Callable[[Path], None]) -> None:
    main = """
        def main(task, cfg, log_level):
            meet("ready")
            while True:
                signal.pause()
        """
    folder = task_lab.folder()
    process = task_lab.start(main, FAST)
    task_lab.meet("ready")
    both = (process.pid, beat_of(task_lab))
    for pid in both:
        os.kill(pid, signal.SIGSTOP)  # else it is put back while it is removed
    remove(folder.path)
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    code, _, err = task_lab.end(process)
    assert code == 1 and "was removed or moved while the run was in it" in err
    assert find_state(folder.path).status is Status.DEAD


def test_a_program_goes_on_after_a_run_that_has_removed_its_folder(
    task_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(**_: object) -> None:
        shutil.rmtree(Path.cwd())

    before = Path.cwd()
    outcome = task_lab.execute(main)
    assert (outcome.status, outcome.exit_code) == (Status.DEAD, 1) and "was removed or moved" in outcome.reason
    assert Path.cwd() == before and task_lab.execute(lambda **_: {}, lr=2).done


ECHO = """
runner.Tee = lambda log, echo, tee=runner.Tee: tee(log, echo=True)
"""
LOSES_LOG = {
    "removed": "os.unlink('log.txt')",
    "removed with all else": "subprocess.run('rm -rf ./*', shell=True)",
    "moved": "os.rename('log.txt', 'old.txt')",
    "a folder": "os.unlink('log.txt'); os.mkdir('log.txt')",
    "a link": "os.unlink('log.txt'); os.symlink('/dev/null', 'log.txt')",
    "a link to itself": "os.unlink('log.txt'); os.symlink('log.txt', 'log.txt')",
    "a FIFO": "os.unlink('log.txt'); os.mkfifo('log.txt')",
    "another file": "os.unlink('log.txt'); pathlib.Path('log.txt').write_text('other')",
}


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("how", LOSES_LOG)
def test_a_log_that_its_task_removes_is_there_again_with_all_that_was_printed(
    task_lab: Any, how: str, echo: bool
) -> None:
    main = f"""
        def main(task, cfg, log_level):
            print("before", flush=True)
            child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
            {LOSES_LOG[how]}
            print("after", flush=True)
            meet("ready")
            meet("go")
            child.communicate(b"of a child\\n")
            print("at the end", flush=True)
            return {{"y": 1}}
        """
    folder = task_lab.folder()
    process = task_lab.start(main, f"{FAST}\n{ECHO * echo}")
    task_lab.meet("ready")
    wait_until(lambda: folder.log_path.is_file() and not folder.log_path.is_symlink() and "after" in log_of(folder))
    task_lab.meet("go")
    code, out, _ = task_lab.end(process)
    assert code == 0
    text = log_of(folder)
    for line in ("before", "after", "of a child", "at the end"):
        assert text.count(f"{line}\n") == 1 and (not echo or f"{line}\n" in out), text
    assert "what was removed is put back: " in text and "log.txt" in text


def test_a_log_that_is_removed_again_and_again_is_whole_in_the_end(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            for turn in range(12):
                print(f"turn {turn}", flush=True)
                os.unlink("log.txt")
                while not os.path.exists("log.txt"):
                    time.sleep(0.01)
            return {"y": 1}
        """
    folder = task_lab.folder()
    assert task_lab.end(task_lab.start(main, FAST))[0] == 0
    assert [log_of(folder).count(f"turn {turn}\n") for turn in range(12)] == [1] * 12


def log_of(folder: ExperimentDir) -> str:
    try:
        return folder.log_path.read_text()
    except FileNotFoundError:
        return ""


def test_an_experiment_whose_claim_is_removed_again_and_again_is_running_and_not_started_twice(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            def remove():
                while True:
                    with contextlib.suppress(OSError):
                        os.unlink("claim.json")

            threading.Thread(target=remove, daemon=True).start()
            meet("ready")
            meet("go")
            raise ValueError("x")
        """
    folder = task_lab.folder()
    process = task_lab.start("import contextlib\n" + textwrap.dedent(main))
    task_lab.meet("ready")
    for _ in range(20):
        state = find_state(folder.path)
        assert state.status is Status.RUNNING and f"pid {process.pid}" in state.reason
        outcome = task_lab.execute(lambda **_: {}, if_claimed="leave")
        assert outcome.status is Status.RUNNING and not outcome.ran and f"pid {process.pid}" in outcome.reason
        owner = find_owner(folder.path)
        assert owner is not None and owner.pid == process.pid
    task_lab.meet("go")
    assert task_lab.end(process)[0] == 1
    assert find_state(folder.path).status is Status.DEAD
    assert task_lab.execute(lambda **_: {}).done


def test_an_attempt_without_an_end_is_dead_where_its_pid_is_another_process_by_now(task_lab: Any) -> None:
    process = task_lab.start("def main(task, cfg, log_level):\n    meet('ready')\n    signal.pause()")
    task_lab.meet("ready")
    process.kill()
    task_lab.end(process)
    folder = task_lab.folder()
    folder.claim_path.unlink(missing_ok=True)
    (start,) = folder.attempts()
    assert isinstance(start, Start) and start.pid == process.pid
    for other in (start._replace(pid=os.getppid()), start._replace(pid=1, machine="elsewhere", started=1), start):
        folder.attempts_path.unlink()
        folder.append_attempt(other)
        assert find_state(folder.path).status is Status.DEAD


def test_an_experiment_whose_folder_is_emptied_all_the_time_is_not_started_twice(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            threading.Thread(target=lambda: [each(os.remove, os.listdir()) for _ in iter(int, 1)], daemon=True).start()
            meet("ready")
            signal.pause()
        """
    process = task_lab.start(EACH + textwrap.dedent(main))
    task_lab.meet("ready")
    ran = []
    with contextlib.suppress(HeyhiError):
        task_lab.execute(lambda **_: ran.append(1), if_claimed="leave")
    assert not ran and process.poll() is None


@pytest.mark.parametrize("then", ["", "signal.pause()"])
def test_a_file_in_the_place_of_its_folder_ends_a_run_as_a_removed_folder_does(task_lab: Any, then: str) -> None:
    main = f"""
        def main(task, cfg, log_level):
            path = os.getcwd()
            os.rename(path, path + ".x")
            pathlib.Path(path).write_text("x")
            {then}
            return {{"y": 1}}
        """
    folder = task_lab.folder()
    code, _, err = task_lab.run(main, FAST)
    assert code == 1 and "was removed or moved while the run was in it" in err
    state = find_state(folder.path)
    assert state.status is Status.DEAD and "was removed or moved" in state.reason
    assert "the right to use it" not in folder.log_path.read_text() and "tried again" not in folder.log_path.read_text()
    (aside,) = [path for path in folder.path.parent.iterdir() if path.is_file()]
    assert aside.read_text() == "x"
    if not then:
        Path(state.reason.partition("what main returned is in ")[2].partition(",")[0]).unlink()


@pytest.mark.parametrize(
    "how",
    [
        "os.unlink('attempts.jsonl'); os.symlink('attempts.jsonl', 'attempts.jsonl')",
        "pathlib.Path('attempts.jsonl').write_text('x' * 20_000_000)",
        "pathlib.Path('attempts.jsonl').write_text('x' * 2_000)",
        "os.symlink('result.json', 'result.json')",
    ],
)
def test_what_a_task_makes_of_a_record_keeps_no_end_from_it(task_lab: Any, how: str) -> None:
    main = f"""
        def main(task, cfg, log_level):
            {how}
            return {{"y": 1}}
        """
    folder = task_lab.folder()
    assert task_lab.run(main) == (0, "", "")
    assert [type(record) for record in folder.attempts()] == [Start, End] and folder.read_result() == {"y": 1}


@pytest.mark.parametrize("thing", ["FIFO", "nowhere", "claim.json", "/dev/null", "/dev/zero"])
@pytest.mark.parametrize("waits", [True, False])
def test_no_claim_is_left_of_a_task_that_puts_something_else_in_its_place(
    task_lab: Any, thing: str, waits: bool
) -> None:
    main = f"""
        def main(task, cfg, log_level):
            os.mkfifo("new") if {thing!r} == "FIFO" else os.symlink({thing!r}, "new")
            os.rename("new", "claim.json")
            while {waits} and not (os.path.isfile("claim.json") and not os.path.islink("claim.json")):
                time.sleep(0.01)
            return {{"y": 1}}
        """
    folder = task_lab.folder()
    assert task_lab.run(main, FAST * waits) == (0, "", "")
    assert not [path.name for path in folder.path.iterdir() if path.name.startswith("claim")]


def test_an_experiment_that_nobody_has_begun_waits_for_nobody(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_DOUBT_SECONDS", 3600.0)
    assert task_lab.end(task_lab.start("def main(task, cfg, log_level):\n    os._exit(0)"))[0] == 1
    for lr in (1, 0.25):
        task_lab.folder(lr).path.mkdir(parents=True)  # as Snakemake does, before it starts a run
        assert task_lab.execute(lambda **_: {}, lr=lr).done
    failed = task_lab.execute(lambda **_: 1 / 0, lr=0.125)
    assert failed.status is Status.DEAD
    shutil.rmtree(task_lab.folder(0.125).path)
    assert task_lab.execute(lambda **_: {}, lr=0.125).done
    assert list((task_lab.root / "results/.heyhi/running").iterdir()) == []


def test_an_experiment_whose_folder_is_removed_all_the_time_is_not_started_twice(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            here = os.getcwd()
            def remove():
                while True:
                    shutil.rmtree(here, ignore_errors=True)

            threading.Thread(target=remove, daemon=True).start()
            meet("ready")
            signal.pause()
        """
    process = task_lab.start("import shutil\n" + textwrap.dedent(main))
    task_lab.meet("ready")
    ran = []
    for _ in range(3):
        with contextlib.suppress(HeyhiError):
            task_lab.execute(lambda **_: ran.append(1), if_claimed="leave")
        assert not ran and process.poll() is None


def test_who_comes_to_the_empty_folder_of_a_run_looks_again(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_DOUBT_SECONDS", 2.0)
    folder = task_lab.folder()
    process = task_lab.start("def main(task, cfg, log_level):\n    meet('ready')\n    signal.pause()", FAST)
    task_lab.meet("ready")
    both = (process.pid, beat_of(task_lab))
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    empty(folder.path)

    def empty_again() -> None:
        wait_until(folder.claim_path.exists)
        empty(folder.path)
        for pid in both:
            os.kill(pid, signal.SIGCONT)

    other = threading.Thread(target=empty_again)
    other.start()
    ran: list[int] = []
    outcome = task_lab.execute(lambda **_: ran.append(1), if_claimed="leave")
    other.join()
    assert not ran and outcome.status is Status.RUNNING and f"pid {process.pid}" in outcome.reason


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)


def test_where_no_mark_can_be_made_a_run_starts_all_the_same(task_lab: Any) -> None:
    (task_lab.root / "results/.heyhi").mkdir(parents=True)
    (task_lab.root / "results/.heyhi/running").write_text("")
    assert task_lab.execute(lambda **_: {}).done
