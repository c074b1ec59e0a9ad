"""HeyHi: composes typed experiment configs, launches experiments once, and collects their results.

What is imported from here is loaded on first use, so that `import heyhi` and `heyhi --help` stay fast.
"""

# ruff: noqa: E402
# Python 3.6 reads all of this file, or it would not come to the line below: so no annotations from __future__.
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (pip keeps to it, a path to a checkout doesn't)
    sys.stderr.write(
        "error: HeyHi needs Python 3.11 or newer; this is {}.{}.{} ({})\n".format(*sys.version_info[:3], sys.executable)
    )
    sys.exit(2)

import gc

_collects = gc.isenabled()
gc.disable()  # as `heyhi.collector` has it, while modules are made

import importlib
from typing import TYPE_CHECKING, Any

try:
    from heyhi.quick_import import find_own_modules as _find_own_modules
except ImportError:  # another Python's import system
    pass
else:
    _find_own_modules()

from heyhi.quick_modules import load_pathlib as _load_pathlib

_load_pathlib()

# What `python -m heyhi.runner` loads is no garbage, and to look for some takes 3 % of an empty run: it begins by this
# module, and `heyhi.runner` ends the pause. While Python looks for the module to run, the program's name is "-m".
_words = sys.orig_argv if sys.argv[:1] == ["-m"] else []
_is_paused = _collects and "-m" in _words and _words[_words.index("-m") + 1 :][:1] == ["heyhi.runner"]
if _collects and not _is_paused:
    gc.enable()

if TYPE_CHECKING:
    from pathlib import Path

    from heyhi import checkpoint_repo as checkpoint_repo
    from heyhi import conf as conf
    from heyhi import gsheets as gsheets
    from heyhi import run as run
    from heyhi import util as util
    from heyhi.cli.task_command import parse_args_and_maybe_launch as parse_args_and_maybe_launch
    from heyhi.code.version import log_git_status as log_git_status
    from heyhi.config.api import conf_get as conf_get
    from heyhi.config.api import conf_is_set as conf_is_set
    from heyhi.config.api import conf_set as conf_set
    from heyhi.config.api import conf_to_dict as conf_to_dict
    from heyhi.config.api import conf_with_overrides as conf_with_overrides
    from heyhi.config.api import flatten_cfg as flatten_cfg
    from heyhi.config.api import load_config as load_config
    from heyhi.config.api import load_proto_message as load_proto_message
    from heyhi.config.api import load_root_config as load_root_config
    from heyhi.config.api import save_config as save_config
    from heyhi.config.frozen import FrozenConfig as FrozenConfig
    from heyhi.errors import HeyhiError as HeyhiError
    from heyhi.errors import Pruned as Pruned
    from heyhi.experiment.handle import Handle as Handle
    from heyhi.experiment.metric_log import log as log
    from heyhi.experiment.metric_log import progress as progress
    from heyhi.experiment.modes import MODES as MODES
    from heyhi.experiment.names import Status as Status
    from heyhi.gsheets import save_pandas_table as save_pandas_table
    from heyhi.job.launch import get_default_exp_dir as get_default_exp_dir
    from heyhi.job.launch import maybe_launch as maybe_launch
    from heyhi.job.notice import is_to_stop as is_to_stop
    from heyhi.job.notice import maybe_init_requeue_handler as maybe_init_requeue_handler
    from heyhi.job.notice import requeue as requeue
    from heyhi.job.saving import save_result_in_cwd as save_result_in_cwd
    from heyhi.job_env import JobEnv as JobEnv
    from heyhi.job_env import get_job_env as get_job_env
    from heyhi.job_env import get_slurm_job_id as get_slurm_job_id
    from heyhi.job_env import get_slurm_master as get_slurm_master
    from heyhi.job_env import is_adhoc as is_adhoc
    from heyhi.job_env import is_aws as is_aws
    from heyhi.job_env import is_devfair as is_devfair
    from heyhi.job_env import is_master as is_master
    from heyhi.job_env import is_on_slurm as is_on_slurm
    from heyhi.job_env import reset_slurm_cache as reset_slurm_cache
    from heyhi.logs import setup_logging as setup_logging
    from heyhi.report.gather import table as table
    from heyhi.report.shape import best as best
    from heyhi.report.shape import pivot as pivot
    from heyhi.serve.notebook import show as show
    from heyhi.sweep.points import grid as grid
    from heyhi.sweep.points import sample as sample
    from heyhi.sweep.points import zipped as zipped
    from heyhi.sweep.search import ASHA as ASHA
    from heyhi.sweep.search import Search as Search

    PROJ_ROOT: Path
    CONF_ROOT: Path

_HOMES = {
    "config.api": (
        "conf_get conf_is_set conf_set conf_to_dict conf_with_overrides flatten_cfg load_config load_proto_message"
        " load_root_config save_config"
    ),
    "errors": "HeyhiError Pruned",
    "experiment.metric_log": "log progress",
    "experiment.modes": "MODES",
    "experiment.names": "Status",
    "config.frozen": "FrozenConfig",
    "report.shape": "best pivot",
    "gsheets": "save_pandas_table",
    "experiment.handle": "Handle",
    "job_env": (
        "JobEnv get_job_env get_slurm_job_id get_slurm_master is_adhoc is_aws is_devfair is_master is_on_slurm"
        " reset_slurm_cache"
    ),
    "code.version": "log_git_status",
    "logs": "setup_logging",
    "report.gather": "table",
    "job.notice": "is_to_stop maybe_init_requeue_handler requeue",
    "job.launch": "get_default_exp_dir maybe_launch",
    "cli.task_command": "parse_args_and_maybe_launch",
    "job.saving": "save_result_in_cwd",
    "serve.notebook": "show",
    "sweep.points": "grid sample zipped",
    "sweep.search": "ASHA Search",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}
# What a training calls again and again: to look it up each time would take as long as half of what it does.
_EACH_STEP = ("log", "progress")
# Computed at each use: the project is the one around the working directory.
_FOLDERS = {"PROJ_ROOT": "proj_root", "CONF_ROOT": "conf_root"}
# The first HeyHi's modules, which `import heyhi` is enough for.
_DOORS = ("checkpoint_repo", "conf", "gsheets", "run", "util")

__all__ = [*_HOME_OF, *_FOLDERS]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        # As `heyhi.collector` has it, which some names do without.
        collects = gc.isenabled()
        gc.disable()
        try:
            found = getattr(importlib.import_module(f"heyhi.{_HOME_OF[name]}"), name)
        finally:
            if collects:
                gc.enable()
        if name in _EACH_STEP:
            globals()[name] = found
        return found
    if name in _FOLDERS:
        return getattr(importlib.import_module("heyhi.config.api"), _FOLDERS[name])()
    if name in _DOORS:
        return importlib.import_module(f"heyhi.{name}")
    raise AttributeError(f"module 'heyhi' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
