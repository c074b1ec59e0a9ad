"""A job runs the function that it was launched with, whatever its settings name, also when it is started again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

OTHER = """
import functools
import heyhi
import run


def mine(function):
    @functools.wraps(function)
    def wrapper(**kwargs):
        return {**function(**kwargs), "wrapped": True}
    return wrapper


def main(task, cfg, log_level):
    result = run.main(task, cfg, log_level)
    return {**result, "by": __name__}


@mine
def decorated(task, cfg, log_level):
    return main(task, cfg, log_level)


class Trainer:
    @staticmethod
    def fit(task, cfg, log_level):
        return {**main(task, cfg, log_level), "static": True}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
SWEEP = """
import heyhi
import other_run

if __name__ == "__main__":
    heyhi.maybe_launch(other_run.main, cfg="work", overrides=["x=3"])
    heyhi.maybe_launch(other_run.decorated, cfg="work", overrides=["x=4"])
    heyhi.maybe_launch(other_run.Trainer.fit, cfg="work", overrides=["x=5"])
"""


@pytest.fixture
def other(lab: Any) -> Any:
    """A lab with more than one function that can be run."""
    package = lab.root / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    for place in (lab.root / "other_run.py", package / "train.py"):
        place.write_text(OTHER)
    (lab.root / "sweep.py").write_text(SWEEP)
    return lab


def test_a_job_runs_the_function_that_it_was_given(other: Any, until: Until) -> None:
    for words in (
        ["other_run.py", "--cfg", "work", "x=1"],
        ["-m", "pkg.train", "--cfg", "work", "x=2"],
        ["sweep.py"],
        ["run.py", "--cfg", "work", "x=6"],
    ):
        done = other.python(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: len(list(other.root.glob("results/p/work/*/result.json"))) == 6)
    by = [other.result(x).get("by") for x in range(1, 7)]
    assert by == ["other_run", "pkg.train", "other_run", "other_run", "other_run", None]
    assert other.result(4)["wrapped"] and other.result(5)["static"]
    assert other.attempts(2)[0]["entry"] == "pkg.train:main" and "entry" not in other.attempts(6)[0]


def test_who_starts_it_again_runs_the_same_function(other: Any, until: Until) -> None:
    # x=1 is queued again by itself; Snakemake takes over what is left of 2 and 3, whose jobs are cancelled.
    assert other.python("other_run.py", "--cfg", "work", "x=1", "do=train", "steps=2").returncode == 0
    for x in (2, 3):
        words = [f"x={x}", "do=wait", "launcher.slurm.pack=2"]
        assert other.python("other_run.py", "--cfg", "work", *words).returncode == 0
    until(lambda: sorted(other.ledger) == [1, 2, 3])
    other.allow("step1")
    until(lambda: (other.folder(1) / "checkpoint").exists())
    subprocess.run(["scancel", "--batch", "--signal=USR2", other.job(1)], check=True)
    until(lambda: (other.root / "warned").exists())
    until(lambda: len(other.ledger) == 4)
    other.allow("step2")
    other.sweep(*({"x": x, "do": "wait", "launcher.slurm.pack": 2} for x in (2, 3)))
    subprocess.run(["scancel", other.job(2), other.job(3)], check=True)
    until(lambda: {other.statuses()[x]["status"] for x in (2, 3)} == {"DEAD"})
    other.allow()
    code, out = other.snakemake()
    assert code == 0, out
    assert len({other.job(2), other.job(3)}) == 1  # they share one by now
    until(lambda: (other.folder(1) / "result.json").exists())
    assert [other.result(x)["by"] for x in (1, 2, 3)] == ["other_run"] * 3


def test_retry_and_ranks_run_the_same_function(other: Any, until: Until) -> None:
    words = ["x=1", "do=fail", "launcher.slurm.num_gpus=2"]
    assert other.python("other_run.py", "--cfg", "work", *words).returncode == 0
    until(lambda: other.statuses()[1]["status"] == "DEAD")
    text = (other.root / "run.py").read_text()
    (other.root / "run.py").write_text(text.replace('cfg.do == "fail"', "False"))
    done = other.heyhi("retry", "--dead")
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: (other.folder(1) / "result.json").exists())
    assert other.result(1)["by"] == "other_run" and other.result(1)["y"] == 10


CHAIN = """
import subprocess, sys
from concurrent.futures import ProcessPoolExecutor

import heyhi

WHO = "WHO_TEXT"
SLURM = ["launcher.slurm.hours=0.1"]


def second(task, cfg, log_level):
    return {"by": f"{__name__}:{WHO}"}


def main(task, cfg, log_level):
    if cfg.x == 1:
        heyhi.maybe_launch(second, cfg="work", overrides=["x=2", *SLURM])
        command = [sys.executable, "-m", "other_run", "--cfg", "work", "x=3", *SLURM]
        subprocess.run(command, cwd=heyhi.PROJ_ROOT, check=True)
        with ProcessPoolExecutor(1) as pool:
            pool.submit(heyhi.maybe_launch, second, cfg="work", overrides=["x=4", "launcher.local={}"]).result()
    return {"by": f"{__name__}:{WHO}"}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


def test_a_job_may_launch_others_which_run_its_own_code(other: Any, until: Until) -> None:
    chain = other.root / "scripts/chain.py"
    chain.parent.mkdir()
    chain.write_text(CHAIN.replace("WHO_TEXT", "as it was"))
    done = other.python("scripts/chain.py", "--cfg", "work", "x=1")
    assert done.returncode == 0, done.stdout + done.stderr
    chain.write_text(CHAIN.replace("WHO_TEXT", "edited"))
    until(lambda: len(list(other.root.glob("results/p/work/*/result.json"))) == 4)
    results = {}
    for path in other.root.glob("results/p/work/*/result.json"):
        identity = json.loads((path.parent / "identity.json").read_text())
        (x,) = (text for text in identity["overrides"] if text.startswith("x="))
        results[x] = (json.loads(path.read_text())["by"], identity["entry"])
    assert results == {
        "x=1": ("chain:as it was", "scripts/chain:main"),
        "x=2": ("chain:as it was", "scripts/chain:second"),
        "x=3": ("other_run", "other_run:main"),
        "x=4": ("chain:as it was", "scripts/chain:second"),
    }
