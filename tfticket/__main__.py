"""`python -m tfticket` is `tfticket`."""

import sys

from tfticket.cli import main

sys.exit(main())
