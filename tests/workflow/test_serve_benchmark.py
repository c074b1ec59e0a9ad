"""The benchmark of `heyhi serve` runs, on few experiments: whatever it measures, it finds what it waits for."""

from __future__ import annotations

import pytest

from benchmarks.in_chromium import Chromium, find_chromium
from benchmarks.serve import Sizes, measure
from benchmarks.timing import CommandFailed
from benchmarks.workspace import Effort
from tests.threads import in_thread


class Once(Effort):
    """One round, after the one that isn't counted."""

    rounds = 1


def test_the_benchmark_finds_the_table_news_and_curves_on_all_sides() -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    sizes = Sizes(experiments=200, curves=6, points=60, idle=0.5, settled=0.2, rounds=1)

    rows = {row.what.removeprefix("serve: "): row for row in in_thread(lambda: list(measure(Once(), sizes)))}

    assert list(rows) == [
        "table of 200, kept / 1.5 s",
        "statuses of 200, cold / 1.5 s",
        "table of 200, cold / 6 s",
        "the same / bare orjson",
        "idle, one viewer / 2 % of a core",
        "until 1 % changed are answered / 3 s",
        "1 % changed / MLflow",
        "the same with their curves / MLflow",
        "memory for 200 / 200 MB",
        "6 x 60 of 3 metrics, answered / TensorBoard",
        "memory for these / 200 MB",
        *(["6 x 60 in Chromium / 2 s", "6 x 60 of 3 metrics, drawn / TensorBoard"] if find_chromium() else []),
    ]
    assert all(row.ours.wall > 0 and row.peer.wall > 0 for row in rows.values())


def test_a_page_that_is_not_there_fails_as_a_command_does() -> None:
    if not find_chromium():
        pytest.skip("no Chromium")

    def draw() -> None:
        with Chromium() as chromium:
            chromium.draw_served("http://127.0.0.1:1/", 1)

    with pytest.raises(CommandFailed, match=r"Chromium: .*127\.0\.0\.1:1"):
        in_thread(draw)
