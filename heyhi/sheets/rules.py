"""The conditional formats of a table: a colour for each status, and one for RUNNING without a recent update.

Which of them a worksheet has already, and what becomes of those, is left to `heyhi.sheets.plan`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from heyhi.sheets.cells import Table
from heyhi.sheets.worksheet import Area, Block, letters

_STALE = "STALE"
# What a status looks like; a colour that a user gave such a rule is kept.
_COLOURS = {
    _STALE: (0.98, 0.8, 0.61),
    "DONE": (0.85, 0.92, 0.83),
    "RUNNING": (1.0, 0.95, 0.8),
    "PENDING": (0.81, 0.89, 0.95),
    "PRUNED": (0.8, 0.9, 0.9),
    "DEAD": (0.96, 0.8, 0.8),
    "UNKNOWN": (0.96, 0.76, 0.62),
    "BLOCKED": (0.88, 0.83, 0.92),
    "NOT_STARTED": (0.94, 0.94, 0.94),
}
_TAG = re.compile(r'N\("heyhi:(?P<key>\w+):(?P<rule>\w+)"\)=0')


def rules_of(sheet_id: int, block: Block, table: Table, *, knows_zone: bool) -> dict[str, dict[str, Any]]:
    """Return the conditional formats of a table, in Google's JSON, by their names; an earlier one goes first.

    Args:
        sheet_id: worksheet of the table.
        block: where the table stands.
        table: what stands there.
        knows_zone: times in the table are those of the spreadsheet's clock.
    """
    top = block.top + table.heads
    if table.status is None or top >= block.bottom:
        return {}
    status = block.columns[table.status]
    rules = {}
    for name, (red, green, blue) in _COLOURS.items():
        columns = [status]
        test = f'(${letters(status)}{top + 1}="{"RUNNING" if name == _STALE else name}")'
        if name == _STALE:
            if table.updated is None or not knows_zone:
                continue
            columns.append(block.columns[table.updated])
            moment = f"${letters(columns[1])}{top + 1}"
            test += f'*({moment}<>"")*(NOW()-VALUE({moment})>1/24)'
        areas = [Area(top, column, block.bottom, column + 1) for column in columns]
        # The first factor is always true: it says whose rule this is. A product needs no list of arguments, which
        # not every locale of a spreadsheet writes with commas.
        formula = f'=(N("heyhi:{block.key}:{name}")=0)*{test}>0'
        rules[name] = {
            "ranges": [area.grid_range(sheet_id) for area in areas],
            "booleanRule": {
                "condition": {"type": "CUSTOM_FORMULA", "values": [{"userEnteredValue": formula}]},
                "format": {"backgroundColor": {"red": red, "green": green, "blue": blue}},
            },
        }
    return rules


def tag_of(rule: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the key of the block and the name of the rule that a conditional format is, None for one of a user."""
    values = rule.get("booleanRule", {}).get("condition", {}).get("values", [])
    found = _TAG.search(values[0].get("userEnteredValue", "")) if values else None
    return (found["key"], found["rule"]) if found else None
