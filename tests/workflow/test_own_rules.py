"""Rules of the user's own: data that experiments need, and what is made of their table."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from heyhi.experiment.names import Status
from heyhi.experiment.status import find_status

from .conftest import Tiny

OWN = """
rule numbers:
    output: "data/{name}.txt"
    shell: "echo numbers >> ledger.txt; echo {wildcards.name} > {output}"

rule figure:
    input: flow.missing, table=flow.report
    output: "figures/y.txt"
    localrule: True
    shell: "cut -d, -f4 {input.table} > {output}"
"""
SWEEP = """
def yield_sweep():
    for x in (1, 2):
        yield "conf/look.prototxt", {"x": x, "at": "{{file data/a.txt}}"}
"""
# Reads what it was given.
TASK = """
from pathlib import Path


def main(task, cfg, log_level):
    with (Path(__file__).resolve().parent / "ledger.txt").open("a") as ledger:
        ledger.write(f"{task} {cfg.x}\\n")
    return {"y": 10 * cfg.x, "read": Path(cfg.at).read_text().strip()}


if __name__ == "__main__":
    import heyhi

    heyhi.parse_args_and_maybe_launch(main)
"""


def with_own_rules(tiny: Tiny) -> None:
    (tiny.root / "workflows/own.smk").write_text(OWN)
    (tiny.root / "run.py").write_text(TASK)
    (tiny.root / "conf/sweep.py").write_text(SWEEP)


def run_task(tiny: Tiny, *words: str, program: tuple[str, ...] = ("run.py",)) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *program, *words]
    return subprocess.run(command, cwd=tiny.root, env=tiny.env, capture_output=True, text=True, check=False)


def test_a_rule_makes_what_experiments_need_once_and_another_draws_from_their_table(tiny: Tiny) -> None:
    with_own_rules(tiny)
    planned = tiny.heyhi("plan", "conf/sweep.py")
    assert "data/a.txt isn't there: a rule of workflows/own.smk is to make it (2 experiments need it)" in planned
    made = tiny.snakemake("figures/y.txt")
    assert made.returncode == 0, made.stderr
    assert tiny.ledger[0] == "numbers" and sorted(tiny.ledger) == ["look 1", "look 2", "numbers"]
    assert (tiny.root / "figures/y.txt").read_text().splitlines()[1:] == ["a", "a"]
    (first, second) = sorted((tiny.root / "results/p/look").glob("*/result.json"))
    assert json.loads(first.read_text())["read"] == "a"
    start = json.loads((first.parent / "attempts.jsonl").read_text().splitlines()[0])
    assert list(start["needs"]) == ["file data/a.txt"]
    assert "isn't there" not in tiny.heyhi("plan", "conf/sweep.py")

    (tiny.root / "data/a.txt").write_text("other")  # edited: nothing is redone, and all say what is stale
    os.utime(tiny.root / "data/a.txt", (1, 1))
    assert tiny.snakemake("all").returncode == 0 and len(tiny.ledger) == 3
    for words in (["status", "conf/sweep.py"], ["plan", "conf/sweep.py"], ["status"]):
        said = tiny.heyhi(*words)
        assert "stale 2" in said and "stale: made of an earlier data/a.txt" in said, said
    assert "made of an earlier data/a.txt" in tiny.heyhi("report", "conf/sweep.py")
    second.unlink()
    assert tiny.snakemake("all").returncode == 0
    assert json.loads(second.read_text())["read"] == "other"
    assert "stale 1" in tiny.heyhi("status")


def test_a_file_that_no_rule_makes_is_one_error_and_nothing_starts(tiny: Tiny) -> None:
    with_own_rules(tiny)
    sweep = tiny.root / "conf/sweep.py"
    for name, why in (
        ("b.csv", "isn't there, and no rule of workflows/own.smk makes it"),
        ("conf", "is a folder: name a file in it"),
    ):
        sweep.write_text(SWEEP.replace("data/a.txt", name))
        for words in ((), ("--dry-run",)):
            refused = tiny.snakemake(*words)
            assert refused.returncode == 2 and "Traceback" not in refused.stderr
            assert f"needs the file {name}, which {why}" in refused.stderr
        for words in (["plan"], ["launch", "--dry-run"], ["launch"]):
            said = run_task(tiny, *words, "conf/sweep.py", program=("-m", "heyhi.cli"))
            assert (said.returncode, said.stdout) == (2, ""), said
            assert f"needs the file {name}, which {why}" in said.stderr
    sweep.write_text(SWEEP)
    (tiny.root / "workflows/own.smk").unlink()
    assert "needs the file data/a.txt, which isn't there, and no rule" in tiny.snakemake().stderr
    assert tiny.ledger == []


def test_an_own_rule_that_fails_keeps_what_needs_its_file_from_starting(tiny: Tiny) -> None:
    with_own_rules(tiny)
    (tiny.root / "workflows/own.smk").write_text(OWN.replace("echo numbers", "false; echo numbers"))
    failed = tiny.snakemake()
    assert failed.returncode == 1 and tiny.ledger == []
    assert "BLOCKED x=1, x=2  data/a.txt was not made: rule numbers has failed\n" in failed.stderr
    assert "end     0 done, 2 BLOCKED in " in failed.stderr
    (tiny.root / "workflows/own.smk").write_text(OWN)
    assert tiny.snakemake().returncode == 0
    found = sorted((tiny.root / "results/p/look").glob("*/result.json"))
    assert [find_status(result.parent) for result in found] == [Status.DONE] * 2


def test_a_single_run_names_the_command_that_makes_its_file(tiny: Tiny) -> None:
    with_own_rules(tiny)
    words = ["--cfg", "conf/look.prototxt", "x=3", "at={{file data/a.txt}}"]
    refused = run_task(tiny, *words)
    assert refused.returncode == 2
    command = "snakemake --profile profiles/local data/a.txt"
    assert f"data/a.txt: isn't there\nwhere a rule of workflows/own.smk makes it:\n  {command}" in refused.stderr
    assert tiny.snakemake("data/a.txt").returncode == 0
    done = run_task(tiny, *words)
    assert done.returncode == 0 and tiny.ledger == ["numbers", "look 3"], done.stderr
