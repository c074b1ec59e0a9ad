"""What main returned is not lost where result.json can't be written: it is tried again, then put elsewhere."""

from __future__ import annotations

import json
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.errors import ResultError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import End, Record
from heyhi.experiment.status import find_state
from heyhi.job import saving
from heyhi.job.saving import keep_trying, save_result_in_cwd


class Disk:
    """A disk that is full at first, and the clock of those who wait for it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.free_at = float("inf")
        self.tries: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def check(self) -> None:
        self.tries.append(round(self.seconds, 3))
        if self.seconds < self.free_at:
            raise ResultError("result.json: can't be written: No space left on device")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    """Return a full disk for results; the temporary folder is elsewhere."""
    disk, real = Disk(), ExperimentDir.write_result
    monkeypatch.setattr(saving, "_sleep", disk.sleep)

    def write_result(self: ExperimentDir, result: object) -> None:
        disk.check()
        real(self, result)

    monkeypatch.setattr(ExperimentDir, "write_result", write_result)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return disk


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "tmp").iterdir())


def test_a_result_is_written_when_there_is_room_again(
    task_lab: Any, disk: Disk, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    disk.free_at = 200
    assert task_lab.execute(lambda **_: {"y": 1}).done
    assert task_lab.folder().read_result() == {"y": 1} and kept(tmp_path) == []
    assert disk.tries[:6] == [0, 1, 3, 7, 15, 31] and disk.tries[-1] < 240
    said = [record.getMessage() for record in caplog.records if "can't be written" in record.getMessage()]
    assert 2 <= len(said) <= 5 and said[0].endswith("No space left on device; it is tried again for 300 s")


def test_after_some_minutes_it_is_in_the_log_and_in_the_temporary_folder(
    task_lab: Any, disk: Disk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = task_lab.execute(lambda **_: {"y": 1, "z": "ä"})
    assert outcome.status is Status.DEAD and outcome.exit_code == 1 and 290 <= disk.tries[-1] <= 301
    (path,) = kept(tmp_path)
    assert json.loads(path.read_text()) == {"y": 1, "z": "ä"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name.startswith("heyhi.") and "p_job_lr=0.5" in path.name
    folder = task_lab.folder()
    end = folder.history().ends[-1]
    why = f"what main returned is in {path}, since result.json: can't be written: No space left on device"
    assert (end.reason, end.exit_code, end.exception) == ("failed", 1, why)
    assert find_state(folder.path) == (Status.DEAD, f"exit code 1: {why}") and why in capfd.readouterr().err
    assert json.dumps({"y": 1, "z": "ä"}, indent=2) in folder.log_path.read_text()


def test_a_result_that_was_saved_before_main_returned_is_not_lost_either(
    task_lab: Any, disk: Disk, tmp_path: Path
) -> None:
    def main(**_: object) -> None:
        save_result_in_cwd({"y": 1})

    assert "what main returned is in" in task_lab.execute(main).reason
    assert [json.loads(path.read_text()) for path in kept(tmp_path)] == [{"y": 1}]


@pytest.mark.parametrize("saves", [False, True])
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_waiting(
    task_lab: Any, disk: Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, saves: bool, sign: signal.Signals
) -> None:
    def sleep(seconds: float) -> None:
        disk.sleep(seconds)
        if disk.seconds > 10:
            signal.raise_signal(sign)

    monkeypatch.setattr(saving, "_sleep", sleep)
    with pytest.raises(KeyboardInterrupt if sign is signal.SIGINT else SystemExit):
        task_lab.execute(lambda **_: save_result_in_cwd({"y": 1}) if saves else {"y": 1})
    assert 10 < disk.seconds < 11
    assert [json.loads(path.read_text()) for path in kept(tmp_path)] == [{"y": 1}]
    state = find_state(task_lab.folder().path)
    assert state.status is Status.DEAD
    assert saves or f"stopped by {sign.name}: what main returned is in {kept(tmp_path)[0]}" in state.reason


def test_where_there_is_no_temporary_folder_the_log_has_it(
    task_lab: Any, disk: Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    reason = task_lab.execute(lambda **_: {"y": 1}).reason
    assert str(task_lab.folder().log_path) in reason and '{\n  "y": 1\n}' in task_lab.folder().log_path.read_text()


def test_an_exp_id_of_any_length_names_the_file(task_lab: Any, disk: Disk, tmp_path: Path) -> None:
    aside = saving.set_aside(saving.encode({"y": 1}), f"/deep/{'x' * 400}/last", tmp_path / "log.txt")
    (path,) = kept(tmp_path)
    assert str(path) in aside and "x_last." in path.name and len(path.name) < 200


def test_a_result_outside_of_runs_is_refused_at_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match="No space left"):
        save_result_in_cwd({"y": 1})
    assert disk.tries == [0] and kept(tmp_path) == []


@pytest.mark.parametrize(("free_at", "is_there"), [(3.0, True), (float("inf"), False)])
def test_a_record_that_cannot_be_written_is_tried_again_briefly(
    task_lab: Any, monkeypatch: pytest.MonkeyPatch, free_at: float, is_there: bool
) -> None:
    disk, real = Disk(), ExperimentDir.append_attempt
    disk.free_at = free_at
    monkeypatch.setattr(saving, "_sleep", disk.sleep)

    def append(self: ExperimentDir, record: Record) -> None:
        if isinstance(record, End):
            disk.check()
        real(self, record)

    monkeypatch.setattr(ExperimentDir, "append_attempt", append)
    assert task_lab.execute(lambda **_: {"y": 1}).done
    assert len(task_lab.folder().history().ends) == is_there and disk.seconds <= saving.RECORD_SECONDS
    assert not task_lab.folder().claim_path.exists()


def test_trying_again_ends_with_the_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    monkeypatch.setattr(saving, "_sleep", disk.sleep)
    with pytest.raises(ResultError, match="No space left"):
        keep_trying(disk.check, 10)
    assert disk.tries == [0, 1, 3, 7, 10]
    with pytest.raises(ResultError):
        keep_trying(disk.check, 10, is_stopping=lambda: True)
    assert len(disk.tries) == 6


def mounted(lab: Any, main: str, wrapper: str, tmp_path: Path) -> tuple[int, str, str]:
    """Run it with a folder on a disk of 1 MB of its own."""
    lab.write(main)
    folder: Path = lab.folder().path
    folder.mkdir(parents=True)
    code = f"import subprocess, sys; {wrapper}"
    real: Callable[..., Any] = lab.open

    def open_mounted(command: list[str], **options: Any) -> Any:
        script = 'mount -t tmpfs -o size=1m none "$0" && "$@"; code=$?; cp "$0"/* "$OUT"; exit $code'
        return real(["env", f"OUT={tmp_path}/out", "unshare", "-rm", "sh", "-c", script, str(folder), *command])

    lab.open = open_mounted
    (tmp_path / "out").mkdir()
    return lab.run(main, code)  # type: ignore[no-any-return]


FILL = """
def main(task, cfg, log_level):
    big = os.open("big", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(big, bytes(1000))
    except OSError:
        os.close(big)
    return {"y": "1" * 10_000}
"""


def test_a_full_disk_loses_no_result(task_lab: Any, tmp_path: Path) -> None:
    tmp = tmp_path / "elsewhere"
    tmp.mkdir()
    wrapper = f"saving._sleep = lambda s: None\nimport tempfile; tempfile.tempdir = {str(tmp)!r}"
    code, _, err = mounted(task_lab, FILL, wrapper, tmp_path)
    if "unshare:" in err or "mount:" in err:
        pytest.skip(f"no mounts here: {err.strip()}")
    (path,) = tmp.iterdir()
    assert code == 1 and f"what main returned is in {path}, since" in err and "No space left on device" in err
    assert json.loads(path.read_text()) == {"y": "1" * 10_000}
    assert not {"result.json", "claim.json"} & {one.name for one in (tmp_path / "out").iterdir()}


def test_a_disk_with_room_again_gets_result_and_end(task_lab: Any, tmp_path: Path) -> None:
    wrapper = 'import os\nsaving._sleep = lambda s: os.path.exists("big") and os.unlink("big")'
    code, _, err = mounted(task_lab, FILL, wrapper, tmp_path)
    if "unshare:" in err or "mount:" in err:
        pytest.skip(f"no mounts here: {err.strip()}")
    # What was printed while it was full.
    assert code == 0 and err.endswith("log.txt: some of what was printed is lost: No space left on device\n")
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == {"y": "1" * 10_000}
    assert [json.loads(line)["event"] for line in (tmp_path / "out" / "attempts.jsonl").open()] == ["start", "end"]


def test_a_rank_s_result_that_cannot_reach_the_runner_is_not_lost(
    task_lab: Any, srun: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is in the place of the notes' folder: as full or unreachable as can be."""
    tmp = tmp_path / "elsewhere"
    tmp.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp))
    main = """
        import shutil
        import heyhi.job.saving
        heyhi.job.saving._sleep = lambda s: None

        def main(task, cfg, log_level):
            if os.environ["RANK"] == "0":
                for one in pathlib.Path().glob(".ranks.*"):
                    shutil.rmtree(one)
                    one.touch()
                return {"y": 1}
            time.sleep(1000)
        """
    code, _, err = task_lab.run(main, "sys.argv += ['--tasks', '2']")
    (path,) = tmp.glob("heyhi.*")
    assert json.loads(path.read_text()) == {"y": 1}
    assert code == 1 and re.search(rf"DEAD: rank 0: what main returned is in {path}, since", err), err


DROPS = """
class Net:
    pass

def main(task, cfg, log_level):
    {how}
"""


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize(
    ("how", "result", "dropped"),
    [
        ('return {"y": 1, "model": Net()}', {"y": 1}, ("model",)),
        ('heyhi.save_result_in_cwd({"y": 1, "model": Net()})', {"y": 1}, ("model",)),
        ('heyhi.save_result_in_cwd({"model": Net()}); return {"y": 2}', {"y": 2}, ()),
        ("return Net()", {}, ("result",)),
    ],
)
def test_what_was_dropped_is_on_record_and_in_the_log(
    task_lab: Any, srun: None, how: str, result: object, dropped: tuple[str, ...], tasks: int
) -> None:
    assert task_lab.run(DROPS.replace("{how}", how), f"sys.argv += ['--tasks', '{tasks}']") == (0, "", "")
    folder = task_lab.folder()
    assert folder.read_result() == result and folder.history().ends[-1].dropped == dropped
    assert "object at 0x" not in folder.result_path.read_text()
    for key in dropped:
        assert f"was dropped: '{key}' (run.Net)" in folder.log_path.read_text()
