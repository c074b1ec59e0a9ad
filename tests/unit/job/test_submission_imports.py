"""What a `run.py` that submits to Slurm has no use for isn't loaded for it: a loop starts one process after another."""

from __future__ import annotations

import subprocess
import sys

LOADED = (
    "heyhi.cli.task_command, heyhi.code.snapshot, heyhi.job.launch, heyhi.job.submit, heyhi.slurm.reach,"
    " heyhi.sweep.index, heyhi.sweep.known, heyhi.sweep.twins, heyhi.sweep.write_manifest"
)
NOT_LOADED = {
    "argparse",
    "ast",
    "dataclasses",
    "google.protobuf.descriptor_pb2",
    "google.protobuf.text_format",
    "hashlib",
    "heyhi.code.work_tree_diff",
    "heyhi.config.base",
    "heyhi.config.compiling",
    "heyhi.config.composite",
    "heyhi.config.kept_files",
    "heyhi.config.normal_form",
    "heyhi.experiment.used",
    "heyhi.experiment.winners",
    "heyhi.job.grace",
    "heyhi.job.runner",
    "heyhi.job.slot_end",
    "heyhi.notify.whom",
    "heyhi.profiles",
    "heyhi.report",
    "heyhi.sweep.drift",
    "heyhi.sweep.file",
    "heyhi.sweep.provenance",
    "heyhi.sweep.search_spec",
    "inspect",
    "logging",
    "shutil",
    "socket",
    "tempfile",
    "tomllib",
    "urllib.parse",
    "weakref",
}


def test_a_submission_loads_nothing_that_it_does_not_use() -> None:
    code = f"import sys, {LOADED}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert NOT_LOADED & set(done.stdout.split()) == set()
