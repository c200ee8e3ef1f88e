"""`python -m qvim_kit.cli`, where the folder of the `qvim` script is not on the path."""

import sys

from qvim_kit.cli import main

sys.exit(main())
