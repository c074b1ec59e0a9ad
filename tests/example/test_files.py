"""docs/files.md says the truth: what lies in folders of experiments has the fields that stand there, and no others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from heyhi.code.snapshot import take_snapshot
from heyhi.experiment.notes import Note
from heyhi.experiment.records import End, Start, Submission, Used
from heyhi.project import find_project

PROTO = """\
syntax = "proto2";
message MetaCfg { oneof task { Fit fit = 1; } }
message Fit { optional int32 x = 1; optional int32 epochs = 2 [default = 2]; }
"""
TASK = """\
import math
from pathlib import Path

import heyhi


def main(task, cfg, log_level):
    was_here = Path("checkpoint").exists()
    Path("checkpoint").write_text("1")
    heyhi.progress(0, 10)
    heyhi.log({"loss": math.nan, "val": {"accuracy": 0.5}, "note": "a text"}, step=1, total=10)
    heyhi.log(loss=math.inf, big=2**70, flag=True, nothing=None, step=2)
    if cfg.x == 1 and not was_here:
        raise RuntimeError("the first time")
    return {"loss": math.nan, "path": Path("/a"), "lost": object(), "list": [1, None, {"a": True}]}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,),
    "list of texts": (list,), "null": (type(None),),
}  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[2] / "docs/files.md").read_text()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one experiment is DONE at once, and another after it was DEAD; both have notes."""
    root = tmp_path_factory.mktemp("files")
    (root / "conf").mkdir()
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/fit.prototxt").write_text("fit {}\n")
    (root / "run.py").write_text(TASK)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nname = "files"\n')
    ours = [sys.executable, "-m", "heyhi.cli"]
    for command, code in [
        ([sys.executable, "run.py", "--cfg", "fit"], 0),
        ([sys.executable, "run.py", "--cfg", "fit", "x=1"], 1),
        ([sys.executable, "run.py", "--cfg", "fit", "x=1", "--mode", "start_continue"], 0),
        ([*ours, "note", "--cfg", "fit", "--cfg", "fit", "x=1", "--text", "odd", "--exclude"], 0),
    ]:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
    return root


def table(page: str, heading: str) -> dict[str, str]:
    """Return the types of the fields in the first table below a heading."""
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", section, re.MULTILINE))


def wrong(record: Mapping[str, Any], fields: Mapping[str, str], *, open_ended: bool = False) -> Iterator[str]:
    """Say what of a record isn't as the fields are documented."""
    if not open_ended:
        yield from (f"{name} stands nowhere" for name in set(record) - set(fields))
    for name, kind in fields.items():
        if name not in record:
            if not kind.endswith(", or absent"):
                yield f"{name} is missing"
            continue
        value = record[name]
        kinds = tuple(one for word in kind.removesuffix(", or absent").split(" or ") for one in TYPES[word])
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield f"{name} is {value!r}, not {kind}"


def experiments(root: Path) -> list[Path]:
    found = sorted(path.parent for path in root.glob("results/p/**/identity.json"))
    assert len(found) == 2
    return found


def test_each_record_has_the_documented_fields_and_types(root: Path, page: str) -> None:
    records = 0
    for folder in experiments(root):
        assert list(wrong(json.loads((folder / "identity.json").read_text()), table(page, "`identity.json`"))) == []
        for line in (folder / "attempts.jsonl").read_text().splitlines():
            record = json.loads(line)
            heading = {"start": "A start", "end": "An end"}[record["event"]]
            assert list(wrong(record, table(page, heading))) == []
            assert list(wrong(record.get("used", {}), table(page, "`used`"))) == []
            records += 1
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            assert list(wrong(json.loads(line), table(page, "`metrics.jsonl`"), open_ended=True)) == []
    assert records == 6
    notes = list(root.glob("results/.heyhi/notes/*.json"))
    assert len(notes) == 2
    for path in notes:
        assert list(wrong(json.loads(path.read_text()), table(page, "Notes"))) == []


def test_what_digests_stand_for_has_the_documented_fields(root: Path, page: str) -> None:
    state = root / "results/.heyhi"
    for kind, heading in (("versions", "What digests stand for"), ("environments", "An environment")):
        found = list(state.glob(f"{kind}/*.json"))
        assert found
        for path in found:
            assert list(wrong(json.loads(path.read_text()), table(page, heading))) == []
    copy = take_snapshot(find_project(root))
    assert list(wrong(json.loads(copy.record.read_text()), table(page, "`code.json`"))) == []


def test_no_record_has_a_field_that_stands_nowhere(page: str) -> None:
    assert {"event", *Start._fields} == set(table(page, "A start"))
    assert {"event", *End._fields} == set(table(page, "An end"))
    assert set(Used._fields) == set(table(page, "`used`"))
    assert set(Submission._fields) == set(table(page, "`job.json`"))
    assert set(Note._fields) == set(table(page, "Notes"))


def test_each_file_that_heyhi_writes_is_listed(root: Path, page: str) -> None:
    (section,) = re.findall(r"^## Files\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    listed = set(re.findall(r"^\| `([\w.]+)/?` \|", section, re.MULTILINE)) | {"checkpoint"}
    for folder in experiments(root):
        found = {path.name for path in folder.iterdir() if not path.name.startswith((".", "claim"))}
        assert {"result.json", "metrics.jsonl", "attempts.jsonl"} <= found <= listed


def test_numbers_that_json_lacks_are_written_as_python_reads_them(root: Path) -> None:
    folder, _ = experiments(root)
    assert '"loss": NaN' in (folder / "result.json").read_text()
    lines = (folder / "metrics.jsonl").read_text()
    assert '"loss": NaN' in lines and '"loss": Infinity' in lines and f'"big": {2**70}' in lines
    result = json.loads((folder / "result.json").read_text())
    assert (result["path"], result["list"], "lost" in result) == ("/a", [1, None, {"a": True}], False)
    ends = [json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines()]
    assert ends[-1]["dropped"] == ["lost"]


def test_the_program_that_is_shown_reads_all_results(root: Path, page: str) -> None:
    (code,) = re.findall(r"^```python read_results\.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (root / "read_results.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-S", "-E", "read_results.py", "results"], cwd=root, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 2
    assert "conf/fit.prototxt x=1 {'loss': nan" in done.stdout and "'big': 1180591620717411303424" in done.stdout
