"""Times as people write them."""

from __future__ import annotations

import pytest

from heyhi.config.duration import parse_hours


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("1:30:00", 1.5), ("100:00:36", 100.01), ("1-12", 36), ("1-12:30", 36.5), ("2-00:00:36", 48.01), ("1d", 24),
        ("1d12h", 36), ("1D 12h 30M", 36.5), ("90m", 1.5), ("1.5h", 1.5), ("36s", 0.01), (" 2h ", 2), ("0h", 0),
    ],
)  # fmt: skip
def test_a_time_is_read_as_hours(text: str, hours: float) -> None:
    assert parse_hours(text) == pytest.approx(hours)


@pytest.mark.parametrize(
    "text",
    ["", " ", "90", "1.5", "1:30", "h", "1h1d", "-1h", "1-", "1:2", "1::0", "UNLIMITED", "1e3h", "1 2h", "٣h", "1w"],
)
def test_what_is_no_time_or_may_be_two_is_none(text: str) -> None:
    assert parse_hours(text) is None
