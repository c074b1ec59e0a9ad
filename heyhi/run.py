"""The first HeyHi's import path `heyhi.run`: a thin door to launching one experiment."""

from __future__ import annotations

from heyhi.cli.task_command import parse_args_and_maybe_launch as parse_args_and_maybe_launch
from heyhi.job.launch import get_default_exp_dir as get_default_exp_dir
from heyhi.job.launch import get_exp_dir as get_exp_dir
from heyhi.job.launch import maybe_launch as maybe_launch


def __getattr__(attribute: str) -> str:
    # The first HeyHi's constant: here the project is the one around the working directory, whatever its name.
    if attribute == "PROJECT_NAME":
        from heyhi.project import find_project

        return find_project().root.name
    raise AttributeError(f"module 'heyhi.run' has no attribute '{attribute}'")
