"""Ctrl-C and SIGTERM in a run of Snakemake: what runs is told once and waited for, the end reads as what it is."""

from __future__ import annotations

import os
import signal
import time

import pytest

from heyhi.experiment.status import find_state

from .conftest import SECONDS, Tiny, until

STUBBORN = """
import time


def main(task, cfg, log_level):
    print("begun", flush=True)
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            print("no", flush=True)
"""


def ends(tiny: Tiny) -> list[str]:
    return sorted(find_state(path.parent).text for path in tiny.root.glob("results/p/work/*/attempts.jsonl"))


@pytest.mark.parametrize(("sign", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_for_the_controller_alone_reaches_what_it_runs_and_the_same_command_goes_on(
    tiny: Tiny, sign: signal.Signals, name: str
) -> None:
    for x in (1, 2):
        tiny.make_gate(x)
    first = tiny.start()
    assert {tiny.wait_at_gate()[0], tiny.wait_at_gate()[0]} == {1, 2}

    first.send_signal(sign)
    out, err = first.communicate(timeout=SECONDS)

    assert first.returncode == 128 + sign, err
    assert f"{name}: waiting for 2 runs to end" in err
    assert f"stopped by {name}; the same command goes on" in err
    for noise in ("WorkflowError", "Traceback", "this might take some time", "Will exit"):
        assert noise not in err + out
    assert ends(tiny) == [f"DEAD (exit code {128 + sign}: stopped by {sign.name})"] * 2

    second = tiny.start()
    for _ in range(2):
        tiny.open_gate(tiny.wait_at_gate()[0])
    out, err = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, err
    assert sorted(tiny.ledger) == ["work 1", "work 1", "work 2", "work 2", "work 3"]


def test_ctrl_c_again_and_again_kills_what_will_not_end(tiny: Tiny) -> None:
    (tiny.root / "run.py").write_text(STUBBORN)
    run = tiny.start("--config", "sweep=conf/sweep.py")
    logs = lambda: [path.read_text() for path in tiny.root.glob("results/p/work/*/log.txt")]  # noqa: E731
    until(lambda: sum("begun" in log for log in logs()) == 2)

    run.send_signal(signal.SIGINT)
    until(lambda: sum("no" in log for log in logs()) == 2)
    deadline = time.monotonic() + SECONDS
    while run.poll() is None:
        assert time.monotonic() < deadline, "it goes on"
        run.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, err = run.communicate(timeout=SECONDS)

    assert run.returncode == 130, err
    assert "Ctrl-C: 2 runs are killed" in err
    assert "Traceback" not in err
    assert all(text.startswith("DEAD (") for text in ends(tiny))
    assert not [path for path in tiny.root.glob("results/p/work/*/log.txt") if path.read_text().count("no") > 2]


def test_ctrl_c_while_a_sweep_is_expanded_starts_nothing(tiny: Tiny) -> None:
    os.mkfifo(tiny.root / "begun")
    (tiny.root / "conf/sweep.py").write_text(
        "import time\n\n\ndef yield_sweep():\n    open('begun', 'w').close()\n    time.sleep(600)\n    yield 'x', {}\n"
    )
    run = tiny.start("--config", "sweep=conf/sweep.py")
    with (tiny.root / "begun").open():
        run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=SECONDS)

    assert run.returncode == 130, err
    assert "Traceback" not in err + out
    assert not tiny.ledger
