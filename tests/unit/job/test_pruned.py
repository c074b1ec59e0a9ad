"""A run that a search ends early: whatever its main does then, it is PRUNED, in one process or in several."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.records import PRUNED
from heyhi.experiment.slots import SearchDir
from heyhi.experiment.status import find_state

WHY = "ended at step 3: acc 0.7, among the worst 2 of 3"
# A main that logs as the trial of a search does.
TRIAL = """
from heyhi.experiment.slots import SearchDir
from heyhi.job.pruning import rungs_of
from heyhi.sweep.search_spec import AshaSpec, SearchSpec

spec = SearchSpec("c", (), (), "acc", "max", 9, stop=AshaSpec(3, 3))
rungs = rungs_of(SearchDir(os.environ["FIFOS"], "0123456789abcdef").slot(7), spec)

def log(**line):
    if heyhi.is_master():
        for listener in rungs:
            listener(line)

def main(task, cfg, log_level):
    heyhi.maybe_init_requeue_handler(lambda: pathlib.Path("checkpoint").write_text("3"))
    try:
        {train}
    except BaseException as error:
        print("caught", type(error).__name__)
        {caught}
    finally:
        pathlib.Path("finally").touch()
    {end}
"""
LOG = "log(step=3, acc=0.7)"


def trial(train: str = LOG, caught: str = "raise", end: str = "") -> str:
    return TRIAL.format(train=train, caught=caught, end=end)


@pytest.fixture
def lab(task_lab: Any) -> Any:
    folder = SearchDir(task_lab.fifos, "0123456789abcdef").rungs_path / "3"
    folder.mkdir(parents=True)
    for name in ("0001=0.8", "0002=0.9"):
        (folder / name).touch()
    return task_lab


def check(lab: Any, why: str = WHY) -> None:
    """Check that it is PRUNED, with all on record."""
    folder = lab.folder()
    assert find_state(folder.path) == (Status.PRUNED, why)
    end = folder.history().ends[-1]
    assert (end.reason, end.exit_code, end.exception) == (PRUNED, 0, why)
    assert not folder.has_result() and not folder.claim_path.exists()


def test_who_is_among_the_worst_is_pruned_with_its_checkpoint(lab: Any) -> None:
    code, _, err = lab.run(trial())
    check(lab)
    folder = lab.folder()
    assert (folder.path / "checkpoint").exists() and (folder.path / "finally").exists()
    assert code == 1 and f"{Status.PRUNED.value}: {WHY} (log: " in err
    text = folder.log_path.read_text()
    assert "caught Pruned\n" in text and f"PRUNED: {WHY}\n" in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("caught", "end"),
    [
        ("pass", "return {'acc': 0.7}"),
        ("pass", ""),
        ("raise RuntimeError('workers are gone')", ""),
        ("pass", "heyhi.save_result_in_cwd({'acc': 0.7})"),
        ("pass", "sys.exit(3)"),
        ("pass", "os._exit(0)"),
        ("log(step=4, acc=1.0)", ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", ""),
    ],
)
def test_whatever_a_main_does_that_catches_it_it_has_no_result(lab: Any, caught: str, end: str) -> None:
    code, _, _ = lab.run(trial(caught=caught, end=end))
    check(lab)
    assert code == (143 if "SIGTERM" in caught else 1)


def test_a_main_may_end_itself_so(lab: Any) -> None:
    lab.run(trial(train="raise heyhi.Pruned('its loss is no number')"))
    check(lab, "its loss is no number")


def test_a_result_that_it_had_before_stays_its_result(lab: Any) -> None:
    code, _, _ = lab.run(trial(train=f"heyhi.save_result_in_cwd({{'acc': 1}}); {LOG}"))
    assert (code, find_state(lab.folder().path).status) == (0, Status.DONE)


def test_an_ordinary_run_goes_on_from_what_is_there_to_its_end(lab: Any) -> None:
    lab.run(trial())
    code, _, _ = lab.run(trial(train="assert pathlib.Path('checkpoint').exists()", end="return {'acc': 1}"))
    assert (code, lab.folder().read_result()) == (0, {"acc": 1})
    assert [end.reason for end in lab.folder().history().ends] == [PRUNED, "done"]


def test_run_py_says_how_it_goes_on_and_leaves_it(lab: Any) -> None:
    main = trial() + (
        "\nif __name__ == '__main__':\n    code = heyhi.parse_args_and_maybe_launch(main, ['--cfg', 'job', 'lr=0.5'])\n"
    )
    code, out, _ = lab.end(lab.program(main))
    assert code == 0 and f"PRUNED ({WHY})" in out
    check(lab)
    code, out, _ = lab.end(lab.program(main))
    assert code == 0 and "--mode start_continue goes on from its files, --mode restart begins anew" in out
    assert len(lab.folder().history().starts) == 1


def test_a_run_in_a_notebook_is_pruned_and_the_caller_goes_on(lab: Any) -> None:
    main = trial() + (
        "\nif __name__ == '__main__':\n"
        "    handle = heyhi.maybe_launch(main, cfg='job', overrides=['lr=0.5'])\n"
        "    print(handle.get_status())\n"
    )
    code, out, _ = lab.end(lab.program(main))
    assert code == 0 and out.endswith("PRUNED\n")


@pytest.mark.usefixtures("srun")
@pytest.mark.parametrize(
    "other",
    [
        "time.sleep(600)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); time.sleep(600)",
        "fail('a peer is gone')",
    ],
)
def test_several_ranks_end_together(lab: Any, other: str) -> None:
    """Also where the others fail first, as they miss the one that leaves."""
    main = trial(train=f"{LOG} if os.environ['RANK'] == '0' else {other}", caught="leave()")
    main = f"""
def fail(text):
    while not pathlib.Path("leaving").exists():
        time.sleep(0.01)
    raise RuntimeError(text)

def leave():
    if os.environ["RANK"] == "0":
        pathlib.Path("leaving").touch()
        time.sleep({"1" if "fail" in other else "0"})
    raise
{main}"""
    code, _, err = lab.run(main, wrapper="sys.argv += ['--tasks', '2']")
    check(lab)
    assert code == 1 and f"PRUNED: {WHY}" in err
    assert lab.folder().log_path.read_text() == f"caught Pruned\nPRUNED: {WHY}\n", "said once"
    assert (lab.folder().path / "checkpoint").exists()


@pytest.mark.usefixtures("srun")
def test_ranks_end_where_the_first_one_waits_for_the_others_that_wait_for_it(lab: Any) -> None:
    """In a barrier of a `finally`, say."""
    (lab.root / "pyproject.toml").write_text("[tool.heyhi]\nend_grace = 1\n")
    main = trial(train=f"{LOG} if os.environ['RANK'] == '0' else time.sleep(600)", caught="time.sleep(600)")
    code, _, _ = lab.run(main, wrapper="sys.argv += ['--tasks', '2']")
    check(lab)
    assert code == 1
    said = "main was not left within 1 s after its search had ended it early: all ranks are ended\n"
    assert said in lab.folder().log_path.read_text()


@pytest.mark.usefixtures("srun")
def test_a_first_rank_that_returns_a_result_after_it_was_ended_has_none(lab: Any) -> None:
    lab.run(trial(caught="pass", end="return {'acc': 0.7}"), wrapper="sys.argv += ['--tasks', '2']")
    check(lab)


def test_ranks_of_this_machine_end_together(lab: Any) -> None:
    (lab.root / "conf" / "conf.proto").write_text(
        'syntax = "proto2";\n'
        "message Include { optional string path = 1; optional string mount = 2; }\n"
        "message Local { optional int32 tasks = 1; }\n"
        "message Launcher { oneof kind { Local local = 1; } }\n"
        "message Job { optional double lr = 1 [default = 0.5]; optional Launcher launcher = 2; }\n"
        "message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }\n"
    )
    (lab.root / "conf" / "job.prototxt").write_text("job { launcher { local { tasks: 2 } } }\n")
    code, _, _ = lab.run(trial(train=f"{LOG} if os.environ['RANK'] == '0' else time.sleep(600)"))
    check(lab)
    assert code == 1
    assert lab.folder().log_path.read_text() == f"caught Pruned\nPRUNED: {WHY}\n", "said once"


def test_a_stop_that_comes_with_it_changes_nothing(lab: Any) -> None:
    process = lab.start(trial(caught="meet('ready'); time.sleep(600)"))
    lab.meet("ready")
    process.send_signal(signal.SIGTERM)
    assert lab.end(process)[0] == 143
    check(lab)


def test_one_that_is_killed_then_is_no_pruned_one(lab: Any) -> None:
    """Between its checkpoint and its end on record: who comes next ends it again."""
    process = lab.start(trial(caught="meet('ready'); time.sleep(600)"))
    lab.meet("ready")
    process.kill()
    lab.end(process)
    assert find_state(lab.folder().path).status is Status.DEAD
    assert (lab.folder().path / "checkpoint").exists()
    lab.run(trial(train="log(step=4, acc=1.0)"))
    check(lab, "ended at step 4: acc 0.7 at step 3, among the worst 2 of 3")
