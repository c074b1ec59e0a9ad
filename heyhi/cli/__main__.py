"""`python -m heyhi.cli`: the same as `python -m heyhi`."""

import sys

from heyhi.cli.main import main

sys.exit(main())
