"""`--where` of status, retry and cancel: they show, start or end what the conditions choose, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.control.controller import ControllerSpec
from heyhi.experiment.claim import Claim

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; Check check = 3; } }
message Work {
  optional double lr = 1;
  int32 seed = 2;
  oneof optimizer { Sgd sgd = 3; Adam adam = 4; int32 other = 5; }
}
message Sgd {}
message Adam { optional double beta = 1; }
message Check { string of = 1; int32 noise = 2; }
"""
LOCAL = ("--profile", "profiles/local")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path]) -> Path:
    root = make_project(PROTO, need="conf/work.prototxt seed=2", seeds=5)
    (root / "profiles/local").mkdir(parents=True)
    (root / "profiles/local/config.yaml").write_text("executor: local\n")
    return root


def work(*, cfg: Any, **_: object) -> dict[str, float]:
    Path("metrics.jsonl").write_text(f'{{"loss": {cfg.seed}}}\n')
    if cfg.seed == 2:
        raise RuntimeError("CUDA error: an illegal access")
    if cfg.seed == 3:
        raise ValueError("boom")
    return {"score": cfg.seed}


@pytest.fixture
def ran(run: Run) -> None:
    """Run four of a sweep's five: two are DONE, two DEAD."""
    run("expand")
    for seed in range(4):
        maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"seed={seed}"])


def shown(run: Run, *words: str) -> list[str]:
    rows = json.loads(run("status", "--json", *words)[1])["experiments"]
    return [row["exp_id"].partition("work/")[2].partition("_")[0] for row in rows]


# --- status


def test_status_is_of_those_for_which_all_conditions_hold(run: Run, ran: None) -> None:
    assert shown(run, "--where", "status=DEAD") == ["seed=2", "seed=3"]
    assert shown(run, "--where", "status=DEAD", "--where", "reason~cuda") == ["seed=2"]
    assert shown(run, "--where", "loss>0", "--where", "status=DONE") == ["seed=1"]
    assert shown(run, "conf/many.py", "--where", "seed>=3") == ["seed=3", "seed=4"]
    assert shown(run, "conf/many.py", "--where", "status=NOT_STARTED", "--where", "lr=0.1") == ["seed=4"]
    _, out, _ = run("status", "--where", "seed<3", "--all")
    assert out.startswith("DEAD 1  DONE 2\n") and out.count("\nDONE   ") == 2 and "seed=3" not in out


def test_a_oneof_is_a_column_by_its_chosen_member(run: Run, project: Path) -> None:
    for override in ("optimizer=sgd", "adam.beta=0.5", "other=7"):
        maybe_launch(work, cfg="conf/work.prototxt", overrides=[override])
    assert shown(run, "--where", "optimizer=sgd") == ["sgd=SELECT"]
    assert shown(run, "--where", "optimizer=adam") == ["adam.beta=0.5"]
    assert shown(run, "--where", "optimizer!=sgd", "--where", "optimizer!=adam") == ["other=7"]
    (project / "conf/choice.py").write_text(
        "import heyhi\n\ndef yield_sweep():\n    for point in heyhi.grid(optimizer=['sgd', 'adam']):\n"
        "        yield 'conf/work.prototxt', point\n"
    )
    assert shown(run, "conf/choice.py", "--where", "optimizer=adam") == ["adam=SELECT"]
    code, out, _ = run("expand", "--cfg", "conf/work.prototxt", "--sweep", "optimizer=sgd,adam")
    assert code == 0 and [name.partition("work/")[2].partition("_")[0] for name in out.split()] == [
        "sgd=SELECT",
        "adam=SELECT",
    ]
    code, out, _ = run("report", "conf/choice.py", "--where", "optimizer=sgd", "--to", "-")
    assert code == 0 and "sgd=SELECT" in out and "adam=SELECT" not in out


def test_the_exit_code_of_status_is_of_what_was_chosen(run: Run, ran: None) -> None:
    assert run("status")[0] == 1 and run("status", "--where", "seed=2")[0] == 1
    assert run("status", "--where", "seed<2")[:2] == (0, run("status", "--where", "loss<2")[1])


def test_status_says_when_a_condition_holds_for_none(run: Run, ran: None) -> None:
    assert run("status", "--where", "seed=9", "--where", "reason~out of memory") == (
        0,
        "none of 4 experiments meets --where seed=9 --where 'reason~out of memory'\n",
        "",
    )
    assert json.loads(run("status", "--where", "seed=9", "--json")[1])["experiments"] == []
    assert "none of 5 experiments" in run("status", "conf/many.py", "--where", "seed=9")[1]


@pytest.mark.parametrize("command", ["status", "retry", "cancel", "clean"])
def test_a_condition_that_names_no_column_is_refused_with_the_nearest(run: Run, ran: None, command: str) -> None:
    more = {"retry": LOCAL, "clean": ("--experiments", "--force"), "cancel": ("--force",)}.get(command, ())
    code, out, err = run(command, *more, "--where", "sed=1")
    assert code == 2 and out == "" and "--where sed=1: there is no column 'sed' (did you mean 'seed'" in err
    code, out, err = run(command, *more, "--where", "seed")
    assert code == 2 and out == "" and "expected KEY=VALUE" in err


def test_what_looks_at_no_columns_is_refused_with_a_condition(run: Run) -> None:
    assert run("status", "--sweeps", "--where", "lr=1")[0] == 2
    assert run("status", "--job", "17", "--where", "lr=1")[0] == 2


def test_a_watch_chooses_anew_in_each_round(run: Run, ran: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def sleep(seconds: float) -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            maybe_launch(work, cfg="conf/work.prototxt", overrides=["seed=4"])

    monkeypatch.setattr("heyhi.control.watch.time.sleep", sleep)
    code, out, _ = run("status", "conf/many.py", "--watch", "--where", "seed=4")
    first, said, last = out.splitlines()
    assert code == 0 and [first.partition("  ")[2], last.partition("  ")[2]] == ["NOT_STARTED 1", "DONE 1"]
    assert said == "no controller runs it"  # who launches can't choose by conditions
    # As soon as none is chosen any more, there is nothing to wait for.
    code, out, _ = run("status", "--watch", "--where", "status=RUNNING")
    assert code == 0 and "no experiments" in out


def test_plain_status_imports_nothing_that_a_condition_needs(project: Path, ran: None) -> None:
    code = (
        "import sys; from heyhi.cli.main import main\n"
        "try: main(['status'])\nexcept SystemExit: pass\n"
        "print(*sorted(n for n in sys.modules if n.startswith(('heyhi.report', 'heyhi.cli.selection', 'pandas',"
        " 'heyhi.cli.choosing', 'heyhi.experiment.notes'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_status_names_the_command_that_starts_just_these(run: Run, ran: None) -> None:
    assert "the one that is NOT_STARTED: heyhi launch conf/many.py starts it\n" in run("status", "conf/many.py")[1]
    assert "no controller runs these: heyhi retry --dead starts them again\n" in run("status")[1]
    out = run("status", "conf/many.py", "--where", "reason~boom")[1]
    assert "\nno controller runs it: heyhi retry --dead conf/many.py --where 'reason~boom' starts it again\n" in out
    rows = json.loads(run("status", "--json")[1])["experiments"]
    assert {(row["since"], row["progress"]) for row in rows} == {(None, "")}


# --- retry


def test_retry_starts_the_dead_that_a_condition_chooses(run: Run, ran: None, started: list[ControllerSpec]) -> None:
    for words in (("--dead", "--where", "reason~CUDA"), ("--where", "reason~CUDA"), ("--where", "seed<=2", "--dead")):
        for named in ((), ("conf/many.py",)):
            assert run("retry", *named, *LOCAL, *words)[0] == 0
            (target,) = started[-1].targets
            assert "/seed=2_" in target


def test_retry_with_a_condition_starts_what_is_blocked_by_the_chosen(
    run: Run, ran: None, started: list[ControllerSpec]
) -> None:
    run("expand", "check")
    words = ("--cfg", "check", "--cfg", "work", "seed=3", *LOCAL)
    code, out, _ = run("retry", *words, "--where", "reason~CUDA", "--dry-run")
    assert code == 0 and "1 would start again, and 1 that they block" in out and "boom" not in out
    code, out, _ = run("retry", *words, "--where", "reason~boom", "--dry-run")
    assert code == 0 and "1 would start again, by" in out


def test_retry_says_when_nothing_that_was_chosen_is_dead(run: Run, ran: None, started: list[ControllerSpec]) -> None:
    assert run("retry", *LOCAL, "--where", "status=DONE")[:2] == (
        0,
        "nothing to start: none of 2 experiments is DEAD\n",
    )
    assert run("retry", *LOCAL, "--where", "seed=9")[:2] == (0, "none of 4 experiments meets --where seed=9\n")
    assert started == []


def test_retry_redoes_what_has_drifted_of_the_chosen(
    run: Run, ran: None, project: Path, started: list[ControllerSpec]
) -> None:
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.2\n}\n")
    for named in ((), ("conf/many.py",)):
        words = ("retry", *named, *LOCAL, "--redo-drifted", "--dry-run")
        assert "2 would start anew" in run(*words)[1]
        out = run(*words, "--where", "seed=1")[1]
        assert "1 would start anew" in out and "DEAD" not in out and "seed=0" not in out
    assert run("retry", *LOCAL, "--redo-drifted", "--force", "--where", "seed=1")[0] == 0
    assert ["/seed=1_" in target for target in started[-1].targets] == [True]
    assert len(list(project.rglob("results/p/*/*/result.json"))) == 1


# --- cancel

RUNNING = """
import signal, sys
from pathlib import Path
from heyhi.experiment.claim import Claim
claims = [Claim.acquire(Path(sys.argv[1]))]
print("has it", flush=True)
signal.pause()
"""


@pytest.fixture
def running(run: Run, project: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Have the experiments of seeds 0 and 1 run, as far as anybody can see."""
    targets = run("expand")[1].split()
    from heyhi.project import find_project
    from heyhi.sweep.known import note_known

    note_known(find_project(), {target.removeprefix("results/").removesuffix("/result.json"): [] for target in targets})
    processes = []
    for target in targets[:2]:
        folder = (project / target).parent
        folder.mkdir(parents=True)
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNING, str(folder)], stdout=subprocess.PIPE, text=True, cwd=project
        )
        assert process.stdout is not None and process.stdout.readline() == "has it\n"
        threading.Thread(target=process.wait, daemon=True).start()  # nobody waits for a zombie's end
        processes.append(process)
    yield processes
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_cancel_ends_what_a_condition_chooses(run: Run, running: list[subprocess.Popen[str]]) -> None:
    code, out, _ = run("cancel", "--where", "seed=1", "--dry-run")
    assert code == 0 and "seed=1" in out and "seed=0" not in out and "nothing was cancelled" in out
    code, out, _ = run("cancel", "--where", "seed=1", "--force")
    assert code == 0 and "stopped" in out and "seed=0" not in out
    running[1].wait()
    assert running[0].poll() is None
    code, out, _ = run("cancel", "conf/many.py", "--where", "status=RUNNING", "--force")
    assert code == 0 and out.count("\n") == 1 and "seed=0" in out
    running[0].wait()


def test_cancel_of_some_of_a_sweep_leaves_its_controller(
    run: Run, project: Path, running: list[subprocess.Popen[str]]
) -> None:
    folder = project / "results/.heyhi/controllers/many-1"
    folder.mkdir(parents=True)
    spec = ControllerSpec("many-1", str(project / "profiles/local"), sweeps=("conf/many.py",))
    (folder / "controller.json").write_text(json.dumps(asdict(spec)))
    with Claim.acquire(folder, kind="controller"):  # type: ignore[union-attr]
        assert "controller many-1: " in run("cancel", "conf/many.py", "--dry-run")[1]
        out = run("cancel", "conf/many.py", "--where", "status=RUNNING", "--dry-run")[1]
    assert "controller many-1" not in out and "seed=0" in out and "seed=1" in out and "seed=2" not in out


def test_cancel_asks_before_it_ends_even_one_that_a_condition_chose(
    run: Run, running: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run("cancel", "--where", "seed=1")
    assert code == 2 and out == "" and "1 job or run would be cancelled; say --force" in err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys, "stderr", said := Terminal())
    assert run("cancel", "--where", "seed=1")[0] == 2 and "cancel it? [y/N] error: nothing was" in said.getvalue()
    assert [process.poll() for process in running] == [None, None]


def test_cancel_says_when_a_condition_chooses_none(run: Run, ran: None) -> None:
    assert run("cancel", "--where", "seed=9")[:2] == (0, "none of 4 experiments meets --where seed=9\n")
    code, out, _ = run("cancel", "--where", "status=DONE")
    assert code == 0 and out.count("nothing to cancel: DONE\n") == 2


def test_cancel_all_goes_without_conditions(run: Run) -> None:
    code, _, err = run("cancel", "--all", "--where", "lr=1")
    assert code == 2 and "--all goes without" in err
