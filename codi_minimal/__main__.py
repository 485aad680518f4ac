"""`python -m codi_minimal`: see `cli`."""

import sys

from codi_minimal.cli import main

if __name__ == "__main__":
    sys.exit(main())
