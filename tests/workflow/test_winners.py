"""The best of a sweep: tune, take the best over, and measure it, by one command that may be killed at any time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .conftest import Tiny

TUNE = """
def yield_sweep():
    for x in {xs}:
        for size in (1, 2):
            yield "conf/work.prototxt", {{"x": x, "size": size}}
"""
SEEDS = """
def yield_sweep():
    for size in (11, 12):
        yield "conf/work.prototxt", {{"I": "{best}", "size": size}}
"""
TEST = """
def yield_sweep():
    yield "conf/look.prototxt", {{"x": 5, "at": "{{{{best conf/seeds.py max=y}}}}"}}
    yield "conf/look.prototxt", {{"x": 6, "at": "{{{{exp conf/work.prototxt I={best} size=11}}}}"}}
    yield "conf/work.prototxt", {{"I": "{{{{best conf/seeds.py max=y}}}}", "size": 31}}
"""
BEST = "{{best conf/tune.py max=y}}"
# Of the best of 1, 2 and 3, and of what is made of it.
ALL = Counter({"work 1": 2, "work 2": 2, "work 3": 5, "look 5": 1, "look 6": 1})


def write(tiny: Tiny, *, xs: tuple[int, ...] = (1, 2, 3), best: str = BEST) -> None:
    (tiny.root / "pyproject.toml").write_text('[tool.heyhi]\nreplicate = ["size"]\n')
    (tiny.root / "conf/tune.py").write_text(TUNE.format(xs=xs))
    (tiny.root / "conf/seeds.py").write_text(SEEDS.format(best=best))
    (tiny.root / "conf/test.py").write_text(TEST.format(best=best))


def run(tiny: Tiny) -> str:
    ended = tiny.snakemake("--config", "sweep=conf/test.py")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def status(tiny: Tiny, *words: str) -> str:
    command = [sys.executable, "-m", "heyhi.cli", *words]
    return subprocess.run(command, cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, text=True).stdout


def winners(tiny: Tiny) -> dict[str, dict[str, object]]:
    found = [json.loads(path.read_text()) for path in (tiny.root / "results/winners").glob("*.json")]
    return {str(one["words"]): one for one in found}


def test_one_command_tunes_takes_over_what_is_best_and_measures_it(tiny: Tiny) -> None:
    write(tiny)
    said = run(tiny)
    assert Counter(tiny.ledger) == ALL
    assert Counter(tiny.ledger[:6]) == Counter({"work 1": 2, "work 2": 2, "work 3": 2})
    assert "best    the best of conf/tune.py is " in said and "choose" not in said
    tuned, seeds = winners(tiny)["conf/tune.py max=y"], winners(tiny)["conf/seeds.py max=y"]
    assert tuned["overrides"] == ["x=3"] and tuned["left_out"] == ["size=1"]
    assert tuned["value"] == 30 and len(tuned["replicates"]) == 2  # type: ignore[arg-type]
    mean = "mean of 2: 30"  # beside the name of one of them
    [best] = [line for line in said.splitlines() if "best    the best of conf/tune.py is " in line]
    assert best.endswith(f"  {mean}")
    assert f"({mean})" in winner_of(tiny, "conf/tune.py").with_suffix(".log").read_text()
    assert seeds["overrides"] == ["I={{best conf/tune.py max=y}}"]
    folder = tiny.root / "results" / str(seeds["exp_id"])
    assert "x: 3" in (folder / "config.prototxt").read_text()
    assert json.loads((folder / "config_flat.json").read_text())["work.x"] == 3
    assert json.loads((folder / "identity.json").read_text())["overrides"][0] == f"I={BEST}"
    assert "all are done" not in status(tiny, "plan", "conf/test.py", "--mode", "start_continue")

    run(tiny)
    tiny.snakemake("--config", "sweep=conf/seeds.py")
    assert Counter(tiny.ledger) == ALL, "nothing runs again"
    drifted = status(tiny, "status", "conf/test.py", "--drift")
    assert "drift" not in drifted.replace("--drift", ""), drifted


def test_whatever_is_killed_the_same_command_goes_on_and_nothing_runs_twice(tiny: Tiny) -> None:
    write(tiny)
    tiny.make_gate(2)
    first = tiny.start("--config", "sweep=conf/test.py")
    _, pid = tiny.wait_at_gate()
    first.send_signal(signal.SIGKILL)
    first.wait()
    subprocess.run(["kill", "-9", str(pid)], check=False)
    (tiny.root / "gate-2").unlink()  # one that is left at the gate is let through at the end
    for _ in range(2):
        tiny.open_gate(2)
    (tiny.root / "fail-6").touch()
    second = tiny.snakemake("--config", "sweep=conf/test.py")
    assert second.returncode == 1
    chosen = winners(tiny)
    assert len(chosen) == 2

    (tiny.root / "fail-6").unlink()
    run(tiny)
    # One of those at the gate was killed.
    assert Counter(tiny.ledger) - ALL <= Counter({"work 2": 2, "look 6": 1})
    assert winners(tiny) == chosen
    before = Counter(tiny.ledger)
    run(tiny)
    assert Counter(tiny.ledger) == before


def test_it_waits_for_all_unless_it_is_told_that_those_that_are_done_do(tiny: Tiny) -> None:
    write(tiny)
    tiny.make_fail(3)
    ended = tiny.snakemake("--config", "sweep=conf/test.py")
    assert ended.returncode == 1 and "choose" not in ended.stderr
    assert not winners(tiny)
    said = status(tiny, "status", "conf/seeds.py")
    assert "by the best of conf/tune.py: of 6, 2 are DEAD" in said, said

    write(tiny, best="{{best conf/tune.py max=y of=done}}")
    before = len(tiny.ledger)
    assert "BLOCKED" not in status(tiny, "status", "conf/seeds.py")
    assert "8 would start" not in status(tiny, "plan", "conf/seeds.py")
    done = tiny.snakemake("--config", "sweep=conf/seeds.py")
    assert done.returncode == 0, done.stderr
    assert tiny.ledger[before:] == ["work 2", "work 2"], "those that are dead are left"


def test_what_was_chosen_stays_and_it_is_told_that_another_one_is_better_by_now(tiny: Tiny) -> None:
    write(tiny)
    run(tiny)
    write(tiny, xs=(1, 2, 3, 4))
    assert tiny.snakemake("--config", "sweep=conf/tune.py").returncode == 0
    before = Counter(tiny.ledger)
    run(tiny)
    assert Counter(tiny.ledger) == before, "nothing is orphaned"
    for command in (("status", "conf/seeds.py"), ("plan", "conf/seeds.py")):
        shown = status(tiny, *command)
        said = " ".join(shown.split())
        assert "the best of conf/tune.py: experiments are made of p/work/size=1,x=3_" in said, said
        assert "and by now it is p/work/size=1,x=4_" in said
        assert f"\n  rm {winner_of(tiny, 'tune.py').relative_to(tiny.root)}\n" in shown, "a line that can be copied"


def test_what_nothing_has_is_told_when_it_is_chosen_and_before_where_all_is_done(tiny: Tiny) -> None:
    write(tiny, best="{{best conf/tune.py max=yy}}")
    assert "can't be chosen" not in status(tiny, "plan", "conf/seeds.py")
    assert tiny.snakemake("--config", "sweep=conf/tune.py").returncode == 0
    for command in (("plan",), ("status",), ("launch", "--dry-run")):
        said = " ".join(status(tiny, *command, "conf/seeds.py").split())
        assert "the best of conf/tune.py can't be chosen: no experiment has 'yy' (did you mean 'y'?)" in said, said
    ended = tiny.snakemake("--config", "sweep=conf/seeds.py")
    assert ended.returncode == 1
    told = "the best of conf/tune.py: no experiment has 'yy' (did you mean 'y'?)"
    assert ended.stderr.count(told) == 1 and "Exception" not in ended.stderr, ended.stderr
    assert "heyhi.winner" not in ended.stderr, "how it is chosen is nobody's concern"
    assert "the best of conf/tune.py: no experiment has 'yy'" in status(tiny, "status", "conf/seeds.py")


@pytest.mark.parametrize(("is_chosen", "code"), [(False, 2), (True, 0)])
def test_a_run_alone_needs_what_was_chosen(tiny: Tiny, is_chosen: bool, code: int) -> None:
    write(tiny)
    if is_chosen:
        assert tiny.snakemake("--config", "sweep=conf/seeds.py").returncode == 0
    (tiny.root / "task.py").write_text("import heyhi\nfrom run import main\nheyhi.parse_args_and_maybe_launch(main)\n")
    command = [sys.executable, "task.py", "--cfg", "conf/work.prototxt", f"I={BEST}", "size=21"]
    ended = subprocess.run(command, cwd=tiny.root, env=tiny.env, capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    if is_chosen:
        assert tiny.ledger[-1] == "work 3"
    else:
        assert "needs what isn't done:\n  the best of conf/tune.py: NOT_STARTED" in ended.stderr
        assert "snakemake --profile profiles/local $(heyhi expand --cfg conf/work.prototxt" in ended.stderr


def winner_of(tiny: Tiny, sweep: str) -> Path:
    (path,) = [one for one in (tiny.root / "results/winners").glob("*.json") if sweep in one.read_text()[:60]]
    return path


def renew(tiny: Tiny, *sweeps: str, with_table: bool = False) -> None:
    """Have another one be the best of TUNE than what all is made of, and the choices of sweeps be forgotten."""
    write(tiny)
    run(tiny)
    write(tiny, xs=(1, 2, 3, 4))
    assert tiny.snakemake("--config", "sweep=conf/tune.py").returncode == 0
    if with_table:
        run(tiny)
    for sweep in sweeps:
        winner_of(tiny, sweep).unlink()


def test_what_is_chosen_anew_is_chosen_before_anything_is_compared_with_it(tiny: Tiny) -> None:
    write(tiny)
    run(tiny)
    before = list(tiny.ledger)
    path = winner_of(tiny, "tune.py")
    path.unlink()
    for command in (("plan", "conf/seeds.py"), ("launch", "conf/seeds.py", "--redo-drifted", "--dry-run")):
        said = " ".join(status(tiny, *command).split())
        assert "made with another config" not in said and "drift" not in said.replace("--redo-drifted", ""), said
        assert "the best of conf/tune.py isn't chosen yet" in said, said

    log = path.with_suffix(".log")
    log.write_text("an earlier choice\n")
    said = status(tiny, "launch", "--foreground", "--redo-drifted", "--force", "conf/seeds.py")
    assert tiny.ledger == before and path.exists(), said
    assert "chosen: the best of conf/tune.py max=y: p/work/size=1,x=3_" in said, said
    assert log.read_text().startswith("conf/tune.py max=y: p/work/size=1,x=3_")


# What seeds.py and test.py come to where 4 is the best.
REDONE = Counter({"work 4": 3, "look 5": 1, "look 6": 1})


@pytest.mark.parametrize(
    ("command", "forgotten", "with_table"),
    [
        (("launch", "--foreground"), ("tune.py",), False),
        (("launch", "--foreground"), ("tune.py",), True),
        (("retry", "--foreground"), ("tune.py", "seeds.py"), False),
    ],
)
def test_one_command_makes_all_anew_that_another_choice_has_changed(
    tiny: Tiny, command: tuple[str, ...], forgotten: tuple[str, ...], with_table: bool
) -> None:
    renew(tiny, *forgotten, with_table=with_table)
    before = Counter(tiny.ledger)
    redo = (*command, "--profile", "profiles/local", "--redo-drifted=stale", "--force", "conf/test.py")
    said = status(tiny, *redo)
    # The third is composed once the best of what is made anew is chosen.
    assert f"made with another config: work.x 3 → 4 ({4 - len(forgotten)} experiments)" in said, said
    assert "made of what is made anew: 2 experiments" in said, said
    assert Counter(tiny.ledger) - before == REDONE, said
    assert winners(tiny)["conf/tune.py max=y"]["overrides"] == ["x=4"]
    said = status(tiny, "status", "--drift", "conf/test.py")
    assert "stale" not in said and "drifted" not in said, said
    assert "nothing to redo" in status(tiny, *redo)
    assert Counter(tiny.ledger) - before == REDONE


def test_what_is_given_the_folder_of_a_best_one_that_is_made_anew_waits_for_it(tiny: Tiny) -> None:
    renew(tiny, "tune.py")
    before = len(tiny.ledger)
    (tiny.root / "fail-4").touch()
    local = ("launch", "--foreground", "--profile", "profiles/local")
    said = status(tiny, *local, "--redo-drifted=stale", "--force", "conf/test.py")
    assert "work 4" in tiny.ledger[before:] and not {"look 5", "look 6"} & {*tiny.ledger[before:]}, said
    rows = status(tiny, "status", "conf/test.py").splitlines()
    assert len([row for row in rows if row.startswith("BLOCKED ") and " p/look/" in row and "size=11" in row]) == 2, (
        rows
    )

    (tiny.root / "fail-4").unlink()
    failed = len(tiny.ledger)
    said = status(tiny, *local, "conf/test.py")
    # The other seed was chosen from, and nothing waits for it any more.
    assert Counter(tiny.ledger[failed:]) == REDONE - Counter(["work 4"]), said
    assert all(one.startswith("look ") for one in tiny.ledger[failed + 2 :]), said


def test_snakemake_chooses_anew_where_all_is_done_and_redoes_nothing(tiny: Tiny) -> None:
    renew(tiny, "tune.py", "seeds.py")
    before = tiny.ledger
    assert tiny.snakemake("-n", "--config", "sweep=conf/test.py").returncode == 0
    assert not winners(tiny), "who only looks chooses nothing"

    said = run(tiny)
    assert "chosen: the best of conf/tune.py max=y: p/work/size=1,x=4_" in said and "(mean of 2: 40)" in said, said
    assert "made with another config: work.x 3 → 4 (3 experiments)" in said, said
    assert "heyhi launch --redo-drifted=stale conf/test.py makes anew what has drifted" in said, said
    assert len(winners(tiny)) == 2 and tiny.ledger == before
    path = winner_of(tiny, "tune.py")
    assert path.with_suffix(".log").read_text().startswith("conf/tune.py max=y: p/work/size=1,x=4_")

    path.unlink()
    said = status(tiny, "launch", "--foreground", "--profile", "profiles/local", "conf/test.py")
    assert "chosen: the best of conf/tune.py max=y: p/work/size=1,x=4_" in said, said
    advice = "--redo-drifted=stale makes anew what has drifted, and what was made of that"
    assert f"what is DONE is left as it is; {advice}" in said and tiny.ledger == before, said

    local = ("--foreground", "--profile", "profiles/local", "--force", "conf/test.py")
    said = status(tiny, "launch", *local, "--redo-drifted")
    assert "left as it is: p/look/at=" in said and "--redo-drifted=stale makes such ones anew, too" in said, said
    assert tiny.ledger[len(before) :] == ["work 4"] * 3
    assert "stale 2" in status(tiny, "status", "conf/test.py"), "by its folder and by a text value alike"
    said = status(tiny, "launch", *local, "--redo-drifted=stale")
    assert Counter(tiny.ledger[len(before) :]) == REDONE, said
    assert "stale" not in status(tiny, "status", "conf/test.py")


def test_nothing_is_compared_with_a_config_whose_best_is_not_chosen_yet(tiny: Tiny) -> None:
    write(tiny)
    (tiny.root / "conf/seeds.py").write_text(SEEDS.format(best=BEST).replace("(11, 12)", "(1, 2)"))
    # What the config says before the best is taken over, under a name of its own, and DONE.
    (tiny.root / "task.py").write_text("import heyhi\nfrom run import main\nheyhi.parse_args_and_maybe_launch(main)\n")
    task = [sys.executable, "task.py", "--cfg", "conf/work.prototxt", "size=1"]
    subprocess.run(task, cwd=tiny.root, env=tiny.env, check=True)
    for words in (("plan", "conf/seeds.py"), ("launch", "--dry-run", "conf/seeds.py")):
        assert "NOT_STARTED" in status(tiny, *words) and "the same config" not in status(tiny, *words)
    alone = subprocess.run([*task, f"I={BEST}"], cwd=tiny.root, env=tiny.env, capture_output=True, text=True)
    assert alone.returncode == 2 and "the same config" not in alone.stderr
    ended = tiny.snakemake("--config", "sweep=conf/seeds.py")
    assert ended.returncode == 0 and "the same config" not in ended.stderr
