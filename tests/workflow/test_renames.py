"""Fields, a task and a config are renamed between two runs of Snakemake: what was done is done, what died goes on."""

from __future__ import annotations

import csv
import re

from .conftest import PROTO, SWEEP, TASK, Tiny


def rename(tiny: Tiny) -> None:
    """Rename everything that the sweep names."""
    proto = PROTO.replace("message Work {", "// was: Work\nmessage Job {")
    proto = proto.replace("Work work = 10; Look", "\n// was: work\nJob job = 10;\nLook")
    proto = proto.replace(
        "optional int32 x = 1; optional int32 size", "\n// was: x\noptional int32 width = 1;\noptional int32 size"
    )
    conf = tiny.root / "conf"
    (conf / "conf.proto").write_text(proto)
    (conf / "work.prototxt").unlink()
    (conf / "wide.prototxt").write_text("job { width: 0 }\n")
    (conf / "sweep.py").write_text(SWEEP.replace("work.prototxt", "wide.prototxt").replace('"x"', '"width"'))
    (tiny.root / "run.py").write_text(TASK.replace("cfg.x", "cfg.width"))
    settings = tiny.root / "pyproject.toml"
    moved = '{"conf/work.prototxt" = "conf/wide.prototxt"}'
    settings.write_text(f"{settings.read_text()}renamed = {moved}\n")


def test_what_was_renamed_is_not_done_again_and_what_died_goes_on(tiny: Tiny) -> None:
    failing = tiny.make_fail(3)
    assert tiny.snakemake().returncode == 1
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]
    targets = tiny.heyhi("expand").split()

    rename(tiny)
    failing.unlink()
    assert tiny.heyhi("expand").split() == targets
    planned = tiny.snakemake("--dry-run")
    assert planned.returncode == 0, planned.stderr
    folders = [target.removesuffix("/result.json") for target in targets]
    assert re.findall(r"Job \d+: run (\S+)", planned.stdout) == folders[2:], planned.stdout

    again = tiny.snakemake()
    assert again.returncode == 0, again.stderr
    assert tiny.ledger[3:] == ["job 3"]
    with (tiny.root / "results/reports/sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["width"], row["attempts"], row["y"]) for row in rows] == [
        ("1", "1", "10"),
        ("2", "1", "20"),
        ("3", "2", "30"),
    ]
    assert "x" not in rows[0]

    tiny.snakemake()
    assert len(tiny.ledger) == 4
