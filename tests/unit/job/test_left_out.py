"""Which nodes a job is kept from: by records, by what is known of its launch, and by what Slurm takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from heyhi.experiment.death import Death, death_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, History, Start
from heyhi.job.left_out import MAX_FAULTS, LeftOut, nodes_to_avoid, submit_elsewhere
from heyhi.project import NODE_FAULTS
from heyhi.slurm.commands import Busy, Refused
from heyhi.slurm.request import JobRequest

from ..slurm.test_commands import Command, command

__all__ = ["command"]

ECC = "RuntimeError: CUDA error: uncorrectable ECC error encountered"
REQUEST = JobRequest(1, 1, 1, 0, 1, 1.0, "", "", "", "", "", "", 0, True, 3, 2, 1, 1, exclude=("n9",))


def start(attempt: int, nodes: str) -> Start:
    return Start(attempt, job_id=str(attempt), nodes=nodes)


def failed(attempt: int, exception: str = "ValueError: boom", host: str = "") -> End:
    return End(attempt, "failed", exit_code=1, exception=exception, host=host)


class TestTheNextJob:
    def test_is_kept_from_where_it_failed_in_this_launch(self) -> None:
        history = History([start(1, "n1"), failed(1), start(2, "n2"), failed(2)])
        assert nodes_to_avoid(history, 0, ()) == ()
        assert nodes_to_avoid(history, 1, ()) == ("n2",)
        assert nodes_to_avoid(history, 2, ()) == ("n1", "n2")

    def test_is_kept_from_a_node_at_fault_whoever_ran_it_there(self) -> None:
        history = History([start(1, "n1"), failed(1, ECC), start(2, "n2"), failed(2)])
        assert nodes_to_avoid(history, 0, NODE_FAULTS) == ("n1",)

    def test_is_kept_from_a_lost_node(self) -> None:
        lost = End(1, "NODE_FAIL", job_state="NODE_FAIL", host="n3", job_id="1")
        assert nodes_to_avoid(History([start(1, "n3"), lost]), 0, ()) == ("n3",)

    def test_is_kept_from_the_rank_s_node_alone_where_that_is_known(self) -> None:
        settled = End(1, "failed", job_state="FAILED", host="n[1-2]", job_id="1")
        history = History([start(1, "n[1-2]"), failed(1, host="n2"), settled])
        assert nodes_to_avoid(history, 1, ()) == ("n2",)
        assert nodes_to_avoid(History([start(1, ""), failed(1), settled]), 1, ()) == ("n[1-2]",)

    @pytest.mark.parametrize("reason", ["requeue", "terminated", "TIMEOUT", "OUT_OF_MEMORY", "PREEMPTED", "done"])
    def test_may_go_where_it_was_only_stopped(self, reason: str) -> None:
        assert nodes_to_avoid(History([start(1, "n1"), End(1, reason)]), 1, NODE_FAULTS) == ()


def folder(path: Path, *records: Start | End, log: str = "") -> tuple[ExperimentDir, Death]:
    path.mkdir(parents=True, exist_ok=True)
    made = ExperimentDir(path)
    for record in records:
        made.append_attempt(record)
    made.log_path.write_text(log)
    return made, death_of(made.history())


class TestALaunch:
    def test_leaves_out_a_node_at_fault_once_and_says_which_and_why(self, tmp_path: Path) -> None:
        left = LeftOut(NODE_FAULTS)
        said = left.blame(*folder(tmp_path / "a", start(1, "n1"), failed(1, ECC.upper())), ())
        assert said == "n1 is left out from now on, and this is no attempt (node_faults: uncorrectable ECC)"
        # Another that ran there at the same time is no attempt either; one that was sent there in vain is.
        assert left.blame(*folder(tmp_path / "b", start(1, "n1"), failed(1, ECC)), ())
        assert not left.blame(*folder(tmp_path / "c", start(1, "n1"), failed(1, ECC)), left.nodes)
        assert left.nodes == ("n1",)

    def test_blames_no_more_nodes_than_can_be_at_fault(self, tmp_path: Path) -> None:
        left = LeftOut(NODE_FAULTS)
        said = [
            left.blame(*folder(tmp_path / f"{n}", start(1, f"n{n}"), failed(1, ECC)), ()) for n in range(MAX_FAULTS + 1)
        ]
        assert [bool(text) for text in said] == [*(MAX_FAULTS * [True]), False]
        assert len(left.nodes) == MAX_FAULTS

    def test_goes_by_the_log_only_where_nothing_was_raised(self, tmp_path: Path) -> None:
        left = LeftOut(NODE_FAULTS)
        log = f"{ECC}\n"
        killed = End(1, "killed", exit_code=134, exception="", job_id="1", job_state="FAILED", host="n1")
        assert not left.blame(*folder(tmp_path / "a", start(1, "n1"), failed(1), log=log), ())
        assert not left.blame(*folder(tmp_path / "b", start(1, "n1"), killed, log=log + 50 * "x\n"), ())
        stacks = "Fatal Python error: Aborted\n\n" + 50 * 'Thread 0x00007f (most recent call first):\n  File "a.py"\n'
        assert left.blame(*folder(tmp_path / "c", start(1, "n1"), killed, log=log + stacks), ())
        left = LeftOut(NODE_FAULTS)
        assert left.blame(*folder(tmp_path / "d", start(1, "n1"), killed, log=log), ())

    def test_goes_by_the_log_of_the_rank_that_ended(self, tmp_path: Path) -> None:
        made, _ = folder(tmp_path, start(1, "n[1-2]"), failed(1, "rank 3 on n2: signal 6 (SIGABRT)", "n2"))
        made.log_path_of(3).write_text(f"terminate called\n{ECC}\n")
        left = LeftOut(NODE_FAULTS)
        assert left.blame(made, death_of(made.history()), ())
        assert left.nodes == ("n2",)

    def test_blames_nobody_for_what_never_started(self, tmp_path: Path) -> None:
        unstarted = End(0, "failed", exit_code=1, job_id="2", job_state="FAILED", host="n2")
        made = folder(tmp_path, start(1, "n1"), failed(1), unstarted, log=ECC)
        assert not LeftOut(NODE_FAULTS).blame(*made, ())

    @pytest.mark.parametrize(
        "raised",
        ["RuntimeError: CUDA error: an illegal memory access was encountered",
         "RuntimeError: NCCL error: unhandled system error", "OSError: [Errno 28] No space left on device",
         "torch.OutOfMemoryError: CUDA out of memory"],
    )  # fmt: skip
    def test_blames_no_node_for_what_may_be_the_task_s_doing(self, tmp_path: Path, raised: str) -> None:
        assert not LeftOut(NODE_FAULTS).blame(*folder(tmp_path, start(1, "n1"), failed(1, raised)), ())


SINFO = "main*|n1|idle\nmain*|n2|{0}\nother|n3|idle\n"


def sinfo(command: Command, state: str) -> None:
    """Have sinfo list two nodes of the default partition, and one of another; or the first alone, where asked for."""
    command("sinfo", f'case "$*" in *--nodes=n1*) echo "main*|n1|idle";; *) printf "{SINFO.format(state)}";; esac')


class TestToSubmitElsewhere:
    def test_a_job_is_kept_from_nodes_where_there_are_others(self, command: Command) -> None:
        sinfo(command, "mixed")
        asked: list[JobRequest] = []
        assert submit_elsewhere(REQUEST, ("n1",), lambda r: asked.append(r) or "7") == "7"
        assert [r.exclude for r in asked] == [("n9", "n1")]

    @pytest.mark.parametrize("state", ["drained", "down*", "idle*", "failing", "unknown"])
    def test_it_does_not_wait_for_nodes_that_are_away(
        self, command: Command, caplog: pytest.LogCaptureFixture, state: str
    ) -> None:
        sinfo(command, state)
        asked: list[JobRequest] = []
        submit_elsewhere(REQUEST, ("n1",), lambda r: asked.append(r) or "7")
        assert [r.exclude for r in asked] == [("n9",)]
        assert "job 7 may run on n1 again" in caplog.text

    def test_it_runs_there_again_where_slurm_has_no_others_for_it(self, command: Command) -> None:
        sinfo(command, "idle")
        asked: list[JobRequest] = []

        def submit(request: JobRequest) -> str:
            asked.append(request)
            if "n1" in request.exclude:
                raise Refused("sbatch: Requested node configuration is not available")
            return "7"

        assert submit_elsewhere(REQUEST, ("n1",), submit) == "7"
        assert [r.exclude for r in asked] == [("n9", "n1"), ("n9",)]

    def test_what_is_refused_anyway_is_refused_and_what_waits_waits(self, command: Command) -> None:
        sinfo(command, "idle")
        for kind in (Refused, Busy):
            with pytest.raises(kind):
                submit_elsewhere(REQUEST, ("n1",), lambda _, kind=kind: (_ for _ in ()).throw(kind("no")))

    def test_without_an_answer_there_may_be_others(self, command: Command) -> None:
        command("sinfo", "exit 1")
        asked: list[JobRequest] = []
        submit_elsewhere(REQUEST, ("n1",), lambda r: asked.append(r) or "7")
        assert asked[0].exclude == ("n9", "n1")

    def test_of_several_nodes_enough_must_be_left(self, command: Command) -> None:
        sinfo(command, "idle")
        asked: list[JobRequest] = []
        two = dataclasses.replace(REQUEST, nodes=2, tasks=2)
        submit_elsewhere(two, ("n1",), lambda r: asked.append(r) or "7")
        assert asked[0].exclude == ("n9",)
