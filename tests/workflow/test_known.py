"""What real Snakemake puts on record when it starts something, and what it doesn't when it only looks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import SECONDS, Tiny


def launches(tiny: Tiny) -> list[dict[str, Any]]:
    folder = tiny.root / "results/.heyhi/launches"
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def statuses(tiny: Tiny) -> dict[str, str]:
    command = [sys.executable, "-m", "heyhi.cli", "status", "--json"]
    told = subprocess.run(
        command, cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, text=True, check=False, timeout=SECONDS
    ).stdout
    return {row["exp_id"]: row["status"] for row in json.loads(told)["experiments"]}


@pytest.mark.slow
def test_a_run_of_snakemake_is_on_record_and_what_only_looks_is_not(tiny: Tiny) -> None:
    for words in (["--dry-run"], ["--summary"], ["--touch"], ["--lint"], ["--list-rules"], ["--dag"]):
        tiny.snakemake(*words)
        assert launches(tiny) == [] and statuses(tiny) == {}, words
    tiny.make_fail(3)
    assert tiny.snakemake().returncode == 1
    (first,) = launches(tiny)
    assert first["command"] == "snakemake" and first["words"][:2] == ["--profile", "profiles/local"]
    assert first["label"] == "sweep" and first["known"] == ""
    assert (tiny.root / "results/.heyhi/manifests" / first["manifest"]).is_file()
    assert sorted(statuses(tiny).values()) == ["DEAD", "DONE", "DONE"]
    (tiny.root / "fail-3").unlink()
    assert tiny.snakemake().returncode == 0
    assert len(launches(tiny)) == 2
    # Nothing was left to start; a report only looks.
    assert tiny.snakemake().returncode == 0
    assert tiny.snakemake("--report", "r.html").returncode == 0
    assert len(launches(tiny)) == 2
    assert not (tiny.root / "results/.heyhi/known").exists()

    out = tiny.heyhi("status", "--sweeps")
    assert "2 times" in out and "3 experiments: DONE 3" in out
    assert f"heyhi report results/.heyhi/manifests/{first['manifest']}" in out


@pytest.mark.slow
def test_single_targets_are_known_with_what_they_need(tiny: Tiny) -> None:
    (target,) = tiny.heyhi("expand", "--cfg", "conf/look.prototxt", "x=5").split()
    assert statuses(tiny) == {}
    tiny.make_fail(9)
    assert tiny.snakemake(target).returncode == 1
    (record,) = launches(tiny)
    assert record["manifest"] == "" and target in record["words"]
    known = json.loads((tiny.root / "results/.heyhi/known" / record["known"]).read_bytes())["experiments"]
    (need,) = known[record_id := target.removeprefix("results/").removesuffix("/result.json")]
    assert known[need] == [] and len(known) == 2
    # Though no manifest says so any more.
    shutil.rmtree(tiny.root / "results/.heyhi/manifests")
    assert statuses(tiny) == {need: "DEAD", record_id: "BLOCKED"}


@pytest.mark.slow
def test_a_launch_is_on_record_once_and_before_its_controller_starts_anything(tiny: Tiny) -> None:
    tiny.make_gate(1)
    tiny.heyhi("launch", "--profile", "profiles/local")
    assert len(statuses(tiny)) == 3
    (record,) = launches(tiny)
    assert record["command"] == "heyhi" and record["words"] == ["launch", "--profile", "profiles/local"]
    tiny.wait_at_gate()
    # Another terminal starts nothing, and says so.
    assert "nothing started" in tiny.heyhi("launch", "--profile", "profiles/local")
    assert len(launches(tiny)) == 1
    tiny.open_gate(1)
    tiny.heyhi("status", "--watch", "0.2")
    assert set(statuses(tiny).values()) == {"DONE"}
    assert launches(tiny) == [record]


@pytest.mark.slow
def test_a_dead_run_of_run_py_is_retried_by_a_manifest_of_its_own(tiny: Tiny) -> None:
    (tiny.root / "run.py").write_text(
        (tiny.root / "run.py").read_text()
        + "\n\nif __name__ == '__main__':\n    import heyhi\n\n    heyhi.parse_args_and_maybe_launch(main)\n"
    )
    run = [sys.executable, "run.py", "--cfg", "conf/work.prototxt"]
    for x in (4, 5):
        tiny.make_fail(x)
        done = subprocess.run([*run, f"x={x}"], cwd=tiny.root, env=tiny.env, timeout=SECONDS, check=False)
        assert done.returncode == 1
    subprocess.run([*run, "x=7"], cwd=tiny.root, env=tiny.env, timeout=SECONDS, check=True)
    assert sorted(statuses(tiny).values()) == ["DEAD", "DEAD", "DONE"]
    assert not (tiny.root / "results/.heyhi/manifests").exists()
    for x in (4, 5):
        (tiny.root / f"fail-{x}").unlink()
    tiny.heyhi("retry", "--dead", "--foreground", "--profile", "profiles/local")
    assert set(statuses(tiny).values()) == {"DONE"}
    assert tiny.ledger.count("work 7") == 1 and tiny.ledger.count("work 4") == 2
    (record,) = launches(tiny)
    assert record["words"][0] == "retry" and record["label"].endswith(" and 1 more")
    assert len(list((tiny.root / "results/.heyhi/manifests").iterdir())) == 1


@pytest.mark.slow
def test_a_target_never_runs_the_code_of_another_clone(tiny: Tiny, tmp_path: Path) -> None:
    shared = {**tiny.env, "HH_EXP_DIR": str(tmp_path / "shared")}
    theirs = tmp_path / "theirs"
    shutil.copytree(tiny.root, theirs)
    (theirs / "run.py").write_text("def main(**_):\n    raise SystemExit('code of another clone')\n")

    def expand(root: Path) -> str:
        command = [sys.executable, "-m", "heyhi.cli", "expand", "--cfg", "conf/work.prototxt", "x=5"]
        return subprocess.run(
            command, cwd=root, env=shared, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS
        ).stdout.strip()

    mine = Tiny(tiny.root, shared)
    target = expand(theirs)
    done = mine.snakemake(target)
    assert done.returncode != 0 and f"was only expanded by the project {theirs}" in done.stderr
    assert not os.path.lexists(Path(target).parent / "attempts.jsonl")
    assert expand(tiny.root) == target == expand(theirs)  # theirs is the newest
    assert mine.snakemake(target).returncode == 0
    assert tiny.ledger == ["work 5"]
    mine.close()


@pytest.mark.slow
def test_a_job_of_the_official_executor_puts_nothing_on_record(tiny: Tiny, tmp_path: Path) -> None:
    (target,) = tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "x=5").split()
    # What the official executor runs in a job: a Snakemake of its own, for one target.
    done = tiny.snakemake(target, "--mode", "subprocess", "--executor", "local", "--force", "--nolock")
    assert done.returncode == 0, done.stderr
    assert tiny.ledger == ["work 5"]
    assert launches(tiny) == [] and statuses(tiny) == {}
