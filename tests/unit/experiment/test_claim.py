"""Claims, with real processes wherever an owner has to live or die."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heyhi.errors import ClaimError, ResultError
from heyhi.experiment import claim as claim_module
from heyhi.experiment.claim import CLAIM_NAME, STALE_SECONDS, Claim, read_owner
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner
from heyhi.slurm.commands import Job, Queue

# Says "ready", waits for a line, tries once; then holds what it got until its standard input ends.
ACQUIRE = """
import sys, pathlib
from heyhi.experiment.claim import Claim
print("ready", flush=True)
sys.stdin.readline()
got = Claim.acquire(pathlib.Path(sys.argv[1]))
print("got" if isinstance(got, Claim) else f"owner {got.pid}", flush=True)
sys.stdin.read()
if isinstance(got, Claim):
    got.release()
"""

# Takes and releases a claim again and again; nobody else may be inside meanwhile. Some die inside.
HAMMER = """
import sys, os, pathlib, random, signal
from heyhi.experiment.claim import Claim
folder, seed, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
inside = folder / "inside"
print("ready", flush=True)
sys.stdin.readline()
done = 0
while done < rounds:
    got = Claim.acquire(folder)
    if not isinstance(got, Claim):
        continue
    try:
        handle = os.open(inside, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        print("TWO OWNERS", flush=True)
        sys.exit(3)
    os.close(handle)
    with (folder / "count").open("a") as file:
        file.write("x")
    inside.unlink()
    if rng.random() < 0.2:
        os.kill(os.getpid(), signal.SIGKILL)
    got.release()
    done += 1
"""

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def write_claim(folder: Path, age: float = 0.0, **changes: object) -> Owner:
    """Write a claim as if another had made it, touched some seconds ago."""
    owner = dataclasses.replace(Owner.this_process("process"), **changes)  # type: ignore[arg-type]
    path = folder / CLAIM_NAME
    path.write_text(json.dumps(dataclasses.asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)
    return owner


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def acquired(folder: Path) -> Claim:
    got = Claim.acquire(folder)
    assert isinstance(got, Claim)
    return got


def test_a_claim_is_held_until_it_is_released(tmp_path: Path) -> None:
    assert read_owner(tmp_path) is None
    with acquired(tmp_path) as mine:
        assert mine.is_held()
        owner = read_owner(str(tmp_path))
        assert owner == mine.owner and owner.pid == os.getpid()
        assert owner.describe().startswith(f"pid {os.getpid()} on host ")
        assert Claim.acquire(tmp_path) == owner
    assert read_owner(tmp_path) is None and files(tmp_path) == []
    mine.release()
    acquired(tmp_path).release()


def test_releasing_twice_does_not_take_the_next_claim_away(tmp_path: Path) -> None:
    first = acquired(tmp_path)
    first.release()
    second = acquired(tmp_path)
    first.release()
    assert second.is_held()
    second.release()


def test_of_many_processes_exactly_one_wins(tmp_path: Path, spawn: Spawn) -> None:
    racers = [spawn(ACQUIRE, tmp_path) for _ in range(8)]
    for racer in racers:
        go(racer)
    answers = [said(racer) for racer in racers]
    assert answers.count("got") == 1
    winner = racers[answers.index("got")]
    assert set(answers) == {"got", f"owner {winner.pid}"}


def test_a_killed_owner_is_taken_over_by_exactly_one(tmp_path: Path, spawn: Spawn) -> None:
    owner = spawn(ACQUIRE, tmp_path)
    racers = [spawn(ACQUIRE, tmp_path) for _ in range(8)]
    go(owner)
    assert said(owner) == "got"
    kill(owner)
    assert read_owner(tmp_path) is None
    for racer in racers:
        go(racer)
    answers = [said(racer) for racer in racers]
    assert answers.count("got") == 1
    winner = racers[answers.index("got")]
    assert set(answers) == {"got", f"owner {winner.pid}"}
    # Its release leaves nothing of the dead one either.
    winner.communicate("")
    assert files(tmp_path) == []


def test_a_chain_of_killed_owners_is_taken_over(tmp_path: Path, spawn: Spawn) -> None:
    for length in range(1, 4):
        owner = spawn(ACQUIRE, tmp_path)
        go(owner)
        assert said(owner) == "got"
        kill(owner)
        assert len(files(tmp_path)) == length
    with acquired(tmp_path):
        assert len(files(tmp_path)) == 4
    assert files(tmp_path) == []


def test_a_zombie_owns_nothing(tmp_path: Path, spawn: Spawn) -> None:
    owner = spawn(ACQUIRE, tmp_path)
    go(owner)
    assert said(owner) == "got"
    owner.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the process table
    assert read_owner(tmp_path) is None


def test_nobody_is_ever_inside_with_another_while_owners_release_and_die(tmp_path: Path, spawn: Spawn) -> None:
    hammers = [spawn(HAMMER, tmp_path, seed, 60) for seed in range(6)]
    for hammer in hammers:
        go(hammer)
    # Who dies inside is replaced, so that take-overs go on to the end.
    seed = len(hammers)
    while hammers:
        hammer = hammers.pop(0)
        output, _ = hammer.communicate()
        assert output == "" and hammer.returncode in (0, -signal.SIGKILL), output
        if hammer.returncode and seed < 20:
            hammers.append(spawn(HAMMER, tmp_path, seed, 60))
            go(hammers[-1])
            seed += 1
    assert seed > 6 and (tmp_path / "count").stat().st_size > 60
    acquired(tmp_path).release()
    assert read_owner(tmp_path) is None and not (tmp_path / CLAIM_NAME).exists()


def test_another_hosts_claim_lives_while_it_is_touched(tmp_path: Path) -> None:
    owner = write_claim(tmp_path, age=STALE_SECONDS - 20, host="elsewhere")
    assert read_owner(tmp_path) == owner
    assert Claim.acquire(tmp_path) == owner
    assert files(tmp_path) == [CLAIM_NAME]


def test_another_hosts_claim_is_stale_when_nobody_touches_it(tmp_path: Path) -> None:
    write_claim(tmp_path, age=STALE_SECONDS + 20, host="elsewhere")
    assert read_owner(tmp_path) is None
    acquired(tmp_path).release()
    assert files(tmp_path) == []


def test_the_file_systems_clock_decides_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_claim(tmp_path, host="elsewhere")
    real = time.time
    monkeypatch.setattr(claim_module.time, "time", lambda: real() + 10_000)
    assert read_owner(tmp_path) is not None
    write_claim(tmp_path, age=10_000 + STALE_SECONDS + 20, host="elsewhere")
    monkeypatch.setattr(claim_module.time, "time", lambda: real() - 10_000)
    assert read_owner(tmp_path) is None


def test_a_claim_from_before_a_reboot_is_stale_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "uptime", lambda: 90.0)
    write_claim(tmp_path, age=100, boot="1f2e")
    assert read_owner(tmp_path) is None


def test_another_machine_of_our_name_is_not_taken_for_a_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "uptime", lambda: 10_000.0)
    owner = write_claim(tmp_path, age=100, boot="1f2e")
    assert read_owner(tmp_path) == owner
    monkeypatch.setattr(claim_module, "uptime", lambda: 5.0)
    owner = write_claim(tmp_path, age=20, boot="1f2e")
    assert read_owner(tmp_path) == owner


def test_a_pid_that_was_used_again_is_another_process(tmp_path: Path) -> None:
    own = Owner.this_process("process")
    write_claim(tmp_path, started=own.started - 1)
    assert read_owner(tmp_path) is None
    write_claim(tmp_path)
    assert read_owner(tmp_path) is not None


def test_a_container_that_shares_our_name_is_judged_by_its_heartbeat(tmp_path: Path) -> None:
    write_claim(tmp_path, age=100, pids="pid:[1]", pid=2**22 + 1)
    assert read_owner(tmp_path) is not None
    write_claim(tmp_path, age=STALE_SECONDS + 20, pids="pid:[1]", pid=2**22 + 1)
    assert read_owner(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"nonce": 3}', "\0" * 50, '{"kind": "process", "nonce": "../x"}', "[" * 9999, "9" * 9999],
)
def test_a_damaged_claim_is_named_until_it_is_old(tmp_path: Path, content: str) -> None:
    path = tmp_path / CLAIM_NAME
    path.write_text(content)
    for ask in (read_owner, Claim.acquire):
        with pytest.raises(ClaimError, match=str(path)):
            ask(tmp_path)
    assert files(tmp_path) == [CLAIM_NAME]
    os.utime(path, (time.time() - STALE_SECONDS - 20,) * 2)
    assert read_owner(tmp_path) is None
    acquired(tmp_path).release()
    assert files(tmp_path) == []


def test_a_damaged_claim_of_what_was_submitted_stays_in_the_way(tmp_path: Path) -> None:
    """A job that waits touches no claim."""
    path = tmp_path / CLAIM_NAME
    path.write_text("{")
    os.utime(path, (time.time() - STALE_SECONDS - 20,) * 2)
    (tmp_path / "job.json").write_text("{}")
    for ask in (read_owner, Claim.acquire):
        with pytest.raises(ClaimError, match=f"rm -r {path}"):
            ask(tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        *({"pid": pid} for pid in (0, -1, 2**31, 2**70, True, 1.5, "7", None)),
        *({"started": started} for started in (-1, 1.5, None)),
        *({"nonce": nonce} for nonce in ("", "../x", "a/b", "a" * 300, "²", "\0", 3)),
        *({"job": job} for job in ("--all", "7;8", "\n", 7)),
        *({"host": host} for host in ("\x1b[31m", "\ud800", "h" * 300, [])),
        {"since": "\x1b]0;x\x07"},
    ],
    ids=repr,
)
def test_a_claim_that_nobody_can_have_made_is_damaged(tmp_path: Path, odd: dict[str, object]) -> None:
    owner = dataclasses.asdict(Owner.this_process("process"))
    (tmp_path / CLAIM_NAME).write_text(json.dumps({**owner, **odd}))
    for ask in (read_owner, Claim.acquire):
        with pytest.raises(ClaimError, match=r"claim.json: is damaged"):
            ask(tmp_path)
    assert files(tmp_path) == [CLAIM_NAME]


def test_what_is_no_file_is_in_the_way_of_a_claim(tmp_path: Path) -> None:
    path = tmp_path / CLAIM_NAME
    for put in (os.mkfifo, os.mkdir, lambda at: at.symlink_to("/dev/zero"), lambda at: at.symlink_to(at.name)):
        put(path)
        for ask in (read_owner, Claim.acquire):
            with pytest.raises(ClaimError, match=rf"{path}: can't be read: .*rm -r {path}"):
                ask(tmp_path)
        path.rmdir() if path.is_dir() else path.unlink()


def test_claims_that_go_round_in_a_circle_are_named(tmp_path: Path) -> None:
    owner = write_claim(tmp_path, started=1)
    (tmp_path / f"claim.{owner.nonce}.json").write_text((tmp_path / CLAIM_NAME).read_text())
    with pytest.raises(ClaimError, match="circle"):
        read_owner(tmp_path)


def test_who_sees_an_old_owner_after_a_release_withdraws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reads that a dead owner is last; another takes over, ends and releases; then the first links."""
    write_claim(tmp_path, started=1)
    real_link = claim_module.make_link
    rivals: list[Claim] = []

    def slow_link(path: Path, owner: Owner) -> bool:
        monkeypatch.setattr(claim_module, "make_link", real_link)
        acquired(tmp_path).release()
        rivals.append(acquired(tmp_path))
        return real_link(path, owner)

    monkeypatch.setattr(claim_module, "make_link", slow_link)
    got = Claim.acquire(tmp_path)
    assert got == rivals[0].owner and rivals[0].is_held()
    assert files(tmp_path) == [CLAIM_NAME]
    rivals[0].release()


def test_an_owner_that_was_taken_for_dead_and_touches_its_claim_in_time_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = write_claim(tmp_path, age=STALE_SECONDS + 20, host="elsewhere")
    real_link = claim_module.make_link

    def slow_link(path: Path, new: Owner) -> bool:
        os.utime(tmp_path / CLAIM_NAME)
        return real_link(path, new)

    monkeypatch.setattr(claim_module, "make_link", slow_link)
    assert Claim.acquire(tmp_path) == owner
    assert files(tmp_path) == [CLAIM_NAME]


def test_an_owner_that_lost_its_claim_leaves_the_new_one_alone(tmp_path: Path) -> None:
    mine = acquired(tmp_path)
    other = dataclasses.replace(mine.owner, nonce="1f")
    (tmp_path / f"claim.{mine.owner.nonce}.json").write_text(json.dumps(dataclasses.asdict(other)))
    assert not mine.is_held()
    mine.release()
    assert read_owner(tmp_path) == other


def test_a_heartbeat_touches_the_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "HEARTBEAT_SECONDS", 0.01)
    with acquired(tmp_path):
        path = tmp_path / CLAIM_NAME
        os.utime(path, (0, 0))
        wait_until(lambda: path.stat().st_mtime > 0)


@pytest.mark.parametrize("how", ["taken over", "removed"])
def test_an_owner_learns_that_it_lost_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(claim_module, "HEARTBEAT_SECONDS", 0.01)
    told, reasons = threading.Event(), []

    def on_lost(reason: str) -> None:
        reasons.append(reason)
        told.set()

    mine = Claim.acquire(tmp_path, on_lost=on_lost)
    assert isinstance(mine, Claim)
    if how == "removed":
        (tmp_path / CLAIM_NAME).unlink()
    else:
        other = dataclasses.replace(mine.owner, nonce="1f")
        (tmp_path / f"claim.{mine.owner.nonce}.json").write_text(json.dumps(dataclasses.asdict(other)))
    assert told.wait(10)
    assert how in reasons[0]
    mine.release()


def test_one_bad_look_loses_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "HEARTBEAT_SECONDS", 0.005)
    looks = iter([False, True] * 3)
    over = threading.Event()

    def why_lost(self: Claim) -> str:
        held = next(looks, None)
        if held is None:
            over.set()
        return "gone" if held is False else ""

    monkeypatch.setattr(Claim, "why_lost", why_lost)
    lost: list[str] = []
    with Claim.acquire(tmp_path, on_lost=lost.append) as mine:
        assert isinstance(mine, Claim) and over.wait(10)
    assert lost == []


def test_a_release_touches_its_claim_and_takes_claim_json_away_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one that takes us for dead at this moment would hang on a chain that ends, or be cut off."""
    dead = write_claim(tmp_path, started=1)
    mine = acquired(tmp_path)
    link = tmp_path / f"claim.{dead.nonce}.json"
    os.utime(link, (0, 0))
    steps: list[str] = []
    real_held, real_unlink = Claim.is_held, Path.unlink

    def is_held(self: Claim) -> bool:
        steps.append(f"looked after a touch: {link.stat().st_mtime > 0}")
        return real_held(self)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        steps.append(self.name)
        real_unlink(self, missing_ok)

    monkeypatch.setattr(Claim, "is_held", is_held)
    monkeypatch.setattr(Path, "unlink", unlink)
    mine.release()
    assert steps == ["looked after a touch: True", CLAIM_NAME, link.name]


def test_a_forked_child_does_not_release_its_parents_claim(tmp_path: Path) -> None:
    with acquired(tmp_path) as mine:
        pid = os.fork()
        if pid == 0:
            mine.release()
            os._exit(0)
        os.waitpid(pid, 0)
        assert mine.is_held()


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_link)
    with pytest.raises(ClaimError, match="makes no hard links"):
        Claim.acquire(tmp_path)
    assert files(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"gone/claim\.json: can't be written: No such file"):
        Claim.acquire(tmp_path / "gone")
    assert read_owner(tmp_path / "gone") is None


def test_an_owner_can_be_stopped(tmp_path: Path, spawn: Spawn) -> None:
    process = spawn(ACQUIRE, tmp_path)
    go(process)
    said(process)
    owner = read_owner(tmp_path)
    assert owner is not None and owner.pid == process.pid
    owner.stop()
    assert process.wait() == -signal.SIGTERM and read_owner(tmp_path) is None
    owner.stop()


def test_an_owner_that_ignores_the_request_is_killed(tmp_path: Path, spawn: Spawn) -> None:
    process = spawn("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ACQUIRE, tmp_path)
    go(process)
    said(process)
    owner = read_owner(tmp_path)
    assert owner is not None
    owner.stop(grace_seconds=0.1)
    assert process.wait() == -signal.SIGKILL


def test_only_a_process_of_this_host_can_be_stopped() -> None:
    own = Owner.this_process("process")
    with pytest.raises(ClaimError, match="stop it there"):
        dataclasses.replace(own, host="elsewhere").stop()
    with pytest.raises(ClaimError, match="this process"):
        own.stop()
    dataclasses.replace(own, pid=1, started=7).stop()  # pid 1 is another process now: left alone


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("comment", "lives"),
    [("heyhi:1:aa,bb mine", True), ("heyhi:1:bb", False), ("somebody changed it", True), ("", True)],
)
def test_a_job_that_got_the_id_of_a_forgotten_one_has_no_claim_of_its(
    tmp_path: Path, comment: str, lives: bool
) -> None:
    class Told(Queue):
        has_answer = True

        def job(self, job_id: str) -> Job | None:
            return Job(job_id, "RUNNING", comment=comment)

    claim = Claim.acquire(tmp_path, kind=SUBMISSION, ref=JobRef("", "1", "aa"), queue=Told())
    assert isinstance(claim, Claim)
    claim.hand_over("11")
    assert (read_owner(tmp_path, Told()) is not None) == lives


@pytest.mark.parametrize("ahead", [0.0, 420.0, -420.0])
def test_an_answer_of_slurms_that_may_be_older_than_a_claim_is_asked_for_again_by_whatever_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    jobs: list[str] = []
    monkeypatch.setattr("heyhi.slurm.commands._queue_lines", lambda: list(jobs))
    queue = Queue()
    assert queue.jobs("1") == {}
    # Then another submits a job.
    write_claim(tmp_path, age=ahead, kind=SUBMISSION, host="elsewhere", job="7", root="1", mark="aa")
    jobs.append("\x1f".join(("7", "PENDING", "", "", "", "heyhi:1:aa")))
    owner = read_owner(tmp_path, queue)
    assert owner is not None and owner.job == "7"


def test_a_link_that_was_made_and_answered_by_exists_already_is_removed_when_it_comes_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = write_claim(tmp_path, age=400, host="elsewhere")
    real = Path.hardlink_to

    def repeated(self: Path, target: Path) -> None:
        real(self, target)
        os.utime(tmp_path / CLAIM_NAME)  # who was taken for dead lives
        raise FileExistsError

    monkeypatch.setattr(Path, "hardlink_to", repeated)
    assert Claim.acquire(tmp_path) == dead
    assert files(tmp_path) == [CLAIM_NAME]
