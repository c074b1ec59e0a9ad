"""Which configuration of a sweep is the best: by the mean over its replicates, as in tables."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.best import Best
from heyhi.config.identity import Identity
from heyhi.errors import NeedsError
from heyhi.experiment.names import Status
from heyhi.report.winner import Candidate, best_group, first_of

MOST = Best("tune.py", "acc", "max")
LEAST = Best("tune.py", "loss", "min")


def candidate(exp_id: str, group: str, value: float | None, *, counts: bool = True) -> Candidate:
    return Candidate(exp_id, Status.DONE, value, counts, group, Identity("c", ()))


def chosen(best: Best, *candidates: Candidate) -> tuple[list[str], float, str]:
    group, value = best_group(best, candidates)
    return [one.exp_id for one in group], value, first_of(best, group).exp_id


def test_the_best_mean_wins_and_not_the_best_run() -> None:
    runs = (candidate("b1", "b", 9), candidate("b2", "b", 1), candidate("a2", "a", 6), candidate("a1", "a", 5))
    assert chosen(MOST, *runs) == (["a1", "a2"], 5.5, "a2")
    assert chosen(LEAST, *runs) == (["b1", "b2"], 5.0, "b2")


def test_of_equal_ones_the_smaller_exp_id_is_taken() -> None:
    runs = (candidate("c", "3", 1), candidate("b", "2", 1), candidate("a", "1", 0), candidate("b2", "2", 1))
    assert chosen(MOST, *runs) == (["b", "b2"], 1, "b")


def test_what_is_excluded_does_not_count_and_what_came_to_nothing_is_never_the_best() -> None:
    runs = (
        candidate("a", "1", 3),
        candidate("b", "2", 9, counts=False),
        candidate("b2", "2", 1),
        candidate("c", "3", 8),
        candidate("c2", "3", None),
        candidate("d", "4", math.inf),
    )
    assert chosen(MOST, *runs) == (["a"], 3, "a")


@pytest.mark.parametrize("runs", [(), (candidate("a", "1", None),), (candidate("a", "1", 1, counts=False),)])
def test_where_there_is_none_that_is_said(runs: tuple[Candidate, ...]) -> None:
    with pytest.raises(NeedsError, match=r"the best of tune\.py: no experiment"):
        best_group(MOST, runs)


@given(
    runs=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(-1e6, 1e6) | st.none(), st.booleans()), min_size=1, max_size=12
    )
)
def test_whatever_the_order_the_same_is_chosen(runs: list[tuple[str, float | None, bool]]) -> None:
    candidates = [
        candidate(f"{number:02}", group, value, counts=flag) for number, (group, value, flag) in enumerate(runs)
    ]
    try:
        found = chosen(MOST, *candidates)
    except NeedsError:
        return
    ids, mean, first = chosen(MOST, *reversed(candidates))
    assert (ids, first) == (found[0], found[2]) and math.isclose(mean, found[1], rel_tol=1e-9, abs_tol=1e-6)
