"""What a run tells, record by record, without Snakemake: the lines, and what is left out."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heyhi.console.names import Named
from heyhi.console.teller import Asked, Passing, Teller
from heyhi.experiment.claim import Claim
from heyhi.experiment.winners import Winner, winner_path, write_winner
from heyhi.project import Project, Settings

TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


class Stage:
    """A run of which a test makes the records."""

    def __init__(self, root: Path, *names: str, quiet: frozenset[str] = frozenset()) -> None:
        self.project = Project(root, Settings())
        self.stream = io.StringIO()
        self.folders = {name: f"{self.project.results_root}/p/{name}" for name in names}
        self.needs: dict[str, tuple[str, ...]] = {}
        passing = Passing(lambda record: True, lambda record: str(record.msg), lambda record, text: text)
        self.files: dict[str, tuple[str, ...]] = {}
        asked = Asked(self.named, lambda: "conf/sweep.py", self.needed_files)
        self.teller = Teller(self.project, asked, self.stream, passing, quiet)

    def named(self) -> dict[str, Named]:
        return {
            folder: Named(
                f"p/{name}", "conf/c.prototxt", (name,), tuple(self.folders[need] for need in self.needs.get(name, ()))
            )
            for name, folder in self.folders.items()
        }

    def needed_files(self) -> dict[str, tuple[str, ...]]:
        return {self.folders[name]: files for name, files in self.files.items()}

    def say(self, text: str | None, event: str | None = None, level: int = logging.INFO, **more: Any) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, text, (), None)
        record.__dict__.update(more, event=event)
        self.teller.take(record)

    def begin(self, count: int, **more: Any) -> None:
        self.say("Provided cores: 2", "resources_info", **(more or {"cores": 2}))
        self.say("Job stats: …", "run_info", stats={"experiment": count, "aggregate": 1, "all": 1})

    def start(self, job: int, name: str) -> None:
        exp = Path(self.folders[name]).relative_to(self.project.root)
        self.say("", "job_info", jobid=job, rule_name="experiment", wildcards={"exp": str(exp)}, rule_msg="", output=[])

    def finish(self, job: int) -> None:
        self.say("Finished jobid", "job_finished", job_id=job)

    def fail(self, job: int, message: str | None = None) -> None:
        self.say("Error in rule", "job_error", logging.ERROR, jobid=job, rule_name="experiment", rule_msg=message)

    def log(self, name: str, launch: str, log: str = "said\n") -> None:
        folder = Path(self.folders[name])
        folder.mkdir(parents=True)
        (folder / "identity.json").write_text('{"version": 2, "cfg": "c", "overrides": []}')
        (folder / "launch.log").write_text(launch)
        if log:
            (folder / "log.txt").write_text(log)

    @property
    def lines(self) -> list[str]:
        return TIME.sub("", self.stream.getvalue()).splitlines()


def test_one_line_when_one_starts_and_one_when_it_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3")
    stage.begin(2)
    stage.start(5, "x=1")
    stage.start(6, "x=2")
    stage.log("x=2", "note\np/x=2: DEAD: exit code 1: ValueError: boom (log: /r/log.txt)\n")
    stage.finish(5)
    stage.fail(6)
    stage.teller.close()
    head, *rest = stage.lines
    assert head.startswith("run     2 experiments, on 2 cores of this machine, 1 DONE before, 20")
    assert rest == [
        "start   x=1",
        "start   x=2",
        "done    x=1  0 s",
        "DEAD    x=2  exit code 1: ValueError: boom  log: results/p/x=2/log.txt",
        "end     1 done, 1 DEAD in 0 s; heyhi logs --error p/x=2 shows more, and the same command goes on",
    ]


def test_what_another_process_runs_already_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    for name, since in (("x=1", "2026-01-01T10:00:00+00:00"), ("x=2", "2999-01-01T10:00:00+00:00")):
        with monkeypatch.context() as patch:
            patch.setattr("heyhi.experiment.owner.utc_now", lambda since=since: since)
            Path(stage.folders[name]).mkdir(parents=True)
            Claim.acquire(Path(stage.folders[name]))
    stage.begin(2)
    stage.start(5, "x=1")
    stage.start(6, "x=2")
    waits, starts = stage.lines[1:]
    assert waits.startswith("waits   for x=1  which pid ") and waits.endswith("since 2026-01-01T10:00:00+00:00 runs")
    assert starts == "start   x=2"  # its own, which has claimed it since


def test_what_has_a_result_in_the_end_is_done_though_snakemake_has_not_seen_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3")
    stage.begin(3)
    stage.start(5, "x=1")
    stage.start(6, "x=2")
    stage.log("x=1", "")
    (Path(stage.folders["x=1"]) / "result.json").write_text("{}")
    stage.teller.close()
    assert stage.lines[3:] == ["done    x=1", "end     1 done, 2 not done in 0 s"]


@pytest.mark.parametrize(
    "text",
    [
        "Building DAG of jobs...",
        "Using shell: /usr/bin/bash",
        "Select jobs to execute...",
        "Exiting because a job execution failed. Look above for error messages",
        "Complete log(s): /p/.snakemake/log/x.log",
        "Cannot restore results/p/a/result.json: no backup found.",
        "Trying to restart job 3.",
        "SLURM run ID: 50a3c56f-deb6-4558-87de-5bb57534237d",
        "MinJobAge 300s (>= 120s). 'squeue' should work reliably for status queries.",
        "Cleaning up SLURM log files older than 10 day(s).",
    ],
)
def test_noise_is_left_out(tmp_path: Path, text: str) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.begin(2)
    stage.start(3, "x=1")
    before = stage.lines
    stage.say(text)
    assert stage.lines == before


@pytest.mark.parametrize(
    "text",
    [
        "WorkflowError in file /p/Snakefile, line 3:\nno such thing",
        "MissingInputException in rule a in file /p/Snakefile:\nMissing input files",
        "Error: Directory cannot be locked.",
        "MinJobAge is 60 seconds (< 120s). This may cause jobs to disappear",
        "Slurm takes no more jobs for now (x); the rest is submitted as jobs end.",
        "RuleException:\nCalledProcessError in file a.smk, line 2:\nCommand 'python -m heyhi.report x' returned 1",
        "RuleException:\nCalledProcessError in file a.smk, line 2:\nCommand 'exit 1' returned non-zero exit status 1.",
    ],
)
def test_what_matters_is_seen_in_full(tmp_path: Path, text: str) -> None:
    stage = Stage(tmp_path, "x=1")
    stage.begin(1)
    stage.say(text, "error", logging.ERROR)
    stage.say(text)
    assert stage.stream.getvalue().count(f"{text}\n") == 2


def test_that_some_failed_is_said_by_the_end_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1")
    stage.begin(1)
    before = stage.lines
    stage.say("WorkflowError:\nAt least one job did not complete successfully.", "error", logging.ERROR)
    command = "Command 'set -euo pipefail;  python -P -m heyhi.runner results/p/x=1/result.json' returned 1"
    stage.say(f"RuleException:\nCalledProcessError in file experiment.smk, line 2:\n{command}", "error", logging.ERROR)
    assert stage.lines == before


def test_a_choice_that_has_failed_is_one_line_with_its_reason_or_its_log(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1")
    stage.begin(1)
    wildcards = {"winner": "results/winners/0123456789abcdef"}
    text = "choose the best of conf/tune.py"
    why = tmp_path / "results/winners/0123456789abcdef.failed.txt"
    why.parent.mkdir(parents=True)
    command = f"Command 'set -euo pipefail;  python -P -m heyhi.winner {wildcards['winner']}.json' returned 2"
    for job, reason in enumerate(("no experiment has 'los'\n", "")):
        why.write_text(reason)
        stage.say("", "job_info", jobid=job, rule_name="winner", wildcards=wildcards, rule_msg=text, output=[])
        stage.say(f"RuleException:\nCalledProcessError in file winner.smk, line 2:\n{command}", "error", logging.ERROR)
        stage.say("Error in rule", "job_error", logging.ERROR, jobid=job, rule_name="winner", rule_msg=text)
    assert stage.lines[1:] == [
        "ERROR   no experiment has 'los'",
        f"ERROR   {text}: that has failed, log: {wildcards['winner']}.log",
    ]


@pytest.mark.parametrize(("replicates", "shown"), [(("p/x=1",), "0.03581"), (("p/x=1", "p/x=2"), "mean of 2: 0.03581")])
def test_a_mean_is_not_shown_as_the_value_of_the_experiment_beside_it(
    tmp_path: Path, replicates: tuple[str, ...], shown: str
) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.begin(1)
    words = "conf/tune.py min=loss"
    winner = Winner(words, "p/x=1", 0.0358149, replicates, "c", (), (), (), "", "", "")
    path = winner_path(tmp_path / "results", words)
    write_winner(path, winner)
    wildcards = {"winner": f"results/winners/{path.stem}"}
    text = "choose the best of conf/tune.py"
    stage.say("", "job_info", jobid=1, rule_name="winner", wildcards=wildcards, rule_msg=text, output=[])
    stage.finish(1)
    assert stage.lines[1:] == [f"best    the best of conf/tune.py is x=1  {shown}"]


def test_what_is_tried_again_says_so_and_counts_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.log("x=1", "p/x=1: DEAD: exit code 1: boom (log: /r)\n")
    stage.begin(2)
    stage.start(5, "x=1")
    stage.fail(5)
    stage.say("Trying to restart job 5.")
    stage.start(5, "x=1")
    stage.finish(5)
    stage.teller.close()
    assert [text for text in stage.lines if "x=1" in text and "DEAD" not in text][:3] == [
        "start   x=1",
        "again   x=1",
        "done    x=1  0 s",
    ]
    assert stage.lines[-1].startswith("end     1 done, 1 not done in 0 s")


def test_what_is_blocked_is_named_once_and_what_was_only_not_started_is_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3", "x=4", "x=5")
    stage.needs = {"x=2": ("x=1",), "x=3": ("x=2",), "x=5": ("x=4",)}
    stage.begin(5)
    stage.start(5, "x=1")
    stage.fail(5, "p/x=1: DEAD: boom")
    stage.teller.close()
    stage.teller.close()
    assert stage.lines[-3:] == [
        "DEAD    p/x=1: boom",
        "BLOCKED x=2, x=3",
        "end     0 done, 1 DEAD, 2 BLOCKED, 2 not done in 0 s; the same command goes on",
    ]


def test_what_a_failed_rule_of_the_projects_own_was_to_make_blocks_what_needs_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3", "x=4", "x=5")
    stage.needs = {"x=3": ("x=2",)}
    stage.files = {"x=1": ("data/a",), "x=2": ("data/a", "/elsewhere/b"), "x=5": ("data/there",)}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/there").touch()
    (tmp_path / "data/a.log").write_text("no room")
    (tmp_path / "data/empty.log").touch()
    stage.begin(5)
    own = {"rule_name": "points", "rule_msg": None, "wildcards": {}}
    logs = ["data/empty.log", "data/gone.log", str(tmp_path / "data/a.log")]
    for job, outputs in ((3, ["data/a"]), (4, ["data/there"])):
        stage.say("rule points", "job_info", jobid=job, output=outputs, **own)
        stage.say("Error in rule", "job_error", logging.ERROR, jobid=job, log=logs, **own)
    stage.finish(4)  # tried again
    stage.teller.close()
    assert stage.lines[-3:] == [
        "BLOCKED x=1, x=2  data/a was not made: rule points has failed, log: data/a.log",
        "BLOCKED x=3",
        "end     0 done, 3 BLOCKED, 2 not done in 0 s",
    ]


def test_what_waits_for_a_file_behind_a_failed_rule_is_blocked_by_that(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1")
    stage.files = {"x=1": ("data/a",)}
    stage.begin(1)
    stage.say("", "job_info", jobid=3, output=["raw"], log=[], rule_name="download", rule_msg=None, wildcards={})
    stage.say("Error in rule", "job_error", logging.ERROR, jobid=3, rule_name="download", rule_msg=None)
    stage.teller.close()
    assert stage.lines[-2] == "BLOCKED p/x=1  data/a was not made: rule download has failed"


def test_one_that_is_unknown_is_none_of_those_that_were_to_run(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3")
    stage.say("Job stats: …", "run_info", stats={"experiment": 2, "unknown": 1})
    stage.say("", "job_info", jobid=7, rule_name="unknown", rule_msg="results/p/x=2/result.json: UNKNOWN: no, it is")
    stage.say("Error in rule", "job_error", logging.ERROR, jobid=7, rule_name="unknown", rule_msg=None)
    stage.start(5, "x=1")
    stage.finish(5)
    stage.teller.close()
    assert stage.lines[0].startswith("run     2 experiments, 20")
    assert stage.lines[1:] == [
        "UNKNOWN p/x=2: no, it is",
        "start   x=1",
        "done    x=1  0 s",
        "end     1 done, 1 UNKNOWN, 1 not done in 0 s",
    ]


def test_on_slurm_a_job_is_said_once_and_what_it_was_not_given_to_by_its_exp_id(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3")
    stage.begin(3, nodes=100)
    for job, name in enumerate(("x=1", "x=2", "x=3"), start=5):
        stage.start(job, name)
    stage.say("p/x=1: job 71")
    stage.log("x=3", "")
    further = " For further error details see the cluster/cloud log and the log files of the involved rule(s)."
    stage.fail(6, f"p/x=2: not submitted: sbatch: nope {further}")
    stage.fail(7, f"p/x=3: DEAD: TIMEOUT (job 73 on n1) {further}")
    assert stage.lines[0].startswith("run     3 experiments, handed over, at most 100 at once, 20")
    assert stage.lines[1:] == [
        "queued  x=1  job 71",
        "ERROR   p/x=2: not submitted: sbatch: nope",
        "DEAD    x=3  TIMEOUT (job 73 on n1)  log: results/p/x=3/log.txt",
    ]


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ([(1, "requeue", 50.0), (2, "requeue", 40.0), (3, "done", 35.0)], "done    x=1  2 min"),
        ([(1, "requeue", 50.0), (2, "requeue", 40.0)], "done    x=1"),  # its end isn't on record yet
        ([(2, "requeue", 40.0), (3, "done", 35.0)], "done    x=1"),  # its node has died
    ],
)
def test_what_was_queued_again_took_the_time_of_all_its_attempts(
    tmp_path: Path, ends: list[tuple[int, str, float]], shown: str
) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.begin(2, nodes=100)
    stage.start(5, "x=1")
    kinds = ("retry", "requeue", "requeue")
    lines: list[dict[str, Any]] = [{"kind": "first", "attempt": 0, "event": "start"}]  # failed, in another run
    lines += [{"event": "start", "attempt": number, "kind": kind} for number, kind in enumerate(kinds, start=1)]
    lines += [{"event": "end", "attempt": number, "reason": why, "seconds": took} for number, why, took in ends]
    stage.log("x=1", "")
    records = sorted(lines, key=lambda line: (line["attempt"], line["event"] == "end"))
    (Path(stage.folders["x=1"]) / "attempts.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in records))
    stage.finish(5)
    assert stage.lines[-1] == shown


def test_a_run_that_was_killed_before_it_said_a_word_has_its_reason_from_the_records(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.log("x=1", "", log="")
    start = {"event": "start", "attempt": 1, "pid": 7, "host": "h", "time": "2026-11-28T12:00:00+00:00"}
    (Path(stage.folders["x=1"]) / "attempts.jsonl").write_text(json.dumps(start) + "\n")
    stage.begin(2)
    stage.start(5, "x=1")
    stage.start(6, "x=2")
    stage.fail(5)
    stage.fail(6)
    assert stage.lines[-2:] == [
        "DEAD    p/x=1: killed (no end record; pid 7 on host h)",
        "ERROR   p/x=2: it ended before it was started",
    ]


def test_one_whose_shell_alone_was_killed_goes_on_whether_it_has_begun_or_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", "x=3")
    stage.begin(3)
    for job, name in enumerate(stage.folders):
        stage.start(job, name)
    wait = "import sys; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", wait, "-m", "heyhi.runner", "results/p/x=1/result.json", "--manifest", "m"]
    folder = Path(stage.folders["x=2"])
    folder.mkdir(parents=True)
    claim = Claim.acquire(folder)
    assert isinstance(claim, Claim)
    pipe = subprocess.PIPE
    with claim, subprocess.Popen(words, cwd=tmp_path, stdin=pipe, stdout=pipe) as runner:
        assert runner.stdout is not None and runner.stdout.readline()
        for job in range(3):
            stage.fail(job)
        runner.communicate()
    assert stage.lines[4] == f"ERROR   p/x=1: its shell has ended, and its runner goes on without it (pid {runner.pid})"
    assert stage.lines[5].startswith("ERROR   p/x=2: its shell has ended, and it goes on without it: RUNNING: pid ")
    assert stage.lines[6] == "ERROR   p/x=3: it ended before it was started"


def test_what_its_last_but_one_attempt_died_of_is_no_reason_of_the_last(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1")
    before = "p/x=1: DEAD: exit code 1: ValueError: before (log: l)\n"
    stage.log("x=1", f"{before}--- started again 2026-11-28T12:00:00+00:00, pid 8\n", log="")
    start = {"event": "start", "attempt": 2, "pid": 8, "host": "h", "time": "2026-11-28T12:00:00+00:00"}
    (Path(stage.folders["x=1"]) / "attempts.jsonl").write_text(json.dumps(start) + "\n")
    stage.begin(1)
    stage.start(5, "x=1")
    stage.fail(5)
    (line,) = [line for line in stage.lines if line.startswith("DEAD")]
    assert "killed (no end record; pid 8 on host h)" in line and "before" not in line


def test_what_ctrl_c_stops_is_not_taken_for_failed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.begin(2)
    stage.start(5, "x=1")
    stage.teller.note_interrupt()
    stage.fail(5)
    stage.teller.close()
    assert stage.lines[-1] == "end     0 done, 2 not done in 0 s"


def test_a_text_from_elsewhere_can_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.log("x=1", f"p/x=1: DEAD: exit code 1: \x1b[2J{'x' * 9000} (log: /r)\n")
    stage.begin(2)
    stage.start(5, "x=1")
    stage.fail(5)
    stage.say("warning: \x1b]0;title\x07")
    assert "\x1b" not in stage.stream.getvalue() and max(map(len, stage.lines)) < 700


def test_it_says_less_where_it_is_to_be_quiet(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", quiet=frozenset({"rules", "progress"}))
    stage.begin(2)
    stage.start(5, "x=1")
    stage.finish(5)
    stage.start(6, "x=2")
    stage.fail(6, "p/x=2: DEAD: boom")
    stage.teller.close()
    assert [text.split()[0] for text in stage.lines] == ["run", "DEAD", "end"]


def test_what_is_quiet_about_ends_counts_them_and_has_no_banner(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2", quiet=frozenset({"rules", "progress"}))
    stage.say("SNAKEMAKE\n=====", "workflow_started")
    stage.begin(2)
    stage.start(5, "x=1")
    stage.start(6, "x=2")
    stage.log("x=1", "")
    (Path(stage.folders["x=1"]) / "result.json").write_text("{}")  # Snakemake says nothing of its end
    stage.teller.close()
    head, end = stage.lines
    assert head.startswith("run     2 experiments") and end.startswith("end     1 done, 1 not done in ")


def test_where_several_have_died_their_sweep_is_where_more_is_found(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.begin(2)
    for job, name in enumerate(("x=1", "x=2"), start=5):
        stage.start(job, name)
        stage.log(name, f"p/{name}: DEAD: exit code {job} (log: /r/log.txt)\n")
        stage.fail(job)
    stage.teller.close()
    assert stage.lines[-1] == (
        "end     0 done, 2 DEAD in 0 s; heyhi logs --error conf/sweep.py shows more, and the same command goes on"
    )


def test_rules_of_others_are_told_as_snakemake_does(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "x=1")
    stage.begin(1)
    stage.say("rule plot", "job_info", jobid=9, rule_name="plot", wildcards={}, rule_msg=None, output=["a.png"])
    stage.say("Finished plot", "job_finished", job_id=9)
    stage.say("Error in rule plot", "job_error", logging.ERROR, jobid=9, rule_name="plot", rule_msg=None)
    assert stage.lines[1:] == ["rule plot", "Finished plot", "Error in rule plot"]


def test_the_line_of_a_day_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1_000_000_000.0)
    monkeypatch.setattr("time.time", lambda: clock.now)
    stage = Stage(tmp_path, "x=1", "x=2")
    stage.begin(2)
    clock.now += 24 * 3600
    stage.start(5, "x=1")
    stage.start(6, "x=2")
    assert [len(text) for text in stage.lines[1:]] == [len("2001-09-10"), len("start   x=1"), len("start   x=2")]


def test_what_could_not_start_on_a_full_disk_says_so_where_it_has_no_log(tmp_path: Path) -> None:
    ask = "import sys; from pathlib import Path; from heyhi.console.ends import how_ended\n"
    ask += "print(*how_ended(f'{sys.argv[1]}/p/x', 'p/x', Path(sys.argv[1])))"
    for full in (True, False):
        filler = 'head -c 60K /dev/zero > "$0/filler";' if full else ""
        script = f'mount -t tmpfs -o size=100k none "$0" && {filler} exec "$@" "$0"'
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script, str(tmp_path), sys.executable, "-c", ask],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if "unshare:" in done.stdout or "mount:" in done.stdout:
            pytest.skip(f"no mounts here: {done.stdout.strip()}")
        why = f"{tmp_path}: can't be written: No space left on device; make room, and the same command goes on"
        assert done.stdout.strip() == f"ERROR {why if full else 'it ended before it was started'}"
