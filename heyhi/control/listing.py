"""How `heyhi status` lists experiments: what died of one reason together, names cut where they are alike, for how long.

How they are, `survey` knows; a live list of them is left to `watch`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from heyhi.control.search_lines import without_waiting
from heyhi.control.survey import Row, Survey
from heyhi.experiment.alike import kind_of
from heyhi.experiment.names import Status
from heyhi.text import TIMES, cut_alike

if TYPE_CHECKING:
    from heyhi.experiment.notes import Shown

_MAX_LINES = 40  # of a list that isn't asked for in full
_MAX_KEYS = 6  # drifted keys that a line names
_ALIKE = 4  # experiments of one reason that are told of together
_NAMED = 3  # of these are named
_LEAST_NAME, _MOST_REST = 24, 42  # characters of a name, and of what is said behind it, on a narrow terminal
_MOST_LINES = 3  # that a reason takes there
_INDENT = " " * 12
_HINT = " (--all lists them)"
_GROUPED = (Status.DEAD, Status.UNKNOWN, Status.BLOCKED)

_NOTHING = """\
no experiments yet: nothing was run or launched in this results root. To start something:
  heyhi launch SWEEP.py, or python run.py --cfg CFG key=value
To look at what could be started: heyhi plan SWEEP.py"""
_NOTHING_READ = "no experiments: what is on record of launches here can't be read, or its manifest is gone"


class Alike(NamedTuple):
    """Experiments of one status and reason, or a single one.

    Attributes:
        reason: of all of them; `…` stands for what differs.
        rows: of these experiments.
    """

    reason: str
    rows: Sequence[Row]


def terminal_width() -> int | None:
    """Return how many characters a line has where somebody looks; None where output goes elsewhere: nothing is cut."""
    if not sys.stdout.isatty():
        return None
    import shutil  # which takes as long as the looks at a thousand experiments

    return shutil.get_terminal_size().columns


def render(
    survey: Survey, drift: Mapping[str, list[str]], *, everything: bool = False, width: int | None = None
) -> str:
    """Write counts, then what isn't done (or all): a line each, or a few for many of one reason.

    Args:
        survey: has looked at the experiments.
        drift: exp id -> lines on what has drifted.
        everything: list all of them, each in a line and with its whole name.
        width: characters of a line; None: as many as it takes.
    """
    if not survey.folders:
        return _NOTHING_READ if survey.lacks else _NOTHING
    marked: dict[str, Collection[str]] = {**_drifted_or_not(drift), "stale": survey.stale, "mixed": survey.mixed}
    head = "  ".join(f"{status.value} {n}" for status, n in survey.counts.items())
    head += "".join(f"  {name} {len(those)}" for name, those in marked.items() if those)
    # What has a note isn't listed for that alone: `heyhi note` lists these.
    head += _counted_notes(survey.notes.values())
    some = survey.rows if everything or any(marked.values()) else survey.not_done
    wanted = [r for r in some if everything or r.status is not Status.DONE or _is_marked(survey, r, drift)]
    wanted.sort(key=lambda row: row.status.urgency)

    def more(row: Row) -> list[str]:
        return list(_texts(survey, row, drift))

    if everything:
        return "\n".join([head, *_lines([Alike(row.reason, [row]) for row in wanted], None, more)])
    wanted, waiting = without_waiting(wanted)
    entries = grouped(wanted, lambda row: _is_marked(survey, row, drift) or row.exp_path in survey.notes)
    shown = _first(entries)
    left = len(wanted) - sum(len(entry.rows) for entry in shown)
    rest = [f"… and {left} more{_HINT}"] if left else []
    return "\n".join([head, *_lines(shown, width, more, hint=_HINT), *rest, *waiting])


def live_lines(rows: Sequence[Row], width: int, height: int) -> list[str]:
    """Write as many experiments as a terminal has room for, many of one reason together, what is urgent first.

    Args:
        rows: of them, what is urgent first.
        width: characters of a line.
        height: most lines.
    """
    rows, waiting = without_waiting(rows)
    height = max(1, height - len(waiting))
    entries = grouped(rows)[:height]
    each = _entry_lines(entries, width)
    lines: list[str] = []
    shown = 0
    for entry, its in zip(entries, each, strict=True):
        if len(lines) + len(its) > height and lines:
            break
        lines += its[:height]
        shown += len(entry.rows)
    left = len(rows) - shown
    return [*lines, *([f"… and {left} more"] if left else []), *waiting]


def rows_lines(rows: Sequence[Row], width: int | None = None, prefix: str = "") -> list[str]:
    """Write some experiments that a command is about, many of one reason together.

    Args:
        rows: of them.
        width: characters of a line; None: as many as it takes.
        prefix: of each first line.
    """
    return _lines(grouped(rows), width, prefix=prefix)


def grouped(rows: Iterable[Row], is_apart: Callable[[Row], bool] = lambda row: False) -> list[Alike]:
    """Put together what is dead, unknown, blocked or held back for one reason, many of which come before single ones.

    Args:
        rows: of experiments, those of one status side by side.
        is_apart: returns whether an experiment is to be told of by itself.
    """
    found: dict[tuple[Status, str], list[Row]] = {}
    for row in rows:
        is_held_back = row.status is Status.NOT_STARTED and row.reason
        is_alone = not (row.status in _GROUPED or is_held_back) or is_apart(row)
        found.setdefault((row.status, row.exp_path if is_alone else f"\0{kind_of(row.reason)}"), []).append(row)
    entries = []
    for its in found.values():
        if len(its) < _ALIKE:
            entries += [Alike(row.reason, [row]) for row in its]
        else:
            is_same = all(row.reason == its[0].reason for row in its)
            entries.append(Alike(its[0].reason if is_same else kind_of(its[0].reason), its))
    entries.sort(key=lambda entry: (entry.rows[0].status.urgency, -len(entry.rows)))
    return entries


def _first(entries: Sequence[Alike]) -> list[Alike]:
    """Return those that a list which isn't asked for in full has room for."""
    lines, shown = 0, []
    for entry in entries:
        if lines >= _MAX_LINES:
            break
        lines += 1 if len(entry.rows) == 1 else _NAMED + 2
        shown.append(entry)
    return shown


def _nothing(row: Row) -> list[str]:
    return []


def _lines(
    entries: Sequence[Alike],
    width: int | None,
    more: Callable[[Row], list[str]] = _nothing,
    *,
    prefix: str = "",
    hint: str = "",
) -> list[str]:
    return [line for its in _entry_lines(entries, width, more, prefix=prefix, hint=hint) for line in its]


def _entry_lines(
    entries: Sequence[Alike],
    width: int | None,
    more: Callable[[Row], list[str]] = _nothing,
    *,
    prefix: str = "",
    hint: str = "",
) -> list[list[str]]:
    """Return the lines of each entry."""
    named = [row for entry in entries for row in entry.rows[: _NAMED if len(entry.rows) > 1 else 1]]
    rests = {entry.rows[0].exp_path: _rest(entry.rows[0]) for entry in entries if len(entry.rows) == 1}
    names = _names(named, rests.values(), width)
    found = []
    for entry in entries:
        row = entry.rows[0]
        if len(entry.rows) == 1:
            lines = _fitted(f"{prefix}{row.status.value:<11} {names[row.exp_path]}", rests[row.exp_path], width)
            found.append([*lines, *(f"{_INDENT}{text}" for text in more(row))])
            continue
        lines = _fitted(f"{prefix}{row.status.value:<11} {len(entry.rows)} {TIMES} {entry.reason}", "", width)
        lines += [f"{_INDENT}  {names[one.exp_path]}{_job(one)}" for one in entry.rows[:_NAMED]]
        left = len(entry.rows) - _NAMED
        found.append([*lines, f"{_INDENT}  … and {left} more{hint}"])
    return found


def _rest(row: Row) -> str:
    """Return what stands behind a name: the reason, the job, and for how long it runs or waits."""
    if not row.status.is_alive:
        return row.rest
    from heyhi.control.progress import said_of

    return "  ".join(text for text in (row.rest, said_of(row)) if text)


def _job(row: Row) -> str:
    return f"  (job {row.job_id})" if row.job_id else ""


def _names(rows: Sequence[Row], rests: Collection[str], width: int | None) -> dict[str, str]:
    names = [row.exp_id for row in rows]
    if width is not None:
        # A longer one has lines of its own, where a name leaves it no room: it takes none from the others.
        rest = max((len(text) for text in rests if len(text) <= _MOST_REST), default=0)
        room = width - len(_INDENT)
        names = cut_alike(names, max(_LEAST_NAME, room - 2 - rest if rest else room), room)
    return {row.exp_path: name for row, name in zip(rows, names, strict=True)}


def _fitted(head: str, rest: str, width: int | None) -> list[str]:
    """Put two texts into a line, or into several where a terminal is too narrow."""
    whole = f"{head}{f'  {rest}' if rest else ''}"
    if width is None or len(whole) <= width:
        return [whole]
    import textwrap

    room = max(_LEAST_NAME, width - len(_INDENT))
    wrapper = textwrap.TextWrapper(room, break_on_hyphens=False, max_lines=_MOST_LINES, placeholder=" …")
    if not rest:
        label, text = head[: len(_INDENT)], head[len(_INDENT) :]
        first, *others = wrapper.wrap(text) or [""]
        return [f"{label}{first}", *(f"{_INDENT}{line}" for line in others)]
    return [head, *(f"{_INDENT}{line}" for line in wrapper.wrap(rest))]


def _is_marked(survey: Survey, row: Row, drift: Mapping[str, list[str]]) -> bool:
    return row.exp_id in drift or row.exp_path in survey.stale or row.exp_path in survey.mixed


def _texts(survey: Survey, row: Row, drift: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield what is to be said of an experiment beside how it is."""
    keys = drift.get(row.exp_id, [])
    more = f" (and {len(keys) - _MAX_KEYS} more)" if len(keys) > _MAX_KEYS else ""
    if keys:
        from heyhi.sweep.drift import NOT_COMPARED, why_not_compared

        why = why_not_compared(keys)
        yield f"{NOT_COMPARED}: {why}" if why else f"drifted: {'; '.join(keys[:_MAX_KEYS])}{more}"
    if row.exp_path in survey.stale:
        from heyhi.experiment.given import stale_text

        yield f"stale: {stale_text(survey.stale[row.exp_path])}"
    if row.exp_path in survey.mixed:
        yield f"mixed: {survey.mixed[row.exp_path]}"
    if row.exp_path in survey.notes:
        yield f"note: {survey.notes[row.exp_path].line}"


def _counted_notes(notes: Collection[Shown]) -> str:
    """Say how many have a note, and how many of these are excluded."""
    excluded = sum(note.excluded for note in notes)
    return f"  noted {len(notes)}{f' (excluded {excluded})' if excluded else ''}" if notes else ""


def _drifted_or_not(drift: Mapping[str, list[str]]) -> dict[str, Collection[str]]:
    """Return which have drifted, and of which nobody can tell."""
    if not drift:
        return {}
    from heyhi.sweep.drift import NOT_COMPARED, drifted_only

    drifted = drifted_only(drift)
    return {"drifted": drifted, NOT_COMPARED: drift.keys() - set(drifted)}
