"""A sweep through real Snakemake: it runs once, one failure stops nothing else, and the table comes in any case."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.mixed import mixed_text
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state, find_status

from .conftest import SECONDS, SWEEP, Tiny


def table(tiny: Tiny, name: str = "sweep") -> list[dict[str, str]]:
    with (tiny.root / f"results/reports/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_runs_once_and_its_table_is_the_last_thing_on_the_terminal(tiny: Tiny) -> None:
    first = tiny.snakemake()

    assert first.returncode == 0, first.stderr
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]
    lines = first.stdout.splitlines()
    assert lines[0].split() == ["status", "x", "loss", "loss.best", "y", "attempts", "seconds", "code", "exp_id"]
    assert [line.split()[:5] for line in lines[1:4]] == [["DONE", *map(str, (x, x, x, 10 * x))] for x in (1, 2, 3)]
    assert lines[4] == "3 experiments: 3 DONE"
    assert lines[5] == "table: results/reports/sweep.csv, results/reports/sweep.html"
    assert [row["y"] for row in table(tiny)] == ["10", "20", "30"]
    target = next((tiny.root / "results/p/work").glob("x=1_*/result.json"))
    assert "said by 1" in tiny.folder(str(target)).log_path.read_text()

    second = tiny.snakemake()
    assert second.returncode == 0
    assert "Nothing to be done" in second.stderr
    assert len(tiny.ledger) == 3


def test_an_experiment_whose_result_was_removed_runs_again_although_the_table_is_there(tiny: Tiny) -> None:
    assert tiny.snakemake().returncode == 0
    result = next((tiny.root / "results/p/work").glob("x=1_*/result.json"))
    result.unlink()

    planned = tiny.snakemake("--dry-run")
    assert "Nothing to be done" not in planned.stderr + planned.stdout
    again = tiny.snakemake()
    assert again.returncode == 0, again.stderr
    assert sorted(tiny.ledger) == ["work 1", "work 1", "work 2", "work 3"] and result.is_file()
    assert [row["attempts"] for row in table(tiny)] == ["2", "1", "1"]
    assert "Nothing to be done" in tiny.snakemake().stderr


def test_two_projects_with_one_results_root_dont_mix(tiny: Tiny, tmp_path: Path) -> None:
    tiny.env["HH_EXP_DIR"] = str(tmp_path / "shared")
    settings = tiny.root / "pyproject.toml"
    settings.write_text(f'{settings.read_text()}name = "first"\n')
    other = Tiny(tmp_path / "other", tiny.env)
    shutil.copytree(tiny.root, other.root)
    settings = other.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace("first", "second"))

    assert tiny.snakemake().returncode == 0
    made = {path: path.read_bytes() for path in (tmp_path / "shared/p").rglob("*") if path.is_file()}
    names = [json.loads(text)["project"] for path, text in made.items() if path.name == "identity.json"]
    assert names == ["first"] * 3

    target = str(next(path for path in made if path.name == "result.json"))
    for words in ((), ("--force", target)):
        refused = other.snakemake(*words)
        assert refused.returncode == 2
        assert "has the results of the project 'first', and this project is 'second'" in refused.stderr
    assert "warning: " in other.snakemake("--dry-run").stderr
    assert other.ledger == []
    assert {path: path.read_bytes() for path in (tmp_path / "shared/p").rglob("*") if path.is_file()} == made

    # By another name it is the same project, and nothing is done again: not even its table.
    settings = tiny.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace('"first"', '"better"\nwas = ["first"]'))
    renamed = tiny.snakemake()
    assert renamed.returncode == 0 and "Nothing to be done" in renamed.stderr, renamed.stderr
    assert len(tiny.ledger) == 3


def test_what_nobody_can_look_at_stops_none_of_the_others(tiny: Tiny) -> None:
    targets = tiny.heyhi("expand").split()
    in_the_way, looped, other = (tiny.root / Path(target).parent for target in targets)
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("mine")  # Snakemake itself ends where it can't make the folder of a job
    looped.symlink_to(looped.name)

    planned = tiny.snakemake("--dry-run")
    assert planned.returncode == 0 and planned.stdout.count(": UNKNOWN: ") == 2, planned.stdout
    ran = tiny.snakemake()
    assert ran.returncode == 1 and "Traceback" not in ran.stderr, ran.stderr
    assert tiny.ledger == ["work 3"] and (other / "result.json").is_file()
    assert in_the_way.read_text() == "mine" and looped.is_symlink()
    assert "3 experiments: 2 UNKNOWN, 1 DONE" in ran.stdout
    exp_id = targets[0].removeprefix("results/").removesuffix("/result.json")
    assert f" UNKNOWN {exp_id}: {in_the_way}/result.json: can't be read: Not a directory" in ran.stderr

    named = tiny.snakemake(targets[1], targets[2])
    assert named.returncode == 2 and f"error: {targets[1]}: UNKNOWN: " in named.stderr

    in_the_way.unlink()
    looped.unlink()
    assert tiny.snakemake().returncode == 0
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"] and len(table(tiny)) == 3
    in_the_way.rename(tiny.root / "aside")  # its table is there already
    in_the_way.write_text("mine")
    ran = tiny.snakemake()
    assert ran.returncode == 1 and "1 UNKNOWN, 2 DONE" in ran.stdout, ran.stderr


def test_what_needs_something_that_nobody_can_look_at_waits_in_vain(tiny: Tiny) -> None:
    need = next(line for line in tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "x=9").split())
    folder = tiny.root / Path(need).parent
    folder.mkdir(parents=True)
    (folder / "job.json").write_text("no JSON")
    ran = tiny.snakemake("--config", "sweep=conf/looks.py")
    assert ran.returncode == 1 and tiny.ledger == []
    assert "2 experiments: 2 BLOCKED" in ran.stdout and ran.stderr.count("job.json: is damaged") > 0
    assert sorted(path.name for path in folder.iterdir()) == ["job.json"]


def test_no_edit_redoes_what_is_done(tiny: Tiny) -> None:
    assert tiny.snakemake().returncode == 0
    done = {path: path.stat().st_mtime_ns for path in (tiny.root / "results/p").rglob("result.json")}
    for name in ("run.py", "Snakefile", "workflows/experiment.smk", "conf/conf.proto", "conf/sweep.py"):
        comment = "//" if name.endswith(".proto") else "#"
        with (tiny.root / name).open("a") as file:
            file.write(f"\n{comment} edited\n")
    # The sweep has another manifest and table now: this config is composed to something else.
    (tiny.root / "conf/work.prototxt").write_text("work { x: 0 size: 7 }\n")

    again = tiny.snakemake()
    assert again.returncode == 0, again.stderr
    assert "\n3 experiments: 3 DONE\n3 drifted: launched with another config" in again.stdout
    assert len(tiny.ledger) == 3
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(list((tiny.root / "results/reports/sweep").glob("*.csv"))) == 2


def test_a_run_says_what_of_the_done_was_made_with_another_config_also_with_nothing_to_do(tiny: Tiny) -> None:
    assert "made with" not in tiny.snakemake().stderr
    assert "made with" not in tiny.snakemake().stderr
    (tiny.root / "conf/work.prototxt").write_text("work { x: 0 size: 7 }\n")
    with (tiny.root / "conf/sweep.py").open("a") as file:
        file.write('    yield "conf/work.prototxt", {"x": 4}\n')
    said = "made with another config: work.size 1 → 7 (3 experiments)"

    run = tiny.snakemake()  # a job runs here, and says nothing of the others
    assert run.returncode == 0 and sorted(tiny.ledger) == ["work 1", "work 2", "work 3", "work 4"]
    assert (run.stdout + run.stderr).count("made with another config") == 1 and f"\n{said}\n" in run.stderr
    idle = tiny.snakemake()
    assert "Nothing to be done" in idle.stderr and f"\n{said}\n" in idle.stderr
    assert f"\n{said}\n" in tiny.snakemake("--dry-run").stderr
    log = next((tiny.root / "results/p/work").glob("x=4_*/log.txt"))
    assert "made with" not in log.read_text() + log.with_name("launch.log").read_text()


def test_what_another_process_has_done_since_the_jobs_were_planned_stays_done(tiny: Tiny) -> None:
    for x in (1, 2, 3):
        tiny.make_gate(x)
    first = tiny.start()
    running = {tiny.wait_at_gate()[0] for _ in range(2)}
    (waiting,) = {1, 2, 3} - running
    (tiny.root / f"gate-{waiting}").unlink()
    target = next(t for t in tiny.heyhi("expand").split() if f"/x={waiting}_" in t)
    assert tiny.snakemake(target).returncode == 0

    for x in running:
        tiny.open_gate(x)
    _, err = first.communicate(timeout=SECONDS)
    assert first.returncode == 0, err
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]


def test_a_table_that_another_snakemake_has_written_is_never_missing(tiny: Tiny) -> None:
    with (tiny.root / "conf/sweep.py").open("a") as file:
        file.write(
            "from pathlib import Path\n"
            "ROOT = Path(__file__).resolve().parents[1]\n"
            "def get_logs_data(handle):\n"
            "    with (ROOT / 'seen').open('a') as file:\n"
            "        file.write(f'{len(list(ROOT.glob(\"results/reports/sweep/*.csv\")))}\\n')\n"
            "    return {}\n"
        )
    tiny.make_gate(1)
    first = tiny.start()
    tiny.wait_at_gate()
    first.send_signal(signal.SIGSTOP)
    tiny.open_gate(1)
    assert tiny.snakemake().returncode == 0
    (tiny.root / "seen").unlink()

    first.send_signal(signal.SIGCONT)
    _, err = first.communicate(timeout=SECONDS)
    assert first.returncode == 0, err
    assert set((tiny.root / "seen").read_text().split()) == {"1"}


def test_a_copy_that_a_killed_snakemake_left_never_becomes_a_result(tiny: Tiny) -> None:
    (target,) = tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "x=4").split()
    copy = tiny.root / ".snakemake/backups" / target
    copy.parent.mkdir(parents=True)
    copy.write_text('{"y": 0}')
    tiny.make_fail(4)
    assert tiny.snakemake(target).returncode == 1
    assert find_status(tiny.folder(target).path) is Status.DEAD


def test_a_failed_experiment_stops_no_other_and_is_in_the_table_with_its_reason(tiny: Tiny) -> None:
    failing = tiny.make_fail(2)

    first = tiny.snakemake()
    assert first.returncode == 1
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]
    assert "ValueError: boom 2" in first.stderr  # at once
    assert "3 experiments: 1 DEAD, 2 DONE" in first.stdout
    assert "ValueError: boom 2" in first.stdout
    assert "Traceback" not in first.stdout + first.stderr
    row = next(row for row in table(tiny) if row["x"] == "2")
    assert (row["status"], row["y"], row["attempts"]) == ("DEAD", "", "1")
    assert "ValueError: boom 2" in row["reason"]
    # Or Snakemake would take the sweep for finished.
    assert not list((tiny.root / "results/reports").glob("sweep/*.csv"))

    failing.unlink()
    second = tiny.snakemake()
    assert second.returncode == 0, second.stderr
    assert tiny.ledger[3:] == ["work 2"]
    assert [row["status"] for row in table(tiny)] == ["DONE"] * 3


def test_the_table_comes_even_if_it_cannot_be_written(tiny: Tiny) -> None:
    tiny.make_fail(2)
    (tiny.root / "results/reports/sweep.csv").mkdir(parents=True)
    run = tiny.snakemake()
    assert run.returncode == 1
    assert "3 experiments: 1 DEAD, 2 DONE" in run.stdout
    assert "results/reports/sweep.csv: can't be written" in run.stderr


def test_what_is_needed_runs_first_and_once(tiny: Tiny) -> None:
    run = tiny.snakemake("--config", "sweep=conf/looks.py")
    assert run.returncode == 0, run.stderr
    assert tiny.ledger[0] == "work 9"
    assert sorted(tiny.ledger[1:]) == ["look 5", "look 6"]
    assert [row["status"] for row in table(tiny, "looks")] == ["DONE", "DONE"]

    # Even if it is newer now: who wants the evaluations anew says so.
    next((tiny.root / "results/p/work").glob("x=9_*/result.json")).touch()
    assert tiny.snakemake("--config", "sweep=conf/looks.py").returncode == 0
    assert len(tiny.ledger) == 3


def test_what_needs_a_dead_experiment_is_blocked_and_says_by_what(tiny: Tiny) -> None:
    tiny.make_fail(9)
    run = tiny.snakemake("--config", "sweep=conf/looks.py")
    assert run.returncode == 1
    assert tiny.ledger == ["work 9"]
    for row in table(tiny, "looks"):
        assert row["status"] == Status.BLOCKED
        assert row["reason"].startswith("by p/work/x=9_")
        assert "ValueError: boom 9" in row["reason"]
    assert "2 experiments: 2 BLOCKED" in run.stdout


def test_a_dry_run_shows_what_would_run_and_changes_nothing(tiny: Tiny) -> None:
    dry = tiny.snakemake("-n")
    assert dry.returncode == 0
    assert all(f"run results/p/work/x={x}_" in dry.stdout for x in (1, 2, 3))
    assert tiny.ledger == []
    assert not (tiny.root / "results/p").exists()


def test_single_targets_are_run_by_path_from_the_manifest_they_were_expanded_into(tiny: Tiny) -> None:
    targets = tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "--sweep", "x=21,22,24,25,26").split()
    # The default sweep is wrong, and nobody notices: it is not asked for.
    (tiny.root / "conf/sweep.py").write_text("raise RuntimeError\n")

    asked = [targets[number] for number in (3, 0, 4, 2, 1)]
    one = tiny.snakemake(str(tiny.root / asked[0]), "--", *asked[1:])
    assert one.returncode == 0, one.stderr
    assert sorted(tiny.ledger) == ["work 21", "work 22", "work 24", "work 25", "work 26"]
    assert "5 experiments: 5 DONE" in one.stdout
    # In the order in which they were asked for; Snakemake has none.
    rows = [row.split()[1] for row in one.stdout.splitlines() if row.startswith("DONE ")]
    assert rows == ["25", "21", "26", "24", "22"]

    path = tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "x=23", "--manifest").strip()
    two = tiny.snakemake("--config", f"manifest={path}")
    assert two.returncode == 0, two.stderr
    assert tiny.ledger[5:] == ["work 23"]


def test_what_a_user_gets_wrong_is_one_message_and_exit_code_2(tiny: Tiny) -> None:
    (tiny.root / "broken.sqlite").write_bytes(b"no manifest")
    (tiny.root / "wrong.py").write_text('def yield_sweep():\n    yield "conf/work.prototxt", {"y": 1}\n')
    for args, expected in (
        (["results/p/nowhere/result.json"], "heyhi expand"),
        (["--config", "sweep=wrong.py"], "y"),
        (["--config", "manifest=broken.sqlite"], "broken.sqlite: is no manifest"),
        (["--no-profile", "--cores", "1"], "--profile profiles/local"),
    ):
        run = tiny.snakemake(*args)
        assert run.returncode == 2, (args, run.stderr)
        message = run.stderr.partition("error: ")[2]
        assert expected in message, (args, run.stderr)
        assert "Traceback" not in run.stderr
    assert tiny.ledger == []
    assert not Path(tiny.root / "results/p").exists()


def test_snakemakes_own_report_has_the_table_and_the_page(tiny: Tiny, tmp_path: Path) -> None:
    assert tiny.snakemake().returncode == 0
    assert tiny.snakemake("--report", str(tmp_path / "report.html")).returncode == 0
    report = (tmp_path / "report.html").read_text()
    assert "a row an experiment" in report and "learning curves" in report


def test_what_has_progress_is_not_gone_on_with_another_config_and_the_others_start(tiny: Tiny) -> None:
    failing = tiny.make_fail(2)
    assert tiny.snakemake().returncode == 1
    failing.unlink()
    folder = ExperimentDir(next((tiny.root / "results/p/work").glob("x=2_*")))
    folder.metrics_path.write_text('{"loss": 2}\n')  # it had logged something before it failed
    before = (find_state(folder.path), folder.attempts_path.read_bytes(), folder.flat_config_path.read_bytes())
    (tiny.root / "conf/work.prototxt").write_text("work { x: 0 size: 7 }\n")
    (tiny.root / "conf/sweep.py").write_text(SWEEP.replace("(1, 2, 3)", "(1, 2, 3, 4)"))

    refused = tiny.snakemake()
    assert refused.returncode == 1 and "Traceback" not in refused.stdout + refused.stderr
    assert "attempt 1 has logged metrics with another config: work.size: 1 -> 7" in refused.stderr
    assert "--config continue_drifted=1; Python: continue_drifted=True) goes on all the same" in refused.stderr
    assert tiny.ledger[3:] == ["work 4"]
    assert "4 experiments: 1 DEAD, 3 DONE" in refused.stdout
    after = (find_state(folder.path), folder.attempts_path.read_bytes(), folder.flat_config_path.read_bytes())
    assert after == before and "ValueError: boom 2" in after[0].reason

    unclear = tiny.snakemake("--config", "continue_drifted=perhaps")
    assert unclear.returncode == 2 and "continue_drifted=perhaps: expected 1 or 0" in unclear.stderr
    mixed = tiny.snakemake("--config", "continue_drifted=1")
    assert mixed.returncode == 0, mixed.stderr
    assert tiny.ledger[4:] == ["work 2"]
    assert mixed_text(folder.path) == "work.size 1 → 7 at attempt 2"
    assert "size: 7" in folder.config_path.read_text()
    assert tiny.snakemake().returncode == 0 and len(tiny.ledger) == 5


def test_what_was_made_of_a_need_that_is_made_anew_is_stale_and_nothing_is_redone_by_itself(tiny: Tiny) -> None:
    assert tiny.snakemake("--config", "sweep=conf/looks.py").returncode == 0
    need = next((tiny.root / "results/p/work").glob("x=9_*"))
    code = (tiny.root / "run.py").read_text()
    (tiny.root / "run.py").write_text(code.replace("10 * cfg.x", "20 * cfg.x"))
    shutil.rmtree(need)
    (target,) = tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "x=9").split()
    assert tiny.snakemake(target).returncode == 0

    again = tiny.snakemake("--config", "sweep=conf/looks.py", "--forcerun", "aggregate")
    assert again.returncode == 0, again.stderr
    assert sorted(tiny.ledger) == ["look 5", "look 6", "work 9", "work 9"]
    assert "2 experiments: 2 DONE; 2 stale" in again.stdout
    assert [row["stale"] for row in table(tiny, "looks")] == [f"made of an earlier result of p/work/{need.name}"] * 2
    assert tiny.heyhi("status").startswith("DONE 3  stale 2\n")
