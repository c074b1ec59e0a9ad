"""Fields of a launcher that the first HeyHi had, or that mean nothing: none of them is dropped without a word."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

import pytest

from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.config.compose import Composer
from heyhi.config.schema import load_schema
from heyhi.errors import LauncherError
from heyhi.project import find_project
from heyhi.slurm.request import request_of, sbatch_options

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional int32 x = 1; optional Launcher launcher = 2; }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; Cloud cloud = 4; } optional int32 nice = 3; }
message Local { optional bool use_local = 1; optional int32 priority = 2; }
message Cloud { optional string zone = 1; }
message Slurm {
  optional int32 hours = 1;
  optional string constraint = 2;
  optional bool volta32 = 3;
  optional bool pascal = 4;
  optional bool volta = 5;
  optional string qoss = 6;
  optional bool nvlink = 7;
}
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/job.prototxt").write_text("job { x: 1 }\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return tmp_path


def constraint(*fields: str) -> str:
    here = find_project()
    words = [f"launcher.slurm.{field}" for field in ("hours=1", *fields)]
    asked = request_of(Composer(here, load_schema(here)).compose("job", words).task_message)
    options = sbatch_options(asked, name="n", comment="c", output=Path("/x/log"), chdir=Path("/x"))
    return next((word for word in options if word.startswith("--constraint")), "")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("volta=true", "volta"),
        ("volta32=true", "volta32gb"),
        ("volta32=true volta=true", "volta32gb"),
        ("pascal=1", "pascal"),
        ("volta=false volta32=0", ""),
        ("volta=true constraint=ib", "ib&volta"),
        ("volta=true constraint='ib|eth'", "(ib|eth)&volta"),
        ("volta=true constraint='[rack1|rack2]'", "[rack1|rack2]&volta"),
        ("volta=true constraint='ib&volta'", "ib&volta"),
        ("volta32=true constraint=volta", "volta&volta32gb"),
    ],
)
def test_a_kind_of_gpu_that_was_said_yes_to_is_a_constraint(project: Path, fields: str, wanted: str) -> None:
    assert constraint(*shlex.split(fields)) == (f"--constraint={wanted}" if wanted else "")


def test_two_kinds_of_gpu_are_refused(project: Path) -> None:
    with pytest.raises(LauncherError, match=r"launcher\.slurm\.volta and launcher\.slurm\.pascal: a node has one kind"):
        constraint("volta=1", "pascal=1")


def test_a_kind_of_gpu_only_schedules(project: Path) -> None:
    here = find_project()
    composer = Composer(here, load_schema(here))
    plain, volta = (
        composer.compose("job", ["launcher.slurm.hours=1", *more]).identity for more in ([], ["launcher.slurm.volta=1"])
    )
    assert plain == volta


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("launcher.slurm.qoss=high", "qoss=high: HeyHi knows no such field of a launcher (did you mean 'qos'?)"),
        ("launcher.slurm.nvlink=true", "launcher.slurm.nvlink=true: HeyHi knows no such field of a launcher"),
        ("launcher.local.priority=3", "launcher.local.priority=3: HeyHi knows no such field of a launcher"),
        ("launcher.nice=2", "launcher.nice=2: HeyHi knows no such launcher"),
        ("launcher.cloud.zone=b", "launcher.cloud: HeyHi knows no such launcher"),
        ("launcher.local.use_local=true", ""),
        ("launcher.slurm.volta=true", ""),
    ],
)  # fmt: skip
def test_a_field_that_means_nothing_is_named_with_its_value(
    project: Path, words: str, said: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["expand", "--cfg", "job", words]) == 0
    told = [capsys.readouterr().err]
    with pytest.raises(SystemExit):
        parse_args_and_maybe_launch(lambda **_: None, ["--cfg", "job", words, "--mode", "dryrun"])
    told.append(capsys.readouterr().err)
    with caplog.at_level(logging.WARNING):
        maybe_launch(lambda **_: None, cfg="job", overrides=[words], mode="dryrun")
    told.append(caplog.text)
    assert all(said in text if said else "HeyHi knows no" not in text for text in told), told
