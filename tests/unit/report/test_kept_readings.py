"""What is remembered of experiments: which of them have to be read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME, RESULT_NAME
from heyhi.report.kept_readings import UNKNOWN, Remembered, look_at
from heyhi.report.readings import Reading, Readings


def _remembered(folder: Path) -> Remembered:
    return Remembered(Readings.of([Reading("DONE")]), [look_at(str(folder)).stamp])


@pytest.mark.parametrize("names", [(RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME), (RESULT_NAME, METRICS_NAME)])
@pytest.mark.parametrize("changed", [RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME])
def test_what_is_done_is_read_again_once_any_file_changes(tmp_path: Path, names: tuple[str, ...], changed: str) -> None:
    for name in names:
        (tmp_path / name).write_text("{}\n")
    kept = _remembered(tmp_path)
    assert kept.changed([str(tmp_path)]) == []
    with (tmp_path / changed).open("a") as file:
        file.write("{}\n")
    assert kept.changed([str(tmp_path)]) == [0]


def test_a_result_without_other_files_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / RESULT_NAME).write_text("")
    kept = _remembered(tmp_path)
    assert kept.changed([str(tmp_path)]) == []
    os.utime(tmp_path / RESULT_NAME, (1, 1))
    assert kept.changed([str(tmp_path)]) == [0]


@pytest.mark.parametrize("names", [(), (METRICS_NAME, ATTEMPTS_NAME)])
def test_what_has_no_result_and_what_is_unknown_is_always_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("{}\n")
    assert _remembered(tmp_path).changed([str(tmp_path)]) == [0]
    (tmp_path / RESULT_NAME).write_text("{}\n")
    assert Remembered(Readings.of([Reading("DONE")]), [UNKNOWN]).changed([str(tmp_path)]) == [0]


@pytest.mark.parametrize("names", [["a/x", "a/xy", "a/xyz"], ["a", "a/b"], ["ab/c", "ac/c"], ["a/b"], ["ä/ö", "z"]])
def test_folders_are_found_wherever_they_lie_beside_or_in_one_another(tmp_path: Path, names: list[str]) -> None:
    folders = [tmp_path / name for name in names]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate((RESULT_NAME, METRICS_NAME, ATTEMPTS_NAME)):
            (folder / name).write_text(f"{folder}" * number)
    paths = list(map(str, folders))
    kept = Remembered(Readings.of([Reading("DONE")] * len(paths)), [look_at(path).stamp for path in paths])
    assert kept.changed(paths) == []
    for place, folder in enumerate(folders):
        os.utime(folder / ATTEMPTS_NAME, (1, 1))
        assert kept.changed(paths) == list(range(place + 1))


def test_what_lies_in_no_folder_that_is_there_has_changed(tmp_path: Path) -> None:
    kept = Remembered(Readings.of([Reading("DONE")] * 2), [(1,) * 9] * 2)
    assert kept.changed([str(tmp_path / "gone/a"), str(tmp_path / "gone/b")]) == [0, 1]
