"""`heyhi plan` says what earlier runs of a config have used, beside what is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.control import used_before
from heyhi.experiment.folder import ExperimentDir

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; Other other = 3; } }
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional int32 x = 1; optional Launcher launcher = 3; }
message Other { optional int32 x = 1; optional Launcher launcher = 3; }
message Launcher { oneof kind { Slurm slurm = 1; Local local = 2; } }
message Local { optional int32 cpus = 1; }
message Slurm {
  optional double hours = 1; optional double mem_per_gpu = 2; optional int32 pack = 3; optional int32 num_gpus = 4;
}
"""
SLURM = ("launcher.slurm.hours=24", "launcher.slurm.mem_per_gpu=60")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/work.prototxt").write_text("work {}\n")
    (root / "conf/other.prototxt").write_text("other {}\n")
    (root / "pyproject.toml").write_text("[tool.heyhi]\n")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without Slurm
    monkeypatch.chdir(root)
    return root


def ran(x: int, hours: float, memory: float, cfg: str = "work", asked: dict[str, int] | None = None) -> ExperimentDir:
    """Have an experiment that is DONE and has used so much."""
    handle = maybe_launch(lambda **_: {}, cfg=cfg, overrides=[f"x={x}"])
    folder = ExperimentDir(Path(handle.exp_path))
    start, end = (json.loads(line) for line in folder.attempts_path.read_text().splitlines())
    if asked is not None:
        start["asked"] = asked
    end["used"] = {"seconds": 3600 * hours, "mem_gb": memory}
    folder.attempts_path.write_text(f"{json.dumps(start)}\n{json.dumps(end)}\n")
    return folder


def earlier(run: Any, *words: str) -> list[str]:
    code, out, err = run("plan", *words)
    assert code == 0, err
    return [line for line in out.splitlines() if "earlier run" in line]


def test_earlier_runs_stand_beside_what_is_asked_for(run: Any) -> None:
    assert earlier(run, "--cfg", "work", "x=0", *SLURM) == []
    ran(1, 0.25, 3.125), ran(2, 0.6, 1), ran(1, 100, 100, cfg="other")
    assert earlier(run, "--cfg", "work", "x=0", *SLURM) == [
        "2 earlier runs of conf/work: at most 0.6 h and 3.12 GB; asked 24 h and 60 GB"
    ]
    # A pack's experiments have a share of its memory, and what runs here asks for nothing.
    assert earlier(run, "--cfg", "work", "x=0", *SLURM, "launcher.slurm.pack=4")[0].endswith("asked 24 h and 15 GB")
    assert earlier(run, "--cfg", "work", "x=0", "launcher.local.cpus=1") == []
    assert earlier(run, "--cfg", "work", "x=1") == []  # it is DONE


def test_of_a_sweep_the_most_that_is_asked_for_is_said_for_each_config(run: Any) -> None:
    ran(1, 1, 1), ran(1, 2, 0, cfg="other")
    words = ["--cfg", "work", *SLURM, "--sweep", "x=2,3", "--cfg", "other", "x=3", "launcher.slurm.hours=2"]
    assert earlier(run, *words) == [
        "1 earlier run of conf/work: at most 1 h and 1 GB; asked 24 h and 60 GB",
        "1 earlier run of conf/other: at most 2 h; asked 2 h and 2 GB",
    ]


def test_runs_of_the_same_shape_are_compared_where_there_are_any(run: Any) -> None:
    one, two = ({"nodes": 1, "tasks": n, "gpus": n} for n in (1, 2))
    ran(1, 1, 8, asked=two)
    words = ("--cfg", "work", "x=0", *SLURM)
    other = "1 earlier run of conf/work, with other GPUs, nodes or tasks: at most 1 h and 8 GB; asked 24 h and 60 GB"
    assert earlier(run, *words, "launcher.slurm.num_gpus=1") == [other]
    assert earlier(run, *words, "launcher.slurm.num_gpus=2")[0].startswith("1 earlier run of conf/work: at most 1 h")
    ran(2, 2, 3, asked=one)
    assert earlier(run, *words, "launcher.slurm.num_gpus=1") == [
        "1 earlier run of conf/work: at most 2 h and 3 GB; asked 24 h and 60 GB"
    ]
    ran(3, 9, 9, asked={"nodes": 1, "gpus": 1})  # nobody knows how many tasks
    assert "at most 2 h and 3 GB" in earlier(run, *words, "launcher.slurm.num_gpus=1")[0]
    assert "at most 9 h and 9 GB" in earlier(run, *words, "launcher.slurm.num_gpus=4")[0]
    ran(4, 0.5, 1, asked={**two, "pack": 2})
    packed = earlier(run, *words, "launcher.slurm.num_gpus=2", "launcher.slurm.pack=2")
    assert packed == ["1 earlier run of conf/work: at most 0.5 h and 1 GB; asked 24 h and 60 GB"]
    swept = earlier(run, "--cfg", "work", "x=0", *SLURM, "--sweep", "launcher.slurm.num_gpus=1,2")
    assert [line.partition(": ")[2] for line in swept] == [
        "at most 2 h and 3 GB; asked 24 h and 60 GB",
        "at most 1 h and 8 GB; asked 24 h and 120 GB",
    ]


def test_only_the_newest_are_read_and_one_that_cannot_be_says_nothing(run: Any, monkeypatch: Any) -> None:
    import os

    for x, hours in enumerate((5, 2, 1, 3)):
        os.utime(ran(x, hours, 1).result_path, (1000 + x, 1000 + x))
    monkeypatch.setattr(used_before, "_MOST_READ", 3)
    assert earlier(run, "--cfg", "work", "x=9", *SLURM)[0].startswith("3 earlier runs of conf/work: at most 3 h")
    folder = ran(7, 9, 9)
    folder.attempts_path.write_text("x\n")
    folder.identity_path.write_text("x")
    assert earlier(run, "--cfg", "work", "x=9", *SLURM)[0].startswith("2 earlier runs of conf/work: at most 3 h")


def test_an_attempt_that_failed_counts_with_its_run(run: Any) -> None:
    folder = ran(1, 1, 1)
    lost = {"event": "end", "attempt": 1, "reason": "TIMEOUT", "used": {"seconds": 7200, "mem_gb": 5}}
    with folder.attempts_path.open("a") as file:
        file.write(f"{json.dumps(lost)}\n")
    assert "at most 2 h and 5 GB" in earlier(run, "--cfg", "work", "x=9", *SLURM)[0]
