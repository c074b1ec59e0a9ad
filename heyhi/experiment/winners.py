"""What the best of a sweep has turned out to be: a file for each, written once.

    results/winners/ID.json     ID follows from the words by which configs name it

Who chooses it, and by which rule, is left to `heyhi.report.winner`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from heyhi.config.best import Best, Chosen, Winners, id_of
from heyhi.config.templates import bests_in
from heyhi.errors import ResultError, UnknownError
from heyhi.experiment.names import WINNERS_NAME, is_winner, result_of
from heyhi.files import parse_json, read_bounded, replace_file, write_temp, writing
from heyhi.quick_dataclass import asdict, dataclass
from heyhi.sha import sha256

_MOST_BYTES = 1 << 26


@dataclass(frozen=True)
class Winner:
    """What the best of a sweep has turned out to be.

    Attributes:
        words: by which configs name it.
        exp_id: of the experiment whose folder others are given: of the best configuration, the one that is best itself.
        value: mean of the metric over the best configuration's experiments.
        replicates: exp ids of those.
        cfg: its config, as its identity names it.
        overrides: what others take over from it, as its identity has them.
        left_out: what they don't.
        chosen_from: exp id and value of each experiment that was looked at; None where it has none.
        digest: of the results that it was chosen from.
        manifest: name of the one that had these.
        time: when it was chosen.
    """

    words: str
    exp_id: str
    value: float
    replicates: tuple[str, ...]
    cfg: str
    overrides: tuple[str, ...]
    left_out: tuple[str, ...]
    chosen_from: tuple[tuple[str, float | None], ...]
    digest: str
    manifest: str
    time: str

    def shown_value(self, digits: int) -> str:
        """Write its value: it is the experiment's own only where the configuration has no other.

        Args:
            digits: so many count.
        """
        mean = f"mean of {len(self.replicates)}: " if len(self.replicates) > 1 else ""
        return f"{mean}{self.value:.{digits}g}"

    @property
    def given(self) -> str:
        """Digest of what others are given by it: another time, or more to choose from, makes nothing stale."""
        return sha256(repr((self.exp_id, self.overrides)).encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """Which one it is, in a line."""
        return f"{self.words}: {self.exp_id} ({self.shown_value(6)})"


def winner_id(best: Best) -> str:
    """Return the exp id that stands for the best of a sweep."""
    return f"{WINNERS_NAME}/{best.winner_id}"


def read_winner(path: Path) -> Winner | None:
    """Read what the best of a sweep has turned out to be; None where it isn't chosen yet.

    Raises:
        UnknownError: that can't be read.
    """
    try:
        data = parse_json(read_bounded(path, _MOST_BYTES))
        texts: dict[str, Any] = {
            name: tuple(map(str, data.pop(name))) for name in ("replicates", "overrides", "left_out")
        }
        chosen_from = tuple(
            (str(one), None if value is None else float(value)) for one, value in data.pop("chosen_from")
        )
        return Winner(**data, **texts, chosen_from=chosen_from)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnknownError(f"{path}: can't be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UnknownError(
            f"{path}: is damaged, so nobody knows what the best of its sweep was: remove it, and it is chosen anew"
        ) from None


def write_winner(path: Path, winner: Winner) -> Winner:
    """Write down what the best of a sweep is.

    Args:
        path: its file.
        winner: what it is.

    Returns:
        what stands there now: who writes first decides.
    """
    text = json.dumps(asdict(winner), indent=1) + "\n"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path):
        temp = write_temp(path, text)
        try:
            path.hardlink_to(temp)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
    return read_winner(path) or winner


def write_log(path: Path, winner: Winner) -> None:
    """Have the log of a choice say what was chosen, and nothing of an earlier one; that it can't is no matter.

    Args:
        path: of the winner's file.
        winner: what was chosen.
    """
    with contextlib.suppress(OSError, ResultError):
        replace_file(path.with_suffix(".log"), f"{winner.text}\n")


def waited_for(
    best: Best | None, candidates: Sequence[str], is_stuck: Callable[[str], bool], own: Container[str]
) -> list[str]:
    """Return for which of some experiments the best of a sweep waits: by `of=done`, not for what came to nothing.

    Args:
        best: what is to be chosen.
        candidates: what it is chosen from.
        is_stuck: returns whether one is DEAD, PRUNED, UNKNOWN or BLOCKED.
        own: those of them that are started in any case: they count all the same.

    Returns:
        some of the candidates; all of them where each came to nothing, since one has to be DONE.
    """
    if best is None or best.of == "all":
        return list(candidates)
    return [one for one in candidates if one in own or not is_stuck(one)] or list(candidates)


class GivenBests:
    """The best ones of sweeps whose folders stand in text values of configs: their own experiments are needed, too.

    Who takes over only what such a one overrides needs nothing of its folder: that is in the winner's file.

    Args:
        results_root: below which their exp ids are.
    """

    def __init__(self, results_root: Path | str) -> None:
        self._root = results_root
        self._folders: dict[str, str] = {}  # by what stands for the best of a sweep

    def of(self, needs: Iterable[str], config: Callable[[], bytes | None], *, is_missing: bool = False) -> list[str]:
        """Return the exp paths of those that an experiment is given.

        Args:
            needs: exp paths of what it needs itself.
            config: returns its serialised root message, as it is completed; asked for only where it matters.
            is_missing: only of those whose results aren't there.
        """
        folders = [folder for need in needs if is_winner(need) and (folder := self._folder(need))]
        if is_missing:
            folders = [folder for folder in folders if not os.access(result_of(folder), os.F_OK)]
        data = config() or b"" if folders else b""
        # A serialised message has its texts as they are.
        return [folder for folder in folders if folder.encode(errors="surrogateescape") in data]

    def _folder(self, need: str) -> str:
        if need not in self._folders:
            winner = None
            with contextlib.suppress(UnknownError):  # who needs it is told
                winner = read_winner(Path(result_of(need)))
            if winner is None:
                return ""
            self._folders[need] = f"{self._root}/{winner.exp_id}"
        return self._folders[need]


def failure_path(folder: Path | str) -> Path:
    """Return the file that says why the best of a sweep could not be chosen, by the folder that stands for it."""
    return Path(f"{folder}.failed.txt")


def write_failure(folder: Path, reason: str) -> None:
    """Write down why the best of a sweep could not be chosen; that this can't be written is no matter."""
    with contextlib.suppress(OSError, ResultError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        replace_file(failure_path(folder), reason + "\n")


def read_failure(folder: Path | str) -> str:
    """Return why the best of a sweep could not be chosen when that was last tried; empty where it wasn't, or could."""
    try:
        return read_bounded(failure_path(folder)).decode(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def known_winners(results_root: Path | str) -> Winners:
    """Return what tells what the best of a sweep has turned out to be, by the words by which configs name it.

    Args:
        results_root: below which it is written down, and below which exp ids are.
    """

    def chosen(words: str) -> Chosen | None:
        winner = read_winner(winner_path(results_root, words))
        return Chosen(f"{results_root}/{winner.exp_id}", winner.overrides) if winner is not None else None

    return chosen


def is_known(results_root: Path | str, words: str) -> bool:
    """Return whether it is known what the best of a sweep has turned out to be, and what it took over from others.

    Args:
        results_root: below which that is written down.
        words: by which configs name it.

    Raises:
        UnknownError: nobody can tell.
    """
    left, seen = [words], {words}
    while left:
        winner = read_winner(winner_path(results_root, left.pop()))
        if winner is None:
            return False
        new = {one for text in winner.overrides for one in bests_in(text)} - seen
        seen |= new
        left += new
    return True


def winner_path(results_root: Path | str, words: str) -> Path:
    """Return the file of the best of a sweep, by the words by which configs name it."""
    return Path(result_of(f"{results_root}/{WINNERS_NAME}/{id_of(words)}"))
