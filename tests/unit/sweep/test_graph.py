"""What of a sweep is in Snakemake's graph: not what is DONE, but for who asks for it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heyhi.sweep.graph import Graph
from heyhi.sweep.manifest import Node

OURS = ("all", "experiment", "slot", "unknown", "winner", "aggregate")
TARGETS = [f"results/p/{name}/result.json" for name in "abcd"]
SLOT = "results/searches/0a/slots/1.json"


def workflow(**other: object) -> Any:
    asks: dict[str, object] = {"is_main_process": True, "executor_plugin": object(), "touch": False}
    asks |= {"dag_settings": SimpleNamespace(), "execution_settings": SimpleNamespace(ignore_incomplete=True)}
    asks |= {"rules": [SimpleNamespace(name=name) for name in OURS]}
    return SimpleNamespace(**{**asks, **other})


def graph(root: Path, asks: Any = None, nodes: dict[str, Node] | None = None) -> Graph:
    known = nodes or {}
    return Graph(asks or workflow(), root, lambda target: known.get(target) or Node(target, (), {}))


def write(root: Path, target: str, at: float = 100.0) -> None:
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    (root / target).write_text("{}")
    os.utime(root / target, (at, at))


def test_what_is_there_is_left_out_and_what_is_newer_than_what_was_made_of_it_is_not(tmp_path: Path) -> None:
    for target, at in zip([*TARGETS[:3], SLOT], (100.0, 200.0, 300.0, 100.0), strict=True):
        write(tmp_path, target, at)
    one = graph(tmp_path)
    targets = [*TARGETS, SLOT]
    assert one.parted(targets) == ([TARGETS[3]], [*TARGETS[:3], SLOT])
    assert one.parted(targets, since=200.0) == (TARGETS[2:], [*TARGETS[:2], SLOT])
    assert one.parted(targets, since=50.0) == (targets, [])
    absolute = [str(tmp_path / target) for target in TARGETS]
    assert one.parted(absolute) == (absolute[3:], absolute[:3])
    assert one.oldest([TARGETS[3], TARGETS[2], TARGETS[1]]) == 200.0 and one.oldest([TARGETS[3]]) is None
    assert one.parted([]) == ([], [])


def test_what_is_no_plain_file_is_left_to_snakemake(tmp_path: Path) -> None:
    (tmp_path / TARGETS[0]).mkdir(parents=True)
    write(tmp_path, TARGETS[1])
    (tmp_path / TARGETS[2]).parent.mkdir()
    (tmp_path / TARGETS[2]).symlink_to(tmp_path / TARGETS[1])
    assert graph(tmp_path).parted(TARGETS) == ([TARGETS[0], *TARGETS[2:]], [TARGETS[1]])


ASKS_FOR_ALL = {
    "a job of another engine": {"is_main_process": False},
    "--summary, --report, --dag": {"executor_plugin": None},
    "--touch": {"touch": True},
    "--rerun-incomplete": {"dag_settings": SimpleNamespace(force_incomplete=True)},
    "--forceall": {"dag_settings": SimpleNamespace(forceall=True)},
    "--force": {"dag_settings": SimpleNamespace(forcetargets=True)},
    "--forcerun": {"dag_settings": SimpleNamespace(forcerun=frozenset({"experiment"}))},
    "--until": {"dag_settings": SimpleNamespace(until=frozenset({"experiment"}))},
    "--omit-from": {"dag_settings": SimpleNamespace(omit_from=frozenset({"aggregate"}))},
    "--batch": {"dag_settings": SimpleNamespace(batch=object())},
    "no ignore-incomplete": {"execution_settings": SimpleNamespace(ignore_incomplete=False)},
    "a logger draws the graph": {"logger_manager": SimpleNamespace(needs_rulegraph=True)},
}


@pytest.mark.parametrize("asked", ASKS_FOR_ALL)
def test_who_asks_for_what_is_done_has_all_in_the_graph(tmp_path: Path, asked: str) -> None:
    for target in TARGETS:
        write(tmp_path, target)
    assert graph(tmp_path, workflow(**ASKS_FOR_ALL[asked])).parted(TARGETS) == (TARGETS, [])
    settings = SimpleNamespace(forceall=False, forcerun=frozenset(), until=frozenset(), batch=None)
    assert graph(tmp_path, workflow(dag_settings=settings)).parted(TARGETS) == ([], TARGETS)


def test_what_needs_a_file_stays_where_other_rules_may_make_it_anew(tmp_path: Path) -> None:
    for target in TARGETS:
        write(tmp_path, target)
    winner = "results/winners/0123456789abcdef.json"
    nodes = {
        TARGETS[0]: Node(TARGETS[0], (TARGETS[1], winner), {}),
        TARGETS[1]: Node(TARGETS[1], (TARGETS[2],), {}),
        TARGETS[2]: Node(TARGETS[2], (TARGETS[0],), {}, 0, ("data/a.txt",)),  # a circle, of a damaged manifest
    }
    others = workflow(rules=[SimpleNamespace(name=name) for name in (*OURS, "numbers")])
    assert graph(tmp_path, others, nodes).parted(TARGETS) == (TARGETS[:3], TARGETS[3:])
    assert graph(tmp_path, nodes=nodes).parted(TARGETS) == ([], TARGETS)
