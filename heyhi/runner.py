"""`python -m heyhi.runner TARGET --manifest FILE`: runs one experiment; what it does lives in `heyhi.job.runner`."""

# ruff: noqa: E402
import gc
import sys

# Nothing that is loaded here becomes garbage: to look through it again and again takes a tenth of the start.
_collects = gc.isenabled() or bool(vars(sys.modules["heyhi"]).pop("_is_paused", False))  # which has begun the pause
gc.disable()
from heyhi.collector import collect_rarely
from heyhi.job.runner import main

if _collects:
    gc.enable()

if __name__ == "__main__":
    collect_rarely()  # nor is it looked through while the task runs, with what the run itself makes before
    sys.exit(main())
