"""The slots of a search: which experiment each one is, and how that ended for the search.

    results/searches/ID/search.json             what is searched
    results/searches/ID/choosing/               claim under which a slot chooses its experiment
    results/searches/ID/slots/0007/             folder of a slot, with its claim, its job and its launch log
    results/searches/ID/slots/0007/choice.json  which experiment it is, for ever
    results/searches/ID/slots/0007.json         its target: how that experiment ended for the search
    results/searches/ID/rungs/27/0007=0.93      what slot 7 had reached at step 27

What is chosen, and by what, is left to `heyhi.search`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from heyhi.errors import UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import SEARCH_NAME, SEARCHES_NAME, SLOTS_NAME, Status, has_ended, is_slot, result_of
from heyhi.experiment.records import History
from heyhi.files import is_there_now, parse_json, read_bounded, replace_file, writing
from heyhi.quick_dataclass import asdict, dataclass, field

_CHOICE_NAME = "choice.json"
_SUFFIX = ".json"  # of a slot's target
_DIGITS = 4
_MOST_BYTES = 1 << 20
# Why a trial is DEAD that was DONE.
GONE = "it was DONE, and its result is gone; heyhi retry --dead makes it anew"
_FINAL = (Status.DONE, Status.PRUNED, Status.DEAD)


@dataclass(frozen=True)
class Choice:
    """Which experiment a slot is.

    Attributes:
        exp_id: of it; empty where there was nothing left to choose.
        cfg: its config, as its identity names it.
        overrides: its canonical overrides.
        chosen: axis -> value, of those axes that apply.
        reason: why there is none.
        time: when it was chosen.
    """

    exp_id: str
    cfg: str = ""
    overrides: tuple[str, ...] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    time: str = ""


@dataclass(frozen=True)
class SlotEnd:
    """How a slot's experiment ended for the search.

    Attributes:
        exp_id: of it; empty where there was nothing left to choose.
        status: DONE, PRUNED or DEAD, in a word; SKIPPED where there was nothing left to choose.
        value: of the metric that the search is about; None where it has none.
        reason: why it is PRUNED or DEAD.
        time: when that was final.
    """

    exp_id: str
    status: str
    value: float | None = None
    reason: str = ""
    time: str = ""

    @property
    def shown_status(self) -> Status:
        """The status that its experiment has for people; where there was nothing left to choose, all is done."""
        return next((status for status in _FINAL if status.value == self.status), Status.DONE)


class SearchDir:
    """The folder of a search.

    Args:
        results_root: of the project.
        search_id: 16 hex digits.
    """

    def __init__(self, results_root: Path | str, search_id: str) -> None:
        self.results_root = Path(results_root)
        self.search_id = search_id
        self.path = self.results_root / SEARCHES_NAME / search_id

    @property
    def spec_path(self) -> Path:
        """What is searched."""
        return self.path / SEARCH_NAME

    @property
    def choosing_path(self) -> Path:
        """Folder of the claim under which a slot chooses."""
        return self.path / "choosing"

    @property
    def slots_path(self) -> Path:
        """Folder of the slots."""
        return self.path / SLOTS_NAME

    @property
    def rungs_path(self) -> Path:
        """Folder of the rungs, by their steps."""
        return self.path / "rungs"

    def slot(self, number: int) -> SlotDir:
        """Return one of its slots, from 0."""
        return SlotDir(self.slots_path / slot_name(number), self.results_root)


class SlotDir(ExperimentDir):
    """The folder of a slot, which is claimed and submitted as an experiment's."""

    __slots__ = ()

    @property
    def number(self) -> int:
        """Which slot of its search it is, from 0."""
        return int(self.path.name)

    @property
    def search(self) -> SearchDir:
        """The search that it is of."""
        folder = self.path.parent.parent
        return SearchDir(self.results_root or folder.parent.parent, folder.name)

    @property
    def choice_path(self) -> Path:
        """Which experiment it is."""
        return self.path / _CHOICE_NAME

    def read_choice(self) -> Choice | None:
        """Return which experiment it is, None where nothing is chosen yet.

        Raises:
            UnknownError: that can't be read.
        """
        return read_choice(str(self.path))

    def write_choice(self, choice: Choice) -> None:
        """Write down for ever which experiment it is; who calls has the slot's claim."""
        with writing(self.choice_path):
            self.path.mkdir(parents=True, exist_ok=True)
        if self.read_choice() is None:
            replace_file(self.choice_path, json.dumps(asdict(choice), indent=1) + "\n")

    def read_end(self) -> SlotEnd | None:
        """Return how its experiment ended for the search, None where it hasn't yet.

        Raises:
            UnknownError: that can't be read.
        """
        return read_end(str(self.path))

    def write_end(self, end: SlotEnd) -> None:
        """Write how its experiment ended for the search: then the slot is done."""
        replace_file(self.result_path, json.dumps(asdict(end), indent=1) + "\n")


def read_choice(exp_path: str) -> Choice | None:
    """Return which experiment the slot of a folder is, None where nothing is chosen yet; there may be 10,000 of them.

    Raises:
        UnknownError: that can't be read.
    """
    data = _read(f"{exp_path}/{_CHOICE_NAME}")
    if data is None:
        return None
    match data:
        case {"exp_id": str(exp_id), "cfg": str(cfg), "overrides": list(overrides), "chosen": dict(chosen)}:
            words = (str(data.get("reason", "")), str(data.get("time", "")))
            return Choice(exp_id, cfg, tuple(map(str, overrides)), chosen, *words)
    raise UnknownError(f"{exp_path}/{_CHOICE_NAME}: is damaged, so nobody knows which experiment this slot is")


def read_end(exp_path: str) -> SlotEnd | None:
    """Return how the experiment of a slot ended for its search, None where it hasn't yet.

    Raises:
        UnknownError: that can't be read.
    """
    data = _read(result_of(exp_path))
    if data is None:
        return None
    match data:
        case {"exp_id": str(exp_id), "status": str(status)}:
            value = data.get("value")
            found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
            return SlotEnd(exp_id, status, found, str(data.get("reason", "")), str(data.get("time", "")))
    raise UnknownError(f"{result_of(exp_path)}: is damaged, so nobody knows how this slot ended")


def lacks_values(search: SearchDir) -> bool:
    """Return whether trials of a search are DONE, and none has a value of what the search is about.

    Mostly the first one has, and no other is read.
    """
    is_done = False
    for slot in ended_slots(search):
        with contextlib.suppress(UnknownError):  # its status says so
            end = read_end(slot)
            if end is not None and end.value is not None:
                return False
            is_done |= end is not None and end.status == Status.DONE.value
    return is_done


def ended_slots(search: SearchDir) -> list[str]:
    """Return the folders of those slots of a search that have ended, in order; none where nobody can tell."""
    try:
        names = sorted(os.listdir(search.slots_path))  # noqa: PTH208 (thousands of names)
    except OSError:  # who looks at its trials is told
        return []
    ended = (name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX))
    return [f"{search.slots_path}/{slot}" for slot in ended if slot.isdecimal()]


def searches_of(slots: Iterable[str]) -> list[SearchDir]:
    """Return the searches that some slots are of, each once, by the folders of these (absolute)."""
    first = {slot.rpartition("/")[0]: slot for slot in slots}
    return [slot_dir(slot).search for slot in first.values()]


def slot_name(number: int) -> str:
    """Return the name of a slot's folder."""
    return f"{number:0{_DIGITS}d}"


def slot_id(search_id: str, number: int) -> str:
    """Return the exp id of a slot."""
    return f"{SEARCHES_NAME}/{search_id}/{SLOTS_NAME}/{slot_name(number)}"


def slot_dir(exp_path: Path | str, results_root: Path | str | None = None) -> SlotDir:
    """Return a slot by the path of its folder."""
    return SlotDir(Path(exp_path), Path(results_root) if results_root is not None else None)


def shown_folder(exp_path: str) -> str:
    """Return the folder that people are shown for one: for a slot, its experiment's once that is chosen.

    Args:
        exp_path: of an experiment or a slot (absolute).
    """
    if not is_slot(exp_path):
        return exp_path
    try:
        choice = read_choice(exp_path)
    except UnknownError:  # its own status says so
        return exp_path
    return folder_chosen(exp_path, choice.exp_id) if choice is not None and choice.exp_id else exp_path


def folder_chosen(exp_path: str, exp_id: str) -> str:
    """Return the folder of an experiment that a slot is.

    Args:
        exp_path: of the slot (absolute).
        exp_id: of the experiment.
    """
    *root, _, _, _, _ = exp_path.split("/")  # searches/ID/slots/0007
    return exp_id if exp_id.startswith("/") else f"{'/'.join(root)}/{exp_id}"


def is_gone(exp_path: str) -> bool:
    """Return whether the result of an experiment that was DONE isn't there any more; where nobody can tell, it is."""
    result = result_of(exp_path)
    if os.access(result, os.F_OK):  # as of most, and there may be 10,000 of them
        return False
    try:
        return not is_there_now(Path(result))
    except UnknownError:
        return False


def shown_folders(exp_paths: Iterable[str]) -> list[str]:
    """Return the folders that people are shown for some, each once."""
    return list(dict.fromkeys(map(shown_folder, exp_paths)))


def slots_of(exp_path: Path | str) -> list[str]:
    """Return the exp ids of the slots that an experiment is of; none where it is of no search, or nobody can tell."""
    try:
        data = _read(Path(exp_path) / SEARCH_NAME)
    except UnknownError:
        return []
    found = data.get("slots") if data is not None else None
    return [one for one in found if isinstance(one, str) and is_slot(one)] if isinstance(found, list) else []


def slot_dirs_of(exp_path: Path) -> list[SlotDir]:
    """Return the slots that an experiment is of, as far as they lie in the results root that it lies in."""
    exp_ids = slots_of(exp_path)
    if not exp_ids:
        return []
    root = next((one for one in exp_path.parents if (one / exp_ids[0]).is_dir()), None)
    return [slot_dir(root / exp_id, root) for exp_id in exp_ids] if root is not None else []


def chosen_dir(folder: ExperimentDir) -> ExperimentDir | None:
    """Return the folder of the experiment that a slot is; None for what is no slot, and where nothing is chosen yet.

    Raises:
        UnknownError: nobody can tell.
    """
    if not is_slot(str(folder.path)):
        return None
    slot = slot_dir(folder.path, folder.results_root)
    choice, root = slot.read_choice(), slot.search.results_root
    return ExperimentDir(root / choice.exp_id, root) if choice is not None and choice.exp_id else None


def started_dir(folder: ExperimentDir, job_id: str) -> ExperimentDir | None:
    """Return the folder of the experiment that a slot's job has started; None where it hasn't, and for what is no slot.

    Raises:
        UnknownError: nobody can tell.
    """
    chosen = chosen_dir(folder)
    is_started = chosen is not None and any(start.job_id == job_id for start in History(chosen.attempts()).starts)
    return chosen if is_started else None


def living_slots_of(exp_path: str) -> list[str]:
    """Return the folders of the slots that an experiment is of and that have not ended."""
    folders = (str(slot.path) for slot in slot_dirs_of(Path(exp_path)))
    return [folder for folder in folders if not has_ended(folder)]


def note_slot(exp_path: Path | str, exp_id_of_slot: str) -> None:
    """Write down at an experiment of which slot it is; who calls has the experiment's claim."""
    known = slots_of(exp_path)
    if exp_id_of_slot not in known:
        replace_file(Path(exp_path) / SEARCH_NAME, json.dumps({"slots": [*known, exp_id_of_slot]}) + "\n")


def _read(path: Path | str) -> dict[str, Any] | None:
    try:
        data = parse_json(read_bounded(path, _MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnknownError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise UnknownError(f"{path}: is damaged")
    return data
