"""What a user can do wrong, as exceptions whose text is the whole message; anything else that is raised is our bug."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable
from typing import ClassVar, Self

from heyhi.faults import Fault, fault_in, remember

# What nothing makes: `snakemake $(heyhi expand …)` with a typo must not run the default sweep.
NO_TARGET = "heyhi-expand-failed"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_MAX_NAME = 200  # characters of a name that is looked up: nobody meant a longer one


class HeyhiError(Exception):
    """What a user got wrong, where, and what was expected, in one sentence; commands exit with code 2."""

    exit_code: ClassVar[int] = 2
    error_code: ClassVar[str] = "input"

    def __init_subclass__(cls) -> None:
        """Have each class known by a word of its own, which programs go by: `heyhi docs scripting` lists them."""
        super().__init_subclass__()
        if "error_code" not in cls.__dict__:
            words = "".join(f"_{char.lower()}" if char.isupper() else char for char in cls.__name__)
            cls.error_code = words.strip("_").removesuffix("_error")

    def __init__(self, *args: object, key: str = "", nearest: Iterable[str] = (), fix: str = "") -> None:
        """Say what is wrong.

        Args:
            *args: the message.
            key: key, path, option or word at fault; default: that of a hint or message which this one quotes.
            nearest: names that may have been meant; default: likewise.
            fix: an override, an option or a command to type; default: likewise.
        """
        super().__init__(*args)
        text = str(args[0]) if args else ""
        self.fault = Fault(key, tuple(nearest), fix, type(self).error_code).over(fault_in(text))
        remember(text, self.fault)

    def __str__(self) -> str:
        from heyhi.text import message  # who only catches errors can do without

        # Whoever shows it, a Snakemake or a notebook: it quotes what others wrote, and that steers no terminal.
        return message(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows, in a notebook: the line there that was wrong, and the sentence."""
        import traceback

        package = f"{os.path.dirname(os.path.abspath(__file__))}{os.sep}"  # noqa: PTH100, PTH120
        frames = [one for one in traceback.extract_tb(self.__traceback__) if not one.filename.startswith(package)]
        where = [f"line {one.lineno}: {one.line}" for one in frames[-1:] if one.line]
        return [*where, f"{type(self).__name__}: {self}"]

    def anew(self) -> Self:
        """Return the same error as a new object: one that is raised again and again gathers a traceback each time."""
        new = type(self)(*self.args)
        new.fault = self.fault
        return new


def blame(error: HeyhiError, key: str) -> HeyhiError:
    """Say which word an error is about, where it doesn't say so itself; return the error."""
    if not error.fault.key:
        error.fault = error.fault._replace(key=key)
        remember(str(error.args[0]) if error.args else "", error.fault)
    return error


class ProjectError(HeyhiError):
    """No project root was found, or its settings can't be read."""


class NoProjectError(ProjectError):
    """There is no project around a folder."""


class SchemaError(HeyhiError):
    """A `.proto` file is missing, doesn't compile, or defines no root message."""


# Those that are ValueErrors, too: scripts of the first HeyHi catch them as such.
class ConfigError(HeyhiError, ValueError):
    """A config file is missing, can't be parsed, or doesn't describe one task."""


class OverrideError(HeyhiError, ValueError):
    """An override names no field, or a value that its field can't hold."""


class KeyNameError(OverrideError, AttributeError):
    """A key that Python code asks a config for names no field."""


class IdentityError(HeyhiError):
    """An exp path is not allowed, or holds another experiment."""


class SweepError(HeyhiError):
    """A sweep file can't be read, or some of its experiments can't be composed."""


class NeedsError(HeyhiError):
    """Experiments need one another in a circle, or what is needed isn't done."""


class ManifestError(HeyhiError):
    """A manifest is missing, damaged, or of another program or version."""


class ResultError(HeyhiError):
    """A result or metrics file can't be read or written."""


class TrackerError(HeyhiError):
    """Metrics can't be given to TensorBoard, wandb, MLflow or a function of the project's."""


class ExtraError(HeyhiError):
    """What only an extra of HeyHi's brings isn't installed; the message ends in the line that installs it."""


class MetricError(HeyhiError, ValueError):
    """What a task logs is no metric."""


class LauncherError(HeyhiError):
    """A launcher asks for what no job can be asked for."""


class NotifyError(HeyhiError):
    """Whom to tell can't be understood, or can't be told from this machine; the message has nothing of an address."""


class ClaimError(HeyhiError):
    """An exp path can't be claimed, or its claim can't be read."""


class UnknownError(ClaimError, IdentityError, ResultError):
    """Nobody knows how an experiment is: its claim, its identity or a record of it can't be read.

    Args:
        fact: what can't be read, and why.
        until: what follows for an experiment of which nobody knows how it is; not for one that is DONE all the same.
    """

    def __init__(self, fact: str, until: str = "") -> None:
        super().__init__(f"{fact}{until}")
        self._fact = fact

    @property
    def fact(self) -> str:
        """What can't be read, and why: all that is to be said of an experiment that is DONE."""
        from heyhi.text import message

        return message(self._fact)


def fact_of(error: Exception) -> str:
    """Say what is wrong, less what follows where nobody knows how an experiment is: for one whose status says it."""
    return error.fact if isinstance(error, UnknownError) else str(error)


class LostClaimError(ClaimError):
    """A run was ended, since another has taken its claim: it has written no result and no end."""

    exit_code: ClassVar[int] = 1


class BusyError(HeyhiError):
    """A process that runs an experiment was asked to run another."""


class SnapshotError(HeyhiError):
    """The code can't be copied for queued jobs, or a copy of it is gone or damaged."""


class ModeError(HeyhiError, ValueError):
    """A mode is unknown, or asks for what nobody agreed to."""


class Pruned(BaseException):
    """A search has ended this run early: its trial is among the worst.

    `heyhi.log` raises it, in a trial of a search that stops early and nowhere else; no `except Exception` catches it,
    and `finally` blocks run. What a main returns that has caught it is no result, since it wasn't trained to its end.
    A main may raise it itself, with the reason.
    """


def suggest(name: str, candidates: Iterable[str], prefix: str = "") -> str:
    """Return in words what a user may have meant.

    Args:
        name: what was written.
        candidates: what could have been.
        prefix: is shown before each name.

    Returns:
        ` (did you mean 'a' or 'b'?)` with up to three near names, else an empty string. An error that has it in its
        message knows these names, and the one that was written.
    """
    near = nearest(name, candidates)
    if not near:
        return ""
    hint = f" (did you mean {' or '.join(_typed(prefix + n) for n in near)}?)"
    remember(hint, Fault(prefix + name, tuple(prefix + n for n in near)))
    return hint


def nearest(name: str, candidates: Iterable[str]) -> list[str]:
    """Return up to three names that may have been meant, the likeliest first."""
    if len(name) > _MAX_NAME:
        return []
    pool: dict[str, str] = {}
    for candidate in candidates:
        pool.setdefault(candidate.lower(), candidate)
    wanted = name.lower()
    import difflib

    close = difflib.get_close_matches(wanted, pool, n=3, cutoff=0.6)
    # A leaf typed without its path (`momentum` for `sgd.momentum`, `sl` for `train/sl`) is no close match by letters.
    leaves = {c: c.rpartition("/")[2].rpartition(".")[2] for c in pool}
    close += [c for c, leaf in leaves.items() if leaf == wanted and c not in close][: 3 - len(close)]
    if not close:
        near_leaves = difflib.get_close_matches(wanted, set(leaves.values()), n=3, cutoff=0.75)
        close = [c for c, leaf in leaves.items() if leaf in near_leaves][:3]
    if not close:  # `lrate` for `lr`
        begun = [c for c, leaf in leaves.items() if len(leaf) > 1 and wanted.startswith(leaf)]
        close = sorted(begun, key=lambda c: -len(leaves[c]))[:1]
    return [pool[c] for c in close]


def _typed(name: str) -> str:
    """Quote a name; one that can't be shown as it is as a shell reads it back."""
    if name.isprintable():
        return repr(name)
    from heyhi.text import shell_word

    return shell_word(name)


def error_text(error: Exception) -> str:
    """Say what went wrong where others go on: of what no user has caused also what kind it is."""
    text = str(error)
    return text if isinstance(error, HeyhiError) else f"{type(error).__name__}: {text}".removesuffix(": ")


class reporting_errors:  # noqa: N801 (used as a function is)
    """A context that turns what a user got wrong into one message on standard error and the exit code.

    Nothing that is printed inside steers the terminal.
    """

    def __init__(self) -> None:
        self._streams = contextlib.ExitStack()

    def __enter__(self) -> None:
        from heyhi.text import shown_streams  # likewise

        self._streams.enter_context(shown_streams())

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._streams:
            self._report(error)

    def _report(self, error: BaseException | None) -> None:
        from heyhi.streams import is_going_on, lost_output  # likewise

        goes_on = is_going_on()
        lost = lost_output() or _unwritten(error)
        if isinstance(error, HeyhiError):
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        is_unread = isinstance(lost, BrokenPipeError)
        if goes_on and lost is not None and not is_unread:
            print(f"warning: {_lost_text(lost)}", file=sys.stderr)
        elif not goes_on and is_unread and (_is_end(error) or isinstance(error, OSError)):
            sys.exit(141)
        elif not goes_on and lost is not None and (isinstance(error, OSError) or _is_end(error)):
            print(f"error: {_lost_text(lost)}", file=sys.stderr)
            sys.exit(2)
        if isinstance(error, BrokenPipeError):
            sys.exit(141)
        if isinstance(error, KeyboardInterrupt):
            sys.exit(130)


def _lost_text(lost: OSError) -> str:
    return f"standard output can't be written: {lost.strerror or lost}"


def _is_end(error: BaseException | None) -> bool:
    return error is None or isinstance(error, SystemExit)


def _unwritten(error: BaseException | None) -> OSError | None:
    """Return an error that is of a standard output without buffer, where nothing is left to be written."""
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None and sys.stdout is not None:
        try:
            os.write(sys.stdout.fileno(), b"\n")
        except (OSError, ValueError) as again:
            return again if isinstance(again, OSError) else error
    return None
