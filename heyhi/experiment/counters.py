"""Which of the numbers in a line of metrics count its progress, as `step` and `epoch` do: these are no metrics."""

from __future__ import annotations

import re
from functools import lru_cache

from heyhi.experiment.directions import assumed, words

# The words that count, the finest first: of a line that has several, the first tells where it belongs.
_RANKS = {
    word: rank
    for rank, spellings in enumerate(
        (
            "step steps timestep timesteps",
            "iteration iterations iter iters",
            "update updates",
            "epoch epochs",
            "episode episodes round rounds generation generations",
            "samples tokens frames examples",
        )
    )
    for word in spellings.split()
}
# What may stand beside them in a name; with any other word it says something else: train_loss_step, steps_per_second.
_BESIDE = frozenset(
    "global local total num n number current env environment trainer train training val valid validation eval test"  # noqa: SIM905
    " agent learner optimizer optim opt gradient grad sampled trained seen processed consumed".split()
)


@lru_cache(maxsize=4096)
def counter_rank(name: str) -> tuple[int, int, str] | None:
    """Return by what a counter is sorted among those of a line, the first being the one to go by.

    Args:
        name: with the keys of nested dicts joined by dots.

    Returns:
        None where the name is no counter's.
    """
    prefix, own = re.fullmatch(r"(?:(.*)[/.])?([^/.]*)", name, re.DOTALL).groups("")  # type: ignore[union-attr]
    found = words(own)
    ranks = [_RANKS[word] for word in found if word in _RANKS]
    if not ranks or any(word not in _RANKS and word not in _BESIDE for word in found) or assumed(prefix) is not None:
        return None
    return ranks[-1], len(found), name


def is_counter(name: str) -> bool:
    """Return whether a name is a counter's: `step`, `trainer/global_step`, `Epoch`, `env_steps` and the like."""
    return counter_rank(name) is not None


@lru_cache(maxsize=1024)
def counters_among(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the counters among some names, the first to go by first."""
    return tuple(sorted(filter(is_counter, names), key=lambda name: counter_rank(name) or ()))
