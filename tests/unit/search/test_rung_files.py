"""What trials had at rungs: an empty file each, which nobody changes, whoever comes at once."""

from __future__ import annotations

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from heyhi.experiment.slots import SearchDir
from heyhi.search.rung_files import EndedAt, RungFiles

ID = "0123456789abcdef"


def test_all_that_come_at_once_are_there_and_each_sees_itself(tmp_path: Path) -> None:
    search = SearchDir(tmp_path, ID)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda slot: RungFiles(search).note(3, slot, slot / 7), range(64)))
    assert all(there[slot] == slot / 7 for slot, there in enumerate(seen))
    assert RungFiles(search).read() == {3: {slot: slot / 7 for slot in range(64)}}
    assert len(seen[-1]) > 1, "some see others"
    first = {min(a, b) for a in range(64) for b in range(a) if a not in seen[b] and b not in seen[a]}
    assert not first, "of two that come at once, one sees the other"


@given(st.floats())
def test_a_value_is_read_as_it_was_written(value: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = RungFiles(SearchDir(folder, ID))
        files.note(27, 12345, value)
        found = files.of(12345)[27]
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_what_nobody_has_come_to_is_empty(tmp_path: Path) -> None:
    files = RungFiles(SearchDir(tmp_path, ID))
    assert files.read() == {} and files.of(7) == {}


def test_where_a_trial_is_to_be_ended_is_known_when_it_comes_again(tmp_path: Path) -> None:
    files = RungFiles(SearchDir(tmp_path, ID))
    for step in (3, 9, 27):
        for slot in (7, 8):
            files.note(step, slot, step / slot)
    assert files.ended(7) is None
    files.note_ended(7, EndedAt(9, 9 / 7, 2, 3))
    assert files.ended(7) == EndedAt(9, 9 / 7, 2, 3) and files.ended(8) is None
    assert files.read()[9] == {7: 9 / 7, 8: 9 / 8}
