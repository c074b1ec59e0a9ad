"""A name that was mistyped is told from one that was another name."""

from __future__ import annotations

import pytest

from heyhi.slips import is_slip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("epoch", "epochs"),
        ("lerning_rate", "learning_rate"),
        ("learnin_rat", "learning_rate"),
        ("lrr", "lr"),
        ("Batch-Size", "batch_size"),
        ("wrok", "work"),
        ("lokal", "local"),
        ("--jsn", "--json"),
        ("momentum", "sgd.momentum"),
        ("sl", "train/sl"),
        ("DONE", "done"),
    ],
)
def test_a_slip_is_one(typed: str, meant: str) -> None:
    assert is_slip(typed, meant)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("nodes", "noise"),
        ("max_steps", "launcher.slurm.max_attempts"),
        ("--max_steps", "--max"),
        ("ntasks", "launcher.local.tasks"),
        ("cpus", "gpus"),
        ("lt", "lr"),
        ("min", "max"),
        ("steps", "seeds"),
        ("batch", "batch_size"),
        ("--multirun", "--min"),
        ("", "x"),
        ("x", ""),
    ],
)
def test_another_name_is_none(typed: str, meant: str) -> None:
    assert not is_slip(typed, meant)
