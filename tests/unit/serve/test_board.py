"""What a server knows: the table that a report has, kept up to date."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyhi.cli.main import main
from heyhi.cli.parser import make_parser
from heyhi.cli.selection import select
from heyhi.control.controller import ControllerSpec
from heyhi.control.survey import Part
from heyhi.errors import HeyhiError, SweepError
from heyhi.experiment.claim import Claim
from heyhi.experiment.owner import Owner, read_parent_and_start
from heyhi.report.read import Reader
from heyhi.report.source import Source
from heyhi.serve import board as board_module
from heyhi.serve import long_readings, shown_sources, watched
from heyhi.serve.board import Board
from heyhi.sweep.known import LaunchRecord, note_known, write_launch
from heyhi.sweep.manifest import Manifest
from tests.unit.serve.boards import LONG_AGO, Sweep, cells, looked, merged, shown, whole


def look_at_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each look see everything, whatever it takes: how often it would is no matter here."""
    monkeypatch.setattr(board_module, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(shown_sources, "_PART", 0)
    monkeypatch.setattr(watched, "_COSTLY", math.inf)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    look_at_all_at_once(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return Sweep(tmp_path)


def of_all_kinds(sweep: Sweep) -> None:
    sweep.start(0)
    sweep.log(0, {"step": 1, "loss": 0.5, "acc": 1}, {"step": 2, "loss": 0.25, "acc": math.nan})
    sweep.finish(0, {"score": 1, "loss": 7, "name": "</script>", "big": 10**30, "flag": True})
    sweep.start(1, commit="c" * 40, dirty=True, code="d" * 40)
    sweep.log(1, {"step": 1, "loss": math.inf, "new": {"deep": 2}})
    sweep.end(1)
    sweep.start(2)
    sweep.log(2, {"step": 1, "loss": 2**60})
    sweep.finish(2)


def test_the_table_is_that_of_a_report(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    looked(board := sweep.board())
    assert shown(board) == sweep.reported()
    assert whole(board)["phase"] == ""
    sweep.add([0, 9], "lr=0.125")  # another manifest
    sweep.add([0, 1])
    assert main(["note", sweep.folders[1].exp_id, "a bad node", "--exclude"]) == 0
    looked(board)
    assert shown(board) == sweep.reported()
    looked(another := sweep.board())
    assert shown(another) == shown(board)


def test_it_is_the_same_with_what_was_remembered(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    sweep.age()
    looked(sweep.board())
    looked(board := sweep.board())
    assert shown(board) == sweep.reported()
    sweep.log(0, {"step": 3, "loss": 0.125})
    looked(board := sweep.board())
    assert cells(whole(board), 0)["loss"] == 0.125
    assert shown(board) == sweep.reported()


def test_nothing_that_makes_data_frames_is_loaded(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    program = (
        "import sys; from pathlib import Path; from tests.unit.serve.boards import Sweep; import heyhi.serve.app;"
        "from heyhi.serve.board import Board; from heyhi.project import find_project; from heyhi.report.source import"
        " Source; from heyhi.sweep.manifest import Manifest; project = find_project();"
        f"board = Board(project, lambda: [Source.of(Manifest.open(Path({str(sweep.manifests[0])!r})), project)]);"
        "board.look(); board.look(); assert b'ValueError: boom' in board.data_json();"
        "print([name for name in ('pandas', 'numpy', 'snakemake', 'optuna') if name in sys.modules])"
    ).replace("from tests.unit.serve.boards import Sweep; ", "")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def news_of(board: Board, since: int) -> dict[str, Any]:
    return json.loads(board.data_json(board.server, since))


def test_news_has_the_rows_that_have_changed_and_nothing_else(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    before = looked(board := sweep.board())
    assert not board.look(), "nothing is no news"
    sweep.log(2, {"step": 2, "loss": 3})
    assert board.look()
    news = news_of(board, before["version"])
    assert list(news["rows"]) == ["2"] and set(news) == {"server", "version", "made", "rows", "counts"}
    assert merged(before, news)["runs"] == whole(board)["runs"]
    assert not news_of(board, board.version)["rows"]


def test_a_metric_that_is_new_is_a_column_more(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    before = looked(board := sweep.board())
    sweep.log(1, {"step": 2, "other": 3})
    assert board.look()
    assert cells(merged(before, news_of(board, before["version"])), 1)["other"] == 3
    assert shown(board) == sweep.reported()


def test_who_knows_another_server_or_a_version_to_come_gets_all_of_it(sweep: Sweep) -> None:
    looked(board := sweep.board())
    for server, since in (("", 0), ("another", board.version), (board.server, board.version + 1), (board.server, 0)):
        assert "ids" in json.loads(board.data_json(server, since))
    assert "ids" not in news_of(board, board.version)


def test_the_json_of_all_of_it_is_made_once(sweep: Sweep) -> None:
    looked(board := sweep.board())
    assert board.data_json() is board.data_json()


def test_a_run_is_seen_from_its_claim_to_its_result(sweep: Sweep) -> None:
    looked(board := sweep.board())

    def status() -> str:
        board.look()
        assert shown(board) == sweep.reported()
        return str(cells(whole(board), 3)["status"])

    assert status() == "NOT_STARTED"
    folder = sweep.folders[3]
    folder.path.mkdir(parents=True)
    waiting = Claim.acquire(folder.path, kind="controller")
    assert isinstance(waiting, Claim)
    assert status() == "PENDING"
    waiting.release()
    sweep.start(3)
    claim = Claim.acquire(folder.path)
    assert isinstance(claim, Claim)
    assert status() == "RUNNING"
    sweep.log(3, {"step": 1, "loss": 1.5})
    assert status() == "RUNNING" and cells(whole(board), 3)["loss"] == 1.5
    sweep.finish(3)
    assert status() == "DONE"
    claim.release()
    assert status() == "DONE"


def test_a_run_that_is_killed_is_dead_though_no_file_has_changed(sweep: Sweep) -> None:
    folder = sweep.start(3)
    program = (
        "import sys; from pathlib import Path; from heyhi.experiment.claim import Claim;"
        f"Claim.acquire(Path({str(folder.path)!r})); print('claimed', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"claimed\n"
    looked(board := sweep.board())
    assert cells(whole(board), 3)["status"] == "RUNNING"
    process.kill()
    process.communicate()
    assert board.look()
    found = cells(whole(board), 3)
    assert found["status"] == "DEAD" and "killed" in found["reason"]


def test_a_wiped_and_a_removed_folder_are_not_started_again(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    sweep.age()
    looked(board := sweep.board())
    shutil.rmtree(sweep.folders[0].path)
    for path in sweep.folders[1].path.iterdir():
        path.unlink()
    board.look()
    assert [cells(whole(board), place)["status"] for place in range(3)] == ["NOT_STARTED", "NOT_STARTED", "DONE"]
    assert shown(board) == sweep.reported()


def look_at_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the parts of a look that take turns be over at once."""
    names = [name for name in vars(watched) if name.endswith("_CPU")]
    for name in {*names} - {"_FILES_CPU", "_ALIVE_CPU"}:
        monkeypatch.setattr(watched, name, -1.0)
    monkeypatch.setattr(watched, "_STEP", 2)
    monkeypatch.setattr(watched, "_FEW_STEP", 1)


def test_of_many_that_run_one_whose_process_has_died_is_seen_by_the_next_look(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_few_at_a_time(monkeypatch)
    with subprocess.Popen(["sleep", "1000"]) as process:
        started = read_parent_and_start(process.pid)
        assert started is not None
        for number, folder in enumerate(sweep.folders):
            sweep.start(number)
            owner = Owner.this_process("process")
            if number == 1:
                owner = replace(owner, pid=process.pid, started=started[1])
            (folder.path / "claim.json").write_text(json.dumps(asdict(owner)))
        sweep.age()
        looked(board := sweep.board())
        assert {row[0] for row in whole(board)["runs"]["rows"]} == {"RUNNING"}
        for _ in range(3):  # the last of which has looked at others closely
            assert not board.look()
        process.kill()
    board.look()
    assert [cells(whole(board), place)["status"] for place in range(6)] == ["RUNNING", "DEAD", *["RUNNING"] * 4]
    assert shown(board) == sweep.reported()


def test_of_many_that_have_ended_one_that_starts_again_is_seen_by_the_next_look(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_few_at_a_time(monkeypatch)
    for number in range(6):
        sweep.start(number)
        sweep.end(number)
        if number != 1:
            sweep.finish(number)
    sweep.age()
    looked(board := sweep.board())
    board.look()
    assert cells(whole(board), 1)["status"] == "DEAD"
    claim = Claim.acquire(sweep.folders[1].path)
    assert isinstance(claim, Claim)
    board.look()
    assert cells(whole(board), 1)["status"] == "RUNNING"
    claim.release()


def test_of_many_each_is_looked_at_closely_in_its_turn(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at_few_at_a_time(monkeypatch)
    for number, folder in enumerate(sweep.folders):
        sweep.start(number)
        (folder.path / "claim.json").write_text(json.dumps(asdict(Owner.this_process("process"))))
    sweep.age()
    looked(board := sweep.board())
    claim = sweep.folders[3].path / "claim.json"
    mark = sweep.folders[3].path.stat().st_mtime_ns
    claim.write_text("{}")  # in place: neither the folder nor what a table is made of tells of it
    os.utime(claim, (LONG_AGO, LONG_AGO))
    assert sweep.folders[3].path.stat().st_mtime_ns == mark
    for _ in range(7):
        board.look()
    assert shown(board) == sweep.reported()
    assert cells(whole(board), 3)["status"] != "RUNNING"


def test_a_later_attempt_strikes_what_it_has_logged_again(sweep: Sweep) -> None:
    sweep.start(0)
    sweep.log(0, *({"step": step, "loss": step} for step in range(9)))
    sweep.end(0)
    looked(board := sweep.board())
    assert cells(whole(board), 0)["loss"] == 8
    sweep.start(0, 2)
    sweep.log(0, {"step": 4, "loss": 5})
    board.look()
    found = cells(whole(board), 0)
    assert (found["loss"], found["attempts"]) == (5, 2)
    assert shown(board) == sweep.reported()


def test_what_needs_something_dead_is_blocked_until_that_is_done(sweep: Sweep) -> None:
    (sweep.project.root / "conf/user.prototxt").write_text('work { of: "{{exp work.prototxt seed=77}}" }')
    sweep.add_points([("conf/user.prototxt", []), ("conf/work.prototxt", ["seed=77"])])
    needing, needed = len(sweep.folders) - 1, len(sweep.folders) - 2
    if "seed" in sweep.folders[needing].exp_id:
        needing, needed = needed, needing
    looked(board := sweep.board())
    sweep.start(needed)
    sweep.end(needed)
    board.look()
    statuses = {row[-1]: row[0] for row in whole(board)["runs"]["rows"]}
    assert statuses[sweep.folders[needing].exp_id] == "BLOCKED"
    sweep.finish(needed)
    board.look()
    assert shown(board) == sweep.reported()
    statuses = {row[-1]: row[0] for row in whole(board)["runs"]["rows"]}
    assert statuses[sweep.folders[needing].exp_id] == "NOT_STARTED"


def test_experiments_of_a_new_launch_come_and_what_was_read_stays(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_all_kinds(sweep)
    sweep.age()
    looked(board := sweep.board())
    read: list[str] = []
    real = watched.Watched._read_one

    def note(self: watched.Watched, place: int) -> bool:
        read.append(self.seen[place].folder)
        return real(self, place)

    monkeypatch.setattr(watched.Watched, "_read_one", note)
    sweep.add([11, 12], "lr=0.25")
    assert board.look()
    assert len(looked(board)["ids"]) == 8 and not read
    assert shown(board) == sweep.reported()


SWEEP = """
def yield_sweep():
    for seed in {}:
        yield "conf/work.prototxt", {{"seed": seed}}

def get_logs_data(handle):
    print("noise")
    return {{"own": len(handle.overrides)}}
"""


def test_an_edited_sweep_file_is_shown_as_it_is_now_or_why_it_cant_be(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sweep.project.root / "sweep.py"
    path.write_text(SWEEP.format("(1, 2)"))
    monkey = sweep.start(1)
    sweep.finish(1)
    data = looked(board := Board(sweep.project, lambda: [Source.open(sweep.project, path)]))
    assert (len(data["ids"]), cells(data, 0)["own"], cells(data, 0)["status"]) == (2, 1, "DONE")
    assert monkey.exp_id in data["ids"]
    path.write_text(SWEEP.format("(1, 2, 3)"))
    board.look()
    assert len(looked(board)["ids"]) == 3
    path.write_text("def yield_sweep(:")
    with pytest.raises(HeyhiError, match=r"sweep\.py"):
        board.look()
    assert len(whole(board)["ids"]) == 3
    path.write_text(SWEEP.format("(1,)"))
    board.look()
    assert len(looked(board)["ids"]) == 1
    (sweep.project.root / "conf/work.prototxt").write_text("work { lr: 0.25 }\n")
    path.write_text(SWEEP.format("(1, 7)"))
    board.look()
    assert len(looked(board)["ids"]) == 2
    assert "noise" not in capsys.readouterr().out


def test_all_that_is_known_is_shown_as_soon_as_it_is_launched(sweep: Sweep) -> None:
    def sources() -> list[Source]:
        folders = Part.of_index(sweep.project).folders
        return Source.of_experiments(sweep.project, folders, lambda some: pytest.fail("composed"))

    board = Board(sweep.project, sources)
    assert looked(board)["ids"] == []
    note_known(sweep.project, {sweep.folders[0].exp_id: [], sweep.folders[3].exp_id: []})
    board.look()
    assert len(looked(board)["ids"]) == 2
    write_launch(sweep.project, LaunchRecord.now("heyhi launch", [], "x", manifest=sweep.manifests[0].name))
    board.look()
    assert len(looked(board)["ids"]) == 6


def test_what_was_launched_last_comes_first_and_each_sweep_in_its_own_order(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, [2, 10, 1])
    sweep.add([30, 4], "lr=0.25")
    sweep.add([100], "lr=0.75")

    def launch(number: int) -> None:
        write_launch(sweep.project, LaunchRecord.now("heyhi launch", [], "x", manifest=sweep.manifests[number].name))

    def seeds() -> list[int]:
        sources = select(sweep.project, make_parser("serve").parse_args(["serve"])).sources()
        data = looked(Board(sweep.project, lambda: sources))
        return [cells(data, place)["seed"] for place in range(len(data["ids"]))]

    launch(0)
    assert seeds() == [2, 10, 1]
    launch(1)
    assert seeds() == [30, 4, 2, 10, 1]
    launch(0)
    assert seeds() == [2, 10, 1, 30, 4]
    retried = {sweep.folders[3].exp_id: list[str]()}
    known = note_known(sweep.project, retried).path.name
    write_launch(sweep.project, LaunchRecord.now("heyhi retry", [], "x", known=known))
    assert seeds() == [2, 10, 1, 30, 4], "what is retried by itself stays where it is"
    note_known(sweep.project, {sweep.folders[5].exp_id: []})  # of which no launch tells
    assert seeds() == [2, 10, 1, 30, 4, 100]


def test_notices_say_who_is_needed(sweep: Sweep) -> None:
    looked(board := sweep.board())
    board.look()
    assert any("no controller runs these" in line for line in whole(board)["notices"])
    for number in range(6):
        sweep.start(number)
        sweep.finish(number)
    board.look()
    assert whole(board)["notices"] == []


def test_what_cant_be_found_any_more_is_said_and_what_was_known_stays(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    problem: list[HeyhiError] = []

    def sources() -> Any:
        if problem:
            raise problem[0]
        return sweep.sources()

    before = looked(board := Board(sweep.project, sources))
    problem.append(SweepError("sweep.py:3: SyntaxError: what?"))
    sweep.add([21])  # something that makes it look for others
    for _ in range(2):
        with pytest.raises(SweepError, match="what"):
            board.look()
    assert whole(board)["ids"] == before["ids"]
    sweep.log(2, {"step": 2, "loss": 3})
    with pytest.raises(SweepError):
        board.look()
    assert cells(whole(board), 2)["loss"] == 3, "the rest goes on"
    problem.clear()
    sweep.add([22])
    board.look()
    assert len(whole(board)["ids"]) == 8


@pytest.mark.parametrize("name", ["metrics.jsonl", "attempts.jsonl", "result.json", "claim.json", "identity.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"\xff{[\0"),
        lambda path: (path.unlink(missing_ok=True), path.mkdir()),
        lambda path: (path.unlink(missing_ok=True), os.mkfifo(path)),
        lambda path: (path.unlink(missing_ok=True), path.symlink_to(path)),
        lambda path: path.write_text("[" * 100_000 + "\n"),
    ],
    ids=["junk", "folder", "fifo", "loop", "nested"],
)
def test_what_is_damaged_in_one_experiment_stays_its_own(
    sweep: Sweep, name: str, damage: Callable[[Path], object]
) -> None:
    of_all_kinds(sweep)
    looked(board := sweep.board())
    damage(sweep.folders[0].path / name)
    board.look()
    assert shown(board) == sweep.reported()
    assert cells(whole(board), 2)["loss"] == 2**60 or cells(whole(board), 2)["loss"] == [str(2**60)]


def test_results_that_cant_be_written_are_shown_all_the_same(sweep: Sweep) -> None:
    of_all_kinds(sweep)
    sweep.age()
    state = sweep.project.state_root
    before = sorted(state.rglob("*"))
    shutil.rmtree(state / "readings", ignore_errors=True)
    (state / "readings").write_text("in the way")
    looked(board := sweep.board())
    assert shown(board) == sweep.reported()
    assert {path.name for path in state.rglob("*")} <= {path.name for path in before} | {"readings"}


def test_little_changes_wait_for_a_while(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    of_all_kinds(sweep)
    sweep.age()
    looked(board := sweep.board())
    monkeypatch.setattr(board_module, "_QUIET_SECONDS", 1e6)
    sweep.log(2, {"step": 2, "loss": 3})
    assert board.look(), "the first of a time is told at once"
    os.utime(sweep.folders[2].metrics_path)
    assert not board.look(), "only `updated` is another"
    monkeypatch.setattr(board, "_next_quiet", 0.0)
    assert board.look()
    assert shown(board) == sweep.reported()


def test_what_a_slow_disk_took_long_to_give_is_read_again_as_soon_as_it_grows(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Reader.read_one

    def slowly(self: Reader, *given: Any) -> Any:
        threading.Event().wait(0.06)  # the disk
        return real(self, *given)

    monkeypatch.setattr(Reader, "read_one", slowly)
    monkeypatch.setattr(watched, "_COSTLY", 0.05)
    of_all_kinds(sweep)
    looked(board := sweep.board())
    for loss in range(3):
        sweep.log(2, {"step": 2, "loss": loss})
        board.look()
        assert cells(whole(board), 2)["loss"] == loss


def test_what_takes_long_to_read_is_said_and_delays_no_other(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    real, may_read = Reader.read_one, threading.Event()
    of_all_kinds(sweep)
    long = sweep.folders[2]

    def slowly(self: Reader, entry: Any, *given: Any) -> Any:
        assert entry.folder != str(long.path) or may_read.wait(60)
        return real(self, entry, *given)

    monkeypatch.setattr(Reader, "read_one", slowly)
    monkeypatch.setattr(long_readings, "LONG_BYTES", 1_000_000)
    with long.metrics_path.open("a") as file:
        file.write(" " * 1_999_970 + "\n")
    sweep.log(2, {"step": 2, "loss": 3})
    data = looked(board := sweep.board())
    assert data["phase"] == "" and data["notices"][-1] == f"reading 2 MB of metrics of {long.exp_id}"
    assert (cells(data, 2)["status"], cells(data, 2)["loss"]) == ("DONE", None)
    sweep.log(1, {"step": 2, "loss": 4})
    assert board.look() and cells(whole(board), 1)["loss"] == 4
    may_read.set()
    deadline = time.monotonic() + 60
    while cells(whole(board), 2)["loss"] is None and time.monotonic() < deadline:
        board.look()
    assert shown(board) == sweep.reported()
    assert not any("reading" in line for line in whole(board)["notices"])
    sweep.log(2, {"step": 3, "loss": 5})
    assert board.look() and cells(whole(board), 2)["loss"] == 5, "of what has grown, little is to be read"


def test_where_nothing_was_launched_yet_there_is_an_empty_table(sweep: Sweep) -> None:
    board = Board(sweep.project, list)
    assert board.look()
    assert (whole(board)["ids"], whole(board)["version"]) == ([], 1)
    assert not board.look()


def test_an_experiment_is_of_its_own_project(sweep: Sweep, tmp_path: Path) -> None:
    other = Sweep(tmp_path / "other", seeds=[1])
    both = Board(sweep.project, lambda: [*sweep.sources(), *other.sources()])
    data = looked(both)
    known = {key: both.experiment(key) for key in data["keys"]}
    roots = [one.project.root for one in known.values() if one is not None]
    assert roots == [sweep.project.root] * 6 + [other.project.root]
    assert both.experiment("nothing") is None


STEPS = st.one_of(
    st.tuples(st.just("start"), st.integers(0, 3)),
    st.tuples(st.just("log"), st.integers(0, 3)),
    st.tuples(st.just("name"), st.integers(0, 3)),
    st.tuples(st.just("finish"), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.integers(0, 3)),
    st.tuples(st.just("note"), st.integers(0, 3)),
    st.tuples(st.just("ask"), st.integers(0, 2)),
    st.tuples(st.just("more"), st.just(0)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.lists(STEPS, min_size=1, max_size=20))
def test_news_of_any_version_gives_what_is_known_now(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int]]
) -> None:
    root = tmp_path_factory.mktemp("project")
    look_at_all_at_once(monkeypatch)
    monkeypatch.chdir(root)
    sweep = Sweep(root, range(4))
    board = sweep.board()
    clients: dict[int, dict[str, Any]] = {}

    def ask(client: int) -> None:
        old = clients.get(client)
        news = json.loads(board.data_json(*((old["server"], old["version"]) if old else ())))
        clients[client] = merged(old or {}, news)
        mine, its = (one | {"made": ""} for one in (clients[client], whole(board)))
        assert mine == its

    for number, (what, which) in enumerate(steps):
        folder = sweep.folders[which]
        is_there = folder.path.is_dir()
        if what == "start":
            sweep.start(which, number + 1)
        elif what == "log" and is_there:
            sweep.log(which, {"step": number, "loss": 1 / (number + 1)})
        elif what == "name" and is_there:
            sweep.log(which, {"step": number, f"metric{number}": number})
        elif what == "finish" and is_there:
            sweep.finish(which, {"score": number})
        elif what == "remove":
            shutil.rmtree(folder.path, ignore_errors=True)
        elif what == "note" and is_there:
            assert main(["note", folder.exp_id, f"note {number}"]) == 0
        elif what == "more":
            sweep.add([100 + number])
        board.look()
        if what == "ask":
            ask(which)
    looked(board)
    for client in range(3):
        ask(client)
    assert shown(board) == sweep.reported()


def test_notices_tell_of_each_launch_what_needs_somebody_with_its_command(sweep: Sweep) -> None:
    sweep.add([7, 8])
    sweep.start(6)
    sweep.end(6)
    sweep.start(7)
    sweep.finish(7)
    board = sweep.board()
    looked(board)
    board.look()
    said = whole(board)["notices"]
    labels = [Manifest.open(path).label for path in sweep.manifests]
    assert any(line.startswith(f"{labels[0]}: no controller runs these: `heyhi ") for line in said)
    (dead,) = (line for line in said if line.startswith(f"{labels[1]}: "))
    assert "no controller runs it: `heyhi retry --dead " in dead and "seed=7 " in dead and "seed=1" not in dead


def test_what_a_controller_that_was_killed_has_left_is_told_though_another_one_lives(sweep: Sweep) -> None:
    sweep.add([7, 8])
    claims = []
    for number in (0, 6):
        sweep.start(number)
        claim = Claim.acquire(sweep.folders[number].path)
        assert isinstance(claim, Claim)
        claims.append(claim)
    for number in (1, 2, 3, 4, 5, 7):
        sweep.start(number)
        sweep.finish(number)
    try:
        looked(board := sweep.board())
        board.look()
        assert whole(board)["notices"] == [], "what was started by itself goes on by itself"
        folder = sweep.project.state_root / "controllers" / "sweep-1"
        folder.mkdir(parents=True)
        spec = ControllerSpec("sweep-1", "", targets=(f"results/{sweep.folders[6].exp_id}/result.json",))
        (folder / "controller.json").write_text(json.dumps(dataclasses.asdict(spec)))
        folder.with_name("sweep-1.log").write_text("2026-11-28T14:00:00+00:00 h pid 1: snakemake --profile p\n")
        looked(board := sweep.board())
        board.look()
        label = Manifest.open(sweep.manifests[1]).label
        first, second = whole(board)["notices"]
        assert first.startswith(f"{label}: no controller has it: it goes on by itself; `heyhi launch ")
        assert second.startswith(f"{label}: the last one ") and "sweep-1.log" in second
    finally:
        for claim in claims:
            claim.release()


def test_how_far_it_is_stands_beside_what_runs_and_nowhere_else(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    looked(board := sweep.board())
    assert "progress" not in cells(whole(board), 0)
    sweep.start(0)
    sweep.log(0, {"step": 3, "loss": 1.0})
    claim = Claim.acquire(sweep.folders[0].path)
    assert isinstance(claim, Claim)
    try:
        board.look()
        assert cells(whole(board), 0)["progress"] == "step 3" and cells(whole(board), 1)["progress"] is None
        monkeypatch.setattr(board_module, "_QUIET_SECONDS", 3600.0)
        sweep.log(0, {"step": 4, "loss": 1.0})
        board.look()
        assert cells(whole(board), 0)["progress"] == "step 4"
        version = board.version
        sweep.log(0, {"step": 5, "loss": 1.0})
        board._next_quiet = float("inf")
        board.look()
        news = board.data(board.server, version)
        assert "runs" not in news
    finally:
        claim.release()
    sweep.finish(0)
    board.look()
    assert "progress" not in cells(whole(board), 0)
