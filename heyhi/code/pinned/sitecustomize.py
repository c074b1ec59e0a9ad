"""What each Python of a job runs when it starts, its task's too: pinned code is found first from here on.

Only one module of this name is run, the first on the path: whatever other one there is, is run by this one.
"""

import os
import sys

try:
    import heyhi_pinning

    heyhi_pinning.pin_by_environment()
except Exception as error:  # no program of a task's ends for this
    sys.stderr.write(f"heyhi: the code that was pinned is not found first: {error!r}\n")

_here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (each Python that is started pays for pathlib)
sys.path[:] = [path for path in sys.path if path != _here]
_this = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize  # noqa: F401
except ImportError as error:
    if error.name != "sitecustomize":
        raise
finally:
    if _this is not None:
        sys.modules.setdefault("sitecustomize", _this)
