"""The first HeyHi's import path `heyhi.util`: a thin door, as far as scripts use it; what is gone says what to use."""

from __future__ import annotations

from typing import NoReturn

from heyhi.code.version import log_git_status as log_git_status
from heyhi.experiment.modes import MODES as MODES
from heyhi.experiment.names import Status as Status
from heyhi.job.notice import maybe_init_requeue_handler as maybe_init_requeue_handler
from heyhi.job.saving import save_result_in_cwd as save_result_in_cwd
from heyhi.job_env import get_job_env as get_job_env
from heyhi.job_env import get_slurm_job_id as get_slurm_job_id
from heyhi.job_env import get_slurm_master as get_slurm_master
from heyhi.job_env import is_adhoc as is_adhoc
from heyhi.job_env import is_aws as is_aws
from heyhi.job_env import is_devfair as is_devfair
from heyhi.job_env import is_master as is_master
from heyhi.job_env import is_on_slurm as is_on_slurm
from heyhi.job_env import reset_slurm_cache as reset_slurm_cache
from heyhi.logs import also_log_to_file as also_log_to_file
from heyhi.logs import setup_logging as setup_logging

_INSTEAD = {
    "EXP_ID_PATTERN": "heyhi.config.identity.DEFAULT_PATTERN is the pattern of exp ids",
    "log_formatter": "heyhi.setup_logging sets up what is logged",
    "requeue_myself": "heyhi.requeue() ends the run and has its job queued again",
    "RESULTFILE_NAME": "results are JSON, no pickles: heyhi.Handle(path).result() reads one",
    "JOBFILE_NAME": "heyhi.Handle(path).maybe_get_job_id() says which job has an experiment",
    "ExperimentDir": "heyhi.Handle(path) answers the same",
    "get_all_runing_job_ids": "heyhi.Handle(path).get_status() says how an experiment is",
    "get_exp_id": "heyhi.maybe_launch(…, mode='dryrun').exp_id is an experiment's",
    "handle_dst": "heyhi.maybe_launch does what a mode asks for",
    "run_with_config": "heyhi.maybe_launch runs an experiment; jobs find main by its module, not in a pickle",
}


def __getattr__(name: str) -> NoReturn:
    instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
    raise AttributeError(f"module 'heyhi.util' has no attribute '{name}'{instead}")
