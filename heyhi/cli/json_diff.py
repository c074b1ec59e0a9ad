"""What `heyhi diff` answers in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heyhi.cli.json_answer import give
from heyhi.cli.json_failure import UNREAD, failure
from heyhi.cli.json_forms import DiffedExperiment, DiffSection

if TYPE_CHECKING:
    from heyhi.control.diff import Comparison, Head, Section


def give_comparison(comparison: Comparison) -> None:
    """Answer how two experiments differ."""
    a, b = map(_head, comparison.heads)
    fields: dict[str, object] = {"a": a, "b": b}
    if comparison.unread:
        fields["error"] = failure(UNREAD, "\n".join(comparison.unread))
    give("diff", fields, last="sections", rows=map(_section, comparison.sections))


def _head(head: Head) -> DiffedExperiment:
    return {
        "exp_id": head.exp_id,
        "exp_path": head.exp_path,
        "words": head.words,
        "status": head.state.status.value,
        "reason": head.state.reason,
        "note": head.note,
    }


def _section(section: Section) -> DiffSection:
    return {
        "title": section.title,
        "unread": list(section.unread),
        "missing": list(section.missing),
        "differences": [{"key": key, **values} for key, values in section.differences.items()],  # type: ignore[typeddict-item]
    }
