"""What a submission takes and gives: the order that all jobs of a launch share, and the receipt of each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from heyhi.code.snapshot import Snapshot, code_told
from heyhi.config.schema import Schema
from heyhi.experiment.owner import Owner
from heyhi.project import NODE_FAULTS, SCHEDULING_KEYS, Project
from heyhi.quick_tuple import NamedTuple
from heyhi.sha import sha256
from heyhi.sweep.manifest import Manifest

if TYPE_CHECKING:
    from heyhi.sweep.search_spec import SearchSpec

PACKS_NAME = "packs"  # folder of the jobs that run several experiments, in the state root
PACK_LIST_NAME = "targets.json"


class Order(NamedTuple):
    """What all jobs of a launch have in common.

    Attributes:
        manifest: what the jobs read their experiments from.
        schema: of their configs.
        results_root: of the experiments; the mark by which its jobs are found follows from it.
        state_root: where HeyHi keeps what belongs to no experiment.
        code_root: folder that the task file is imported from.
        snapshot: of the code, where one was made.
        log_level: for main.
        identity_ignore: patterns of the keys that only say how a run is scheduled.
        continue_drifted: whether what has progress goes on with another config, too.
        node_faults: texts by which a failure is known as the node's.
        entry: function that they run, empty for that of the settings; None: each what it was launched with before.
        search: of the slots among them.
        launch: name of the launch, see `ControllerSpec`; empty where it doesn't matter.
        is_alone: nobody waits for the jobs: each sees to its own retries.
    """

    manifest: Path
    schema: Schema
    results_root: Path
    state_root: Path
    code_root: Path
    snapshot: Snapshot | None = None
    log_level: str = "INFO"
    identity_ignore: tuple[str, ...] = SCHEDULING_KEYS
    continue_drifted: bool = False
    node_faults: tuple[str, ...] = NODE_FAULTS
    entry: str | None = None
    search: SearchSpec | None = None
    launch: str = ""
    is_alone: bool = False

    @property
    def root_mark(self) -> str:
        """Mark of the results root in its jobs' comments."""
        return root_mark(self.results_root)


def order_of(
    manifest: Manifest,
    project: Project,
    *,
    no_snapshot: bool,
    continue_drifted: bool,
    config: Mapping[str, object] = MappingProxyType({}),
) -> Order:
    """Return what the jobs of a manifest's experiments have in common; a copy of the code is made where there is none.

    Args:
        manifest: of the experiments.
        project: that launches them.
        no_snapshot: run the code of the work tree instead of a copy.
        continue_drifted: go on with another config than what has progress, too.
        config: Snakemake's, which may name a copy of the code.
    """
    snapshot = None
    if not no_snapshot and manifest.code_root == project.root:
        snapshot = code_told(project, config)
    return Order(
        manifest=manifest.path,
        schema=manifest.schema(),
        results_root=manifest.results_root,
        state_root=project.state_root,
        code_root=snapshot.root if snapshot is not None else manifest.code_root,
        snapshot=snapshot,
        identity_ignore=manifest.project.settings.identity_ignore,
        continue_drifted=continue_drifted,
        node_faults=manifest.project.settings.node_faults,
        search=manifest.search,
    )


class Receipt(NamedTuple):
    """The outcome of a submission.

    Attributes:
        job_id: of the new job; empty where there was nothing left to submit.
        owned: exp path -> who has the experiment already; None where it is done.
        refused: exp path -> why the experiment is not gone on with.
    """

    job_id: str
    owned: dict[Path, Owner | None]
    refused: Mapping[Path, str] = {}


@lru_cache(maxsize=16)  # it is asked for with each job that is waited for
def root_mark(results_root: Path) -> str:
    """Return the mark of a results root, by whatever path it is reached: its jobs have it in their comments."""
    return sha256(str(results_root.resolve()).encode()).hexdigest()[:10]
