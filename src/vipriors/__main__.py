"""`python -m vipriors`: the same as the command `vipriors`."""

import sys

from vipriors.cli import main

if __name__ == "__main__":
    sys.exit(main())
