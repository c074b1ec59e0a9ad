"""`run.py` that submits its experiment: when Slurm's controllers are asked, and what is left where it takes no job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.job import patience

from ..slurm.test_commands import Command, calls, command

__all__ = ["command"]

UP = "echo 'Slurmctld(primary) at head is UP'"
DOWN = "echo 'Slurmctld(primary) at head is DOWN'; exit 1"
AWAY = "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' >&2; exit 1"
NO_CLUSTER = "echo 'sbatch: fatal: Could not establish a configuration source' >&2; exit 1"


def main_of_a_module(task: str, cfg: object, log_level: str) -> None:
    """Do nothing."""


@pytest.fixture(autouse=True)
def results(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(patience, "SECONDS", 0.0)
    return tmp_path / "results"


def submit(seed: int, *words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        parse_args_and_maybe_launch(
            main_of_a_module, ("--cfg", "c02_sup_train/sl", f"seed={seed}", "I.launcher=slurm", *words)
        )
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def used(command: Command, results: Path, tmp_path: Path) -> Path:
    """A results root in which an experiment was submitted; Slurm's commands have answered, and no call is counted."""
    command("sbatch", "cat > /dev/null; echo 7")
    command("scontrol", UP)
    command("squeue", "printf ''")
    assert submit(1) == 0
    assert (calls(tmp_path, "scontrol"), calls(tmp_path, "sbatch")) == (1, 1)
    (tmp_path / "calls").unlink()
    return results


def left(results: Path) -> set[str]:
    """What is there of experiments, and what is known of any."""
    places = [*results.glob("p/*/*/*"), *results.glob(".heyhi/known/*")]
    return {str(path.relative_to(results)) for path in places}


def test_one_after_another_is_answered_by_sbatch_alone(used: Path, tmp_path: Path) -> None:
    assert submit(2) == 0
    assert (calls(tmp_path, "scontrol"), calls(tmp_path, "sbatch")) == (0, 1)


def test_before_anything_is_wiped_the_controllers_are_asked(
    used: Path, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("scontrol", DOWN)
    before = left(used)
    assert submit(1, "--mode", "restart", "--force") == 2
    assert "sbatch is here, but Slurm's controller (head) doesn't answer" in capsys.readouterr().err
    assert calls(tmp_path, "sbatch") == 0
    assert left(used) == before


def test_an_sbatch_without_an_answer_has_the_controllers_asked_and_leaves_nothing(
    used: Path, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("sbatch", AWAY)
    command("scontrol", DOWN)
    before = left(used)
    assert submit(2) == 2
    said = "controller (head) doesn't answer: heyhi run --profile local, with the same words, runs it here"
    assert said in capsys.readouterr().err
    assert left(used) == before


def test_one_that_finds_its_controller_answering_is_asked_again_at_once(
    used: Path, command: Command, tmp_path: Path
) -> None:
    command("sbatch", f"[ -e {tmp_path}/asked ] && {{ cat > /dev/null; echo 8; exit; }}; : > {tmp_path}/asked; {AWAY}")
    assert submit(2) == 0
    assert (calls(tmp_path, "scontrol"), calls(tmp_path, "sbatch")) == (1, 2)


def test_an_sbatch_that_finds_no_cluster_is_told_as_before(
    used: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("heyhi.slurm.refusals.is_configured", lambda: False)
    command("sbatch", NO_CLUSTER)
    command("scontrol", NO_CLUSTER.replace("sbatch:", "scontrol:"))
    before = left(used)
    assert submit(2) == 2
    said = capsys.readouterr().err
    assert "sbatch is here, but this machine knows of no cluster (Could not establish a configuration source)" in said
    assert left(used) == before


@pytest.mark.parametrize(("words", "frozen"), [(("--mode", "dryrun"), True), (("--print",), True), ((), False)])
def test_only_who_runs_nothing_ends_without_a_look_for_garbage(
    results: Path, tmp_path: Path, words: tuple[str, ...], frozen: bool
) -> None:
    script = tmp_path / "quick.py"
    script.write_text(
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(f'frozen: {gc.get_freeze_count() > 0}'))\n"
        "import heyhi\n"
        "def main(task, cfg, log_level):\n    return {}\n"
        "heyhi.parse_args_and_maybe_launch(main)\n"
    )
    line = [sys.executable, str(script), "--cfg", "c02_sup_train/sl", *words]
    said = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.splitlines()[-1] == f"frozen: {frozen}"


# What a submission that goes well has no use for; a loop starts one process after another.
NOT_LOADED = {
    "calendar",
    "contextvars",
    "encodings.utf_8_sig",
    "heapq",
    "heyhi.cli.advice",
    "heyhi.code.pinned.heyhi_pinning",
    "heyhi.config.best",
    "heyhi.config.chunk_types",
    "heyhi.config.comparable",
    "heyhi.config.duration",
    "heyhi.config.file_needs",
    "heyhi.config.interpolations",
    "heyhi.config.repeats",
    "heyhi.experiment.death",
    "heyhi.experiment.exits",
    "heyhi.experiment.given",
    "heyhi.experiment.given_files",
    "heyhi.experiment.heartbeat",
    "heyhi.experiment.processes",
    "heyhi.experiment.result",
    "heyhi.experiment.slots",
    "heyhi.job.left_out",
    "heyhi.job.notice",
    "heyhi.slips",
    "heyhi.slurm.nodes",
    "heyhi.slurm.refusals",
    "heyhi.sweep.size",
    "shlex",
    "sqlite3",
    "struct",
}


def test_what_submits_loads_nothing_that_it_does_not_use(used: Path, tmp_path: Path) -> None:
    code = (
        "import atexit, sys, heyhi; atexit.register(lambda: print(*sys.modules)); from run import main;"
        "sys.argv[:1] = ['run.py']; heyhi.parse_args_and_maybe_launch(main)"
    )
    line = [sys.executable, "-c", code, "--cfg", "c02_sup_train/sl", "seed=2", "I.launcher=slurm"]
    said = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert (calls(tmp_path, "scontrol"), calls(tmp_path, "sbatch")) == (0, 1)
    assert NOT_LOADED & set(said.split()) == set()
