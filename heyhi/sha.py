"""SHA-256 of what is short, without OpenSSL: `hashlib` loads that, which takes a job as long as loading this package.

For large files hashlib's is several times as fast.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256
else:
    # Python's own `random` does likewise; the module is called _sha2 since Python 3.12.
    for _name in ("_sha2", "hashlib") if sys.version_info >= (3, 12) else ("_sha256", "hashlib"):
        try:
            sha256 = import_module(_name).sha256
            break
        except (ImportError, AttributeError):
            continue

__all__ = ["sha256"]
