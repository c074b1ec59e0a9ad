"""`python -m heyhi.runner TARGET --manifest FILE`: runs one experiment; what it does lives in `heyhi.job.runner`."""

# ruff: noqa: E402
import gc
import sys
from typing import NoReturn

# Nothing that is loaded here becomes garbage: to look through it again and again takes a tenth of the start.
_collects = gc.isenabled()
gc.disable()
from heyhi.collector import collect_rarely
from heyhi.job.runner import main

if _collects:
    gc.enable()


def start(*, collects: bool = _collects) -> NoReturn:
    """Be `python -m heyhi.runner`, called by `python -c`, which looks for no module to run: 2 % of an empty job.

    Who starts this process's program again, as multiprocessing does, finds what `-m` has it find.

    Args:
        collects: whether garbage is looked for, which who calls this has put off before HeyHi was loaded.
    """
    collect_rarely()  # nor is it looked through while the task runs, with what the run itself makes before
    if collects:
        gc.enable()
    vars(sys.modules["__main__"]).update(__spec__=__spec__, __file__=__file__)
    sys.argv[0] = __file__
    sys.exit(main())


if __name__ == "__main__":
    start()
