"""`python -m heyhi`: the command line `heyhi` where its script is not on the path."""

import sys

from heyhi.cli.main import main

sys.exit(main())
