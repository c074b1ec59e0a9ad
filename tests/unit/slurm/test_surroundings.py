"""What of the environment Slurm's commands and our jobs get; real jobs are in tests/slurm/test_surroundings.py."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.errors import LauncherError
from heyhi.slurm.cluster import check_clusters
from heyhi.slurm.surroundings import environment, leave_job

from .test_commands import Command, command

__all__ = ["command"]

# As a job, its ranks and their user leave them.
OF_JOBS = [
    "SLURM_JOB_ID", "SLURM_PROCID", "SLURM_CPU_BIND", "SLURM_NTASKS", "SLURM_MEM_PER_NODE", "SLURM_EXPORT_ENV",
    "SLURMD_NODENAME", "SRUN_CPUS_PER_TASK", "SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN", "SLURM_CLUSTERS",
    "SBATCH_WAIT", "SBATCH_ARRAY_INX", "SBATCH_GRES", "SQUEUE_PARTITION", "SQUEUE_FORMAT2", "SCANCEL_STATE",
    "SACCT_FORMAT", "SINFO_SORT", "SCONTROL_ALL", "SPRIO_FORMAT", "SALLOC_ACCOUNT", "RANK", "WORLD_SIZE",
    "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "PMI_RANK", "PMIX_RANK",
    "OMPI_COMM_WORLD_RANK", "OMPI_MCA_orte_jobid", "HEYHI_NOTICE", "HEYHI_CLAIM",
]  # fmt: skip
OF_THE_USER = [
    "PATH", "HOME", "SLURM_CONF", "SLURM_JWT", "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_QOS",
    "SBATCH_RESERVATION", "SBATCH_WCKEY", "HH_EXP_DIR", "OMPI_MCA_btl", "PMIX_MCA_psec", "OMP_NUM_THREADS",
    "RANKING", "MASTER_KEY", "SLURMISH", "MY_SLURM_JOB_ID",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_JOBS)
def test_what_a_job_or_its_ranks_have_set_reaches_no_other_job(name: str) -> None:
    assert environment({name: "1", "HOME": "/h"}) == {"HOME": "/h"}


@pytest.mark.parametrize("name", OF_THE_USER)
@pytest.mark.parametrize("around", [{}, {"SLURM_JOB_ID": "7"}])
def test_what_the_user_has_set_stays(name: str, around: dict[str, str]) -> None:
    assert environment({name: "1", **around}) == {name: "1"}


def test_the_gpus_of_a_job_are_not_those_of_another_one() -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "3", "ROCR_VISIBLE_DEVICES": "3"}
    assert environment(gpus) == gpus, "outside a job they are the user's own"
    assert environment({**gpus, "SLURM_JOB_ID": "7"}) == {}


@given(st.dictionaries(st.sampled_from([*OF_JOBS, *OF_THE_USER, "CUDA_VISIBLE_DEVICES"]), st.text("ab", max_size=2)))
def test_what_is_left_is_left_again(env: dict[str, str]) -> None:
    once = environment(env)
    assert once.items() <= env.items()
    assert environment(once) == once
    assert not once.keys() & set(OF_JOBS)


def test_a_process_inside_a_job_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_PARTITION", "high")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not leave_job()
    assert os.environ["SQUEUE_PARTITION"] == "high"
    for name in ("SLURM_JOB_ID", "RANK", "CUDA_VISIBLE_DEVICES", "SLURM_CONF"):
        monkeypatch.setenv(name, "1")
    assert leave_job()
    assert os.environ["SLURM_CONF"] == "1"
    assert not {"SLURM_JOB_ID", "RANK", "CUDA_VISIBLE_DEVICES", "SQUEUE_PARTITION"} & os.environ.keys()


@pytest.mark.parametrize("name", ["SLURM_CLUSTERS", "SBATCH_CLUSTERS"])
def test_a_wish_for_another_cluster_is_refused_and_one_for_this_is_met(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    command("scontrol", '[ -z "$SLURM_CLUSTERS" ] && printf "AuthType   = auth/munge\\nClusterName   = here\\n"')
    check_clusters()
    monkeypatch.setenv(name, "here")
    check_clusters()
    for wish in ("there", "here,there", "all"):
        monkeypatch.setenv(name, wish)
        with pytest.raises(LauncherError, match=rf"^{name}={wish}: .* \(here\); unset {name}"):
            check_clusters()
