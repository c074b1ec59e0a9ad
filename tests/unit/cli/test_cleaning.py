"""`heyhi clean` as a command: what it shows, asks and refuses, and what it leaves of a project's runs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_status
from heyhi.project import find_project
from heyhi.sweep.known import note_known
from heyhi.sweep.manifest import Manifest

PROTO = """
syntax = "proto3";
message MetaCfg {
  oneof task { Work work = 2; Check check = 3; }
}
message Work { optional double lr = 1; int32 seed = 2; }
message Check { string of = 1; }
"""


class Terminal(io.StringIO):
    """Somebody who answers at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path]) -> Path:
    return make_project(PROTO, settings='checkpoints = ["epoch_*.pt"]\n')


def work(*, cfg: Any, **_: object) -> dict[str, float]:
    """Write three checkpoints and a metric; the experiment of seed 2 fails."""
    for epoch in range(3):
        path = Path(f"epoch_{epoch}.pt")
        path.write_bytes(b"x" * 100)
        os.utime(path, (epoch, epoch))
    Path("metrics.jsonl").write_text(f'{{"loss": {cfg.seed}}}\n')
    if cfg.seed == 2:
        raise ValueError("it broke")
    return {"score": cfg.seed}


def hand_over(run: Any, *words: str) -> None:
    """Expand experiments, and put on record that they were handed over."""
    with Manifest.open(Path(run("expand", *words, "--manifest")[1].strip())) as manifest:
        needs = manifest.needed_exp_ids
        note_known(find_project(), {exp_id: needs.get(exp_id, []) for exp_id in manifest.contents.exp_ids})


def run_all(run: Any, project: Path) -> list[Path]:
    run("expand")
    return [maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"seed={seed}"]).exp_path for seed in range(3)]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pt"))


def test_it_removes_all_but_the_last_checkpoints_of_what_is_named(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    code, out, _ = run("clean", "conf/many.py", "--dry-run")
    assert code == 0 and out.startswith("6 checkpoints: 600 bytes in 6 files, of 1970-01-01 00:00 UTC\n")
    assert out.endswith("dry run: nothing was removed\n") and len(checkpoints(folders[0])) == 3
    code, out, _ = run("clean", "conf/many.py", "--force")
    assert code == 0 and out.endswith("600 bytes in 6 files removed\n")
    assert [checkpoints(folder) for folder in folders] == [["epoch_2.pt"]] * 3
    assert [find_status(folder) for folder in folders] == [Status.DONE, Status.DONE, Status.DEAD]
    assert all((folder / "log.txt").exists() and (folder / "metrics.jsonl").exists() for folder in folders)
    assert run("clean", "conf/many.py")[:2] == (0, "nothing to remove\n")


def test_experiments_are_chosen_by_conditions(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    run("clean", "--where", "status=DONE", "--where", "loss>0", "--keep", "none", "--force")
    assert [checkpoints(folder) for folder in folders] == [sorted(checkpoints(folders[0])), [], checkpoints(folders[2])]
    run("clean", "conf/many.py", "--where", "reason~it broke", "--force")
    assert [len(checkpoints(folder)) for folder in folders] == [3, 0, 1]
    code, _, err = run("clean", "--where", "sed=1", "--force")
    assert code == 2 and "there is no column 'sed' (did you mean 'seed' or" in err
    assert len(checkpoints(folders[0])) == 3


def test_an_experiment_that_is_needed_keeps_its_checkpoints(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    hand_over(run, "--cfg", "check")
    code, out, _ = run("clean", "conf/many.py", "--keep", "none", "--force")
    assert code == 1 and "needs it, and is NOT_STARTED" in out
    assert [len(checkpoints(folder)) for folder in folders] == [0, 3, 0]


def test_a_dead_experiment_goes_on_from_the_checkpoint_that_is_left(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    run("clean", str(folders[2]), "--force")
    seen: list[list[str]] = []

    def go_on(**_: object) -> dict[str, int]:
        seen.append(checkpoints(Path.cwd()))
        return {}

    handle = maybe_launch(go_on, cfg="conf/work.prototxt", overrides=["seed=2"], mode="start_continue")
    assert seen == [["epoch_2.pt"]] and handle.is_done()


def test_whole_experiments_go_to_the_trash_with_their_records(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    code, out, _ = run("clean", "--where", "status=DEAD", "--experiments", "--force")
    assert code == 0 and out.startswith("1 experiment: ") and "moved to the trash, which the next heyhi clean" in out
    assert [folder.exists() for folder in folders] == [True, True, False]
    (kept,) = (project / "results/.heyhi/trash").glob(f"*/p/work/{folders[2].name}")
    assert "it broke" in (kept / "attempts.jsonl").read_text() and len(checkpoints(kept)) == 3
    code, out, _ = run("clean", "--older-than", "1h", "--force")
    assert code == 0 and "wiped too recently" in out and kept.exists()
    assert run("clean", "--force")[0] == 0 and not kept.exists()
    assert run("status")[1].startswith("DONE 2\n")  # it was run by itself, so nothing is to come of it any more


def test_it_asks_first_and_a_no_removes_nothing(run: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = run_all(run, project)
    code, _, err = run("clean", "conf/many.py")
    assert code == 2 and "say --force" in err and len(checkpoints(folders[0])) == 3
    for answer, left in (("\n", 3), ("n\n", 3), ("y\n", 1)):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        run("clean", "conf/many.py")
        assert len(checkpoints(folders[0])) == left


def test_json_says_what_goes_and_what_stays_and_why(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    hand_over(run, "--cfg", "check")
    rows = json.loads(run("clean", "conf/many.py", "--dry-run", "--json")[1])["found"]
    goes = [row for row in rows if row["goes"]]
    assert [(row["kind"], row["bytes"], row["gone"]) for row in goes] == [("checkpoint", 100, False)] * 4
    (stays,) = (row for row in rows if not row["goes"])
    assert stays["name"] == f"p/work/{folders[1].name}" and "needs it" in stays["why"]
    rows = json.loads(run("clean", "conf/many.py", "--force", "--json")[1])["found"]
    assert sum(row["gone"] for row in rows) == 4 and not any(Path(row["path"]).exists() for row in rows if row["gone"])
    assert json.loads(run("clean", "conf/many.py", "--json")[1])["found"] == [stays]


def test_a_manifest_of_this_morning_stays(run: Any, project: Path) -> None:
    run("expand", "--cfg", "work", "seed=5")
    maybe_launch(work, cfg="conf/work.prototxt", overrides=["seed=5"])
    code, out, _ = run("clean")
    assert code == 0 and out.startswith("nothing to remove\nleft: ") and "made or asked for in the last day" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--experiments"], "--experiments of which experiments?"),
        (["--keep", "last"], "--keep of which experiments?"),
        (["conf/many.py", "--older-than", "1d"], "--older-than is for the trash"),
        (["conf/many.py", "--experiments", "--keep", "best"], "nothing to --keep"),
        (["--where", "status"], "expected KEY=VALUE"),
        (["--where", "status=DONE", "conf/man.py"], "man.py"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Any, project: Path, words: list[str], says: str) -> None:
    folders = run_all(run, project)
    code, _, err = run("clean", "--force", *words)
    assert code == 2 and says in err
    assert all(len(checkpoints(folder)) == 3 for folder in folders)


def test_nothing_is_a_checkpoint_unless_the_settings_say_so(run: Any, project: Path) -> None:
    run_all(run, project)
    (project / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    code, _, err = run("clean", "conf/many.py", "--force")
    assert code == 2 and "[tool.heyhi] checkpoints = " in err
    (project / "pyproject.toml").write_text('[tool.heyhi]\ncheckpoints = ["/data/*.pt"]\n')
    code, _, err = run("clean", "--where", "status=DONE", "--force")
    assert code == 2 and "'/data/*.pt' is no pattern of files below an experiment's folder" in err


def test_what_is_left_of_what_was_named_is_said_with_exit_code_1(run: Any, project: Path) -> None:
    folders = run_all(run, project)
    (folders[0] / "identity.json").write_text("{}")
    code, out, _ = run("clean", "conf/many.py", "--experiments", "--force")
    assert code == 1 and "left: " in out
    assert [folder.is_dir() for folder in folders] == [True, False, False]
    code, out, _ = run("clean", "conf/many.py", "--experiments")
    assert code == 1 and out.startswith("nothing to remove\nleft: ")
