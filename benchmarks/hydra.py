"""Compares a point of `heyhi expand` with composing a like config by hydra-core, the usual tool for it.

The peer gets the same fields with the same values as a YAML tree, the launcher as a config group, the two swept
fields as overrides; `initialize_config_dir` is called once and `compose` once a point, as its documentation says for
programs. Both are whole processes, less the same process with one point. HeyHi does more for its time: it checks
types, names the experiment, and writes the manifest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.expand import expand_command
from benchmarks.table import Row
from benchmarks.timing import beyond, in_turns
from benchmarks.workspace import Effort, Workspace

GOAL = 500.0
_FILES = {
    "sl.yaml": """\
defaults:
  - launcher: local
  - _self_
epochs: 50
batch_size: 32
lr: 0.03
weight_decay: 0.0
sgd:
  momentum: 0.9
hidden_sizes: [64]
activation: RELU
val_fraction: 0.2
seed: 0
""",
    "launcher/local.yaml": """\
local:
  cpus: 1
""",
    "launcher/slurm.yaml": """\
slurm:
  num_gpus: 0
  hours: 1
""",
}


def measure(effort: Effort) -> Iterator[Row]:
    """Measure a point of each."""
    ours_size, peer_size = 10_000, 20
    with Workspace() as work:
        tree = work.folder / "hydra"
        write_tree(tree)
        costs = in_turns(
            {
                f"heyhi expand, {ours_size:,} points": expand_command(work, ours_size),
                "heyhi expand, 1 point": expand_command(work, 1),
                f"hydra compose, {peer_size} points": work.command(sys.executable, __file__, tree, str(peer_size)),
                "hydra compose, 1 point": work.command(sys.executable, __file__, tree, "1"),
            },
            effort.rounds,
        )
    ours, our_start, peer, peer_start = costs.values()
    a_point = beyond(ours, our_start, ours_size - 1)
    yield Row("hydra: its compose / a point of 10,000", a_point, beyond(peer, peer_start, peer_size - 1), at_least=GOAL)


def write_tree(tree: Path) -> None:
    """Write the peer's configs."""
    for name, text in _FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)


def _compose(tree: Path, count: int) -> None:
    """Do what the peer does; this file is run as a script for it."""
    # Its own folder comes first on the path, and this file has hydra's name.
    sys.path.pop(0)
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(config_dir=str(tree), version_base=None):
        for seed in range(count):
            config = compose(config_name="sl", overrides=[f"lr={0.5 + seed / 1e6}", f"seed={seed}"])
            assert config.seed == seed and config.launcher.local.cpus == 1


if __name__ == "__main__":
    _compose(Path(sys.argv[1]), int(sys.argv[2]))
