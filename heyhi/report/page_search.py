"""What a page's script is given of a search, as JSON holds it; page_files/search.js reads it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heyhi.text import number_text

if TYPE_CHECKING:
    from heyhi.report.searched import Searched


def search_payload(searched: Searched, ids: Sequence[str]) -> dict[str, Any]:
    """Return what a page draws of a search: a few numbers for each of its trials, whatever of them the table shows.

    Args:
        searched: the search.
        ids: exp ids of the experiments on the page.
    """
    spec, trials = searched.spec, searched.trials
    places = {exp_id: place for place, exp_id in enumerate(ids)}
    done, ended, died = (Counter(searched.last_rungs(state).values()) for state in ("done", "pruned", "dead"))
    return {
        "id": spec.search_id,
        "metric": spec.metric,
        "direction": spec.direction,
        "planned": spec.trials,
        "stops": spec.stop is not None,
        "best": searched.best_line or searched.missed,
        "slots": [trial.slot for trial in trials],
        "values": [_number(trial.value) for trial in trials],
        "states": [trial.state for trial in trials],
        "runs": [places.get(trial.exp_id, -1) for trial in trials],
        "rungs": [
            {"step": step, "reached": len(there), "done": done[step], "ended": ended[step], "died": died[step]}
            for step, there in sorted(searched.rungs.items())
            if there
        ],
        "importance": [[key, round(share, 4)] for key, share in searched.importance.items()],
        "unknown": searched.why_unknown,
    }


def _number(value: float | None) -> object:
    """Return a number, None for none, or `[text]` for one that JSON can't hold."""
    return value if value is None or math.isfinite(value) else [number_text(value, "g")]
