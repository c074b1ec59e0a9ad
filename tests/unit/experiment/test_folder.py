"""Experiment folders: identity, status, results, and what is never wiped."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.config.identity import ExpPattern, Identity
from heyhi.config.schema import Schema
from heyhi.control.find import explain_missing, find_started
from heyhi.errors import ClaimError, IdentityError, ResultError, UnknownError
from heyhi.experiment import claim as claim_module
from heyhi.experiment import folder as folder_module
from heyhi.experiment import status as status_module
from heyhi.experiment import trash as trash_module
from heyhi.experiment.claim import CLAIM_NAME, Claim
from heyhi.experiment.death import death_of, find_death
from heyhi.experiment.folder import Experiment, ExperimentDir, config_digest
from heyhi.experiment.names import Status
from heyhi.experiment.owner import Owner
from heyhi.experiment.records import End, History, Start
from heyhi.experiment.status import Statuses, find_state, find_status
from heyhi.job.submit import settle
from heyhi.project import Project
from heyhi.slurm.commands import Job, View

IDENTITY = Identity("conf/sl.prototxt", ("lr=0.1",))
OTHER = Identity("conf/sl.prototxt", ("lr=0.2",))


def make_schema() -> Schema:
    """Compile `message Train { optional double lr = 1 [default = 0.5]; … } message MetaCfg { oneof task … }`."""
    file = descriptor_pb2.FileDescriptorProto(name="conf/conf.proto", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto
    train = file.message_type.add(name="Train")
    for number, (name, kind, default) in enumerate(
        [("lr", field.TYPE_DOUBLE, "0.5"), ("name", field.TYPE_STRING, ""), ("raw", field.TYPE_BYTES, "")], 1
    ):
        train.field.add(name=name, number=number, type=kind, default_value=default, label=field.LABEL_OPTIONAL)
    root = file.message_type.add(name="MetaCfg")
    root.oneof_decl.add(name="task")
    root.field.add(
        name="train",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".Train",
        label=field.LABEL_OPTIONAL,
        oneof_index=0,
    )
    file_set = descriptor_pb2.FileDescriptorSet(file=[file])
    return Schema.from_file_set(file_set.SerializeToString(), "MetaCfg")


SCHEMA = make_schema()


def make_experiment(path: Path, identity: Identity = IDENTITY, lr: float = 0.1) -> Experiment:
    message = SCHEMA.new_root()
    message.train.lr = lr  # type: ignore[attr-defined]
    message.train.raw = b"\xff"  # type: ignore[attr-defined]
    return Experiment(path.name, path, identity, "train", message.SerializeToString())


def prepared(path: Path, identity: Identity = IDENTITY) -> ExperimentDir:
    folder = ExperimentDir(path)
    folder.prepare(make_experiment(path, identity), SCHEMA)
    return folder


def started(path: Path, end: End | None = None) -> ExperimentDir:
    folder = prepared(path)
    folder.append_attempt(Start(1, pid=12, host="h"))
    if end is not None:
        folder.append_attempt(end)
    return folder


@pytest.fixture
def living_owner(tmp_path: Path) -> Iterator[Claim]:
    (tmp_path / "e").mkdir(exist_ok=True)
    claim = Claim.acquire(tmp_path / "e")
    assert isinstance(claim, Claim)
    with claim:
        yield claim


# --- preparing


def test_a_prepared_folder_says_what_it_holds(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "a" / "e")
    assert folder.read_identity() == IDENTITY
    assert "lr: 0.1" in folder.config_path.read_text()
    flat = json.loads(folder.flat_config_path.read_text())
    assert flat["train.lr"] == 0.1 and "train.name" in flat and flat["train.raw"] == "\\377"
    assert sorted(p.name for p in folder.path.iterdir()) == [
        "config.prototxt",
        "config_flat.json",
        "identity.json",
    ]
    assert find_status(folder.path) is Status.NOT_STARTED


def digest_of(experiment: Experiment) -> str:
    return config_digest(experiment.config, SCHEMA)


def attempt_with(path: Path, lr: float) -> Experiment:
    """Prepare an experiment and put a start on record."""
    folder, experiment = ExperimentDir(path), make_experiment(path, lr=lr)
    folder.prepare(experiment, SCHEMA)
    number = len(folder.history().starts) + 1
    folder.append_attempt(Start(number, config=digest_of(experiment)))
    return experiment


def configs_beside(folder: ExperimentDir, digest: str = "") -> tuple[str, float]:
    """Return the lr of a config, as both of its files say."""
    text = folder.config_path_of(digest).read_text()
    return text.partition("lr: ")[2].partition("\n")[0], json.loads(folder.flat_config_path_of(digest).read_text())[
        "train.lr"
    ]


def test_the_config_beside_the_result_is_that_of_the_last_attempt_and_those_of_others_are_kept(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path / "e")
    first, second = attempt_with(folder.path, 0.7), attempt_with(folder.path, 0.9)
    assert configs_beside(folder) == configs_beside(folder, digest_of(second)) == ("0.9", 0.9)
    assert configs_beside(folder, digest_of(first)) == ("0.7", 0.7)
    assert folder.config_path_of(digest_of(first)) == folder.configs_path / f"{digest_of(first)}.prototxt"
    attempt_with(folder.path, 0.7)
    assert configs_beside(folder) == ("0.7", 0.7)
    assert configs_beside(folder, digest_of(second)) == ("0.9", 0.9)


def test_of_the_same_config_nothing_is_written_again_nor_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ExperimentDir(tmp_path / "e")
    attempt_with(folder.path, 0.7)
    before = {path: path.stat().st_ino for path in folder.path.iterdir()}
    monkeypatch.setattr(Schema, "parse_root", None)
    folder.prepare(make_experiment(folder.path, lr=0.7), SCHEMA)
    assert {path: path.stat().st_ino for path in folder.path.iterdir()} == before


def test_a_config_that_no_attempt_had_is_not_kept(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "e")
    folder.prepare(make_experiment(tmp_path / "e", lr=0.7), SCHEMA)
    assert configs_beside(folder) == ("0.7", 0.7) and not folder.configs_path.exists()


def test_a_submission_that_never_started_keeps_the_config_of_the_attempt_before(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path / "e")
    first = attempt_with(folder.path, 0.1)
    for lr in (0.2, 0.3):  # submitted, and cancelled before the job began
        folder.prepare(make_experiment(folder.path, lr=lr), SCHEMA)
    assert configs_beside(folder) == ("0.3", 0.3)
    assert configs_beside(folder, digest_of(first)) == ("0.1", 0.1)


def test_the_roots_are_those_of_each_config(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path / "e")
    first = dataclasses.replace(make_experiment(folder.path), roots={"project_root": "/a", "results_root": "/a/r"})
    second = dataclasses.replace(make_experiment(folder.path, lr=0.9), roots={"project_root": "/b"})
    folder.prepare(first, SCHEMA)
    folder.append_attempt(Start(1, config=digest_of(first)))
    folder.prepare(second, SCHEMA)
    assert folder.read_roots() == folder.read_roots(digest_of(second)) == {"project_root": "/b"}
    assert folder.read_roots(digest_of(first)) == {"project_root": "/a", "results_root": "/a/r"}
    assert folder.read_identity() == IDENTITY


@pytest.mark.parametrize("cut", range(7))
def test_a_preparation_that_is_cut_short_loses_no_config_and_names_none_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    folder = ExperimentDir(tmp_path / "e")
    first = attempt_with(folder.path, 0.1)
    left = [cut]

    def ends_after(function: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            if not left[0]:
                raise ResultError("the disk is full")
            left[0] -= 1
            function(*args)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace_file", "keep_file"):
            patch.setattr(folder_module, name, ends_after(getattr(folder_module, name)))
        with pytest.raises(ResultError, match="full"):
            folder.prepare(make_experiment(folder.path, lr=0.2), SCHEMA)
    assert configs_beside(folder, digest_of(first)) == ("0.1", 0.1)

    then = attempt_with(folder.path, 0.3)
    assert configs_beside(folder, digest_of(then)) == configs_beside(folder) == ("0.3", 0.3)
    assert configs_beside(folder, digest_of(first)) == ("0.1", 0.1)


def test_where_a_file_system_has_no_hard_links_a_config_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ExperimentDir(tmp_path / "e")
    first = attempt_with(folder.path, 0.1)

    def no_links(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    attempt_with(folder.path, 0.2)
    assert configs_beside(folder, digest_of(first)) == ("0.1", 0.1)


def test_a_path_that_an_earlier_rule_has_named_is_refused_with_both_rules(tmp_path: Path) -> None:
    prepared(tmp_path / "e", IDENTITY._replace(version=1))
    with pytest.raises(IdentityError, match=r"was named by rule 1 of identities, .* by rule 2.*move that folder away"):
        prepared(tmp_path / "e")


def test_a_path_that_holds_another_experiment_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path / "e")
    with pytest.raises(IdentityError, match=r"holds another experiment: conf/sl\.prototxt lr=0\.1; .*lr=0\.2"):
        prepared(tmp_path / "e", OTHER)
    assert ExperimentDir(tmp_path / "e").read_identity() == IDENTITY


def test_files_of_no_experiment_are_never_merged(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(IdentityError, match=r"thesis\.tex"):
        prepared(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_may_come_before_the_start_is_no_obstacle(tmp_path: Path, living_owner: Claim) -> None:
    for name in ("log.txt", "launch.log", ".claim.json.1f.tmp", "claim.1f.json", ".identity.json.2f.tmp", "code.json"):
        (tmp_path / "e" / name).touch()
    prepared(tmp_path / "e")


def test_a_log_that_a_shell_made_before_the_start_is_no_obstacle_and_stays(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    for name in ("stdout.log", "stderr.log", "slurm-12.out", "slurm-12.err"):
        (tmp_path / name).write_text("before\n")
    folder.check_identity(IDENTITY)
    (tmp_path / "thesis.tex").write_text("mine\n")
    with pytest.raises(IdentityError, match=r"holds files of no experiment \(thesis\.tex\)"):
        folder.check_identity(IDENTITY)
    assert (tmp_path / "stdout.log").read_text() == "before\n"


@pytest.mark.parametrize("record", ["attempts.jsonl", "config.prototxt", "config_flat.json", "metrics.jsonl"])
def test_records_whose_identity_is_missing_are_of_nobody_knows_what(tmp_path: Path, record: str) -> None:
    folder = ExperimentDir(tmp_path)
    (tmp_path / record).write_text("kept\n")
    (tmp_path / "thesis.tex").touch()
    says = rf"identity\.json: is missing beside {record}, so nobody knows which .* put it back, or move the folder away"
    for ask in (folder.read_identity, lambda: folder.check_identity(IDENTITY), lambda: prepared(tmp_path)):
        with pytest.raises(UnknownError, match=says):
            ask()
    with pytest.raises(IdentityError, match=says):
        folder.wipe(IDENTITY)
    state = find_state(tmp_path)
    assert state.status is Status.UNKNOWN and re.search(says, state.reason)
    assert sorted(p.name for p in tmp_path.iterdir()) == [record, "thesis.tex"]
    assert (tmp_path / record).read_text() == "kept\n"


def test_a_result_whose_identity_is_missing_is_done_all_the_same(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    folder.write_result({})
    folder.identity_path.unlink()
    assert find_status(tmp_path) is Status.DONE
    with pytest.raises(UnknownError, match=r"is missing beside config\.prototxt, config_flat\.json, …, so nobody"):
        folder.check_identity(IDENTITY)


def test_an_experiment_that_starts_while_its_identity_is_looked_for_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_names, folder = os.listdir, ExperimentDir(tmp_path)

    def starts_now(path: Any) -> list[str]:
        monkeypatch.undo()
        prepared(tmp_path)
        return [name for name in list_names(path) if name != "identity.json"]

    monkeypatch.setattr(os, "listdir", starts_now)
    assert folder.read_identity() == IDENTITY


@pytest.mark.parametrize("content", ["", "[]", '{"cfg": 3}', '{"cfg": "a", "overrides": ["x"'])
def test_a_damaged_identity_is_named(tmp_path: Path, content: str) -> None:
    path = prepared(tmp_path / "e").identity_path
    path.write_text(content)
    with pytest.raises(IdentityError, match=str(path)):
        prepared(tmp_path / "e")
    with pytest.raises(IdentityError, match=str(path)):
        ExperimentDir(tmp_path / "e").wipe(IDENTITY)


def test_of_two_experiments_with_one_path_only_one_gets_it(tmp_path: Path) -> None:
    for round_ in range(20):
        path, barrier = tmp_path / str(round_), threading.Barrier(2)
        refused: list[Identity] = []

        def race(identity: Identity, path: Path, barrier: threading.Barrier, refused: list[Identity]) -> None:
            barrier.wait()
            try:
                prepared(path, identity)
            except IdentityError:
                refused.append(identity)

        racers = [threading.Thread(target=race, args=(i, path, barrier, refused)) for i in (IDENTITY, OTHER)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(refused) == 1
        assert ExperimentDir(path).read_identity() == (OTHER if refused == [IDENTITY] else IDENTITY)


def test_what_another_one_of_the_same_config_prepares_meanwhile_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_names, looks = os.listdir, 0

    def looks_before(path: Any) -> list[str]:
        nonlocal looks
        looks += 1
        names = list_names(path)
        if looks == 2:  # for records without an identity, then for files of nobody's
            prepared(tmp_path, OTHER)
        return names

    monkeypatch.setattr(os, "listdir", looks_before)
    with pytest.raises(IdentityError, match="holds another experiment"):
        prepared(tmp_path)


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_identity_that_comes_in_between_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_seen: bool
) -> None:
    """Two look and see nothing; the faster one writes its identity before the slower one does, which sees it or not."""
    folder = ExperimentDir(tmp_path / "e")
    real = ExperimentDir._write_identity

    def slow(self: ExperimentDir, identity: Identity, roots: Mapping[str, str]) -> None:
        monkeypatch.setattr(ExperimentDir, "_write_identity", real)
        prepared(tmp_path / "e", OTHER)
        if not is_seen:
            monkeypatch.setattr(
                "heyhi.experiment.folder.is_there", lambda path: False
            )  # it was not there when looked for
        real(self, identity, roots)

    monkeypatch.setattr(ExperimentDir, "_write_identity", slow)
    with pytest.raises(IdentityError, match="another experiment"):
        folder.prepare(make_experiment(folder.path), SCHEMA)
    assert folder.read_identity() == OTHER


def test_one_that_a_faster_process_just_started_is_no_foreign_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ExperimentDir._foreign_names

    def late(self: ExperimentDir) -> list[str]:
        monkeypatch.setattr(ExperimentDir, "_foreign_names", real)
        prepared(self.path)
        return real(self)

    monkeypatch.setattr(ExperimentDir, "_foreign_names", late)
    ExperimentDir(tmp_path / "e").check_identity(IDENTITY)


# --- status


def test_statuses_follow_from_the_files(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path / "e")
    assert find_status(folder.path) is Status.NOT_STARTED
    started(tmp_path / "e")
    assert find_status(folder.path) is Status.DEAD
    claim = Claim.acquire(folder.path)
    assert isinstance(claim, Claim)
    assert find_status(folder.path) is Status.RUNNING
    assert find_state(folder.path) == (Status.RUNNING, claim.owner.describe())
    folder.write_result({"loss": 1})
    assert find_status(folder.path) is Status.DONE
    claim.release()
    assert find_status(folder.path) is Status.DONE
    assert find_state(folder.path) == (Status.DONE, "")


def test_a_claim_before_the_handing_over_is_pending(tmp_path: Path) -> None:
    claim = Claim.acquire(tmp_path, kind="controller")
    assert isinstance(claim, Claim)
    with claim:
        assert find_status(tmp_path) is Status.PENDING


def test_a_result_makes_it_done_whatever_came_after(tmp_path: Path) -> None:
    folder = started(tmp_path / "e", End(1, exit_code=1, exception="OSError: late"))
    folder.write_result({})
    assert find_status(folder.path) is Status.DONE


def test_a_done_experiment_costs_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = started(tmp_path / "e")
    folder.write_result({})
    looks: list[object] = []
    real = os.stat
    monkeypatch.setattr(status_module.os, "stat", lambda path: looks.append(path) or real(path))
    assert find_status(folder.path) is Status.DONE
    assert looks == [str(folder.result_path)]


def test_one_that_ends_between_two_looks_is_done_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = started(tmp_path / "e")

    def ends_now(path: str, *_: object) -> Owner | None:
        folder.write_result({})
        return None

    monkeypatch.setattr(claim_module, "read_owner", ends_now)
    assert find_status(folder.path) is Status.DONE


def test_why_it_is_dead(tmp_path: Path) -> None:
    failed = started(tmp_path / "a", End(1, exit_code=1, exception="ValueError: lr is 0"))
    assert find_state(failed.path) == (Status.DEAD, "exit code 1: ValueError: lr is 0")
    killed = started(tmp_path / "b")
    assert find_state(killed.path) == (Status.DEAD, "killed (no end record; pid 12 on host h)")
    gone = started(tmp_path / "c", End(1, exit_code=0))
    reason = "exit code 0, but result.json is gone: removed, or moved to the trash to go on"
    assert find_state(gone.path) == (Status.DEAD, reason)


def test_an_end_of_an_earlier_attempt_is_no_end_of_the_last() -> None:
    first = [Start(1), End(1, exit_code=1)]
    assert death_of(History(first)).text == "exit code 1"
    assert death_of(History([*first, Start(2, pid=7, host="h")])).text.startswith("killed")


@pytest.mark.parametrize("content", ["", "\n", '{"event": "start", "att'], ids=["empty", "a blank line", "half a line"])
def test_nobody_is_said_to_have_killed_what_has_no_record_of_an_attempt(tmp_path: Path, content: str) -> None:
    folder = prepared(tmp_path / "e")
    folder.attempts_path.write_text(content)  # as a full disk leaves it
    reason = "no record of an attempt: attempts.jsonl is empty or cut short"
    assert find_state(folder.path) == (Status.DEAD, reason)


def test_what_slurm_wrote_of_an_earlier_start_of_a_job_is_not_how_its_last_one_ended(tmp_path: Path) -> None:
    class Told(View):
        def ended(self, job_id: str) -> Job | None:
            return Job(job_id, "FAILED", nodes="n1", exit_code=-9)

    folder = ExperimentDir(tmp_path)
    folder.append_attempt(Start(1, job_id="60"))
    line = "slurmstepd-n2: error: *** JOB 60 ON n2 CANCELLED AT 2026-11-24T12:26:09 DUE TO NODE FAILURE ***\n"
    folder.launch_log_path.write_text(line)
    assert find_death(folder, Told()).kind == "NODE_FAIL"
    folder.launch_log_path.write_text(f"{line}job 60 starts again\nKilled\n")
    assert find_death(folder, Told()).text == "signal 9 (SIGKILL) (job 60 on n1)"
    # Once that is on record, it reads alike.
    settle(folder, Told())
    assert find_death(folder, Told()).text == "signal 9 (SIGKILL) (job 60 on n1)"


def test_how_a_job_ended_that_got_the_id_of_a_forgotten_one_says_nothing(tmp_path: Path) -> None:
    class Told(View):
        def ended(self, job_id: str) -> Job | None:
            return Job(job_id, "CANCELLED", nodes="n1", comment=comment)

    folder = ExperimentDir(tmp_path)
    folder.append_attempt(Start(1, job_id="60"))
    identity = Identity("conf/a.prototxt", ())
    folder.identity_path.write_text(json.dumps(identity.to_dict()))
    comment = f"heyhi:0:{identity.digest}"
    assert find_death(folder, Told()).kind == "CANCELLED"
    comment = "heyhi:0:1f"
    assert find_death(folder, Told()).kind == "killed"


def test_a_dead_need_blocks_and_says_why(tmp_path: Path) -> None:
    started(tmp_path / "p" / "train", End(1, exit_code=1, exception="ValueError: x"))
    need, middle = tmp_path / "p" / "train", tmp_path / "p" / "middle"
    path = str(tmp_path / "p" / "eval")

    def state(needs: dict[Path, Path]) -> tuple[Status, str]:
        known = {str(one): [str(its)] for one, its in needs.items()}
        return Statuses([path], needs_of=lambda one: known.get(one, ()), results_root=tmp_path).of(path)

    expected = "by p/train, DEAD: exit code 1: ValueError: x"
    assert state({Path(path): need}) == (Status.BLOCKED, expected)
    assert state({Path(path): middle, middle: need}) == (Status.BLOCKED, f"by p/middle, BLOCKED: {expected}")
    assert state({Path(path): middle}) == (Status.NOT_STARTED, "")
    ExperimentDir(need).write_result({})
    assert state({Path(path): need}) == (Status.NOT_STARTED, "")


def test_the_status_of_one_that_is_done_is_a_single_look(tmp_path: Path) -> None:
    done = started(tmp_path / "e")
    done.write_result({})
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        stat = os.stat
        patch.setattr(os, "stat", lambda path: asked.append("stat") or stat(path))
        asked.clear()
        assert find_status(done.path) is Status.DONE
        assert asked == ["stat"]


# --- results, metrics, attempts


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    folder.write_result({"loss": 0.5, "where": Path("/x")})
    assert folder.read_result() == {"loss": 0.5, "where": "/x"}


@pytest.mark.parametrize("content", [b"", b'{"loss": 0.', b"[1]", b"\xff\xfe", b"null"])
def test_a_result_that_was_cut_short_is_named(tmp_path: Path, content: bytes) -> None:
    folder = ExperimentDir(tmp_path)
    folder.result_path.write_bytes(content)
    assert find_status(folder.path) is Status.DONE
    with pytest.raises(ResultError, match=str(folder.result_path)):
        folder.read_result()


def test_a_result_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"result\.json: can't be read: No such file"):
        ExperimentDir(tmp_path).read_result()


def test_an_attempt_after_a_half_written_one_is_a_line_of_its_own(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    folder.append_attempt(Start(1))
    with folder.attempts_path.open("a") as file:
        file.write('{"event": "en')
    assert folder.attempts() == [Start(1)]
    folder.append_attempt(Start(2))
    assert [a.attempt for a in folder.attempts()] == [1, 2]


# --- wiping


def test_a_wipe_leaves_an_empty_folder(tmp_path: Path) -> None:
    folder = started(tmp_path / "e", End(1, exit_code=1))
    (folder.path / "checkpoints" / "deep").mkdir(parents=True)
    (folder.path / "checkpoints" / "deep" / "1.npz").touch()
    folder.wipe(IDENTITY)
    assert list(folder.path.iterdir()) == []
    assert find_status(folder.path) is Status.NOT_STARTED
    ExperimentDir(tmp_path / "gone").wipe(IDENTITY)
    assert not (tmp_path / "gone").exists()


def test_a_wipe_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").touch()
    folder = prepared(tmp_path / "e")
    (folder.path / "data").symlink_to(tmp_path / "data")
    (folder.path / "sub").mkdir()
    (folder.path / "sub" / "data").symlink_to(tmp_path / "data")
    (folder.path / "file").symlink_to(tmp_path / "data" / "precious")
    folder.wipe(IDENTITY)
    assert list(folder.path.iterdir()) == [] and (tmp_path / "data" / "precious").exists()


def test_a_link_to_an_experiment_is_not_wiped(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "e")
    (tmp_path / "link").symlink_to(folder.path)
    with pytest.raises(IdentityError, match="symbolic link"):
        ExperimentDir(tmp_path / "link").wipe(IDENTITY)
    assert folder.identity_path.exists()


def test_only_the_same_experiment_is_wiped(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "e")
    with pytest.raises(IdentityError, match="another experiment"):
        folder.wipe(OTHER)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "precious").touch()
    with pytest.raises(IdentityError, match=r"no identity\.json"):
        ExperimentDir(tmp_path / "plain").wipe(IDENTITY)
    assert folder.config_path.exists() and (tmp_path / "plain" / "precious").exists()


def test_a_folder_that_holds_others_or_a_results_root_is_not_wiped(tmp_path: Path) -> None:
    outer = prepared(tmp_path / "e")
    inner = prepared(tmp_path / "e" / "deep" / "inner")
    with pytest.raises(IdentityError, match="holds another experiment"):
        outer.wipe(IDENTITY)
    inner.wipe(IDENTITY)
    (outer.path / ".heyhi").mkdir()
    with pytest.raises(IdentityError, match="results root"):
        outer.wipe(IDENTITY)
    assert outer.config_path.exists()


def test_a_running_experiment_is_not_wiped(tmp_path: Path, living_owner: Claim) -> None:
    folder = prepared(tmp_path / "e")
    with pytest.raises(ClaimError, match=f"pid {os.getpid()}"):
        folder.wipe(IDENTITY)
    assert folder.config_path.exists() and living_owner.is_held()


def test_nobody_can_start_while_it_is_wiped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = started(tmp_path / "e", End(1, exit_code=1))
    folder.write_result({})
    seen: list[object] = []
    real = os.rename

    def rename(source: str, target: str, **handles: int) -> None:
        seen.append(Claim.acquire(folder.path))
        real(source, target, **handles)
        seen.append(Claim.acquire(folder.path))

    monkeypatch.setattr(trash_module.os, "rename", rename)
    folder.wipe(IDENTITY)
    assert len(seen) >= 10 and {type(got) for got in seen} == {Owner}


def test_a_wipe_that_is_cut_short_leaves_no_result_and_still_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = started(tmp_path / "e")
    folder.write_result({})
    before = contents(folder.path)
    real, moved = os.rename, []

    def rename(source: str, target: str, **handles: int) -> None:
        if handles and len(moved) == 4:  # all but the last
            raise OSError(5, "Input/output error")
        moved.append(source)
        real(source, target, **handles)

    monkeypatch.setattr(trash_module.os, "rename", rename)
    with pytest.raises(ResultError, match="Input/output error"):
        folder.wipe(IDENTITY)
    monkeypatch.undo()
    assert moved[0] == "result.json" and folder.read_identity() == IDENTITY
    folder.wipe(IDENTITY)
    first, second = trash_module.entries(tmp_path / ".heyhi-trash")
    assert {**contents(first.path / "e"), **contents(second.path / "e")} == before
    assert not first.is_unfinished and not second.is_unfinished


# --- the trash


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return each file and link below a folder with what it holds."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_what_was_wiped_lies_in_the_trash_of_the_results_root(tmp_path: Path) -> None:
    root = tmp_path / "results"
    path = started(root / "p" / "e", End(1, exit_code=1)).path
    before = contents(path)
    gone = ExperimentDir(path, root).wipe(IDENTITY)
    assert gone is not None and gone.parent.name == "p" and contents(gone) == before
    assert gone.parent.parent.parent == root / ".heyhi" / "trash"
    assert list(path.iterdir()) == []


def test_an_experiment_outside_of_the_results_root_has_its_trash_beside_it(tmp_path: Path) -> None:
    path = started(tmp_path / "elsewhere" / "e", End(1, exit_code=1)).path
    before = contents(path)
    gone = ExperimentDir(path, tmp_path / "results").wipe(IDENTITY)
    assert gone is not None and gone.parent.parent == tmp_path / "elsewhere" / ".heyhi-trash"
    assert contents(gone) == before and not (tmp_path / "results").exists()


def test_the_trash_is_that_of_the_results_root_on_record_where_none_is_given(tmp_path: Path) -> None:
    experiment = dataclasses.replace(
        make_experiment(tmp_path / "r" / "p" / "e"), roots={"results_root": f"{tmp_path}/r"}
    )
    folder = ExperimentDir(experiment.exp_path)
    folder.prepare(experiment, SCHEMA)
    gone = folder.wipe(IDENTITY)
    assert gone is not None and gone.is_relative_to(tmp_path / "r" / ".heyhi" / "trash")


@pytest.mark.parametrize("link", [".heyhi", ".heyhi/trash"])
def test_a_trash_that_is_a_link_is_not_used(tmp_path: Path, link: str) -> None:
    root = tmp_path / "results"
    path = started(root / "p" / "e").path
    (tmp_path / "other").mkdir()
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(tmp_path / "other")
    gone = ExperimentDir(path, root).wipe(IDENTITY)
    assert gone is not None and gone.is_relative_to(root / "p" / ".heyhi-trash")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_trash_that_cannot_be_written_is_not_used(tmp_path: Path) -> None:
    root = tmp_path / "results"
    path = started(root / "p" / "e").path
    (root / ".heyhi").write_text("another user's")
    before = contents(path)
    gone = ExperimentDir(path, root).wipe(IDENTITY)
    assert gone is not None and gone.is_relative_to(root / "p" / ".heyhi-trash") and contents(gone) == before


def test_a_folder_that_its_owner_has_protected_is_moved_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = started(tmp_path / "e")
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "x").touch()
    (folder.path / "deep").chmod(0o555)
    real = os.rename

    def rename(source: str, target: str, **handles: int) -> None:
        if handles and not os.stat(source, dir_fd=handles["src_dir_fd"]).st_mode & 0o200:
            raise PermissionError(13, "Permission denied")  # as for anybody but root
        real(source, target, **handles)

    monkeypatch.setattr(trash_module.os, "rename", rename)
    gone = folder.wipe(IDENTITY)
    assert gone is not None and (gone / "deep" / "x").exists() and (gone / "deep").stat().st_mode & 0o777 == 0o555


def test_wipes_of_one_second_never_meet(tmp_path: Path) -> None:
    held = []
    for number in range(20):
        folder = started(tmp_path / "r" / "p" / "e")
        (folder.path / "number").write_text(str(number))
        gone = ExperimentDir(folder.path, tmp_path / "r").wipe(IDENTITY)
        assert gone is not None
        held.append(gone)
    assert [(gone / "number").read_text() for gone in held] == [str(number) for number in range(20)]


@pytest.mark.parametrize("moves", range(6))
def test_a_wipe_that_is_killed_loses_nothing_and_leaves_no_result(tmp_path: Path, moves: int) -> None:
    folder = ExperimentDir(started(tmp_path / "p" / "e").path, tmp_path)
    folder.write_result({})
    before = contents(folder.path)
    code = """
from test_folder import *
real, moved = os.rename, []

def rename(source, target, **handles):
    if len(moved) == int(sys.argv[2]):
        os._exit(9)
    moved.append(source)
    real(source, target, **handles)

trash_module.os.rename = rename
ExperimentDir(Path(sys.argv[1]) / "p" / "e", Path(sys.argv[1])).wipe(IDENTITY)
"""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{code}"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path), str(moves)], check=False).returncode == 9
    assert (find_status(folder.path) is Status.DONE) is (moves == 0)
    if moves < len(before):
        folder.wipe(IDENTITY)
    found = [contents(entry.path / "p" / "e") for entry in trash_module.entries(tmp_path / ".heyhi" / "trash")]
    assert {name: data for one in found for name, data in one.items()} == before
    assert sum(len(one) for one in found) == len(before)


def test_a_private_experiment_stays_private_in_the_trash(tmp_path: Path) -> None:
    root = tmp_path / "results"
    folder = started(root / "p" / "e")
    (root / "p").chmod(0o710)
    folder.path.chmod(0o750)
    gone = ExperimentDir(folder.path, root).wipe(IDENTITY)
    assert gone is not None and gone.stat().st_mode & 0o777 == 0o750
    assert gone.parents[1].stat().st_mode & 0o777 == 0o710


def test_what_is_wiped_is_never_found_as_an_experiment(tmp_path: Path) -> None:
    project = Project(tmp_path)
    root = project.results_root
    for place in (root / "p" / "e", tmp_path / "elsewhere" / "e"):
        started(place, End(1, exit_code=1))
        gone = ExperimentDir(place, root).wipe(IDENTITY)
        assert gone is not None and (gone / "identity.json").exists()
        assert find_started(project, str(gone)) is None
        assert "identity" not in explain_missing(project, str(gone.parent.parent))
    with pytest.raises(IdentityError, match="not for experiments"):
        ExpPattern(project, "p/.heyhi-trash/%(cfg)s").exp_id(IDENTITY)


def test_a_wipe_takes_the_trash_in_its_folder_with_it(tmp_path: Path) -> None:
    outer, inner = started(tmp_path / "e"), started(tmp_path / "e" / "deep" / "inner")
    inner.wipe(IDENTITY)
    before = contents(outer.path)
    gone = outer.wipe(IDENTITY)
    assert gone is not None and contents(gone) == before and len([n for n in before if "inner/" in n]) == 4


def test_a_folder_that_cannot_be_looked_into_is_not_wiped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = started(tmp_path / "e")
    (folder.path / "deep").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("/deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(IdentityError, match="can't be looked into: Permission denied"):
        folder.wipe(IDENTITY)
    assert folder.config_path.exists()


OTHER_DISK = """
from test_folder import *
root = Path(sys.argv[1])
path = started(root / "p" / "e").path
(path / "model.pt").write_bytes(b"x" * 1000)
before = contents(path)
gone = ExperimentDir(path, root).wipe(IDENTITY)
print(gone.is_relative_to(root / "p" / ".heyhi-trash"), contents(gone) == before, os.listdir(path))
print(os.listdir(root / ".heyhi" / "trash"))
"""


def test_what_lies_on_another_disk_than_the_trash_stays_on_its_own(tmp_path: Path) -> None:
    (tmp_path / ".heyhi" / "trash").mkdir(parents=True)
    assert run_on_mount(f"-t tmpfs none {tmp_path}/.heyhi", tmp_path, OTHER_DISK) == ["True True []", "[]"]


NAMES = st.sampled_from(
    ["a.pt", "b", "result.json", "metrics.jsonl", "log.txt", "deep/a", "deep/x/y", "claim.txt", ".hidden", "ä €"]
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=20)), st.booleans(), st.lists(st.sampled_from("abc"), max_size=3))
def test_a_wipe_loses_nothing(files: dict[str, bytes], inside: bool, links: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temp:
        root = Path(temp) / "results"
        path = prepared((root if inside else Path(temp)) / "p" / "e").path
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        for name in dict.fromkeys(links):
            (path / f"link-{name}").symlink_to(Path(temp) / name)
        before = contents(path)
        gone = ExperimentDir(path, root).wipe(IDENTITY)
        assert gone is not None
        left = {name for name in before if name.startswith("claim.")}
        assert contents(gone) | contents(path) == before and set(contents(path)) == left


# --- folders that can't be written


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((ResultError, IdentityError), match=f"{tmp_path}/file/e.*Not a directory"):
        prepared(tmp_path / "file" / "e")


def run_on_mount(mount: str, folder: Path, code: str) -> list[str]:
    """Run code, with `folder` in argv, on a file system mounted there; skip where that is forbidden."""
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f'mount {mount} && exec "$0" - "$@"', sys.executable, folder],
            input=f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{code}",
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


READ_ONLY = """
from test_folder import *
root = Path(sys.argv[1])
folder = ExperimentDir(root / "e")
print(find_status(folder.path).value)
for act in (lambda: prepared(root / "e"), lambda: prepared(root / "new"), lambda: folder.write_result({}),
            lambda: folder.wipe(IDENTITY), lambda: folder.append_attempt(Start(1))):
    try:
        act()
        print("done")
    except ResultError as error:
        print(error)
"""

FULL = """
from test_folder import *
folder = prepared(Path(sys.argv[1]) / "e")
try:
    folder.write_result({"text": "x" * 300_000})
except ResultError as error:
    print(error)
print(find_status(folder.path).value, [name for name in os.listdir(folder.path) if "result" in name])
"""


def test_a_read_only_results_folder_is_one_sentence(tmp_path: Path) -> None:
    started(tmp_path / "e", End(1, exit_code=1))
    assert run_on_mount(f"--bind -o ro {tmp_path} {tmp_path}", tmp_path, READ_ONLY) == [
        "DEAD",
        "done",  # there is nothing left to write
        f"{tmp_path}/new: can't be written: Read-only file system",
        f"{tmp_path}/e/result.json: can't be written: Read-only file system",
        f"{tmp_path}/e/claim.json: can't be written: Read-only file system",
        f"{tmp_path}/e/attempts.jsonl: can't be written: Read-only file system",
    ]


def test_a_full_disk_leaves_no_half_written_result(tmp_path: Path) -> None:
    assert run_on_mount(f"-t tmpfs -o size=100k none {tmp_path}", tmp_path, FULL) == [
        f"{tmp_path}/e/result.json: can't be written: No space left on device",
        "NOT_STARTED []",
    ]


def test_an_experiment_knows_its_target(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path / "e")
    assert experiment.target == tmp_path / "e" / "result.json"
    assert ExperimentDir(tmp_path / "p" / "e", tmp_path).exp_id == "p/e"
    assert ExperimentDir(tmp_path / "e").exp_id == str(tmp_path / "e")
    assert dataclasses.replace(experiment, needs=(tmp_path,)).needs == (tmp_path,)
    assert (tmp_path / CLAIM_NAME).exists() is False


def test_a_result_that_is_made_anew_has_another_digest_and_an_empty_one_by_its_attempt(tmp_path: Path) -> None:
    folder = started(tmp_path / "e")
    assert folder.result_digest() == ""
    folder.write_result({"a": 1})
    first = folder.result_digest()
    folder.write_result({"a": 1})
    assert folder.result_digest() == first and len(first) == 16
    folder.write_result({"a": 2})
    assert folder.result_digest() != first
    folder.write_result(None)
    empty = folder.result_digest()
    assert folder.result_digest() == empty
    folder.append_attempt(Start(2, pid=13, host="h"))
    assert folder.result_digest() not in (empty, "")
