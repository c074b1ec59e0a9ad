"""How an experiment's earlier jobs ended, as far as the next one is to ask for something else."""

from __future__ import annotations

from collections.abc import Sequence

from heyhi.experiment.records import History
from heyhi.quick_tuple import NamedTuple


class Past(NamedTuple):
    """What counts of the past.

    Attributes:
        ooms: how often one ran out of memory.
        timeouts: how often one hit its time limit.
        bad_nodes: that the next one is kept from, as Slurm lists nodes.
    """

    ooms: int
    timeouts: int
    bad_nodes: tuple[str, ...]


def past_of(history: History, tries: int, faults: Sequence[str]) -> Past:
    """Return what counts of an experiment's past.

    Args:
        history: what is on record of it.
        tries: how many of its last attempts were this launch's.
        faults: texts by which a node's fault is known.
    """
    if not history.ends:
        return Past(0, 0, ())
    from heyhi.experiment.death import outside_state  # most that are submitted have no past
    from heyhi.job.left_out import nodes_to_avoid

    states = [outside_state(end) for end in history.ends]
    return Past(states.count("OUT_OF_MEMORY"), states.count("TIMEOUT"), nodes_to_avoid(history, tries, faults))
