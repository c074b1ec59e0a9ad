"""What jobs are called in Slurm's lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.config.identity import Identity
from heyhi.experiment.folder import Experiment
from heyhi.job.job_name import job_name


def experiment(*overrides: str, cfg: str = "conf/c02_sup_train/sl.prototxt") -> Experiment:
    return Experiment("p/c02_sup_train/sl/x", Path("/r/x"), Identity(cfg, overrides), "train", b"")


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (experiment(), "c02_sup_train/sl"),
        (experiment("lr=0.1", "seed=3"), "c02_sup_train/sl lr=0.1,seed=3"),
        (experiment('name="a\\nb"'), "c02_sup_train/sl name=_a_nb_"),
        (experiment(cfg="conf/a.prototxt"), "a"),
    ],
)
def test_a_job_is_called_by_its_config_and_what_varies(one: Experiment, name: str) -> None:
    assert job_name([one]) == name


def test_a_pack_is_called_by_its_first_and_how_many_more() -> None:
    assert job_name([experiment(f"seed={seed}") for seed in range(8)]) == "c02_sup_train/sl seed=0 +7"


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    name = job_name([experiment(f"note={'x' * 300}", "seed=3"), experiment()])
    assert len(name) == 100 and name.startswith("c02_sup_train/sl note=xx") and name.endswith("xx,seed=3 +1")


def test_a_name_of_the_users_own_may_have_tags() -> None:
    one = experiment("lr=0.1")
    assert job_name([one], "mine") == "mine"
    assert job_name([one], "%(task)s of %(cfg)s: %(redefines)s \n%x") == "train of sl: lr=0.1 %x"
    assert job_name([one, one], "%(cfg_folder)s %(exp_id)s") == "c02_sup_train p/c02_sup_train/sl/x +1"
