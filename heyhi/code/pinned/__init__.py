"""A folder that each Python of a job has first on its path, for the code that was pinned to be found first."""

import sys

# A job's Python has begun by the module here, under a name of its own: it isn't loaded twice, nor does it look twice.
_begun = sys.modules.get("heyhi_pinning")
if _begun is not None and [getattr(_begun, "HERE", None)] == list(__path__):
    sys.modules[f"{__name__}.heyhi_pinning"] = _begun
