"""The folder of an experiment: every path in it, and what is read from and written to it.

How the experiment is follows from these files in `status`; how it is composed or run is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from binascii import crc32  # zlib's: protobuf has loaded this one
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.config.identity import TRASH_BESIDE, Identity
from heyhi.errors import ClaimError, IdentityError, ModeError, ResultError, UnknownError
from heyhi.experiment.claim import Claim
from heyhi.experiment.names import (
    ATTEMPTS_NAME,
    CLAIM_NAME,
    CODE_NAME,
    CONFIG_KEY,
    CONFIG_NAME,
    CONFIGS_NAME,
    ENTRY_KEY,
    FLAT_CONFIG_NAME,
    IDENTITY_NAME,
    JOB_NAME,
    LAUNCH_LOG_NAME,
    LOG_NAME,
    METRICS_NAME,
    RESULT_NAME,
    ROOT_NAMES,
    STATE_NAME,
    is_slot,
    is_winner,
    result_of,
)
from heyhi.experiment.records import History, Metrics, Record, Sources, Start, Submission, to_records, wrong_fields
from heyhi.files import (
    forget,
    is_file,
    is_there,
    keep_file,
    leads_back,
    look_anew,
    open_regular,
    open_to_append,
    parse_json,
    read_bounded,
    read_lines,
    replace_file,
    write_temp,
    writing,
)
from heyhi.loggers import get_logger
from heyhi.project import PROJECT_KEY
from heyhi.quick_dataclass import dataclass, field
from heyhi.sha import sha256
from heyhi.text import shell_line

if TYPE_CHECKING:
    from heyhi.config.schema import Schema

# What may lie in a folder before its experiment is started: Snakemake makes a log, who comes first a claim,
# who submits a record of the code.
_EARLY = (LOG_NAME, LAUNCH_LOG_NAME, CLAIM_NAME, JOB_NAME, CODE_NAME)
_EARLY_PREFIXES = ("claim.", ".claim.", f".{IDENTITY_NAME}.", f".{JOB_NAME}.", f".{CODE_NAME}.")
# A shell that writes what `run.py --out DIR` prints into DIR makes that file first, and so does `sbatch --output`.
_EARLY_SUFFIXES = (".log", ".out", ".err")
# What is written only once identity.json is there, and which goes before that does.
_LATER = (ATTEMPTS_NAME, CONFIG_NAME, CONFIGS_NAME, FLAT_CONFIG_NAME, METRICS_NAME, RESULT_NAME)
# What another machine may have written, or taken away, since this one looked.
_OWN_NAMES = (
    ATTEMPTS_NAME,
    CLAIM_NAME,
    CODE_NAME,
    CONFIG_NAME,
    FLAT_CONFIG_NAME,
    IDENTITY_NAME,
    JOB_NAME,
    METRICS_NAME,
    RESULT_NAME,
)
_DIGEST_DIGITS = 16
# What a record may have: an attempt has two lines, mostly of some hundred bytes.
_MOST_BYTES, _MOST_LINES = 16 << 20, 100_000
MANY_BYTES = 1 << 20  # more than any record has that is to be read at once
# A task returns what it likes, and a result is read one at a time.
MOST_RESULT_BYTES = 256 << 20
_TAIL_BYTES = 1 << 16
_START_MARK = b'"event": "start"'
_log = get_logger(__name__)


@dataclass(frozen=True)
class Experiment:
    """What is to be run, as it was composed.

    Attributes:
        exp_id: path below the results root, or an absolute one.
        exp_path: folder (absolute).
        identity: what makes it this experiment.
        task: name of the chosen task.
        config: root message, serialised.
        needs: folders of the experiments that must be done before.
        resources: Snakemake's; none for a local run.
        roots: the project's and the results' folders when it was composed, with which paths in its config begin, and
            the project's name where it has one.
        files: that must be there before: relative to the project's folder, or absolute.
    """

    exp_id: str
    exp_path: Path
    identity: Identity
    task: str
    config: bytes
    needs: tuple[Path, ...] = ()
    resources: Mapping[str, int | str] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict, compare=False)  # the same wherever they were
    files: tuple[str, ...] = ()

    @property
    def cfg_folder(self) -> Path | None:
        """Folder of its config file; None where nobody knows of which project it is."""
        root = self.roots.get("project_root")
        return Path(root, self.identity.cfg).parent if root else None

    @property
    def target(self) -> Path:
        """Result file, which Snakemake is asked for."""
        return Path(result_of(str(self.exp_path)))

    @property
    def is_slot(self) -> bool:
        """Whether it is a search's slot: which experiment that is, is decided when its job starts."""
        return is_slot(self.exp_id)


def _bytes_text(value: bytes) -> str:
    from heyhi.config.values import bytes_text  # hardly a config has bytes

    return bytes_text(value)


def config_digest(config: bytes, schema: Schema) -> str:
    """Return the 16 hex digits by which records name a config.

    Args:
        config: root message, serialised.
        schema: of it: a changed default changes what a config says, though not how it is serialised.
    """
    return sha256(f"{schema.digest}\0".encode() + config).hexdigest()[:_DIGEST_DIGITS]


class ExperimentDir:
    """Read and write the folder of an experiment.

    Args:
        exp_path: the folder, which need not exist.
        results_root: the folder below which it has its exp id.
    """

    __slots__ = ("path", "results_root")

    def __init__(self, exp_path: Path, results_root: Path | None = None) -> None:
        self.path = exp_path
        self.results_root = results_root

    def __repr__(self) -> str:
        return f"ExperimentDir({str(self.path)!r})"

    @property
    def exp_id(self) -> str:
        """Exp id; the whole path where the results root isn't known, or is elsewhere."""
        root = self.results_root
        if root is not None and self.path.is_relative_to(root):
            return self.path.relative_to(root).as_posix()
        return self.path.as_posix()

    @property
    def result_path(self) -> Path:
        """What the task returned; its existence is DONE. Of a slot, how its experiment ended for the search."""
        return Path(result_of(str(self.path)))

    @property
    def metrics_path(self) -> Path:
        """Metrics that the task wrote on its way, a JSON object a line."""
        return self.path / METRICS_NAME

    @property
    def attempts_path(self) -> Path:
        """Start and end of each attempt, a JSON object a line."""
        return self.path / ATTEMPTS_NAME

    @property
    def identity_path(self) -> Path:
        """Which experiment this is."""
        return self.path / IDENTITY_NAME

    @property
    def config_path(self) -> Path:
        """The config of its last attempt, or of a submission since, as text."""
        return self.path / CONFIG_NAME

    @property
    def flat_config_path(self) -> Path:
        """The same config as dotted keys with all defaults, by which drift is seen."""
        return self.path / FLAT_CONFIG_NAME

    def read_flat_config(self) -> dict[str, Any]:
        """Return that, as far as it is there and can be read; who has to know it of each asks the file itself."""
        return _read_object(self.flat_config_path)

    @property
    def configs_path(self) -> Path:
        """Configs that earlier attempts had, by their digests, where these were other ones."""
        return self.path / CONFIGS_NAME

    def config_path_of(self, digest: str) -> Path:
        """The config that the records name by a digest, as text."""
        return self.config_path if self._lies_here(digest) else self.configs_path / f"{digest}.prototxt"

    def flat_config_path_of(self, digest: str) -> Path:
        """The same as dotted keys."""
        return self.flat_config_path if self._lies_here(digest) else self.configs_path / f"{digest}.json"

    def _lies_here(self, digest: str) -> bool:
        return not digest or digest == _read_object(self.identity_path).get(CONFIG_KEY)

    @property
    def log_path(self) -> Path:
        """What all attempts printed and logged."""
        return self.path / LOG_NAME

    def log_path_of(self, rank: int) -> Path:
        """What one of several ranks printed and logged: the first one's is the log, others have their own."""
        return self.log_path if rank == 0 else self.log_path.with_suffix(f".{rank}{self.log_path.suffix}")

    @property
    def launch_log_path(self) -> Path:
        """What the launcher and the runner said themselves, of the last attempt."""
        return self.path / LAUNCH_LOG_NAME

    @property
    def job_path(self) -> Path:
        """The last job that it was submitted as."""
        return self.path / JOB_NAME

    @property
    def code_path(self) -> Path:
        """Commit and changes of the code that its last job was given."""
        return self.path / CODE_NAME

    @property
    def claim_path(self) -> Path:
        """The first file of the claims."""
        return self.path / CLAIM_NAME

    # --- identity

    def look_anew(self) -> set[str]:
        """Return which files of an experiment are there, and have this machine forget what it remembers of them.

        RESULT_NAME stands for its result, which lies beside the folder where that is a search's slot.

        Raises:
            UnknownError: nobody can tell.
        """
        found = look_anew(self.path, _OWN_NAMES)
        if is_slot(str(self.path)):
            forget(self.result_path)
            found = found - {RESULT_NAME} | ({RESULT_NAME} if is_there(self.result_path) else set())
        return found

    def read_identity(self) -> Identity | None:
        """Return which experiment the folder holds, or None where it holds none.

        Raises:
            UnknownError: identity.json can't be read, or is missing beside records of an experiment.
        """
        data = self._read_identity_file()
        if data is None and (records := self._records_without_identity()):
            data = self._read_identity_file()  # a process that was faster may just have started it
            if data is None:
                raise UnknownError(
                    f"{self.identity_path}: is missing beside {', '.join(records[:2])}{', …' * (len(records) > 2)}, so"
                    " nobody knows which experiment this is; put it back",
                    ", or move the folder away to run it anew",
                )
        return self._identity_in(data) if data is not None else None

    def _records_without_identity(self) -> list[str]:
        try:
            names = set(os.listdir(self.path))  # noqa: PTH208 (names are all that is asked)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise UnknownError(f"{self.path}: can't be read: {error.strerror or error}") from None
        return [] if IDENTITY_NAME in names else sorted(names.intersection(_LATER))

    def _read_identity_file(self) -> object:
        text = self._read_record(IDENTITY_NAME)
        if text is None:
            return None
        try:
            return parse_json(text) or {}
        except ValueError:
            return {}

    def _identity_in(self, data: object) -> Identity:
        try:
            identity = Identity.from_dict(data)
            "".join([identity.cfg, *identity.overrides]).encode(errors="surrogateescape")  # as names of files are
            return identity
        except (IdentityError, UnicodeEncodeError):
            raise UnknownError(
                f"{self.identity_path}: is damaged, so nobody knows which experiment this is",
                "; move the folder away to run it anew",
            ) from None

    def read_project_name(self) -> str:
        """Return the declared name of the project that has made the experiment; empty where there is none.

        Raises:
            UnknownError: identity.json can't be read.
        """
        data = self._read_identity_file()
        name = data.get(PROJECT_KEY) if isinstance(data, dict) else None
        return name if isinstance(name, str) else ""

    def read_roots(self, config: str = "") -> dict[str, str]:
        """Return where the project and its results were when a config was composed.

        Args:
            config: digest of one that an attempt had; default: the one beside the result.
        """
        here = self._lies_here(config)
        record = _read_object(self.identity_path if here else self._kept_identity_path(config))
        return {name: path for name in ROOT_NAMES if isinstance(path := record.get(name), str) and path}

    def read_entry(self) -> str:
        """Return the function that it was launched with; empty for that of the settings, or where nobody knows."""
        entry = _read_object(self.identity_path).get(ENTRY_KEY)
        return entry if isinstance(entry, str) else ""

    def _kept_identity_path(self, config: str) -> Path:
        return self.configs_path / f"{config}.{IDENTITY_NAME}"

    def check(self, experiment: Experiment) -> None:
        """Make sure that the folder holds this experiment of this project, or none yet: asked before it is changed.

        Raises:
            UnknownError: nobody knows which one it holds.
            IdentityError: it holds another one, or another project's, or files that are no experiment's.
        """
        self.check_identity(experiment.identity)
        self.check_project(experiment.roots)

    def check_project(self, roots: Mapping[str, str], was: Sequence[str] = ()) -> None:
        """Make sure that the experiment was made by a project of this name, or of a name that it had.

        Args:
            roots: of the project, see `Experiment`.
            was: its earlier names, where the results root may not know them yet.

        Raises:
            UnknownError: nobody knows who has made it.
            IdentityError: another project has.
        """
        name = roots.get(PROJECT_KEY, "")
        if not name:
            return
        held = self.read_project_name()
        if held == name or held in was:
            return
        from heyhi.experiment.project_names import is_same_project  # most projects keep their name

        if not is_same_project(held, name, roots.get("results_root", "")):
            raise IdentityError(
                f"{self.path}: is of the project '{held}', and this project is '{name}': it is left as it is. Give this"
                f" project other results, or, if '{held}' was its name, say so in [tool.heyhi]: was ="
                f" {json.dumps([held], ensure_ascii=False)}"
            )

    def check_identity(self, identity: Identity) -> None:
        """Make sure that the folder holds this experiment, or none yet.

        Raises:
            UnknownError: nobody knows which one it holds.
            IdentityError: it holds another one, or files that are no experiment's.
        """
        held, other = self.read_identity(), []
        if held is None:
            other = self._foreign_names()
            # A process that was faster may just have started it.
            held = self.read_identity() if other else identity
        if held == identity:
            return
        if held is not None and held.version != identity.version:
            raise IdentityError(
                f"{self.path} holds an experiment that was named by rule {held.version} of identities, and this version"
                f" of HeyHi names them by rule {identity.version}: it can't tell whether {_named(held)} is"
                f" {_named(identity)}. Use the version of HeyHi that made it, choose another exp id pattern, or move"
                " that folder away"
            )
        if held is not None:
            raise IdentityError(
                f"{self.path} holds another experiment: {_named(held)}; this one is {_named(identity)}."
                " Choose another exp id pattern, or move that folder away"
            )
        raise IdentityError(
            f"{self.path} holds files of no experiment ({', '.join(other[:3])}{', …' * (len(other) > 3)}):"
            " choose another exp id pattern, or move them away"
        )

    def _foreign_names(self) -> list[str]:
        try:
            names = os.listdir(self.path)  # noqa: PTH208 (names are all that is asked)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnknownError(f"{self.path}: can't be read: {error.strerror}") from None
        return sorted(
            n for n in names if not (n in _EARLY or n.startswith(_EARLY_PREFIXES) or n.endswith(_EARLY_SUFFIXES))
        )

    def prepare(self, experiment: Experiment, schema: Schema, entry: str | None = None) -> None:
        """Make the folder, and write which experiment it holds and the config that it is to be started with.

        Where an earlier attempt had another config, that one is kept in `configs/`, by the digest that the attempt's
        record has. Only who has the claim may prepare.

        Args:
            experiment: what it holds.
            schema: of its config.
            entry: function that it is launched with, empty for that of the settings; default: as it was.

        Raises:
            IdentityError: the folder holds another experiment, or files that are no experiment's.
            ResultError: it can't be written.
        """
        self.check(experiment)
        digest = config_digest(experiment.config, schema)
        is_whole = is_there(self.config_path) and is_there(self.flat_config_path)
        known = self.read_entry()
        entry = known if entry is None else entry
        if is_whole and entry == known and self._lies_here(digest):
            self.check_identity(experiment.identity)  # another of the same config may have come between
            return
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        by = {ENTRY_KEY: entry} if entry else {}
        self._write_identity(experiment.identity, {**experiment.roots, CONFIG_KEY: digest, **by})
        record = _read_object(self.identity_path)
        held = record.get(CONFIG_KEY)
        # Who made it stays on record where this project has no name.
        roots = {PROJECT_KEY: record.get(PROJECT_KEY, ""), **experiment.roots, **by}
        from heyhi.config.frozen import flatten, to_text

        message = schema.parse_root(experiment.config)
        flat = json.dumps(flatten(message), indent=2, default=_bytes_text)
        if isinstance(held, str) and held != digest:
            if is_whole and is_there(self.attempts_path):
                self._keep_config(held)
            # If this is cut short, nobody takes what lies here for either of them.
            self._replace_identity(experiment.identity, roots)
        replace_file(self.flat_config_path, f"{flat}\n")
        replace_file(self.config_path, to_text(message))
        if held != digest or entry != record.get(ENTRY_KEY, ""):
            self._replace_identity(experiment.identity, {**roots, CONFIG_KEY: digest})

    def _keep_config(self, digest: str) -> None:
        """Keep the config that lies beside the result under its digest, with where the roots were."""
        with writing(self.configs_path):
            self.configs_path.mkdir(exist_ok=True)
        keep_file(self.config_path, self.configs_path / f"{digest}.prototxt")
        keep_file(self.flat_config_path, self.configs_path / f"{digest}.json")
        keep_file(self.identity_path, self._kept_identity_path(digest))

    def _replace_identity(self, identity: Identity, more: Mapping[str, str]) -> None:
        replace_file(self.identity_path, _identity_text(identity, more))

    def _write_identity(self, identity: Identity, more: Mapping[str, str]) -> None:
        """Write identity.json if there is none: of two experiments with one path, only one gets it."""
        if is_there(self.identity_path):
            self.check_identity(identity)  # another may have written it since the folder was looked at
            self.check_project(more)
            return
        with writing(self.identity_path):
            temp = write_temp(self.identity_path, _identity_text(identity, more))
            try:
                self.identity_path.hardlink_to(temp)
            except FileExistsError:
                self.check_identity(identity)
                self.check_project(more)
            finally:
                temp.unlink(missing_ok=True)

    def wipe(
        self,
        identity: Identity,
        *,
        still: Callable[[], bool] = lambda: True,
        keeps_entry: bool = False,
        only_result: bool = False,
    ) -> Path | None:
        """Move everything in the folder to the trash; what symbolic links in it lead to stays where it is.

        Args:
            identity: of the experiment that it must hold.
            still: returns whether it is to be wiped still, asked when nobody else can change it.
            keeps_entry: leave on record with which function it was launched: it is to be started anew.
            only_result: move only the result, so that the experiment can go on from its files.

        Returns:
            the folder in which it is now; None where there was nothing.

        Raises:
            ModeError: it isn't any more.
            IdentityError: the folder doesn't hold this experiment, or holds others too.
            UnknownError: nobody can tell.
            ClaimError: somebody runs it.
            ResultError: it can't be written.
        """
        if not os.path.lexists(self.path):
            return None
        self.check_wipe(identity)
        claim = Claim.acquire(self.path, kind="controller")
        if not isinstance(claim, Claim):
            raise ClaimError(f"{self.path}: is not wiped: {claim.describe()} has it")
        with claim, writing(self.path):
            if not still():
                raise ModeError(f"{self.path}: is not wiped: it isn't any more what it was when it was looked at")
            entry, roots = self.read_entry(), self.read_roots()
            moved = self._move(only_result=only_result)
            # Who starts it anew, by whatever command, means the same function.
            if entry and keeps_entry and not only_result:
                self._write_identity(identity, {**roots, ENTRY_KEY: entry})
            return moved

    def check_wipe(self, identity: Identity) -> None:
        """Make sure that the folder holds this experiment and nothing else; who has it isn't asked.

        Raises:
            IdentityError: it doesn't, holds others too, or can't be looked into.
        """
        if self.path.is_symlink():
            raise IdentityError(f"{self.path}: is not wiped: it is a symbolic link")
        if self.read_identity() is None:
            raise IdentityError(f"{self.path}: is not wiped: it has no {IDENTITY_NAME}")
        self.check_identity(identity)
        for folder, below, names in os.walk(self.path, onerror=self._refuse_to_wipe):
            if folder != str(self.path) and IDENTITY_NAME in names:
                raise IdentityError(f"{self.path}: is not wiped: it holds another experiment, {folder}")
            if STATE_NAME in below:
                raise IdentityError(f"{self.path}: is not wiped: it holds a results root, {folder}")
            below[:] = [name for name in below if name != TRASH_BESIDE]  # of experiments that were in here

    def _refuse_to_wipe(self, error: OSError) -> None:
        # It may hold another experiment.
        raise UnknownError(
            f"{self.path}: is not wiped: {error.filename} can't be looked into: {error.strerror or error}"
        ) from None

    def _move(self, *, only_result: bool) -> Path | None:
        from heyhi.experiment.trash import move_to_trash  # of no use to a run

        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            # A claim is ours, or of one that just looks whether it is free.
            names = os.listdir(handle)  # noqa: PTH208 (a Path knows no open folder)
            found = [name for name in names if not name.startswith(("claim.", ".claim."))]
            # If this is cut short, what is left must be no result, and still be known for what it is.
            found = [name for name in found if name == RESULT_NAME] if only_result else found
            found.sort(key=lambda name: (name == IDENTITY_NAME, name != RESULT_NAME, name))
            root = self.results_root or self._recorded_results_root()
            return move_to_trash(self.path, handle, found, root) if found else None
        finally:
            os.close(handle)

    def _recorded_results_root(self) -> Path | None:
        """Return the results root that the experiment was started in, if that is a folder above it still."""
        root = Path(self.read_roots().get("results_root") or ".")
        return root if root.is_absolute() and self.path.is_relative_to(root) else None

    # --- results, metrics, attempts

    def read_result(self) -> dict[str, Any]:
        """Return the result.

        Raises:
            ResultError: there is none, or it was cut short or is no JSON object.
        """
        try:
            result = parse_json(read_bounded(self.result_path, MOST_RESULT_BYTES))
        except OSError as error:
            raise ResultError(f"{self.result_path}: can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ResultError(
                f"{self.result_path}: is no JSON, it was cut short or edited ({error});"
                " remove it to have the experiment run again"
            ) from None
        if not isinstance(result, dict):
            raise ResultError(f"{self.result_path}: is no JSON object but {type(result).__name__}")
        return result

    def write_result(self, result: object) -> None:
        """Write the result as a whole; from then on the experiment is DONE.

        Args:
            result: what the task returned, or that as `encode` makes it.

        Raises:
            ResultError: it can't be written; there is no half-written one then.
        """
        from heyhi.experiment.result import encode  # who hands a run over has none

        text = encode(result).text
        if not self.has_result() and os.path.lexists(self.result_path):
            aside = self.path / f"{RESULT_NAME}.{os.urandom(4).hex()}"
            with writing(self.result_path):
                self.result_path.rename(aside)
            _log.warning("%s was no file, and is %s now: the result is written in its place", RESULT_NAME, aside.name)
        replace_file(self.result_path, text)

    def has_result(self) -> bool:
        """Return whether there is a file of a result: what else a task has made of that name is none.

        Raises:
            UnknownError: nobody can tell.
        """
        return not leads_back(self.result_path) and is_file(self.result_path)

    def result_digest(self) -> str:
        """Return 16 hex digits that change when it is made anew; empty where there is no result that can be read.

        An empty result says nothing, so that there the attempt that made it counts as well.
        """
        if is_winner(str(self.path)):
            from heyhi.experiment.winners import read_winner

            with contextlib.suppress(UnknownError):
                winner = read_winner(self.result_path)
                return winner.given if winner is not None else ""
            return ""
        try:
            data = read_bounded(self.result_path, MOST_RESULT_BYTES)
            if data.strip() == b"{}":
                starts = History(self.attempts()).starts
                made = starts[-1] if starts else None
                data += f"{made.time}\0{made.host}\0{made.pid}".encode() if made is not None else b""
        except (OSError, UnknownError):
            return ""
        return sha256(data).hexdigest()[:_DIGEST_DIGITS]

    def metrics_now(self) -> Metrics:
        """Return how many bytes of metrics there are, and by which end they are known.

        Raises:
            UnknownError: nobody can tell.
        """
        try:
            with os.fdopen(open_regular(self.metrics_path), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                return Metrics(size, crc32(file.read(_TAIL_BYTES))) if size else Metrics()
        except (FileNotFoundError, NotADirectoryError):
            return Metrics()
        except OSError as error:
            raise UnknownError(f"{self.metrics_path}: can't be looked at: {error.strerror or error}") from None

    def attempts(self) -> list[Record]:
        """Return what is on record of its attempts: for each a start, and an end unless it was killed.

        Raises:
            UnknownError: the file can't be read, or holds no record at all.
        """
        return self.attempts_and_problem()[0]

    def attempts_and_problem(self) -> tuple[list[Record], str]:
        """Return the same, and what is damaged of it; nothing where nothing is.

        Raises:
            UnknownError: as `attempts` does.
        """
        data = self._read_record(ATTEMPTS_NAME)
        return _records_in(data, str(self.attempts_path)) if data else ([], "")

    def last_start(self) -> Start | None:
        """Return the start of its last attempt, None where it had none.

        Raises:
            UnknownError: the file can't be read.
        """
        return last_start(str(self.path))

    def read_submission(self) -> Submission | None:
        """Return the last job that it was submitted as, None where it never was.

        Raises:
            UnknownError: the note of it can't be read.
        """
        text = self._read_record(JOB_NAME)
        if text is None:
            return None
        data = submission = None
        with contextlib.suppress(ValueError):
            data = parse_json(text)
        if isinstance(data, dict):
            submission = Submission.from_dict(data)
        if submission is None or not submission.job_id:
            raise UnknownError(
                f"{self.job_path}: is damaged, so nobody knows which job it was submitted as;"
                f" if none of its jobs waits or runs, remove it: {shell_line(['rm', str(self.job_path)])}"
            )
        return submission

    def history(self) -> History:
        """Return all that is on record of its attempts and jobs; a job that was withdrawn in time is none.

        Raises:
            UnknownError: a record can't be read.
        """
        found = History(self.attempts(), self.read_submission())
        is_withdrawn = found.submission is not None and found.submission.withdrawn and bool(found.unstarted_job)
        return found._replace(submission=None) if is_withdrawn else found

    def forget_submission(self) -> None:
        """Remove the note of the last submission: nothing has come of it.

        Raises:
            ResultError: it can't be removed.
        """
        with writing(self.job_path):
            self.job_path.unlink(missing_ok=True)

    def write_submission(self, submission: Submission) -> None:
        """Write down which job it was submitted as.

        Raises:
            ResultError: it can't be written.
        """
        replace_file(self.job_path, json.dumps(submission.to_dict(), indent=2) + "\n")

    def append_attempt(self, record: Record) -> None:
        """Add the start or the end of an attempt; only who has the claim may.

        Raises:
            ResultError: it can't be written.
        """
        with writing(self.attempts_path), os.fdopen(open_to_append(self.attempts_path), "ab+") as file:
            cut_short = False
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                cut_short = file.read(1) != b"\n"
            file.write(b"\n" * cut_short + json.dumps(record.to_dict()).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read_record(self, name: str) -> bytes | None:
        """Read a file that says how the experiment is; None where there is none.

        Raises:
            UnknownError: there is one, or may be one, and it can't be read.
        """
        return _read_record(f"{self.path}/{name}")


def last_start(exp_path: str) -> Start | None:
    """Return the start of an experiment's last attempt, None where it had none; no more than that line is parsed.

    Raises:
        UnknownError: the file can't be read.
    """
    data = _read_record(f"{exp_path}/{ATTEMPTS_NAME}") or b""
    record = _last_start_line(data)
    return Start.from_dict(record) if record is not None else _last_start_in(data, exp_path)


def last_sources(exp_path: str) -> Sources | None:
    """Return of what an experiment's last attempt was made, as `last_start` has it; None where it had none.

    Raises:
        UnknownError: the file can't be read.
    """
    path = f"{exp_path}/{ATTEMPTS_NAME}"
    try:
        data = read_lines(path, MANY_BYTES)
    except OSError:  # larger than what is read at once, or nothing that is read: which it is, is said there
        data = _read_record(path) or b""
    record = _last_start_line(data)
    if record is not None:
        return Sources.from_dict(record)
    start = _last_start_in(data, exp_path)
    return Sources.of(start) if start is not None else None


def _last_start_line(data: bytes) -> dict[str, Any] | None:
    """Parse the last line of attempts that begins one; None where that isn't plainly seen."""
    place = data.rfind(_START_MARK)  # in no string: its quotes would be escaped there
    if place >= 0:
        import orjson

        line = data[data.rfind(b"\n", 0, place) + 1 :].partition(b"\n")[0]
        with contextlib.suppress(ValueError):
            record = orjson.loads(line)
            if isinstance(record, dict) and record.get("event") == "start":
                return record
    return None


def _last_start_in(data: bytes, exp_path: str) -> Start | None:
    starts = History(_records_in(data, f"{exp_path}/{ATTEMPTS_NAME}")[0]).starts if data else []
    return starts[-1] if starts else None


def _records_in(data: bytes, path: str) -> tuple[list[Record], str]:
    lines, damaged = _parse_lines(data)
    records = to_records(lines)
    if not records and (lines or damaged):
        raise UnknownError(
            f"{path}: is damaged: no line of it is a record",
            ", so nobody knows how the experiment is; nothing is started here until it is moved away",
        )
    problems = []
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        problems.append(f"{ATTEMPTS_NAME}:{damaged[0]}{more}: is no record: left out")
    if wrong := wrong_fields(lines):
        problems.append(wrong_text(wrong))
    return records, "; ".join(problems)


def wrong_text(names: Sequence[str]) -> str:
    """Say which fields of records have a wrong type."""
    return f"{ATTEMPTS_NAME}: of a wrong type, and left out: {', '.join(names)}"


def _read_object(path: Path) -> dict[str, Any]:
    """Read an object of JSON; empty where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = parse_json(read_bounded(path))
        return found if isinstance(found, dict) else {}
    return {}


def _read_record(path: str) -> bytes | None:
    try:
        data = read_bounded(path, _MOST_BYTES)
        if len(data) > MANY_BYTES and data.count(b"\n") > _MOST_LINES:
            raise OSError(errno.EFBIG, f"it has more than the {_MOST_LINES} lines that such a file may have")
        return data
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnknownError(
            f"{path}: can't be read: {error.strerror or error}",
            "; nothing is started here until it can be, or is moved away",
        ) from None


def _parse_lines(data: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the JSON objects of a file that has one a line, and the numbers of the lines that are none."""
    with contextlib.suppress(ValueError):
        whole = parse_json(b"[%b]" % data.rstrip(b"\n").replace(b"\n", b","))
        if len(whole) == data.count(b"\n") and all(type(one) is dict for one in whole):
            return whole, []
    lines = data.decode("utf-8", "replace").split("\n")
    found, damaged = [], []
    for number, line in enumerate(lines, 1):
        with contextlib.suppress(ValueError):
            record = parse_json(line)
            if isinstance(record, dict):
                found.append(record)
                continue
        # The last one, without a line end, is being written, or its writer was killed.
        if line.strip() and number < len(lines):
            damaged.append(number)
    return found, damaged


def _identity_text(identity: Identity, more: Mapping[str, str]) -> str:
    return json.dumps({**identity.to_dict(), **more}, indent=2) + "\n"


def _named(identity: Identity) -> str:
    return " ".join([identity.cfg, *identity.overrides])
