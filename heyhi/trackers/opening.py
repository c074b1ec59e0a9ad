"""Which tracker a name of `[tool.heyhi] log_to` or of `heyhi export` is, and what is said where it can't be had."""

from __future__ import annotations

from pathlib import Path

from heyhi.errors import HeyhiError, TrackerError
from heyhi.text import one_line
from heyhi.trackers.tracked_run import TrackedRun, Tracker

# What installs the library of those that are no extra of ours.
_INSTALLS = {
    "wandb": ("wandb", "pip install wandb"),
    "mlflow": ("mlflow", "pip install mlflow-skinny"),
}


def open_tracker(name: str, run: TrackedRun, folder: Path | None = None, *, is_whole: bool = False) -> Tracker:
    """Open a tracker for an experiment.

    Args:
        name: tensorboard, wandb or mlflow.
        run: of the experiment.
        folder: where its files lie; default: what the tracker's own class says.
        is_whole: all that counts will be given, not only what an attempt logs.

    Raises:
        ExtraError: its library is missing, which an extra of HeyHi's brings.
        TrackerError: its library is missing.
        Exception: whatever the library raises.
    """
    if name == "tensorboard":
        from heyhi.trackers.event_files import EventFiles

        return EventFiles(run, folder, is_whole=is_whole)
    try:
        if name == "wandb":
            from heyhi.trackers.wandb_run import WandbRun

            return WandbRun(run, folder, is_whole=is_whole)
        from heyhi.trackers.mlflow_run import MlflowRun

        return MlflowRun(run, folder, is_whole=is_whole)
    except ModuleNotFoundError as error:
        library, install = _INSTALLS[name]
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        raise TrackerError(f"{library} isn't installed here: {install}") from None


def reason_of(error: BaseException) -> str:
    """Say in a line why a tracker has failed."""
    if isinstance(error, HeyhiError):
        return one_line(str(error))
    text = one_line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
