"""One experiment, as the page asks for it."""

from __future__ import annotations

from typing import Any

from heyhi.config.translation import Translation
from heyhi.report.page_data import detail_of
from heyhi.report.page_payload import shown_value
from heyhi.serve.board import Known


def experiment(known: Known) -> dict[str, Any]:
    """Return `{"config", "flat": {key: text}, "attempts": [{name: text}], "commands": [[what, line]]}`."""
    detail = detail_of(known.folder, Translation.of(known.project))
    return {
        "config": detail.config,
        "flat": {str(key): shown_value(value) for key, value in detail.flat.items()},
        "attempts": [{str(k): shown_value(v) for k, v in one.items()} for one in detail.attempts],
        "commands": [["see its log", f"heyhi logs {known.folder.exp_id}"]],
    }
