"""`python -m heyhi.report MANIFEST --to FILE`: what the aggregate rule runs."""

import sys

from heyhi.report.write import main

sys.exit(main())
