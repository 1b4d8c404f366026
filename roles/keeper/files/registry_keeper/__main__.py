# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""python3 -m registry_keeper: the program from a checkout."""

import sys

from registry_keeper.main import main

if __name__ == "__main__":
    sys.exit(main())
