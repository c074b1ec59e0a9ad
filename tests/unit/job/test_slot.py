"""Slots of a search, as jobs start them: each chooses its experiment once, and is the ordinary runner of that one."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.slots import Choice, SlotDir, SlotEnd, chosen_dir, slots_of
from heyhi.experiment.status import find_status
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.known import KNOWN_NAME, read_known
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest

from .conftest import START, TaskLab

SEARCH = """
import heyhi

SEARCH = heyhi.Search(cfg="conf/job", space={"lr": "uniform(0,1)"}, max="y", trials=3)
"""
# What chooses says so, and takes the point that the test names; a slot without one finds nothing left.
CHOOSE = """
import json, os, types
from pathlib import Path
from heyhi.config.identity import ExpPattern
from heyhi.errors import HeyhiError
from heyhi.experiment.slots import Choice

def choose(project, schema, spec, base, slot, others):
    with open("chosen.txt", "a") as file:
        file.write(f"{slot.number}\\n")
    if os.path.exists("no_choice"):
        raise HeyhiError("none of them logs y")
    points = json.loads(Path("points.json").read_text())
    if slot.number >= len(points):
        slot.write_choice(Choice("", reason="all points are taken"))
        return
    chosen = {"lr": points[slot.number]}
    identity = base.compose(chosen).identity
    exp_id = ExpPattern(project).exp_id(identity)
    slot.write_choice(Choice(exp_id, identity.cfg, identity.overrides, chosen))

def fake(name, **content):
    module = types.ModuleType(f"heyhi.{name}")
    module.__dict__.update(content)
    sys.modules[module.__name__] = module

fake("search.choose", choose=choose)
"""
LOADS = """
def choose_and_load(*args, real=choose):
    sys.modules["chooser"] = sys
    real(*args)
fake("search.choose", choose=choose_and_load)
"""
KILLED_BEFORE_ITS_FILE = """
from heyhi.experiment.slots import SlotDir
SlotDir.write_end = lambda *_: os.kill(os.getpid(), 9)
"""
GIVE = """
def main(task, cfg, log_level):
    open("ran.txt", "a").write("x")
    return {"y": 10 * cfg.lr}
"""
FAIL = """
def main(task, cfg, log_level):
    open("ran.txt", "a").write("x")
    raise ValueError("boom")
"""


class SearchLab:
    """A project with a search of three trials, whose points the test names."""

    def __init__(self, lab: TaskLab, search: str = SEARCH) -> None:
        self.lab = lab
        (lab.root / "conf" / "search.py").write_text(search)
        self.points(0.1, 0.2, 0.3)
        expansion = expand_sweep_file(lab.project, lab.schema, lab.root / "conf" / "search.py")
        self.manifest = write_manifest(expansion, lab.project, lab.schema)
        with Manifest.open(self.manifest) as manifest:
            self.targets = manifest.targets

    def points(self, *values: float) -> None:
        (self.lab.root / "points.json").write_text(json.dumps(values))

    def slot(self, number: int = 0) -> SlotDir:
        return SlotDir(self.lab.root / self.targets[number].removesuffix(".json"), self.lab.root / "results")

    def folder(self, number: int = 0) -> ExperimentDir:
        found = chosen_dir(self.slot(number))
        assert found is not None
        return found

    def start(self, main: str, *words: str, number: int = 0, wrapper: str = "", **options: Any) -> Any:
        self.lab.write(main)
        code = f"{START}{CHOOSE}{wrapper}\nsys.exit(runner.main())"
        words = (self.targets[number], "--manifest", str(self.manifest), *words)
        return self.lab.open([sys.executable, "-c", code, *words], **options)

    def run(self, main: str, *words: str, **options: Any) -> tuple[int, str]:
        code, out, err = self.lab.end(self.start(main, *words, **options))
        assert "Traceback" not in err, err
        return code, out + err

    @property
    def chosen(self) -> list[int]:
        path = self.lab.root / "chosen.txt"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def ran(self, number: int = 0) -> int:
        return len((self.folder(number).path / "ran.txt").read_text())

    def ends(self, folder: ExperimentDir) -> list[str]:
        return [end.reason for end in folder.history().ends]


@pytest.fixture
def search(task_lab: TaskLab) -> Iterator[SearchLab]:
    yield SearchLab(task_lab)


def test_a_slot_chooses_once_runs_that_experiment_and_leads_to_it_and_back(search: SearchLab) -> None:
    code, said = search.run(GIVE)

    assert code == 0, said
    slot, folder = search.slot(), search.folder()
    assert folder.read_result() == {"y": 1.0}
    assert slot.read_end() == SlotEnd(folder.exp_id, "DONE", 1.0, "", slot.read_end().time)  # type: ignore[union-attr]
    assert slots_of(folder.path) == [slot.exp_id]
    assert not (slot.path / "result.json").exists()
    assert json.loads(slot.search.spec_path.read_text())["metric"] == "y"
    assert search.ends(slot) == search.ends(folder) == ["done"]
    assert read_owner(slot.path) is None and read_owner(folder.path) is None
    known = [read_known(path) for path in (search.lab.project.state_root / KNOWN_NAME).iterdir()]
    assert {folder.exp_id: []} in known

    shown = search.lab.open([sys.executable, "-m", "heyhi.cli", "status", "--json"])
    rows = json.loads(search.lab.end(shown)[1])["experiments"]
    assert [(row["exp_id"], row["status"]) for row in rows] == [(folder.exp_id, "DONE")]

    assert search.run(GIVE)[0] == 0
    assert search.chosen == [0] and search.ran() == 1


def test_a_slot_that_was_killed_goes_on_with_its_experiment(search: SearchLab) -> None:
    process = search.start("def main(**_):\n    meet('ready')\n    signal.pause()\n")
    search.lab.meet("ready")
    process.kill()
    search.lab.end(process)
    assert search.slot().read_end() is None
    search.points(0.7)

    assert search.run(GIVE)[0] == 0
    assert search.chosen == [0]
    assert search.folder().read_result() == {"y": 1.0}
    assert [start.kind for start in search.folder().history().starts] == ["first", "relaunch"]


def test_what_was_killed_behind_its_result_is_only_written_down(search: SearchLab) -> None:
    # Between the two files: as a machine that crashes there.
    code, _ = search.run(GIVE, wrapper=KILLED_BEFORE_ITS_FILE)
    assert code == -signal.SIGKILL
    assert search.folder().has_result() and search.slot().read_end() is None

    code, said = search.run(GIVE)
    assert code == 0, said
    assert search.ran() == 1 and search.slot().read_end().value == 1.0  # type: ignore[union-attr]


def test_a_main_that_ends_its_process_behind_its_result_has_its_slot_written_too(search: SearchLab) -> None:
    code, _ = search.run("def main(**_):\n    heyhi.save_result_in_cwd({'y': 3.0})\n    os._exit(0)\n")

    assert code == 0
    assert search.slot().read_end().value == 3.0  # type: ignore[union-attr]


def test_a_trial_that_fails_is_tried_as_often_as_the_launcher_says_and_is_dead_then(search: SearchLab) -> None:
    code, said = search.run(FAIL, "--attempt", "1", "--attempts", "2")
    assert code == 1 and "DEAD: exit code 1: ValueError: boom" in said
    assert search.slot().read_end() is None

    code, said = search.run(FAIL, "--attempt", "2", "--attempts", "2")
    assert code == 0, said
    end = search.slot().read_end()
    assert end is not None
    assert (end.exp_id, end.status, end.value) == (search.folder().exp_id, "DEAD", None)
    assert "ValueError: boom" in end.reason
    assert search.ends(search.slot()) == ["failed", "failed"]
    assert search.ran() == 2 and search.chosen == [0]
    assert find_status(search.folder().path) is Status.DEAD


def test_a_trial_that_is_stopped_is_no_dead_one(search: SearchLab) -> None:
    process = search.start("def main(**_):\n    meet('ready')\n    signal.pause()\n")
    search.lab.meet("ready")
    process.send_signal(signal.SIGTERM)
    code, _, _ = search.lab.end(process)

    assert code == 128 + signal.SIGTERM
    assert search.slot().read_end() is None
    assert search.ends(search.slot()) == ["terminated"]
    assert read_owner(search.slot().path) is None


def test_a_point_that_is_done_already_is_taken_and_not_run(search: SearchLab) -> None:
    folder = search.lab.folder(0.1)
    search.lab.execute(lambda **_: {"y": 5.0}, 0.1)

    code, said = search.run(FAIL)
    assert code == 0, said
    assert search.folder().path == folder.path
    end = search.slot().read_end()
    assert end is not None and (end.status, end.value) == ("DONE", 5.0)
    assert len(folder.history().starts) == 1


def test_a_point_that_another_runs_by_now_is_waited_for(search: SearchLab) -> None:
    folder = search.lab.folder(0.1)
    folder.prepare(search.lab.experiment(0.1), search.lab.schema)
    claim = Claim.acquire(folder.path)
    assert isinstance(claim, Claim)
    process = search.start(FAIL, "--log-level", "INFO")
    for line in process.stderr:
        if "waiting for" in line:
            break
    folder.write_result({"y": 2.0})
    claim.release()

    assert search.lab.end(process)[0] == 0
    assert search.slot().read_end().value == 2.0  # type: ignore[union-attr]


def test_a_slot_that_finds_nothing_left_is_over(search: SearchLab) -> None:
    search.points()
    code, said = search.run(GIVE)

    assert code == 0, said
    end = search.slot().read_end()
    assert end is not None and (end.exp_id, end.status, end.reason) == ("", "SKIPPED", "all points are taken")


def test_what_keeps_a_slot_from_choosing_is_said_and_on_record_and_nothing_is_over(search: SearchLab) -> None:
    (search.lab.root / "no_choice").touch()
    code, said = search.run(GIVE)

    assert code == 2
    assert "none of them logs y" in said
    assert search.slot().read_end() is None and search.slot().read_choice() is None
    last = search.slot().history().last_end
    assert last is not None and last.exception == "none of them logs y"

    (search.lab.root / "no_choice").unlink()
    assert search.run(GIVE)[0] == 0


def test_what_chooses_leaves_nothing_in_the_process_of_the_task(search: SearchLab) -> None:
    main = "def main(**_):\n    return {'y': float('chooser' in sys.modules)}\n"
    code, said = search.run(main, wrapper=LOADS)

    assert code == 0, said
    assert search.folder().read_result() == {"y": 0.0}


def test_an_experiment_whose_task_empties_its_folder_still_leads_to_its_slot(search: SearchLab) -> None:
    code, said = search.run(
        "def main(**_):\n    for name in os.listdir():\n        os.unlink(name)\n    return {'y': 1.0}\n"
    )

    assert code == 0, said
    assert slots_of(search.folder().path) == [search.slot().exp_id]


def test_two_processes_of_one_slot_run_it_once(search: SearchLab) -> None:
    first = search.start("def main(**_):\n    meet('ready')\n    meet('go')\n    return {'y': 4.0}\n")
    search.lab.meet("ready")
    second = search.start(GIVE)
    for line in second.stderr:
        if "waiting for" in line:
            break
    search.lab.meet("go")

    assert search.lab.end(first)[0] == 0
    assert search.lab.end(second)[0] == 0
    assert search.chosen == [0]
    assert len(search.folder().history().starts) == 1


def test_the_ranks_of_a_slot_run_its_experiment(search: SearchLab, srun: None) -> None:
    main = "def main(task, cfg, log_level):\n    return {'y': cfg.lr, 'rank': os.environ['SLURM_PROCID']}\n"
    code, said = search.run(main, "--tasks", "2")

    assert code == 0, said
    assert search.folder().read_result() == {"y": 0.1, "rank": "0"}
    assert (search.folder().path / "log.1.txt").exists()


def test_a_choice_that_can_not_be_read_is_no_choice_to_make_anew(search: SearchLab, tmp_path: Path) -> None:
    assert search.run(FAIL)[0] == 0
    search.slot().result_path.unlink()
    search.slot().choice_path.write_text("{")
    code, said = search.run(GIVE)

    assert code == 2 and "UNKNOWN" in said and "choice.json" in said
    assert search.chosen == [0] and search.slot().read_end() is None


def test_the_choice_of_a_slot_stays(search: SearchLab) -> None:
    assert search.run(FAIL)[0] == 0
    slot, before = search.slot(), search.slot().read_choice()
    slot.write_choice(Choice("p/job/other"))

    assert slot.read_choice() == before
