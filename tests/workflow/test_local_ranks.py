"""An experiment in several processes of this machine, run by profiles/local."""

from __future__ import annotations

import json

from .conftest import Tiny


def test_profiles_local_runs_an_experiment_in_two_processes(tiny: Tiny) -> None:
    target = tiny.heyhi("expand", "--cfg", "conf/work.prototxt", "x=4", "launcher.local.tasks=2").strip()
    done = tiny.snakemake(target)
    assert done.returncode == 0, done.stderr
    assert tiny.ledger == ["work 4", "work 4"]
    folder = tiny.folder(target)
    assert json.loads(folder.result_path.read_text()) == {"y": 40}
    assert folder.log_path.read_text() == folder.log_path_of(1).read_text() == "said by 4\n"
    assert [type(record).__name__ for record in folder.attempts()] == ["Start", "End"]
