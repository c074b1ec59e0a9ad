"""The experiment that a slot of a search has chosen, composed from what the manifest holds: no file is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import Experiment
from heyhi.experiment.metric_log import Listener
from heyhi.experiment.slots import Choice, SlotDir
from heyhi.sweep.manifest import Manifest


def experiment_of(manifest: Manifest, target: str) -> Experiment:
    """Return the experiment that a target stands for: of a slot, the one that it has chosen.

    Raises:
        ManifestError: the manifest has none of this target.
        UnknownError: nobody can tell which one the slot is.
        HeyhiError: it has chosen none.
    """
    named = manifest.experiment(target)
    if not named.is_slot:
        return named
    choice = slot_dir_of(manifest, named).read_choice()
    if choice is None or not choice.exp_id:
        raise HeyhiError(f"{named.exp_id}: has chosen no experiment")
    return composed(manifest, named, choice)


def listeners_of(manifest: Manifest, target: str) -> Sequence[Listener]:
    """Return what is to be told each line that the experiment of a target logs."""
    named = manifest.experiment(target)
    if not named.is_slot or manifest.search is None:
        return ()
    from heyhi.job.pruning import rungs_of

    return rungs_of(slot_dir_of(manifest, named), manifest.search)


def slot_dir_of(manifest: Manifest, named: Experiment) -> SlotDir:
    """Return the folder of a slot."""
    return SlotDir(named.exp_path, manifest.results_root)


def composed(manifest: Manifest, named: Experiment, choice: Choice) -> Experiment:
    """Compose the experiment that a slot has chosen.

    Args:
        manifest: that the slot is of.
        named: the slot.
        choice: its choice, of an experiment.

    Raises:
        HeyhiError: it can't be composed: the config was changed since, say.
    """
    from heyhi.config.base import Base  # experiments of their own are composed already

    found = Base.from_bytes(manifest.base(), manifest.schema(), manifest.project).compose(choice.chosen)
    return Experiment(
        exp_id=choice.exp_id,
        exp_path=Path(manifest.results_root, choice.exp_id),
        identity=found.identity,
        task=found.task,
        config=found.message.SerializeToString(deterministic=True),
        needs=named.needs,
        roots=named.roots,
        files=found.files,
    )
