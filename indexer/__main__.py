"""`python -I -m indexer` is the index service.

Not `-m indexer.service`: a process that is forked or spawned for a child would load that module once more.
"""

from __future__ import annotations

import sys

from indexer.service import main

if __name__ == "__main__":
    sys.exit(main())
