"""What counts in a controller's log: why it didn't hand over what, and why it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.control.last_words import last_words

BEGIN = "2026-11-28T14:37:45+00:00 vm pid 16631: snakemake --profile /p --config manifest=m launch=l\n"
NOPE = "sbatch: invalid partition specified: nope"
REFUSED = f"""\
Building DAG of jobs...
[Sat Nov 28 14:37:46 2026]
Job 3: run results/p/work/x=2_93188956c3adf4e6
[Sat Nov 28 14:37:46 2026]
Error in rule experiment:
    message: p/work/x=2_9: not submitted: {NOPE} For further error details see the cluster/cloud log and the log.
    jobid: 4
    shell:
        python -m heyhi.runner
Logfile results/p/work/x=3_855a9277360664fa/launch.log not found.
Error in rule experiment:
    message: p/work/x=3_9: not submitted: {NOPE} For further error details see the cluster/cloud log and the log.
    jobid: 5
Exiting because a job execution failed. Look above for error messages
WorkflowError:
At least one job did not complete successfully.
"""
SAME = "No more is submitted. not submitted: 3 experiments ended with the same error, and none is done: ValueError: x"
END = "2026-11-28T14:37:47+00:00 exit code 1\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "c.log"


def test_what_was_said_of_many_is_said_once_and_of_one_to_who_asks(log: Path) -> None:
    log.write_text(f"{BEGIN}{REFUSED}{END}")
    words = last_words(log)
    assert words.summary() == [f"2 × not submitted: {NOPE}"]  # noqa: RUF001
    assert words.of("p/work/x=2_9") == [f"not submitted: {NOPE}"] and words.of("p/work/x=4_9") == []
    assert words.how == "ended at 2026-11-28T14:37:47+00:00 with exit code 1"
    assert words.summary(lambda text: NOPE in text) == []


def test_only_the_last_run_counts(log: Path) -> None:
    log.write_text(f"{BEGIN}{REFUSED}{END}{BEGIN}Building DAG of jobs...\n2026-11-28T15:00:00+00:00 exit code 0\n")
    assert (last_words(log).exit_code, last_words(log).lines) == (0, [])


def test_a_log_without_an_end_is_of_one_that_was_killed_or_had_no_room(log: Path) -> None:
    log.write_text(f"{BEGIN}{REFUSED}{END}{BEGIN}OSError: [Errno 28] No space left on device: '/r/x'\n")
    words = last_words(log)
    assert words.how.startswith("was killed, or couldn't write any more")
    assert words.summary() == ["OSError: [Errno 28] No space left on device: '/r/x'"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("error: conf/x.py: boom\n", ["error: conf/x.py: boom"]),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", ["KeyError: 'a'"]),
        ("WorkflowError:\nFailed to open slurm.\n", ["Failed to open slurm."]),
        (f"{SAME}\n", [SAME]),
        ("SyntaxError in file /p/Snakefile, line 31:\n\ninvalid (None, line 31):\nrule x(:\n", [
            "SyntaxError in file /p/Snakefile, line 31: invalid (None, line 31)"
        ]),
        ("SyntaxError in file /p/Snakefile, line 31:\n", ["SyntaxError in file /p/Snakefile, line 31:"]),
        ("Error in rule experiment:\n    message: run results/p/a\n", []),
        ("    message: not behind an error\nMyErrors are none\n", []),
        ("ImportError: \x1b[31m\udcff\n", ["ImportError: \\x1b[31m\ufffd"]),
    ],
)  # fmt: skip
def test_errors_count_and_nothing_else(log: Path, text: str, found: list[str]) -> None:
    log.write_bytes(f"{BEGIN}{text}".encode(errors="surrogateescape"))
    assert last_words(log).lines == found


def test_of_a_log_that_is_not_there_nothing_is_said(log: Path) -> None:
    assert last_words(log).lines == []


def test_what_records_say_and_what_is_said_twice_is_left_out_of_a_summary(log: Path) -> None:
    error = "Error in rule experiment:\n    message: p/{}: {} For further error details see the log\n"
    why = SAME.removeprefix("No more is submitted. ")
    log.write_text(f"{BEGIN}{error.format(1, 'DEAD: exit code 1')}{SAME}\n{error.format(2, why)}{error.format(3, why)}")
    assert last_words(log).summary() == [f"2 × {why}"]  # noqa: RUF001
    log.write_text(f"{BEGIN}{SAME}\n")
    assert last_words(log).summary() == [SAME]


FULL = "No space left on device: /r/c.log"


def unlogged(log: Path, pid: int, *lines: str) -> None:
    folder = log.with_suffix("")
    folder.mkdir()
    (folder / "spare").write_text("\n".join([f"pid {pid}", FULL, *lines]).ljust(4096, "\n"))


def test_what_a_log_had_no_room_for_counts_as_if_it_stood_there_and_the_disk_comes_first(log: Path) -> None:
    log.write_text(f"{BEGIN}{REFUSED}OSError: [Errno 28] No space left")
    unlogged(log, 16631, "ValueError: x", END.strip())
    words = last_words(log)
    assert words.summary() == [FULL, f"2 × not submitted: {NOPE}", "OSError: [Errno 28] No space left", "ValueError: x"]  # noqa: RUF001
    assert words.how == "ended at 2026-11-28T14:37:47+00:00 with exit code 1"


def test_a_log_that_did_not_even_take_the_begin_of_the_last_controller_says_nothing_of_it(log: Path) -> None:
    log.write_text(f"{BEGIN}{REFUSED}{END}")
    unlogged(log, 17000, "")
    words = last_words(log)
    assert (words.lines, words.exit_code) == ([FULL], None)


def test_a_full_disk_is_told_before_what_comes_of_it(log: Path) -> None:
    why = "Error recording metadata for finished job ([Errno 28] No space left on device). Please ensure"
    log.write_text(f"{BEGIN}ValueError: x\nWorkflowError:\n{why}\n{END}")
    assert last_words(log).lines == [why, "ValueError: x"]


@pytest.mark.parametrize("junk", [b"", b"\n" * 4096, b"pid x\nwhy\n", b"\xff" * 5000, b"\0" * 4096])
def test_a_spare_block_that_says_nothing_changes_nothing(log: Path, junk: bytes) -> None:
    log.write_text(f"{BEGIN}{END}")
    log.with_suffix("").mkdir()
    (log.with_suffix("") / "spare").write_bytes(junk)
    assert (last_words(log).lines, last_words(log).exit_code) == ([], 1)


def test_lines_of_our_own_logger_are_read_as_those_of_snakemake(log: Path) -> None:
    log.write_text(
        f"{BEGIN}14:37:46 run     4 experiments, handed over, 2026-11-28\n14:37:46 queued  x=1  job 7\n"
        f"14:37:46 ERROR   p/work/x=2_9: not submitted: {NOPE}\n14:37:46 ERROR   p/work/x=3_9: not submitted: {NOPE}\n"
        "14:37:47 DEAD    p/work/x=4_9: job 8 ended before it started the experiment\n"
        "14:37:47 DEAD    x=1  exit code 1: ValueError: p/a: boom  log: results/p/work/x=1_9/log.txt\n"
        "14:37:47 DEAD    x=5  exit code 1: OSError: No space left on device  log: results/p/work/x=5_9/log.txt\n"
        f"14:37:47 end     0 done, 2 DEAD, 2 ERROR in 1 s\n{END}"
    )
    words = last_words(log)
    assert words.summary() == [f"2 × not submitted: {NOPE}"]  # noqa: RUF001
    assert words.of("p/work/x=2_9") == [f"not submitted: {NOPE}"] and words.of("p/work/x=1_9") == []
    assert words.of("p/work/x=4_9") == ["DEAD: job 8 ended before it started the experiment"]


def test_a_run_on_this_machine_of_which_snakemake_says_none_says_nothing(log: Path) -> None:
    log.write_text(f"{BEGIN}Error in rule experiment:\n    message: None\n    jobid: 3\n{END}")
    assert last_words(log).lines == []
