"""A folder that each Python of a job has first on its path, for the code that was pinned to be found first."""

import os
import sys

# As heyhi_pinning has them, which imports nothing of ours, and which only a job loads.
ROOT_VARIABLE = "HEYHI_CODE_ROOT"  # the project's root
COPY_VARIABLE = "HEYHI_CODE_COPY"  # the copy of it that a job runs
HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (as heyhi_pinning has it)

# A job's Python has begun by the module here, under a name of its own: it isn't loaded twice, nor does it look twice.
_begun = sys.modules.get("heyhi_pinning")
if _begun is not None and [getattr(_begun, "HERE", None)] == list(__path__):
    sys.modules[f"{__name__}.heyhi_pinning"] = _begun
