"""The two values of an override that no field holds."""

from __future__ import annotations

import enum
from typing import Final


class Special(enum.Enum):
    """The two values of an override that no field holds: NULL clears, SELECT makes an empty message."""

    NULL = "NULL"
    SELECT = "SELECT"


NULL: Final = Special.NULL
SELECT: Final = Special.SELECT
