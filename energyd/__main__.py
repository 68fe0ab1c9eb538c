"""`python -m energyd`, for machines where the command is not in the PATH."""

import sys

from energyd.cli import main

sys.exit(main())
