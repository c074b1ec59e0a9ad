"""`python -m heyhi.runner TARGET --manifest FILE`: runs one experiment; what it does lives in `heyhi.job.runner`."""

import sys

from heyhi.job.runner import main

if __name__ == "__main__":
    sys.exit(main())
