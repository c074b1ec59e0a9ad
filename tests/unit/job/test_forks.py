"""A process that main has forked and that leaves main: it ends there, and the parent's result is the one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.records import Start
from heyhi.experiment.status import find_state
from heyhi.sweep.expand import expand
from heyhi.sweep.write_manifest import write_manifest

FORK = """
def main(task, cfg, log_level):
    child = os.fork()
    if child == 0:
        print("from the child")
        {leave}
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("from the parent")
    return {{"child": code}}
"""
# How a child leaves main -> its exit code, and what it has printed.
LEAVES = {
    'return {"child": "has returned"}': (0, ""),
    "return None": (0, ""),
    'raise RuntimeError("in the child")': (1, "RuntimeError: in the child"),
    "sys.exit(7)": (7, ""),
    "sys.exit()": (0, ""),
    'sys.exit("in words")': (1, "in words"),
    "sys.exit(-1)": (255, ""),
    "raise KeyboardInterrupt": (130, "KeyboardInterrupt"),
}


@pytest.mark.parametrize("leave", LEAVES)
def test_in_a_job_the_parent_s_result_is_the_one(task_lab: Any, leave: str) -> None:
    code, says = LEAVES[leave]
    wrapper = "import atexit; atexit.register(lambda: print('the end'))"
    assert task_lab.run(FORK.format(leave=leave), wrapper) == (0, "the end\n", "")
    folder = task_lab.folder()
    assert folder.read_result() == {"child": code}
    assert [type(record) for record in folder.attempts()][:1] == [Start] and len(folder.attempts()) == 2
    lines = folder.log_path.read_text().splitlines()
    assert lines[0] == "from the child" and lines[-1] == "from the parent"
    assert (says in lines) if says else len(lines) == 2
    assert not any("heyhi/" in line for line in lines)  # a traceback shows the task's lines alone


@pytest.mark.parametrize("leave", LEAVES)
def test_in_a_program_the_rest_runs_once(task_lab: Any, leave: str) -> None:
    code, says = LEAVES[leave]
    text = FORK.format(leave=leave) + (
        '\nhandle = heyhi.maybe_launch(main, cfg="job", overrides=["lr=0.5"])\n'
        'print("the rest:", handle.get_status(), handle.result())\n'
    )
    done, out, err = task_lab.end(task_lab.program(text))
    assert done == 0, err
    assert out.splitlines() == ["from the child", "from the parent", f"the rest: DONE {{'child': {code}}}"]
    log = task_lab.folder().log_path.read_text()
    assert says in err and log.count("from the child") == log.count("from the parent") == 1, log


def test_a_child_that_outlives_main_writes_nothing(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            if os.fork() == 0:
                meet("go")
                return {"child": True}
            return {"parent": True}
        """
    process = task_lab.start(main)
    assert process.wait(60) == 0
    task_lab.meet("go")
    process.communicate(timeout=60)  # until the child has ended, too
    assert task_lab.folder().read_result() == {"parent": True}
    assert len(task_lab.folder().attempts()) == 2 and not task_lab.folder().claim_path.exists()


def test_a_child_that_returns_when_the_parent_has_failed_makes_nothing_done(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            if os.fork() == 0:
                return {"child": True}
            os.wait()
            raise ValueError("in the parent")
        """
    assert task_lab.run(main)[0] == 1
    assert find_state(task_lab.folder().path) == (Status.DEAD, "exit code 1: ValueError: in the parent")


def test_what_a_decorated_main_returns_in_a_child_is_not_saved(task_lab: Any) -> None:
    main = """
        @heyhi.save_result_in_cwd
        def main(task, cfg, log_level):
            child = os.fork()
            if child == 0:
                return {"child": True}
            os.waitpid(child, 0)
            assert not os.path.exists("result.json")
            return {"parent": True}
        """
    assert task_lab.run(main) == (0, "", "")
    assert task_lab.folder().read_result() == {"parent": True}


def test_a_child_that_has_printed_much_holds_nothing_up(task_lab: Any) -> None:
    """More than a pipe holds, from both at once, where the output goes through a pump."""
    text = """
        def main(task, cfg, log_level):
            child = os.fork()
            for _ in range(30_000):
                print("c" if child == 0 else "p")
            if child == 0:
                return {"child": True}
            os.waitpid(child, 0)

        heyhi.maybe_launch(main, cfg="job", overrides=["lr=0.5"])
        """
    code, out, err = task_lab.end(task_lab.program(text))
    assert code == 0, err
    for text in (out, task_lab.folder().log_path.read_text()):
        assert text.count("c") == text.count("p") == 30_000


def manifest_of(lab: Any) -> tuple[str, str]:
    expansion = expand(lab.project, lab.schema, [("conf/job.prototxt", ["lr=0.5"])])
    return str(expansion.experiments[-1].target), str(write_manifest(expansion, lab.project, lab.schema))


@pytest.mark.parametrize("leave", LEAVES)
def test_in_a_rank_the_parent_s_result_is_the_one(task_lab: Any, leave: str, tmp_path: Path) -> None:
    code, says = LEAVES[leave]
    task_lab.write(FORK.format(leave=leave))
    target, manifest = manifest_of(task_lab)
    Path(target).parent.mkdir(parents=True)
    notes = tmp_path / "notes"
    notes.mkdir()
    words = [target, "--manifest", manifest, "--code-root", str(task_lab.root), "--notes", str(notes)]
    process = task_lab.open([sys.executable, "-m", "heyhi.job.ranks", *words], stdin=subprocess.DEVNULL)
    assert task_lab.end(process) == (0, "", "")
    assert sorted(path.name for path in notes.iterdir()) == ["0.json", "0.used.json"]
    note = json.loads((notes / "0.json").read_text())
    assert note["reason"] == "done" and json.loads(note["result"]) == {"child": code}
    assert says in task_lab.folder().log_path.read_text()


def test_a_child_of_a_rank_that_outlives_it_leaves_no_note(task_lab: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    task_lab.write(f"""
        def main(task, cfg, log_level):
            if os.fork() == 0:
                while not os.path.exists("{notes}/0.json"):
                    time.sleep(0.01)
                return {{"child": True}}
            return {{"parent": True}}
        """)
    target, manifest = manifest_of(task_lab)
    Path(target).parent.mkdir(parents=True)
    words = [target, "--manifest", manifest, "--code-root", str(task_lab.root), "--notes", str(notes)]
    process = task_lab.open([sys.executable, "-m", "heyhi.job.ranks", *words], stdin=subprocess.DEVNULL)
    assert task_lab.end(process) == (0, "", "")  # its output ends when the child has ended, too
    assert json.loads(json.loads((notes / "0.json").read_text())["result"]) == {"parent": True}


@pytest.mark.parametrize("leave", ["return {}", 'raise RuntimeError("in the child")', "sys.exit(7)"])
def test_in_a_pack_the_parent_s_result_is_the_one(task_lab: Any, leave: str, tmp_path: Path) -> None:
    task_lab.write(FORK.format(leave=leave))
    target, manifest = manifest_of(task_lab)
    Path(target).parent.mkdir(parents=True)
    (tmp_path / "list.json").write_text(json.dumps([target]))
    words = [
        str(tmp_path / "list.json"),
        "--job",
        "0a:nonce",
        "--manifest",
        manifest,
        "--code-root",
        str(task_lab.root),
    ]
    process = task_lab.open(
        ["env", "SLURM_JOB_ID=7", sys.executable, "-m", "heyhi.job.pack", *words, "--slots", "1"],
        stdin=subprocess.DEVNULL,
    )
    code, out, err = task_lab.end(process)
    assert (code, out, err) == (0, f"{task_lab.folder().path}: ended with exit code 0\n", "")
    assert task_lab.folder().read_result() == {"child": LEAVES.get(leave, (0, ""))[0]}
    assert len(task_lab.folder().attempts()) == 2
