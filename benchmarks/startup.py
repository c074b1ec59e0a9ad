"""Compares how long commands take to answer with how long Python takes to import protobuf's text format.

The peer is the least that a tool with protobuf configs starts with: the interpreter, its site packages and
`google.protobuf.text_format`. `heyhi --help` needs less than that and adds argparse with ten commands;
`run.py --print` also loads the task file, the schema (from the cache), composes a config with an include, and
prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.table import Row
from benchmarks.timing import in_turns, median
from benchmarks.workspace import BARE_PYTHON, Effort, Workspace


def measure(effort: Effort) -> Iterator[Row]:
    """Measure both commands."""
    with Workspace() as work:
        costs = in_turns(
            {
                "heyhi --help": work.heyhi("--help"),
                "run.py --print": work.command(
                    sys.executable, "run.py", "--cfg", "conf/c02_sup_train/sl.prototxt", "--print"
                ),
                "import google.protobuf.text_format": work.command(*BARE_PYTHON),
            },
            effort.short_rounds,
        )
    shown, printed, peer = map(median, costs.values())
    yield Row("start-up: heyhi --help / import of protobuf", shown, peer, at_most=2)
    yield Row("start-up: run.py --print / import of protobuf", printed, peer, at_most=3)
