"""A project's own checks before a launch: in a sweep file, and by a setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.errors import SweepError

PROTO = """
syntax = "proto3";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; Check check = 3; } }
message Include { string path = 1; string mount = 2; }
message Work { optional double lr = 1; int32 seed = 2; }
message Check { string of = 1; int32 noise = 2; }
"""
MakeProject = Callable[..., Path]


def checked(root: Path, body: str) -> None:
    with (root / "conf/many.py").open("a") as file:
        file.write(f"def validate(cfg):\n{body}")


@pytest.mark.parametrize("command", ["expand", "plan", "launch", "launch --dry-run", "retry --dead"])
def test_a_sweep_file_refuses_its_experiments_and_nothing_is_started(
    run: Any, make_project: MakeProject, started: list[Any], command: str
) -> None:
    root = make_project(PROTO)
    (root / "profiles/slurm").mkdir(parents=True)
    (root / "profiles/slurm/config.yaml").write_text("")
    checked(root, "    assert cfg.seed < 1\n")
    code, out, err = run(*command.split(), "conf/many.py")
    assert (code, out) == (2, "heyhi-expand-failed\n" if command == "expand" else "")
    assert err == (
        "error: conf/many.py: 2 of 3 experiments are refused by validate:\n"
        "  conf/many.py:5: assert cfg.seed < 1\n"
        "    in 2 experiments, first: conf/work.prototxt seed=1\n"
    )
    assert started == [] and not (root / "results/.heyhi/manifests").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    raise ValueError('seed is odd')\n", "conf/many.py:5: ValueError: seed is odd"),
        ("    assert False, 'no such luck'\n", "conf/many.py:5: no such luck"),
        ("    return f'lr is {cfg.lr}'\n", "conf/many.py: lr is 0.1"),
        ("    return False\n", "conf/many.py: validate returned False; expected None"),
        ("    return cfg.lrr\n", "conf/many.py:5: AttributeError: Work has no field 'lrr' (did you mean 'lr'?)"),
        ("    cfg.lr = 1\n", "conf/many.py:5: RuntimeError: "),
        ("    raise SystemExit(3)\n", "conf/many.py:5: SystemExit: 3"),
        ("    raise type('Own', (BaseException,), {})('so')\n", "conf/many.py:5: Own: so"),
        (
            "    raise type('Own', (Exception,), {'__str__': lambda self: 1 / 0})\n",
            "conf/many.py:5: Own: (its text can't be made: ZeroDivisionError)",
        ),
    ],
)
def test_what_a_check_raises_or_returns_is_shown(run: Any, make_project: MakeProject, body: str, said: str) -> None:
    checked(make_project(PROTO, seeds=1), body)
    code, _, err = run("expand")
    assert code == 2 and err.startswith(f"error: refused by validate: {said}")


@pytest.mark.filterwarnings("error")
def test_an_async_check_is_refused_without_a_warning_of_pythons(run: Any, make_project: MakeProject) -> None:
    root = make_project(PROTO, seeds=1)
    with (root / "conf/many.py").open("a") as file:
        file.write("async def validate(cfg):\n    pass\n")
    code, _, err = run("plan")
    said = "error: refused by validate: conf/many.py: validate is an async function; expected a plain one\n"
    assert (code, err) == (2, said)


def test_an_empty_word_is_said_to_be_empty(run: Any, make_project: MakeProject) -> None:
    make_project(PROTO)
    assert run("plan", "")[::2] == (2, "error: '' is an empty word: did a command that was to print it fail?\n")


def test_a_sweep_file_that_closes_standard_output_is_read_all_the_same(run: Any, make_project: MakeProject) -> None:
    root = make_project(PROTO)
    with (root / "conf/many.py").open("a") as file:
        file.write("import sys\nprint('said')\nwith sys.stdout:\n    pass\nsys.stdout.close()\n")
    code, out, err = run("expand")
    assert code == 0 and len(out.split()) == 3 and err.startswith("said\n")


def test_a_sweep_file_whose_error_has_no_text_is_one_error(run: Any, make_project: MakeProject) -> None:
    root = make_project(PROTO)
    text = "def yield_sweep():\n    raise type('Own', (Exception,), {'__str__': lambda self: 1 / 0})\n"
    (root / "conf/many.py").write_text(text)
    code, _, err = run("plan")
    assert code == 2 and err.endswith("conf/many.py:2: Own: (its text can't be made: ZeroDivisionError)\n")


def test_what_is_right_is_expanded_as_without_a_check(run: Any, make_project: MakeProject) -> None:
    root = make_project(PROTO)
    before = run("expand")[1]
    checked(root, "    print('checked')\n")
    assert run("expand")[:2] == (0, before)


def test_results_can_be_looked_at_after_a_check_became_stricter(run: Any, make_project: MakeProject) -> None:
    root = make_project(PROTO)
    checked(root, "    raise ValueError\n")
    assert run("status", "conf/many.py")[0] == 0
    assert run("report", "conf/many.py")[0] == 0


def done(**_: object) -> int:
    return 1


def test_the_check_of_the_settings_is_made_by_each_door_and_of_needs_too(
    run: Any, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(PROTO, need="work.prototxt seed=1", settings='validate = "rules.of_mine:check"\n')
    (root / "rules").mkdir()
    (root / "rules/of_mine.py").write_text(
        "def check(cfg):\n    if getattr(cfg, 'seed', 0) == 1:\n        return 'seed 1 is taken'\n"
    )
    said = "rules/of_mine.py: seed 1 is taken"
    code, out, err = run("expand", "--cfg", "check")
    assert (code, out) == (2, "heyhi-expand-failed\n") and said in err
    assert run("expand")[0] == 2
    assert run("expand", "--cfg", "work", "seed=2")[0] == 0
    with pytest.raises(SweepError, match=said):
        heyhi.maybe_launch(done, cfg="work", overrides=["seed=1"])
    with pytest.raises(SystemExit) as stop:
        parse_args_and_maybe_launch(done, ["--cfg", "work", "seed=1"])
    assert stop.value.code == 2 and said in capsys.readouterr().err
    assert not (root / "results/p").exists()
    assert heyhi.maybe_launch(done, cfg="work", overrides=["seed=2"]).is_done()


def broken(**_: object) -> int:
    return 1 // 0


@pytest.mark.parametrize("is_manifest", [False, True])
@pytest.mark.parametrize(
    "command", ["expand", "plan", "launch", "launch --dry-run", "retry --dead", "retry --dead --dry-run"]
)
def test_what_was_expanded_before_is_checked_again_before_it_is_started(
    run: Any, make_project: MakeProject, started: list[Any], command: str, is_manifest: bool
) -> None:
    root = make_project(PROTO)
    (root / "profiles/slurm").mkdir(parents=True)
    (root / "profiles/slurm/config.yaml").write_text("")
    words = run("expand", *["--manifest"] * is_manifest)[1].split()
    heyhi.maybe_launch(broken, cfg="work", overrides=["seed=1"])
    (root / "pyproject.toml").write_text('[tool.heyhi]\nvalidate = "checks:check"\n')
    (root / "checks.py").write_text("def check(cfg):\n    assert cfg.seed != 1, 'seed 1 is taken'\n")
    code, out, err = run(*command.split(), *words)
    assert code == 2 and err.startswith("error: ") and "Traceback" not in err
    assert "refused by validate:" in err and "checks.py:2: seed 1 is taken" in err
    assert started == [] and (out == "heyhi-expand-failed\n" if command == "expand" else "started" not in out)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("rules", "expected module:function"),
        ("nosuch:check", "there is no module 'nosuch'"),
        ("rules_here:chekc", "has no function 'chekc' (did you mean 'check'?)"),
        ("rules_broken:check", "rules_broken.py:1: ZeroDivisionError"),
    ],
)
def test_a_setting_that_names_no_function_is_said(run: Any, make_project: MakeProject, value: str, said: str) -> None:
    root = make_project(PROTO, settings=f'validate = "{value}"\n')
    (root / "rules_here.py").write_text("def check(cfg): pass\n")
    (root / "rules_broken.py").write_text("1 / 0\n")
    code, _, err = run("expand")
    assert code == 2 and said in err and "Traceback" not in err
