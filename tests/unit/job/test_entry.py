"""A job runs the function that it was launched with: how that is named, by whom it is kept, and when it is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional int32 x = 1; optional string do = 2; optional Launcher launcher = 3; }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 tasks = 1; }
message Slurm { optional double hours = 1; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""
NAMES = """
import functools, json, sys
from heyhi.errors import LauncherError
from heyhi.job.entry import entry_in
from heyhi.project import find_project


def named(main):
    try:
        found = entry_in(find_project(), main, "it")
    except LauncherError as error:
        return str(error)
    return [found.text, str(found.file)] if found is not None else None


def wrapped(function):
    @functools.wraps(function)
    def wrapper(**kwargs):
        return function(**kwargs)
    return wrapper


def bare(function):
    def wrapper(**kwargs):
        return function(**kwargs)
    return wrapper


def plain(**kwargs):
    pass


@wrapped
def decorated(**kwargs):
    pass


@bare
def main(**kwargs):
    pass


@bare
def other(**kwargs):
    pass


class Trainer:
    @staticmethod
    def static(**kwargs):
        pass

    @classmethod
    def made(cls, **kwargs):
        pass

    def method(self, **kwargs):
        pass

    def __call__(self, **kwargs):
        pass


class Finer(Trainer):
    pass


def tell(**more):
    def inner(**kwargs):
        pass

    given = {
        "plain": plain, "decorated": decorated, "main": main, "other": other, "static": Trainer.static,
        "made": Finer.made, "method": Trainer().method, "object": Trainer(), "lambda": lambda **_: None,
        "inner": inner, "partial": functools.partial(plain, x=1), "builtin": print, **more,
    }
    print(json.dumps({name: named(function) for name, function in given.items()}))


if __name__ == "__main__":
    def below(**kwargs):
        pass

    exec("def made_by_exec(**kwargs): pass")
    moved = plain
    tell(below=below, made_by_exec=made_by_exec, moved=moved)
"""
RUN = """
import heyhi


def main(task, cfg, log_level):
    if cfg.do == "fail":
        raise ValueError("boom")
    return {"by": __name__ + ":" + HERE}


class Trainer:
    @staticmethod
    def run(task, cfg, log_level):
        return main(task, cfg, log_level)


HERE = "HERE_TEXT"
if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    for folder in ("conf", "scripts", "pkg", "src/lib"):
        (root / folder).mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/job.prototxt").write_text("job { x: 1 }\n")
    for place in ("run.py", "other_run.py", "scripts/train.py", "pkg/train.py"):
        (root / place).write_text(RUN.replace("HERE_TEXT", place))
    for folder in ("pkg", "src/lib"):
        (root / folder / "__init__.py").touch()
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return root


def python(project: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=project, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )


def names(project: Path, *words: str, **env: str) -> dict[str, object]:
    done = python(project, *words, **env)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_function_is_named_as_a_job_imports_it_and_what_it_cannot_import_is_refused(project: Path) -> None:
    (project / "names.py").write_text(NAMES)
    found = names(project, "names.py")
    assert found["plain"] == ["names:plain", "names.py"]
    assert found["decorated"] == ["names:decorated", "names.py"]
    assert found["static"] == ["names:Trainer.static", "names.py"]
    assert found["made"] == ["names:Finer.made", "names.py"]
    assert found["moved"] == found["plain"]
    for name, why in {
        "other": "inside of another function", "main": "inside of another function", "method": "method of an object",
        "object": "an object of that class", "lambda": "a lambda", "inner": "inside of another function",
        "partial": "functools.partial", "builtin": "no file", "below": "only when it is run",
        "made_by_exec": "only when it is run",
    }.items():  # fmt: skip
        assert why in str(found[name]), name


@pytest.mark.parametrize(
    ("place", "words", "prefix"),
    [
        ("scripts/names.py", ["scripts/names.py"], "scripts/names"),
        ("pkg/names.py", ["-m", "pkg.names"], "pkg.names"),
        ("pkg/names.py", ["-c", "import pkg.names; pkg.names.tell()"], "pkg.names"),
        ("src/lib/names.py", ["-c", "import lib.names; lib.names.tell()"], "src/lib.names"),
        ("pkg/sub/__init__.py", ["-c", "import pkg.sub; pkg.sub.tell()"], "pkg.sub"),
    ],
)
def test_its_name_is_seen_from_the_project_root(project: Path, place: str, words: list[str], prefix: str) -> None:
    (project / place).parent.mkdir(exist_ok=True)
    (project / place).write_text(NAMES)
    found = names(project, *words, PYTHONPATH=os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")]))
    assert found["plain"] == [f"{prefix}:plain", place]


def test_a_module_outside_of_the_project_and_a_main_without_a_file_are_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "away.py").write_text(NAMES)
    assert "is not in the project" in str(names(project, str(tmp_path / "away.py"), PYTHONSAFEPATH="1")["plain"])
    code = f"{NAMES.partition('if __name__')[0]}\ntell()"
    assert "no file" in str(names(project, "-c", code)["plain"])


def test_a_script_that_nothing_can_import_is_refused_by_its_own_reason(project: Path) -> None:
    (project / "na.mes.py").write_text(NAMES)
    assert "has a name with a dot" in str(names(project, "na.mes.py")["plain"])
    assert "standard input" in str(
        names(
            project,
            "-c",
            "exec('import sys'); import subprocess; print(subprocess.run("
            "[sys.executable, '-'], input=open('na.mes.py').read(), text=True, capture_output=True).stdout)",
        )["plain"]
    )


def test_the_entry_of_the_settings_is_known_by_whatever_name_a_function_has(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.heyhi]\nentry = "names:main"\n')
    (project / "names.py").write_text(NAMES)
    found = names(project, "names.py")
    assert found["main"] is None and found["plain"] == ["names:plain", "names.py"]
    # A script of that name elsewhere is another one.
    (project / "scripts/names.py").write_text(NAMES)
    assert "inside of another function" in str(names(project, "scripts/names.py")["main"])
    (project / "pyproject.toml").write_text('[tool.heyhi]\nentry = "lib.names:plain"\n')
    (project / "src/lib/names.py").write_text(NAMES)
    code = "import lib.names; lib.names.tell()"
    assert names(project, "-c", code, PYTHONPATH=f"src{os.pathsep}{os.environ.get('PYTHONPATH', '')}")["plain"] is None


def test_what_no_job_can_run_is_refused_before_anything_is_written(project: Path) -> None:
    code = "import heyhi; heyhi.maybe_launch(lambda **_: 0, cfg='job', overrides=['launcher.slurm.hours=1'])"
    (project / "made.py").write_text(code)
    done = python(project, "made.py")
    assert "LauncherError" in done.stderr and "main is '<lambda>'" in done.stderr and "it is a lambda" in done.stderr
    assert not (project / "results").exists()


def test_a_run_of_another_function_is_gone_on_with_by_the_same_one(project: Path) -> None:
    def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
        return python(project, script, "--cfg", "job", "do=fail", *words)

    assert run("scripts/train.py").returncode == 1
    (folder,) = (project / "results/p/job").iterdir()
    assert json.loads((folder / "identity.json").read_text())["entry"] == "scripts/train:main"
    # Whoever names no function runs that one; here as Snakemake and a job do.
    manifest = python(project, "-m", "heyhi.cli", "expand", "--cfg", "job", "do=fail").stdout.strip()
    (path,) = (project / "results/.heyhi/manifests").glob("*.sqlite")
    text = (project / "scripts/train.py").read_text()
    (project / "scripts/train.py").write_text(text.replace('cfg.do == "fail"', "False"))
    done = python(project, "-m", "heyhi.runner", manifest, "--manifest", str(path))
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "result.json").read_text()) == {"by": "train:scripts/train.py"}
    starts = [json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines()][::2]
    assert [start["entry"] for start in starts] == ["scripts/train:main"] * 2
    # It isn't started again by another function, and who asks is told.
    again = run("run.py")
    assert again.returncode == 0 and "nothing started" in again.stdout
    assert "made by the function scripts/train:main, not by run:main" in again.stdout
    assert "made by" not in run("scripts/train.py").stdout
    # Who gives another function means that one.
    assert run("run.py", "--mode", "restart", "--force").returncode == 1
    assert "entry" not in json.loads((folder / "identity.json").read_text())


def test_ranks_of_this_machine_run_the_function_that_was_recorded(project: Path) -> None:
    words = ["--cfg", "job", "launcher.local.tasks=2"]
    (project / "launch.py").write_text(
        "import heyhi, pkg.train\n"
        "if __name__ == '__main__':\n"
        "    heyhi.parse_args_and_maybe_launch(pkg.train.Trainer.run)\n"
    )
    done = python(project, "launch.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (project / "results/p/job").glob("*/result.json")
    assert json.loads(result.read_text()) == {"by": "pkg.train:pkg/train.py"}
    result.unlink()
    target = python(project, "-m", "heyhi.cli", "expand", *words).stdout.strip()
    for path in (project / "results/.heyhi/manifests").glob("*.sqlite"):
        done = python(project, "-m", "heyhi.runner", target, "--manifest", str(path))
        assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text()) == {"by": "pkg.train:pkg/train.py"}


def test_an_entry_that_is_gone_is_named(project: Path) -> None:
    assert python(project, "other_run.py", "--cfg", "job", "do=fail").returncode == 1
    target = python(project, "-m", "heyhi.cli", "expand", "--cfg", "job", "do=fail").stdout.strip()
    (path,) = (project / "results/.heyhi/manifests").glob("*.sqlite")
    (project / "other_run.py").unlink()
    done = python(project, "-m", "heyhi.runner", target, "--manifest", str(path))
    assert done.returncode == 1
    assert "launched with 'other_run:main': there is no module 'other_run'" in done.stderr


def test_in_a_copy_of_the_code_a_function_is_named_as_in_the_project(project: Path) -> None:
    (project / "scripts/names.py").write_text(NAMES)
    (project / "run.py").write_text(NAMES.replace("@bare\ndef main", "def main"))
    code = (
        "from heyhi.code.snapshot import code_for_jobs, take_snapshot; from heyhi.project import find_project\n"
        "from heyhi.code.import_path import pin_imports\n"
        "copy = take_snapshot(find_project())\n"
        "open('run.py', 'a').write('# edited')\n"
        "assert code_for_jobs(find_project()).digest != copy.digest\n"
        "pin_imports(find_project(), copy.root)\n"
        "assert code_for_jobs(find_project()) == copy\n"
        "print(copy.root)"
    )
    copy = Path(python(project, "-c", code).stdout.strip())
    assert copy.is_relative_to(project / "results")
    for root in (project, copy):
        assert names(project, str(root / "scripts/names.py"))["plain"] == ["scripts/names:plain", "scripts/names.py"]
        assert names(project, str(root / "run.py"))["main"] is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("async def main(task, cfg, log_level): return {}", "an async function"),
        ("def main(task, cfg, log_level): yield {}", "which has a yield"),
        ("async def main(task, cfg, log_level): yield {}", "which has a yield"),
        ("def main(task, cfg): return {}", "unexpected keyword argument 'log_level'"),
        ("def main(task, cfg, log_level, seed): return {}", "missing a required argument: 'seed'"),
        ("main = 'run:main'", "'run:main', which is no function"),
    ],
)
@pytest.mark.parametrize("launcher", ["x=1", "launcher.slurm.hours=1"])
def test_a_main_that_would_run_nothing_is_refused_before_anything_is_written(
    project: Path, line: str, why: str, launcher: str
) -> None:
    guard = 'if __name__ == "__main__":\n    heyhi.parse_args_and_maybe_launch(main)\n'
    (project / "run.py").write_text(f"import heyhi\n{line}\n{guard}")
    done = python(project, "run.py", "--cfg", "job", launcher)
    assert done.returncode == 2 and why in done.stderr and "main(task=, cfg=, log_level=)" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(project.glob("results/p"))


@pytest.mark.parametrize("launcher", ["x=1", "launcher.local.tasks=2"])
@pytest.mark.parametrize("inner", ["async def inner(): return {}", "def inner(): yield {}"])
def test_a_main_that_returns_what_is_still_to_run_has_failed(project: Path, inner: str, launcher: str) -> None:
    guard = 'if __name__ == "__main__":\n    heyhi.parse_args_and_maybe_launch(main)\n'
    main = "def main(task, cfg, log_level): return inner()"
    (project / "run.py").write_text(f"import heyhi\n{inner}\n{main}\n{guard}")
    done = python(project, "run.py", "--cfg", "job", launcher)
    assert done.returncode == 1 and "so nothing has run" in done.stdout, done.stdout + done.stderr
    assert "never awaited" not in done.stderr
    assert not list(project.glob("results/p/*/*/result.json"))


@pytest.mark.parametrize(
    "call",
    [
        "heyhi.parse_args_and_maybe_launch(main)",
        "for _ in range(1): heyhi.maybe_launch(main, cfg='job', overrides=['launcher.slurm.hours=1'])",
        "heyhi.maybe_launch(main, cfg='job', overrides=['launcher.local.tasks=2'])",
    ],
)
def test_a_script_that_launches_when_it_is_imported_is_refused(project: Path, call: str) -> None:
    (project / "run.py").write_text(f"import heyhi\ndef main(task, cfg, log_level): return {{}}\n{call}\n")
    done = python(project, "run.py", "--cfg", "job", "launcher.slurm.hours=1")
    assert done.returncode != 0
    assert "is called whenever this file is imported" in done.stderr and 'if __name__ == "__main__":' in done.stderr
    assert not list(project.glob("results/p"))


def test_a_script_may_launch_the_function_of_another_module_without_a_guard(project: Path) -> None:
    call = "print(heyhi.maybe_launch(scripts.train.main, cfg='job', overrides=['launcher.local.tasks=2']).get_status())"
    (project / "sub.py").write_text(f"import heyhi, scripts.train\n{call}\n")
    done = python(project, "sub.py")
    assert done.returncode == 0 and "DONE" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("call", ["parse_args_and_maybe_launch(main)", "maybe_launch(main, cfg='job')"])
def test_a_run_whose_import_would_launch_again_says_what_is_missing(project: Path, call: str) -> None:
    (project / "run.py").write_text(f"import heyhi\ndef main(task, cfg, log_level): return {{}}\nheyhi.{call}\n")
    target = python(project, "-m", "heyhi.cli", "expand", "--cfg", "job").stdout.strip()
    (path,) = (project / "results/.heyhi/manifests").glob("*.sqlite")
    done = python(project, "-m", "heyhi.runner", target, "--manifest", str(path))
    assert done.returncode == 1
    assert 'by a run of it: put the call below if __name__ == "__main__":' in done.stderr
    # In a process of its own it runs as before.
    again = ("--mode", "start_continue") if call.startswith("parse_args") else ()
    assert python(project, "run.py", "--cfg", "job", *again).returncode == 0
