"""What of this process's environment reaches Slurm's commands, and the jobs that they start.

A job around this process (a shell of salloc's, a notebook on a node, a job's script) has filled it with facts about
itself, and its user may have set how Slurm's commands print or choose. Neither may reach us or a job of ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

# How the cluster is reached, and the user's wishes about where and on whose account jobs run.
_KEPT = frozenset(
    {
        "SLURM_CONF",
        "SLURM_CONF_SERVER",
        "SLURM_JWT",
        "SBATCH_ACCOUNT",
        "SBATCH_CONSTRAINT",
        "SBATCH_PARTITION",
        "SBATCH_QOS",
        "SBATCH_RESERVATION",
        "SBATCH_WCKEY",
    }
)
# Each of Slurm's commands has variables of its own (SQUEUE_PARTITION, SACCT_FORMAT, SCANCEL_STATE, SINFO_SORT …), by
# which a list lacks jobs or looks otherwise; a job around this one has left the rest.
_OF_SLURM = (
    "SLURM_",
    "SLURMD_",
    "SBATCH_",
    "SQUEUE_",
    "SCANCEL_",
    "SACCT_",
    "SACCTMGR_",
    "SALLOC_",
    "SATTACH_",
    "SBCAST_",
    "SCONTROL_",
    "SDIAG_",
    "SINFO_",
    "SPRIO_",
    "SREPORT_",
    "SRUN_",
    "SSHARE_",
    "SSTAT_",
    "STRIGGER_",
)
# What mpirun, srun and torchrun tell a rank of itself; settings of MPI's (OMPI_MCA_btl) are the user's.
_OF_RANKS = ("OMPI_", "PMI_", "PMI2_", "PMIX_", "PRTE_", "MPI_LOCAL", "MV2_COMM_", "HYD_", "HYDI_", "TORCHELASTIC_")
_OF_MPI_USERS = ("OMPI_MCA_", "PMIX_MCA_", "PRTE_MCA_")
_OF_MPI_RANKS = ("OMPI_MCA_orte", "OMPI_MCA_ess", "OMPI_MCA_prte", "OMPI_MCA_pmix")
_OF_A_RANK = frozenset(
    {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "NODE_RANK",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_WORLD_SIZE",
        "ROLE_NAME",
        "MASTER_ADDR",
        "MASTER_PORT",
    }
)
# What a run of HeyHi's tells what it starts itself (HEYHI_NOTICE, HEYHI_CLAIM).
_OF_RUNS = "HEYHI_"
# Slurm sets these where a job has GPUs; outside a job they are the user's.
_GPUS = frozenset({"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"})


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for Slurm's commands, and for the jobs that they start.

    Left out is what a job around this process has set there (its id, its rank, its limits, its GPUs), what changes what
    Slurm's commands print or act on, and what would make sbatch do something else than to submit one job.

    Args:
        env: to take it from; default: this process's.
    """
    env = os.environ if env is None else env
    foreign = _GPUS if env.get("SLURM_JOB_ID") else frozenset()
    return {name: value for name, value in env.items() if name in _KEPT or not (_is_ours(name) or name in foreign)}


def _is_ours(name: str) -> bool:
    if name.startswith(_OF_MPI_USERS):
        return name.startswith(_OF_MPI_RANKS)
    return name in _OF_A_RANK or name.startswith((*_OF_SLURM, *_OF_RANKS, _OF_RUNS))


def leave_job() -> bool:
    """Have this process's environment say nothing of a job around it; return whether there was one."""
    if not os.environ.get("SLURM_JOB_ID"):
        return False
    kept = environment()
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]
    return True


def clusters_wished_for() -> dict[str, str]:
    """Return the variables by which the user wishes for clusters, with what they say."""
    return {name: os.environ[name] for name in ("SBATCH_CLUSTERS", "SLURM_CLUSTERS") if os.environ.get(name)}
