"""What a search is about, where none of its trials has it: it starts no more, and says so wherever it is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from heyhi.errors import HeyhiError, SweepError, suggest
from heyhi.experiment.slots import SearchDir, lacks_values
from heyhi.experiment.values import names_in
from heyhi.search.trial import Trial
from heyhi.search.trials import read_trials, trials_now
from heyhi.sweep.search_spec import SearchSpec

_MOST_NAMES = 12  # of metrics that are shown


def check_aim(spec: SearchSpec, trials: Iterable[Trial], folder_of: Callable[[str], str]) -> None:
    """Refuse to start more of a search whose trials don't have what it is about.

    Args:
        spec: what is searched.
        trials: its trials.
        folder_of: returns the folder of an exp id.

    Raises:
        SweepError: none of those that are done has it, with what they have instead.
    """
    if why := why_missed(spec, trials, folder_of):
        raise SweepError(f"{why}: no more trials are started")


def missed(search: SearchDir, spec: SearchSpec) -> str:
    """Say that none of a search's trials that are done, as they are by now, has what it is about; empty where one has.

    Args:
        search: its folder.
        spec: what is searched.
    """
    if not lacks_values(search):
        return ""
    root = search.results_root
    try:
        trials = trials_now(root, spec, read_trials(search, spec))
    except HeyhiError:  # who looks at its trials is told
        return ""
    return why_missed(spec, trials, lambda exp_id: str(root / exp_id))


def why_missed(spec: SearchSpec, trials: Iterable[Trial], folder_of: Callable[[str], str]) -> str:
    """Say that none of some trials that are done has what their search is about, and what the first one has instead.

    Args:
        spec: what is searched.
        trials: of it.
        folder_of: returns the folder of an exp id.

    Returns:
        nothing where one has it, or none is done.
    """
    ended = list(trials)
    first = next((trial for trial in ended if trial.state == "done"), None)
    if first is None or any(trial.value is not None for trial in ended):
        return ""
    try:
        names = names_in(Path(folder_of(first.exp_id)))
    except HeyhiError:
        names = []
    has = f"it has: {', '.join(names[:_MOST_NAMES])}" if names else "it has no other metric"
    lacks = f"'{spec.metric}'{suggest(spec.metric, names)}"
    return f"trial {first.slot} is done and has no {lacks}, which its search is about ({has})"
