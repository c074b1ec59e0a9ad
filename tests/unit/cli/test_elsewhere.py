"""An old sweep script gives maybe_launch a pattern of its own: who looks at that file learns where its runs lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.cli.main import main

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional int32 x = 1; optional double lr = 2; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""
SCRIPT = """
import heyhi
import heyhi.run
import run


def yield_sweep():
    for x in (1, 2):
        yield "conf/job.prototxt", {"x": x, "lr": 0.1}


def main():
    for cfg, overrides in yield_sweep():
        handle = heyhi.run.maybe_launch(
            run.main, exp_root=heyhi.run.get_exp_dir(heyhi.run.PROJECT_NAME), cfg=cfg, mode="gentle_start",
            overrides=[f"{key}={value}" for key, value in overrides.items()],
            exp_id_pattern_override=PATTERN,
        )
        print(handle.exp_id)


if __name__ == "__main__":
    main()
"""
PATTERN = "%(prefix)s/exps_old/sweep_%(redefines)s_%(redefines_hash)s"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf/exps").mkdir(parents=True)
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/job.prototxt").write_text("job {}\n")
    (tmp_path / "run.py").write_text("def main(task, cfg, log_level):\n    return {'x': cfg.x}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return tmp_path


def run_script(project: Path, pattern: str, script: str = SCRIPT) -> list[str]:
    (project / "conf/exps/old.py").write_text(script.replace("PATTERN", repr(pattern)))
    path = os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "conf/exps/old.py"], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("command", ["status", "report", "plan", "expand"])
def test_runs_that_a_script_has_named_are_said_with_the_line_by_which_they_are_found(
    project: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exp_ids = run_script(project, PATTERN)
    assert main([command, "conf/exps/old.py"]) == 0
    err = capsys.readouterr().err
    assert (
        f"conf/exps/old.py: 2 runs of its experiments lie under exp ids that a script has chosen, like {exp_ids[0]}"
        in err
    )
    line = f'EXP_ID_PATTERN = "{PATTERN}"'
    assert f"{line} in that file names them" in err
    # So it does.
    text = (project / "conf/exps/old.py").read_text()
    (project / "conf/exps/old.py").write_text(f"{line}\n{text}")
    assert main([command, "conf/exps/old.py"]) == 0
    out, err = capsys.readouterr()
    assert "a script has chosen" not in err
    assert "DONE" in out if command != "expand" else exp_ids[0] in out


def test_a_pattern_that_is_not_plain_is_said_without_a_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exp_ids = run_script(project, "odd/%(cfg)s-%(date)s-%(redefines_hash)s-x")
    assert main(["status", "conf/exps/old.py"]) == 0
    err = capsys.readouterr().err
    assert "2 runs of its experiments lie under exp ids that a script has chosen, like odd/job-" in err and exp_ids
    # A run of the same overrides of another config is none of them.
    (project / "conf/two.prototxt").write_text("job { x: 5 }\n")
    (project / "conf/exps/new.py").write_text(
        "def yield_sweep():\n    yield 'conf/two.prototxt', {'x': 1, 'lr': 0.1}\n"
    )
    assert main(["status", "conf/exps/new.py"]) == 0
    assert "a script has chosen" not in capsys.readouterr().err


def test_runs_without_a_hash_in_their_name_are_said_also_beside_the_file_s_own(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SCRIPT.replace("(1, 2)", "(1,)")
    run_script(project, "c01/old/all", script)
    (project / "conf/exps/old.py").write_text(SCRIPT)
    assert main(["status", "conf/exps/old.py"]) == 0
    err = capsys.readouterr().err
    said = "1 run of its experiments lies under exp ids that a script has chosen, like c01/old/all"
    assert said in err and "EXP_ID_PATTERN" not in err
    # Of two points one was run by the file's name, too.
    text = (project / "conf/exps/old.py").read_text()
    (project / "conf/exps/old.py").write_text(text.replace("(1, 2)", "(3, 1)"))
    code = "import heyhi, run; heyhi.maybe_launch(run.main, cfg='job', overrides=['x=3', 'lr=0.1'])"
    path = os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=True)
    assert main(["status", "conf/exps/old.py"]) == 0
    out, err = capsys.readouterr()
    assert said in err and "DONE" in out
    (project / "conf/exps/old.py").write_text(text.replace("(1, 2)", "(3,)"))
    assert main(["status", "conf/exps/old.py"]) == 0
    assert "a script has chosen" not in capsys.readouterr().err
