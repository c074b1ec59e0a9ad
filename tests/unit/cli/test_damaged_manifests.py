"""A manifest that is damaged is said where it is asked for, with what writes it anew; all others are served."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.errors import ManifestError
from heyhi.project import find_project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.known import LaunchRecord, write_launch
from heyhi.sweep.manifest import Manifest

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; Check check = 3; } }
message Work { optional double lr = 1; int32 seed = 2; }
message Check { string of = 1; }
"""
SEED = 4
DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "empty": lambda path: path.write_bytes(b""),
    "a lost page": lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(len(path.read_bytes()) - 4096)),
    "a turned bit": lambda path: path.write_bytes(path.read_bytes().replace(b"p/work/seed=1", b"p/work/seed=3")),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
}


@pytest.fixture
def project(make_project: Any) -> Path:
    """A project with two launched sweeps: of seeds 0 to 2, of which 1 is done, and of single ones that need another."""
    root: Path = make_project(PROTO)
    with pytest.raises(SystemExit):
        parse_args_and_maybe_launch(lambda **_: {"y": 1}, ("--cfg", "work", "seed=1"))
    return root


def launched(run: Any, *words: str) -> Path:
    path = find_project().root / run("expand", *words, "--manifest")[1].strip()
    write_launch(find_project(), LaunchRecord.now("heyhi launch", words, Manifest.open(path).label, manifest=path.name))
    path.chmod(0o644)
    return path


def in_status(run: Any) -> set[str]:
    return {row["exp_id"].partition("_")[0] for row in json.loads(run("status", "--json")[1])["experiments"]}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_it_has_is_said_and_all_others_are_served(project: Path, run: Any, damage: str) -> None:
    other = launched(run, "check")
    path = launched(run, "conf/many.py")
    assert len(in_status(run)) == 4
    (done,) = (project / "results/p/work").glob("seed=1_*")
    DAMAGES[damage](path)

    code, out, _ = run("report", str(done), "--to", "-")  # as if it were gone
    assert code == 0 and "DONE" in out
    for words in (["status"], ["status", str(other)], ["report", str(other), "--to", "-"], ["plan", "conf/many.py"]):
        code, out, err = run(*words)
        assert code in (0, 1) and out and "error" not in err, words
    assert len(in_status(run)) == 4 or path.is_symlink(), "it was known before"
    code, out, err = run("status", str(path))
    assert code == 2 and err.startswith("error: ") and path.name in err and err.count("\n") == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_expanding_again_writes_it_anew(project: Path, run: Any, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = launched(run, "conf/many.py")
    right = path.read_bytes()
    DAMAGES[damage](path)
    (project / "results/.heyhi/index.sqlite").unlink()
    for _ in range(2):
        caplog.clear()
        run("status")
        assert f"{path.name}: " in caplog.text, "what is only known by it is missed"
    code, out, _ = run("expand", "conf/many.py", "--manifest")
    caplog.clear()
    assert (code, project / out.strip()) == (0, path)
    assert len(path.read_bytes()) == len(right) and len(Manifest.open(path).targets) == 3
    assert len(in_status(run)) == 3 and not caplog.text


def test_a_folder_in_its_place_is_named_with_what_to_do(
    project: Path, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = launched(run, "conf/many.py")
    path.unlink()
    path.mkdir()
    (path / "somebody's").touch()
    (project / "profiles/local").mkdir(parents=True)
    (project / "profiles/local/config.yaml").write_text("cores: 1\n")
    away = f"{path.name}.old"
    for words in (["expand", "conf/many.py"], ["launch", "conf/many.py", "--profile", "profiles/local"]):
        code, _, err = run(*words)
        assert code == 2 and f"{path.name}: is a folder" in err and away in err, words
    code, _, err = run("status", str(path))
    assert code == 2 and f"{path.name}: is a folder, no manifest" in err and away in err
    (project / "results/.heyhi/index.sqlite").unlink()
    caplog.clear()
    assert run("status")[0] == 1 and f"{path.name}: is a folder, no manifest" in caplog.text and away in caplog.text
    path.rename(path.with_name(away))
    assert run("expand", "conf/many.py")[0] == 0 and len(in_status(run)) == 3
    code, _, err = run("status", str(project))
    assert code == 2 and ".old" not in err, "nobody's own folder is to be moved"


def test_what_would_run_by_it_is_told_the_commands(project: Path, run: Any) -> None:
    path = launched(run, "conf/many.py")
    DAMAGES["cut short"](path)
    (project / "profiles/local").mkdir(parents=True)
    (project / "profiles/local/config.yaml").write_text("cores: 1\n")
    for words in ("launch --dry-run --profile profiles/local", "expand", "report"):
        command, *options = words.split()
        code, _, err = run(command, "results/p/work/seed=2_e70e6bead2c7e3fb", *options)
        assert code == 2 and path.name in err and "\n  heyhi expand" in err, words


def test_bits_that_have_turned_are_found_or_are_no_matter(project: Path, run: Any) -> None:
    path = launched(run, "conf/many.py")
    data, turned = path.read_bytes(), random.Random(SEED)

    def answers() -> list[Any]:
        with Manifest.open(path) as manifest:
            targets = manifest.all_targets
            return [
                *(targets, manifest.targets, manifest.nodes(), manifest.needed_exp_ids, manifest.entries()),
                *(manifest.configs(), list(manifest.experiments()), manifest.entries_of(targets), manifest.size),
                *([manifest.node(one) for one in targets], [manifest.given(one) for one in targets]),
                *(manifest.expand_command, manifest.written_for, manifest.schema().digest, manifest.project.settings),
            ]

    right, found = answers(), 0
    for _ in range(100):
        changed = bytearray(data)
        for _ in range(turned.randint(1, 3)):
            changed[turned.randrange(len(changed))] ^= 1 << turned.randrange(8)
        path.write_bytes(changed)
        try:
            assert answers() == right
        except ManifestError as error:
            assert "heyhi expand" in str(error)
            found += 1
    assert found > 10


def test_one_that_was_taken_for_another_is_not_asked(project: Path, run: Any) -> None:
    """A view in place of a table might answer for ever."""
    import sqlite3

    path = launched(run, "conf/many.py")
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE experiment RENAME TO other; CREATE VIEW experiment AS WITH RECURSIVE"
        " n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS position, 'p/x' AS exp_id FROM n"
    )
    connection.close()
    with pytest.raises(ManifestError, match="other tables than a manifest"):
        Manifest.open(path)
    assert ManifestIndex.open(find_project()).known()
