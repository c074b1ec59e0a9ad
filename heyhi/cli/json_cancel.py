"""What `heyhi cancel` answers in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from heyhi.cli.json_answer import give
from heyhi.cli.json_failure import NOT_ENDED, failure
from heyhi.cli.json_forms import CancelledRow

if TYPE_CHECKING:
    from heyhi.control.cancel import Found


def give_cancelled(found: Iterable[Found], *, dry_run: bool, failed: bool = False) -> None:
    """Answer what was ended, or would be.

    Args:
        found: each thing.
        dry_run: whether nothing was.
        failed: whether something could not be.
    """
    rows = [_row(one) for one in found]
    fields: dict[str, object] = {"dry_run": dry_run}
    if failed:
        first = next((row for row in rows if not row["ended"] and row["what"] != "nothing"), None)
        text = f"{first['name']}: {first['why']}" if first else "Slurm doesn't say whether more was started meanwhile"
        fields["error"] = failure(NOT_ENDED, text)
    give("cancel", fields, last="found", rows=rows)


def _row(found: Found) -> CancelledRow:
    return {
        "what": found.what,
        "name": found.name,
        "exp_id": found.name if found.what != "controller" else None,
        "job_id": found.job_id or None,
        "pid": found.owner.pid if found.owner is not None else None,
        "host": found.owner.host if found.owner is not None else None,
        "ended": found.is_ended,
        "why": found.why,
    }
