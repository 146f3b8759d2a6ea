"""`python -m tfticket` is `tfticket`."""

import sys
from pathlib import Path

# The current folder, which `-m` puts first: a file there must not stand in for a library.
if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd():
    del sys.path[0]

from tfticket.cli import main

sys.exit(main())
