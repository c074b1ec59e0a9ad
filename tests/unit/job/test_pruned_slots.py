"""Trials that their search ends early, as their slots' jobs run them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.slots import SlotEnd
from heyhi.experiment.status import find_state
from heyhi.search.rung_files import RungFiles

from .test_slot import SearchLab

SEARCH = """
import heyhi

SEARCH = heyhi.Search(
    cfg="conf/job", space={"lr": "uniform(0,1)"}, max="val.y", trials=4, stop=heyhi.ASHA(grace=3, factor=3)
)
"""
TRAIN = """
def main(task, cfg, log_level):
    def save():
        {save}
        pathlib.Path("checkpoint").write_text(str(epoch))

    heyhi.maybe_init_requeue_handler(save)
    done = pathlib.Path("checkpoint")
    epoch = int(done.read_text()) if done.exists() else 0
    open("ran.txt", "a").write("x")
    while epoch < 10:
        epoch += 1
        heyhi.log({{"val": {{"y": cfg.lr}}}}, epoch=epoch)
        {after}
    return {{"val": {{"y": cfg.lr}}}}
"""
WHY = "ended at epoch 3: val.y 0.1, among the worst 2 of 3"


def train(save: str = "pass", after: str = "pass") -> str:
    return TRAIN.format(save=save, after=after)


@pytest.fixture
def search(task_lab: Any) -> SearchLab:
    """Return a search of which two trials are there, and the third is worse."""
    search = SearchLab(task_lab, SEARCH)
    search.points(0.9, 0.8, 0.1, 0.7)
    for number in (0, 1):
        assert run(search, train(), number) == 0
    return search


def run(search: SearchLab, main: str, number: int = 2, *words: str) -> int:
    code, _ = search.run(main, *words, number=number)
    return code


def check(search: SearchLab, why: str = WHY) -> None:
    """Check that the third trial was ended early, for good."""
    slot, folder = search.slot(2), search.folder(2)
    assert find_state(folder.path) == (Status.PRUNED, why)
    end = slot.read_end()
    assert end is not None and end == SlotEnd(folder.exp_id, "PRUNED", 0.1, why, end.time)
    assert not folder.claim_path.exists() and not slot.claim_path.exists()


def epochs(search: SearchLab, number: int = 2) -> list[int]:
    lines = search.folder(number).metrics_path.read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


def test_a_trial_among_the_worst_is_over_and_its_job_ends_well(search: SearchLab) -> None:
    assert run(search, train()) == 0
    check(search)
    assert epochs(search) == [1, 2, 3] and (search.folder(2).path / "checkpoint").read_text() == "3"
    assert epochs(search, 0) == list(range(1, 11)), "the others went on to their end"
    assert RungFiles(search.slot(2).search).read() == {3: {0: 0.9, 1: 0.8, 2: 0.1}, 9: {0: 0.9, 1: 0.8}}
    assert run(search, train()) == 0 and search.ran(2) == 1, "the search never goes on with it"
    assert run(search, train(), 3) == 0 and search.slot(3).read_end() is not None
    assert find_state(search.folder(3).path).reason == "ended at epoch 3: val.y 0.7, among the worst 3 of 4"


def test_what_a_main_logs_on_that_catches_it_is_not_written_and_not_its_value(search: SearchLab) -> None:
    line = 'heyhi.log({"val": {"y": cfg.lr}}, epoch=epoch)'
    better = line.replace("cfg.lr", "cfg.lr if epoch <= 3 else 0.95")
    main = train().replace(line, f"try: {better}\n        except BaseException: pass")
    assert main != train() and run(search, main) == 0
    check(search)
    assert epochs(search) == [1, 2, 3]


def test_an_ordinary_run_of_its_point_goes_on_to_the_end_and_is_compared_with_none(search: SearchLab) -> None:
    assert run(search, train()) == 0
    main = train() + (
        "\nif __name__ == '__main__':\n"
        "    heyhi.parse_args_and_maybe_launch(main, ['--cfg', 'job', 'lr=0.1', *sys.argv[1:]])\n"
    )
    process = search.lab.program(main)
    assert "--mode start_continue goes on from its files" in search.lab.end(process)[1]
    process = search.lab.program(main.replace("*sys.argv[1:]", "'--mode', 'start_continue'"))
    code, _, err = search.lab.end(process)
    assert code == 0, err
    assert epochs(search) == list(range(1, 11)) and find_state(search.folder(2).path).status is Status.DONE
    end = search.slot(2).read_end()
    assert end is not None and end.status == "PRUNED", "for the search it is what it was"
    assert 2 not in RungFiles(search.slot(2).search).read()[9]


@pytest.mark.parametrize(
    "kill",
    [{"save": "os.kill(os.getpid(), 9)"}, {"after": "epoch == 3 and os.kill(os.getpid(), 9)"}],
    ids=["before its checkpoint", "before its end is on record"],
)
def test_one_that_is_killed_while_it_is_ended_is_ended_when_it_comes_again(
    search: SearchLab, kill: dict[str, str]
) -> None:
    main = train(**kill)
    if "after" in kill:  # the process ends where main would go on that has caught it
        main = main.replace("        heyhi.log(", "        with contextlib.suppress(heyhi.Pruned): heyhi.log(")
        main = f"import contextlib\n{main}"
    assert search.lab.end(search.start(main, number=2))[0] == -9
    assert find_state(search.folder(2).path).status is Status.DEAD and search.slot(2).read_end() is None
    assert run(search, train()) == 0
    again = "save" in kill  # from the beginning, without a checkpoint
    check(search, WHY if again else WHY.replace("epoch 3: val.y 0.1", "epoch 4: val.y 0.1 at epoch 3"))
    assert search.ran(2) == 2 and RungFiles(search.slot(2).search).read()[3][2] == 0.1


@pytest.mark.usefixtures("srun")
def test_ranks_of_a_trial_end_together(search: SearchLab) -> None:
    wait = "heyhi.is_master() or time.sleep(600)"
    assert run(search, train(after=wait), 2, "--tasks", "2") == 0
    check(search)
    assert epochs(search) == [1, 2, 3] and (search.folder(2).path / "checkpoint").read_text() == "3"
