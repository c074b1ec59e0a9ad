"""What is asked of Slurm and what its answers mean, with commands that answer as Slurm's do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi.config.identity import Identity
from heyhi.control.survey import Survey
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.names import IDENTITY_NAME
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner
from heyhi.experiment.status import Statuses
from heyhi.job.order import PACK_LIST_NAME
from heyhi.project import find_project
from heyhi.report.read import Reader
from heyhi.report.readings import Entry
from heyhi.slurm.commands import (
    Busy,
    Full,
    Job,
    NoCluster,
    Phase,
    Queue,
    Refused,
    SlurmError,
    Use,
    View,
    account,
    cancel,
    list_jobs,
    output_of,
    refusal,
    submit,
    use_of,
)
from heyhi.slurm.refusals import Meaning, meaning_of

Command = Callable[[str, str], None]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Make commands of Slurm's, each a line of shell; `calls` has a line for each call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{script}\n')
        path.chmod(0o755)

    return make


def calls(tmp_path: Path, name: str) -> int:
    path = tmp_path / "calls"
    return sum(line.startswith(f"{name} ") for line in path.read_text().splitlines()) if path.exists() else 0


def row(*fields: str) -> str:
    return "\\037".join(fields)


def test_a_job_is_read_as_squeue_prints_it(command: Command) -> None:
    command("squeue", f"printf '{row('7', 'PENDING', 'Priority', '', '/a|b', 'heyhi:0a:1b mine | too')}\\n'")
    assert list_jobs(["7"]) == [Job("7", "PENDING", "Priority", "", "/a|b", "heyhi:0a:1b mine | too")]


def test_jobs_that_slurm_has_forgotten_are_left_out(command: Command) -> None:
    command("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert list_jobs(["9"]) == []
    assert not Queue().has_answer


def test_what_is_no_list_of_jobs_is_no_empty_one(command: Command) -> None:
    command("squeue", "echo 'Welcome to the cluster!'")
    with pytest.raises(SlurmError, match="Welcome"):
        list_jobs(["7"])
    assert Queue().jobs("0a") is None, "no answer: nothing is taken for dead"

    command("squeue", f"echo 'Welcome to the cluster!'; printf '{row('7', 'PENDING', 'None', '', '/', '')}\\n'")
    assert [job.job_id for job in list_jobs(["7"])] == ["7"]


def test_jobs_are_found_by_their_comment_among_everybodys_by_one_call(command: Command, tmp_path: Path) -> None:
    lines = [f"{number}\x1fRUNNING\x1fNone\x1fn1\x1f/home/x\x1f{number} heyhi:0a:1" for number in range(50_000)]
    lines[7] = "7\x1fPENDING\x1fPriority\x1f\x1f/a|b\x1fheyhi:0a:0a1b mine | too"
    lines[8] = "8\x1fPENDING\x1fPriority\x1f\x1f/c\x1fheyhi:0b:0a1b another root's"
    (tmp_path / "list").write_text("\n".join(lines) + "\n")
    command("squeue", f"cat {tmp_path}/list")
    queue = Queue()
    start = time.process_time()
    assert queue.jobs("0a") == {"7": Job("7", "PENDING", "Priority", "", "/a|b", "heyhi:0a:0a1b mine | too")}
    assert time.process_time() - start < 1
    assert list(queue.jobs("0b") or ()) == ["8"] and queue.jobs("0c") == {}
    assert queue.job("9") == Job("9", "RUNNING", "", "n1", "/home/x", "9 heyhi:0a:1") and queue.job("50000") is None
    assert calls(tmp_path, "squeue") == 1 and "--name" not in (tmp_path / "calls").read_text()


def test_a_job_whose_comment_a_site_has_changed_counts_by_its_id_and_folder(command: Command, tmp_path: Path) -> None:
    owner = claimed(tmp_path / "e", "7")
    (tmp_path / "e" / IDENTITY_NAME).touch()
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / PACK_LIST_NAME).touch()
    for folder, is_ours in (("e", True), ("pack", True), ("", False)):
        command("squeue", f"printf '{row('7', 'RUNNING', '', 'n1', str(tmp_path / folder), 'project=x')}\\n'")
        assert (read_owner(tmp_path / "e") == owner) == is_ours
        assert (owner.find_job(Queue()) is not None) == is_ours


def test_ctrl_c_on_the_terminal_does_not_end_a_command_half_way(command: Command, tmp_path: Path) -> None:
    command("sbatch", f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo 7")
    code = (
        "import signal; from heyhi.slurm.commands import submit; signal.signal(signal.SIGINT, print)\n"
        "print(submit([], ''))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1:] == ["7"], err


def test_accounts_tell_signals_from_exit_codes(command: Command) -> None:
    lines = [row("1", "CANCELLED by 0", "0:15", "n1", "/x", ""), row("2", "FAILED", "3:0", "n2", "/y", "")]
    command("sacct", f"printf '{lines[0]}\\n{lines[1]}\\n'")
    found = account(["1", "2", "3"])
    assert (found["1"].state, found["1"].exit_code) == ("CANCELLED", -15)
    assert (found["2"].state, found["2"].exit_code) == ("FAILED", 3)
    assert "3" not in found


@pytest.mark.parametrize(
    ("state", "phase"),
    [("PENDING", Phase.WAITING), ("REQUEUE_HOLD", Phase.WAITING), ("RUNNING", Phase.RUNNING),
     ("COMPLETING", Phase.RUNNING), ("SOMETHING_NEW", Phase.RUNNING), ("TIMEOUT", Phase.OVER),
     ("PREEMPTED", Phase.OVER)],
)  # fmt: skip
def test_a_state_that_is_not_final_counts_as_alive(state: str, phase: Phase) -> None:
    assert Job("1", state).phase is phase


def test_the_script_reaches_sbatch_by_standard_input(command: Command, tmp_path: Path) -> None:
    command("sbatch", f"cat > {tmp_path}/script; echo 'motd of this site'; echo '12;cluster'")
    assert submit(["--job-name=x"], "#!/bin/sh\necho $(touch hacked)\n") == "12"
    assert (tmp_path / "script").read_text().endswith("echo $(touch hacked)\n")


@pytest.mark.parametrize(
    ("message", "kind"),
    [("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", Refused),
     ("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's "
      "size and/or time limits)", Full),
     ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", Busy),
     ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", Busy),
     ("sbatch: error: Batch job submission failed: Slurm backup controller in standby mode", Busy),
     ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", Busy),
     ("sbatch: error: Batch job submission failed: Resource temporarily unavailable", Busy),
     ("sbatch: error: Batch job submission failed: Connection refused", Busy),
     ("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates", Full),
     ("sbatch: error: Batch job submission failed: Invalid authentication credential", Busy),
     ("sbatch: error: Munge encode failed: Failed to access \\\"/run/munge/munge.socket.2\\\": No such file", Busy),
     ("sbatch: error: Batch job submission failed: Protocol authentication error", Busy),
     ("sbatch: error: Batch job submission failed: I/O error writing script/environment to file", Busy),
     ("sbatch: error: Batch job submission failed: Invalid qos specification", Refused),
     ("sbatch: fatal: Could not establish a configuration source", NoCluster)],
)  # fmt: skip
def test_a_refusal_is_told_from_a_limit(command: Command, message: str, kind: type[SlurmError]) -> None:
    command("sbatch", f'cat > /dev/null; echo "{message}" >&2; exit 1')
    command("squeue", "echo 7")
    with pytest.raises(kind, match=r"^sbatch: (?!error|fatal)") as raised:
        submit([], "")
    assert type(raised.value) is kind


POLICY = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time …)"


@pytest.mark.parametrize(
    ("names", "meaning"),
    [
        (["QOSMaxSubmitJobPerUserLimit"], Meaning.FULL_OF_OWN),
        (["AssocMaxSubmitJobLimit"], Meaning.FULL_OF_OWN),
        (["MaxSubmitJobsPerAccount"], Meaning.FULL),
        (["QOSGrpSubmitJobsLimit"], Meaning.FULL),
        (["AssocGrpSubmitJobsLimit"], Meaning.FULL),
        # With DenyOnLimit these say what a job alone may ask for.
        (["QOSMaxWallDurationPerJobLimit"], Meaning.NEVER),
        (["QOSMaxGRESPerJob"], Meaning.NEVER),
        (["QOSMaxNodePerJobLimit"], Meaning.NEVER),
        (["QOSMaxGRESPerUser"], Meaning.NEVER),
        (["QOSGrpGRES"], Meaning.NEVER),
        (["QOSMinGRES"], Meaning.NEVER),
        (["QOSGrpCPUMinutesLimit"], Meaning.NEVER),
        (["QOSGrpWallLimit"], Meaning.NEVER),
        (["QOSMaxWallDurationPerJobLimit", "QOSMaxSubmitJobPerUserLimit"], Meaning.NEVER),
        ([], Meaning.UNNAMED),
    ],
)
def test_a_limit_is_known_by_its_name(names: list[str], meaning: Meaning) -> None:
    assert meaning_of("; ".join([*names, POLICY])) is meaning


@pytest.mark.parametrize(
    "words",
    ["Invalid job array specification", "Invalid account or account/partition combination specified",
     "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified",
     "Invalid qos specification", "Invalid feature specification", "Requested reservation is invalid",
     "Node count specification invalid", "Requested node configuration is not available",
     "Requested time limit is invalid (missing or exceeds some limit)", "Invalid node name specified",
     "unrecognized option '--foo'"],
)  # fmt: skip
def test_what_no_waiting_mends_is_refused_for_good(words: str) -> None:
    assert meaning_of(words) is Meaning.NEVER


@pytest.mark.parametrize("name", ["QOSMaxSubmitJobPerUserLimit; ", "AssocMaxSubmitJobLimit; ", ""])
def test_a_limit_that_lets_no_job_in_though_none_is_there_is_none_that_passes(
    command: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "words").write_text(f"sbatch: error: {name}{POLICY}\n".replace("; ", "\nsbatch: error: "))
    command("sbatch", f"cat > /dev/null; cat {tmp_path}/words >&2; exit 1")
    command("squeue", f"[ -e {tmp_path}/some ] && echo 7; exit 0")
    with pytest.raises(Refused, match="job submit limit"):
        submit([], "")
    assert calls(tmp_path, "sbatch") == 3, "one may just have ended"
    (tmp_path / "some").touch()
    with pytest.raises(Full):
        submit([], "")
    assert calls(tmp_path, "sbatch") == 4


def test_where_a_cluster_is_configured_it_is_only_away(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command("sbatch", "cat > /dev/null; echo 'sbatch: fatal: Could not establish a configuration source' >&2; exit 1")
    monkeypatch.setenv("SLURM_CONF", "/somewhere/slurm.conf")
    with pytest.raises(Busy) as raised:
        submit([], "")
    assert not isinstance(raised.value, Full)


def test_a_machine_that_has_no_room_for_one_more_process_is_only_busy(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", no_room)
    with pytest.raises(Busy, match="sbatch: can't be run: Resource temporarily unavailable"):
        submit([], "")


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (
            "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified\n",
            "invalid partition specified: nope; Invalid partition name specified",
        ),
        (
            "sbatch: unrecognized option '--foo'\nTry \"sbatch --help\" for more information\n",
            "unrecognized option '--foo'",
        ),
        ("sbatch: error: Batch script is empty!\nsbatch: error: Batch script is empty!\n", "Batch script is empty!"),
        ("", "sbatch failed with exit code 3"),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit\n", ""),
    ],
)
def test_the_reason_is_taken_from_what_sbatch_prints(
    command: Command, tmp_path: Path, printed: str, reason: str
) -> None:
    (tmp_path / "printed").write_text(printed)
    command("sbatch", f"cat {tmp_path}/printed >&2; exit 3")
    assert refusal(["--partition=nope"], "#!/bin/sh\n") == reason
    assert (tmp_path / "calls").read_text() == "sbatch --test-only --partition=nope\n"


@pytest.mark.parametrize(
    "printed",
    ["allocation failure: Unable to contact slurm controller (connect failure)",
     "sbatch: fatal: Could not establish a configuration source"],
)  # fmt: skip
def test_a_controller_that_is_away_refuses_nothing(command: Command, printed: str) -> None:
    command("sbatch", f"echo '{printed}' >&2; exit 1")
    with pytest.raises(SlurmError, match=r"^sbatch: (Unable to contact|Could not establish)"):
        refusal([], "")


def test_a_command_has_the_seconds_that_its_caller_gives_it(command: Command) -> None:
    command("sinfo", "exec sleep 100")
    with pytest.raises(Busy, match=r"sinfo: took longer than 0\.1 s: Slurm's controller is busy or away"):
        output_of(["sinfo"], seconds=0.1)


def test_an_answer_without_a_job_id_is_no_submission(command: Command) -> None:
    command("sbatch", "cat > /dev/null; echo done")
    with pytest.raises(Refused, match="no job id"):
        submit([], "")


def test_no_job_gets_what_another_job_or_person_has_set(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_PROCID", "SBATCH_ARRAY_INX", "SBATCH_WAIT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    command("scancel", f"env > {tmp_path}/env")
    cancel(["3"])
    seen = (tmp_path / "env").read_text()
    assert "SLURM_JOB_ID" not in seen
    assert "SBATCH_WAIT" not in seen
    assert "SBATCH_ACCOUNT=mine" in seen


def test_without_slurm_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SlurmError, match="this machine knows no Slurm"):
        list_jobs(["7"])


# --- claims that belong to jobs -----------------------------------------------------------------------------------


def claimed(folder: Path, job: str = "") -> Owner:
    """Claim a folder for a job, as a process that is gone by now."""
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys; from pathlib import Path\n"
        "from heyhi.experiment.claim import Claim\n"
        "from heyhi.experiment.owner import JobRef\n"
        "claim = Claim.acquire(Path(sys.argv[1]), kind='submission', ref=JobRef('', '0a', 'abcd'))\n"
        "sys.argv[2] and claim.hand_over(sys.argv[2])\n"
        "import os; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), job], check=True)
    return Owner(**json.loads((folder / "claim.json").read_text()))


def test_a_submission_lives_as_long_as_its_job(command: Command, tmp_path: Path) -> None:
    owner = claimed(tmp_path / "e", "7")
    command("squeue", f"printf '{row('7', 'PENDING', 'Priority', '', '/', 'heyhi:0a:abcd')}\\n'")
    assert read_owner(tmp_path / "e") == owner
    command("squeue", f"printf '{row('7', 'FAILED', '', '', '/', 'heyhi:0a:abcd')}\\n'")
    assert read_owner(tmp_path / "e") is None


def test_without_an_answer_a_job_counts_as_alive(command: Command, tmp_path: Path) -> None:
    owner = claimed(tmp_path / "e", "7")
    command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert read_owner(tmp_path / "e") == owner


def test_a_submitter_that_was_killed_before_it_knew_the_job_is_settled_by_the_comment(
    command: Command, tmp_path: Path
) -> None:
    claimed(tmp_path / "e")
    command("squeue", f"printf '{row('9', 'RUNNING', '', 'n1', '/', 'heyhi:0a:ffff,abcd mine')}\\n'")
    owner = read_owner(tmp_path / "e")
    assert owner is not None
    job = owner.find_job(Queue())
    assert job is not None
    assert job.job_id == "9"
    command("squeue", f"printf '{row('9', 'RUNNING', '', 'n1', '/', 'heyhi:0a:ffff mine abcd')}\\n'")
    assert read_owner(tmp_path / "e") is None


def test_a_claim_passes_from_a_submission_to_its_job_and_to_nobody_else(command: Command, tmp_path: Path) -> None:
    owner = claimed(tmp_path / "e", "7")
    command("squeue", f"printf '{row('7', 'RUNNING', '', 'n1', '/', 'heyhi:0a:abcd')}\\n'")
    assert Claim.acquire(tmp_path / "e", kind=SUBMISSION, ref=JobRef("", "0a", "abcd")) == owner
    mine = Claim.acquire(tmp_path / "e", ref=JobRef("7", "0a", "abcd"), replaces=lambda o: o.nonce == owner.nonce)
    assert isinstance(mine, Claim)
    mine.release()
    assert not list((tmp_path / "e").glob("claim*"))


def test_many_claims_cost_one_call(command: Command, tmp_path: Path) -> None:
    command("squeue", f"printf '{row('7', 'RUNNING', '', 'n1', '/', 'heyhi:0a:abcd')}\\n'")
    owner = claimed(tmp_path / "e0", "7")
    for number in range(1, 50):
        folder = tmp_path / f"e{number}"
        folder.mkdir()
        (folder / "claim.json").write_bytes((tmp_path / "e0" / "claim.json").read_bytes())
    view = View()
    assert all(read_owner(tmp_path / f"e{number}", view.queue) == owner for number in range(50))
    assert calls(tmp_path, "squeue") == 1


def test_a_job_that_has_ended_and_still_runs_by_the_accounts_has_ended(command: Command) -> None:
    command("squeue", f"printf '{row('7', 'FAILED', 'NonZeroExitCode', 'n1', '/', 'heyhi:0a:abcd')}\\n'")
    command("sacct", f"printf '{row('7', 'RUNNING', '0:0', 'n1', '/', '')}\\n'")
    view = View()
    assert view.queue.has_answer
    job = view.ended("7")
    assert job is not None and (job.state, job.exit_code) == ("FAILED", None)


def test_a_report_and_a_status_of_many_ask_once(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("squeue", f"printf '{row('7', 'RUNNING', '', 'n1', '/', 'heyhi:0a:abcd')}\\n'")
    lines = "".join(row(str(job), "TIMEOUT", "0:0", "n1", "/", "") + "\\n" for job in range(100, 120))
    command("sacct", f"printf '{lines}'")
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (root / "conf" / "conf.proto").write_text('syntax = "proto2"; message MetaCfg {}')
    monkeypatch.chdir(root)
    project = find_project()
    claimed(project.results_root / "running", "7")
    folders = [project.results_root / "running"]
    for job in range(100, 120):
        folder = project.results_root / f"dead{job}"
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps({"job_id": str(job)}))
        folders.append(folder)
    rows = Survey.of_folders(project, list(map(str, folders))).rows
    assert [r.status for r in rows] == ["RUNNING"] + 20 * ["DEAD"]
    assert rows[1].reason == "TIMEOUT (job 100 on n1)"
    assert (calls(tmp_path, "squeue"), calls(tmp_path, "sacct")) == (1, 1)
    entries = [Entry(folder.name, str(folder), Identity("c", ()), "work", ()) for folder in folders]
    read = Reader(project).read([one.folder for one in entries], lambda places: [entries[p] for p in places], {})
    assert read.fields["status"] == ["RUNNING"] + 20 * ["DEAD"]
    assert (calls(tmp_path, "squeue"), calls(tmp_path, "sacct")) == (2, 2)


def test_how_the_jobs_of_what_is_needed_ended_is_asked_with_all_others(command: Command, tmp_path: Path) -> None:
    lines = "".join(row(str(job), "TIMEOUT", "0:0", "n1", "/", "") + "\\n" for job in range(100, 105))
    command("sacct", f"printf '{lines}'")
    needs = {f"{tmp_path}/e{job}": [f"{tmp_path}/dead{job}"] for job in range(100, 105)}
    for job, (need,) in enumerate(needs.values(), 100):
        Path(need).mkdir()
        (Path(need) / "job.json").write_text(json.dumps({"job_id": str(job)}))
    statuses = Statuses(list(needs), needs_of=lambda path: needs.get(path, []), results_root=tmp_path)
    found = [statuses.of(path) for path in needs]
    assert [state.reason for state in found] == [f"by dead{j}, DEAD: TIMEOUT (job {j} on n1)" for j in range(100, 105)]
    assert calls(tmp_path, "sacct") == 1


def test_accounts_tell_how_long_a_job_ran(command: Command) -> None:
    lines = [row("1", "TIMEOUT", "0:0", "n1", "/x", "", "61"), row("2", "FAILED", "3:0", "n2", "/y", "", "")]
    command("sacct", f"printf '{lines[0]}\\n{lines[1]}\\n'")
    found = account(["1", "2"])
    assert (found["1"].seconds, found["2"].seconds) == (61, None)


@pytest.mark.parametrize(
    ("lines", "cpu_seconds", "mem_gb"),
    [
        (["00:08.380|", "00:08.380|504764K", "00:00.001|"], 8.38, 504764 / 2**20),
        (["1-02:03:04|", "01:00|2147483648", "00:01|3G"], 93_784, 3),
        (["00:00:00|"], None, None),  # it has just ended
        (["what|is", "this"], None, None),
        ([], None, None),
    ],
)
def test_accounts_tell_what_a_job_s_processes_used(
    command: Command, lines: list[str], cpu_seconds: float | None, mem_gb: float | None
) -> None:
    command("sacct", "".join(f"echo '{line}'\n" for line in lines))
    assert use_of("7") == Use(cpu_seconds, mem_gb)


def test_without_accounts_nobody_knows_what_a_job_used(command: Command) -> None:
    command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert use_of("7") == Use()
