"""What a launcher says against where a command would run: told before anything is started."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.control.controller import ControllerSpec

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Fit fit = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Fit { optional int32 seed = 1; optional double lr = 2; optional Launcher launcher = 3; }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1; }
message Slurm { optional double hours = 2; }
"""
PROGRAMS = {"sbatch": "exit 0", "scontrol": "echo 'Slurmctld(primary) at h is UP'", "sinfo": "", "squeue": ""}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose Slurm answers, as far as it is asked."""
    root = tmp_path / "project"
    (root / "conf/common/launcher").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/fit.prototxt").write_text("fit { lr: 1 }\n")
    (root / "conf/near.prototxt").write_text("fit { lr: 1 launcher { local { cpus: 3 } } }\n")
    (root / "conf/far.prototxt").write_text("fit { lr: 1 launcher { slurm { hours: 2 } } }\n")
    (root / "pyproject.toml").write_text("[tool.heyhi]\n")
    for name, executor in (("local", "local"), ("slurm", "heyhi")):
        (root / "profiles" / name).mkdir(parents=True)
        (root / "profiles" / name / "config.yaml").write_text(f"executor: {executor}\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        try:
            code: object = main(words)
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


class Terminal(io.StringIO):
    """A terminal at which somebody has typed an answer."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def type_in(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(text))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    return type_in


LOCAL = (
    "launcher: local: goes to Slurm at its defaults, 1 task, 3 CPUs, 2 GB, 1 h, default partition; heyhi run, with the"
    " same words, runs it here\n"
)


def test_a_local_launcher_goes_to_slurm_after_one_line(run: Run, started: list[ControllerSpec]) -> None:
    code, out, _ = run("launch", "--cfg", "near")
    assert code == 0 and LOCAL in out and len(started) == 1


def test_no_launcher_does_so_too_and_the_line_says_what_sets_resources_where_there_is_that(
    run: Run, started: list[ControllerSpec], project: Path
) -> None:
    (project / "conf/common/launcher/slurm.prototxt").write_text("slurm { hours: 1 }\n")
    code, out, _ = run("launch", "--cfg", "fit", "--sweep", "seed=1,2")
    assert code == 0 and "launcher: none: goes to Slurm at its defaults, 1 task, 1 CPU, 2 GB, 1 h" in out
    assert "; I.launcher=slurm sets resources\n" in out and len(started) == 1


def test_a_slurm_launcher_goes_there_without_a_word(run: Run, started: list[ControllerSpec]) -> None:
    code, out, _ = run("launch", "--cfg", "far")
    assert code == 0 and "launcher:" not in out and len(started) == 1


@pytest.mark.parametrize(("typed", "goes"), [("\n", True), ("y\n", True), ("n\n", False), ("", False)])
def test_at_a_terminal_it_is_asked(
    run: Run, started: list[ControllerSpec], answer: Callable[[str], None], typed: str, goes: bool
) -> None:
    answer(typed)
    code, out, err = run("launch", "--cfg", "near")
    assert LOCAL in out and "hand over to Slurm? [Y/n]" in err
    assert (code, len(started)) == ((0, 1) if goes else (2, 0))
    assert ("error: nothing was started" in err) is not goes


@pytest.mark.parametrize("words", [("--force",), ("-y",), ("--profile", "slurm"), ("--dry-run",)])
def test_who_has_said_so_is_not_asked(
    run: Run, started: list[ControllerSpec], answer: Callable[[str], None], words: tuple[str, ...]
) -> None:
    answer("n\n")
    code, out, err = run("launch", "--cfg", "near", *words)
    assert code == 0 and LOCAL in out and "[Y/n]" not in err
    assert len(started) == (words != ("--dry-run",))


def test_what_asks_for_slurm_is_not_run_here_unasked(run: Run, project: Path) -> None:
    code, _, err = run("run", "--cfg", "far", "seed=3")
    assert code == 2 and ": the launcher is slurm: heyhi launch --cfg far seed=3 hands over to Slurm; heyhi run" in err
    assert "--profile local with the same words runs here all the same" in err
    code, _, err = run("run", "--cfg", "far", "--cfg", "near", "--sweep", "seed=1,2")
    assert code == 2 and "1 of 3 (the first p/far/default_" in err
    assert not (project / "results").exists()


def test_a_controller_of_slurms_that_does_not_answer_is_said_before_anything_is_written(
    run: Run, project: Path, tmp_path: Path, started: list[ControllerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin/scontrol").write_text("#!/bin/sh\necho 'Slurmctld(primary) at h is DOWN'\nexit 1\n")
    monkeypatch.setattr("heyhi.slurm.reach._RESTART_SECONDS", 0.0)
    for command, instead in (("launch", "heyhi run --profile local, with the same words, runs it here"),):
        code, _, err = run(command, "--cfg", "far")
        assert (code, err) == (2, f"error: sbatch is here, but Slurm's controller (h) doesn't answer: {instead}\n")
    assert not (project / "results").exists() and started == []


def fails(**_: object) -> None:
    raise ValueError("it broke")


def dies(*overrides: str, cfg: str = "fit") -> None:
    with contextlib.suppress(ValueError):
        maybe_launch(fails, cfg=f"conf/{cfg}.prototxt", overrides=overrides)


@pytest.mark.parametrize(("profile", "start"), [("local", "heyhi run"), ("slurm", "heyhi launch")])
def test_what_ran_here_is_started_again_here_and_what_ran_by_slurm_there(
    run: Run, started: list[ControllerSpec], profile: str, start: str
) -> None:
    for other in ("local", "slurm", profile):  # the last one counts
        assert run("launch", "--cfg", "fit", "seed=1", "--profile", other)[0] == 0
    assert f": {start} --cfg fit seed=1 starts it" in run("status", "--cfg", "fit", "seed=1")[1]
    assert f": {start}, with the words that heyhi status --sweeps lists, starts it" in run("status")[1]
    dies("seed=1")
    code, out, err = run("retry", "--dead")
    assert code == 0 and f"by profiles/{profile}" in out, err
    assert started[-1].uses_slurm == (profile == "slurm")
    assert "stop:    heyhi cancel p/fit/seed=1_" in out and "--all" not in out


def test_what_no_launch_is_on_record_of_goes_by_its_launcher(run: Run, started: list[ControllerSpec]) -> None:
    assert ": heyhi run --cfg near starts it" in run("status", "--cfg", "near")[1]
    assert ": heyhi launch --cfg far starts it" in run("status", "--cfg", "far")[1]
    dies(cfg="near")
    dies(cfg="fit")  # it has none, and ran here
    assert run("retry", "--dead")[0] == 0 and not started[-1].uses_slurm


def test_what_ran_here_and_what_ran_by_slurm_are_started_again_by_a_profile_that_is_named(
    run: Run, started: list[ControllerSpec]
) -> None:
    for seed, profile in ((1, "local"), (2, "slurm")):
        run("launch", "--cfg", "fit", f"seed={seed}", "--profile", profile)
        dies(f"seed={seed}")
    count = len(started)
    code, _, err = run("retry", "--dead")
    assert code == 2 and "error: by which profile? 1 of these ran here, and 1 by Slurm: --profile local or" in err
    assert len(started) == count
    assert run("retry", "--dead", "--profile", "local")[0] == 0 and not started[-1].uses_slurm
