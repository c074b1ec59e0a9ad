"""How what a task returned gets into result.json: only while its claim is held, and not lost where the disk is full.

What becomes of it as JSON is left to `experiment/result`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from heyhi.errors import LostClaimError, ResultError, UnknownError
from heyhi.experiment.claim import Claim
from heyhi.experiment.claim_chain import why_lost
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.result import Encoded, encode
from heyhi.files import open_to_append
from heyhi.job.turn import current_turn
from heyhi.job_env import is_master
from heyhi.loggers import get_logger

# `<nonce> <folder>` of the claim of this run, for the processes that it starts, too: they may save its result.
CLAIM_VARIABLE = "HEYHI_CLAIM"
# How long a result that can't be written is tried again, and how long a record.
RESULT_SECONDS, RECORD_SECONDS = 300.0, 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_SLICE = 0.2  # after which a pause looks whether it is to end
_SAY_AGAIN_SECONDS = 60.0
_MAX_NAME = 150
_sleep = time.sleep  # of this module alone, for tests
_log = get_logger(__name__)


def keep_trying(
    write: Callable[[], None],
    seconds: float,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Write a file; where it can't be, try again with growing pauses.

    Args:
        write: writes it, or raises ResultError.
        seconds: after which it is given up.
        is_stopping: returns whether to give it up at once.

    Raises:
        ResultError: it could not be written until the end.
    """
    pause, waited, said = _FIRST_PAUSE, 0.0, -_SAY_AGAIN_SECONDS
    while True:
        try:
            return write()
        except ResultError as error:
            if waited >= seconds or is_stopping():
                raise
            if waited - said >= _SAY_AGAIN_SECONDS:
                said = waited
                _log.warning("%s; it is tried again for %.0f s", error, seconds - waited)
        end = min(waited + pause, seconds)
        while waited < end and not is_stopping():
            step = min(_SLICE, end - waited)
            _sleep(step)
            waited = end if end - waited <= _SLICE else waited + step
        pause = min(2 * pause, _LONGEST_PAUSE)


def set_aside(result: Encoded, exp_id: str, log: Path) -> str:
    """Put a result that can't be written into its log and into a file of the temporary folder.

    Args:
        result: what can't be written.
        exp_id: of its experiment.
        log: of it; on a full disk it takes nothing either.

    Returns:
        in words, where what main returned is now.
    """
    import tempfile

    with contextlib.suppress(OSError), os.fdopen(open_to_append(log), "a", encoding="utf-8") as file:
        file.write(f"what main returned, which could not be written:\n{result.text}")
    name = exp_id.strip("/").replace("/", "_")[-_MAX_NAME:]
    try:
        # Only its owner may read it: others share this folder.
        handle, path = tempfile.mkstemp(prefix=f"heyhi.{name}.", suffix=".json")
        try:
            with os.fdopen(handle, "wb") as kept:
                kept.write(result.text.encode())
                kept.flush()
                os.fsync(handle)
        except OSError:
            os.unlink(path)  # noqa: PTH108 (half of it helps nobody)
            raise
    except OSError as error:
        return f"what main returned may be at the end of {log}: there is no temporary folder to write it to ({error})"
    return f"what main returned is in {path}"


def save(
    folder: ExperimentDir,
    exp_id: str,
    result: object,
    why_not: Callable[[], str],
    is_stopping: Callable[[], bool] = lambda: False,
) -> tuple[str, ...]:
    """Write a result as an experiment's; from then on that is DONE.

    Args:
        folder: of the experiment.
        exp_id: of it.
        result: what main returned.
        why_not: says who has the experiment by now, in whose folder nothing is written any more.
        is_stopping: returns whether there is no time left to try again.

    Returns:
        the keys of what could not be kept.

    Raises:
        LostClaimError: another has the experiment.
        ResultError: it can't be written; says where it was put instead.
    """
    encoded = encode(result)

    def write() -> None:
        if lost := why_not():
            raise LostClaimError(lost_text(exp_id, lost))
        folder.write_result(encoded)

    try:
        keep_trying(write, RESULT_SECONDS, is_stopping=is_stopping)
    except LostClaimError:
        raise
    except ResultError as error:
        raise ResultError(f"{set_aside(encoded, exp_id, folder.log_path)}, since {error}") from error
    except BaseException:  # main is stopped while it waits
        _log.error("%s: %s", exp_id, set_aside(encoded, exp_id, folder.log_path))
        raise
    return encoded.dropped


def lost_text(exp_id: str, lost: str) -> str:
    """Say that a run is over because another has its experiment."""
    return f"{exp_id}: {lost}: this run was ended and has written no result"


def why_not_held(claim: Claim) -> str:
    """Say who has an experiment instead of this claim; empty while it is held, and where that can't be read."""
    # A file system that has a bad moment says nothing about the claim.
    with contextlib.suppress(OSError, UnknownError):
        return claim.why_lost()
    return ""


@contextlib.contextmanager
def announced(claim: Claim, folder: Path) -> Iterator[None]:
    """Let what runs inside the context, in this process or below it, know by which claim it does."""
    before = os.environ.get(CLAIM_VARIABLE)
    os.environ[CLAIM_VARIABLE] = f"{claim.owner.nonce} {folder}"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(CLAIM_VARIABLE, None)
        else:
            os.environ[CLAIM_VARIABLE] = before


def _save_in(cwd: Path, result: object) -> None:
    folder, turn = ExperimentDir(cwd), current_turn()
    if not os.environ.get(CLAIM_VARIABLE):  # in a program of its own, where somebody waits for it
        folder.write_result(result)
        return
    if turn is not None:
        turn.raise_if_pruned()
    exp_id = turn.exp_id if turn is not None else str(cwd)
    dropped = save(folder, exp_id, result, lambda: _why_not_here(cwd))
    if turn is not None:
        turn.dropped = dropped


def _why_not_here(folder: Path) -> str:
    """Say who has the experiment of this run instead of it; empty where the folder is not that of a run."""
    nonce, _, claimed = os.environ.get(CLAIM_VARIABLE, "").partition(" ")
    with contextlib.suppress(OSError, UnknownError):
        if nonce and folder.samefile(claimed):
            return why_lost(folder, nonce)
    return ""


def save_result_in_cwd(result: Any) -> Any:
    """Write a result as the experiment's, before main returns; or, as a decorator, write what a function returns.

    In a job of several processes only the first one writes. What a function returns in a child that it has forked is
    not written.

    Args:
        result: what main would return: a dict of what JSON can hold; or a function that returns it.

    Returns:
        the result as it was given; of a function, one that writes what that returns.

    Example:
        >>> heyhi.save_result_in_cwd({"loss": 0.1})  # doctest: +SKIP

    Raises:
        LostClaimError: another has taken the experiment over meanwhile.
        ResultError: it can't be written, not after some minutes either; says where it was put instead.
        Pruned: a search has ended this run early, which main has caught; nothing is written.
    """
    if not callable(result):
        if is_master():
            _save_in(Path.cwd(), result)
        return result
    function = result

    @functools.wraps(function)
    def wrapped(*args: object, **kwargs: object) -> object:
        process = os.getpid()
        returned = function(*args, **kwargs)
        return save_result_in_cwd(returned) if os.getpid() == process else returned

    return wrapped
