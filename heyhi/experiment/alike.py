"""What experiments have in common that have ended alike: their reasons without what is each one's own."""

from __future__ import annotations

import re
from functools import lru_cache

# What differs in the reasons of experiments that have ended alike: where, and the numbers in what was raised or said.
_PLACE = r" \([^()]*\b(?:job|pid) [^()]*\)"
_OWNER = r"\b(job|pid) \d[\d_]*"
_RANK = r"\brank \d+ on [\w.-]+"
_NUMBER = r"(?<![\w.])(?<!exit code )(?<!signal )-?\d[\w.+-]*"


@lru_cache(maxsize=1000)
def kind_of(reason: str) -> str:
    """Return a reason without what differs between experiments that have ended alike: `…` stands for it."""
    head, colon, tail = re.sub(_RANK, "rank … on …", re.sub(_OWNER, r"\1 …", re.sub(_PLACE, "", reason))).partition(
        ": "
    )
    return f"{head}{colon}{re.sub(_NUMBER, '…', tail)}"
